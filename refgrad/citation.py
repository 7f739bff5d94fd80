"""Where a rule comes from, what of it was read, and which source each of its named behaviours is from.

A label claims no more than was read: "the paper" is a text that was read; what a publication is held to say by code and
by other texts is "the paper as reported".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, get_args

__all__ = ["READ", "VERSIONS", "Alternative", "Citation", "Read", "Source", "by"]

#: what was read of a rule
Read = Literal["paper", "authors' code", "package", "study"]

#: each of these, in a sentence
READ: Mapping[Read, str] = {
    "paper": "the publication's own text",
    "authors' code": "code that the authors released, and not the publication's own text",
    "package": "implementations by others, and neither the publication's own text nor code of its authors",
    "study": "a restatement of the equations by others, or their derivation; neither the publication's own text nor code",
}

#: the versions (or commits) of the packages that labels name, as they were read
VERSIONS: Mapping[str, str] = {
    "diffusers": "0.42.1",
    "PyHessian": "de8cf23",
    "DomainBed": "b93c22a",
    "ComfyUI": "as a study read it",
    "ACE-Step": "as a study read it",
    "ACDC": "ac53210",
    "AutoGPTQ": "auto-gptq 0.7.1",
    "Bi-Real-net": "f58aa4d",
    "DeepSpeed": "84be831",
    "GRACE": "fd3a7f4",
    "GraSP": "f17d87a",
    "JAX": "0.10.2",
    "Keras": "3.15.1",
    "LibMTL": "4336804",
    "NM-sparsity": "a557d6b",
    "NumPy": "2.4.6",
    "ONNX": "1.23.2",
    "POT": "0.9.6",
    "Python": "3",
    "RIA": "7bc55b0",
    "ReActNet": "a6cd08d",
    "SmoothGradCAMplusplus": "yiskw713 e728e5f",
    "TFLite": "ai-edge-litert 2.3.0",
    "TensorFlow": "model-optimization 6fbc2ce",
    "adabelief-pytorch": "0.2.1",
    "apex": "6424da3",
    "bitsandbytes": "0.50.2, 95f9af3",
    "brevitas": "0.13.4",
    "byzantine-robust-optimizer": "epfml",
    "byzfl": "0.0.11, 69bd1ac",
    "captum": "0.9.0",
    "distiller": "d859fc8",
    "ggml": "d99724f",
    "gptq": "2d65066",
    "grad-cam": "1.5.7, 084273b",
    "gradnorm-pytorch": "0.2.3, 088c8d5",
    "heavyball": "3.2.1",
    "jaxpruner": "f133ee5",
    "kron_torch": "884427c",
    "larq": "fe3ce52",
    "llm-awq": "d6e797a",
    "llm-compressor": "ab1ba3e",
    "lottery-ticket-hypothesis": "1f17279",
    "lsq-net": "1f644e9",
    "microxcaling": "7bc4195",
    "modded-nanogpt": "0016a3c",
    "norse": "065a3b4",
    "onnxruntime": "1.32.0",
    "open_lth": "2ce732f",
    "optax": "0.2.8",
    "ott": "0.6.0",
    "pytorch-optimizer": "4.1.0",
    "pytorch-tabnet": "4.1.0",
    "quanto": "optimum-quanto 0.2.7",
    "revisiting_saliency": "srebuffi cc4fbb3",
    "rigl": "d39fc7d",
    "scikit-dimension": "0.5.0",
    "snntorch": "1.0.0",
    "sparsegpt": "147d215",
    "sparseml": "1c04a01",
    "spikingjelly": "2.0.0",
    "timm": "1.0.31",
    "torch": "2.13.0",
    "torch-optimi": "0.3.3",
    "torch-optimizer": "0.3.0",
    "torchao": "0.18.0, 36027d8",
    "torchcam": "0.5.0, f44afef",
    "torchjd": "0.18.0, 46962c2",
    "trained-ternary-quantization": "4cd4132",
    "transformers": "5.23",
    "tree_influence": "a325794",
    "wanda": "8e8fc87",
}

_KINDS = {
    "paper": "the paper",
    "published": "the paper as reported",
    "elsewhere": "as reported",
    "authors": "the authors' code",
}

_TEXT = "the publication's own text"
_REPORTED = "which is as reported: its own text was not read"
#: words of a text that speak of the publication
_SPOKEN = re.compile(r"\bpapers?\b|\bprint(s|ed)\b")


@dataclass(frozen=True)
class Citation:
    """Where a rule comes from, and what of that was read.

    Args:
        authors: the authors and the year.
        title: the title.
        where: the place of publication, and where in it the rule stands.
        read: the nearest to the publication of what was read, a key of `READ`.
        source: what that was: an equation, a repository with its commit and file (and line, where a mechanism stands in
            CUDA or C alone), packages with their versions.
        unreachable: what was not to be had besides the publication's text, which goes without saying where it was not read.

    Raises:
        ValueError: ``read`` is none of the keys.

    >>> adam = Citation("Kingma & Ba 2015", "Adam", "ICLR, Algorithm 1", read="package", source="torch 2.13.0")
    >>> print(adam)
    Kingma & Ba 2015, “Adam”, ICLR, Algorithm 1
    >>> print(adam.provenance())
    read: package (torch 2.13.0); not read: the publication's own text
    """

    authors: str
    title: str
    where: str
    read: Read = "study"
    source: str = ""
    unreachable: str = ""

    def __post_init__(self) -> None:
        if self.read not in get_args(Read):
            raise ValueError(f"Citation.read is {self.read!r}; legal: {', '.join(get_args(Read))}")

    def __str__(self) -> str:
        return f"{self.authors}, “{self.title}”, {self.where}"

    def missing(self) -> str:
        """What was not read, empty if nothing is known to be missing."""
        text = "" if self.read == "paper" else _TEXT
        return "; ".join(part for part in (text, self.unreachable) if part)

    def told(self, text: str) -> str:
        """A text about the publication, which says so where that was not read and the text speaks of the paper.

        Args:
            text: such as what the publication leaves open.

        Returns:
            The text, with that in brackets at its end.

        >>> adam = Citation("Kingma & Ba 2015", "Adam", "ICLR", read="package", source="torch 2.13.0")
        >>> adam.told("eps: outside the root, as in the paper")
        'eps: outside the root, as in the paper (which is as reported: its own text was not read)'
        """
        return text if self.read == "paper" or not _SPOKEN.search(text) else f"{text} ({_REPORTED})"

    def provenance(self) -> str:
        """What was read and what was not, in one line."""
        read = f"read: {self.read}" + (f" ({self.source})" if self.source else "")
        return read + (f"; not read: {self.missing()}" if self.missing() else "")

    def to_dict(self) -> dict[str, str]:
        """The citation as JSON has it, with what was not read under ``not_read``."""
        return {**asdict(self), "not_read": self.missing()}


@dataclass(frozen=True)
class Source:
    """Who does what a named behaviour says.

    Args:
        kind: "paper": the cited publication's text, which was read; "published": the same as others report it, whose text
            was not read; "elsewhere": another publication, as others report it; "authors": code of the cited publication's
            authors; "package": a package by others.
        package: the package's name, a key of `VERSIONS`; empty for the other kinds.
        detail: which part, option or version.

    >>> print(Source.of("published: Algorithm 1"), Source.of("torch"), sep="; ")
    the paper as reported: Algorithm 1; torch
    """

    kind: Literal["paper", "published", "elsewhere", "authors", "package"]
    package: str = ""
    detail: str = ""

    @classmethod
    def of(cls, text: str) -> Source:
        """A source by its short text.

        Args:
            text: "paper", "published", "elsewhere", "authors" or a package's name, then ``": detail"`` or nothing.

        Returns:
            The source.
        """
        name, _, detail = text.partition(": ")
        return cls(name, "", detail) if name in _KINDS else cls("package", name, detail)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return _KINDS.get(self.kind, self.package) + (f": {self.detail}" if self.detail else "")

    def to_dict(self) -> dict[str, str]:
        """The source as JSON has it, its kind in the words of the text; of a package also the version that was read."""
        version = VERSIONS.get(self.package, "")
        return {
            "kind": _KINDS.get(self.kind, self.kind),
            "package": self.package,
            "version": version,
            "detail": self.detail,
        }


@dataclass(frozen=True)
class Alternative:
    """What one value of a hyperparameter means, and who does it.

    Args:
        sentence: what it means.
        sources: who does it; empty where nobody is named.
    """

    sentence: str
    sources: tuple[Source, ...] = ()

    def __str__(self) -> str:
        between = "; " if any(source.detail for source in self.sources) else ", "
        return self.sentence + (f" ({between.join(map(str, self.sources))})" if self.sources else "")


def by(sentence: str, *sources: str) -> Alternative:
    """A named behaviour with its sources.

    Args:
        sentence: what it means.
        sources: who does it, each as `Source.of` reads it.

    Returns:
        The behaviour, as `Choice` and `Flag` take it.

    >>> print(by("eps is added to the root", "published: delta", "torch"))
    eps is added to the root (the paper as reported: delta; torch)
    """
    return Alternative(sentence, tuple(map(Source.of, sources)))
