"""Authors' own code judged as refgrad's rules: ``python -m tests.estimators.authors FOLDER``, a table of verdicts.

FOLDER holds checkouts by their repositories' names (ReCU, BiPer, RBNN, ReSTE); what is missing is left out. A convolution of
1 by 1 on an identity shows its binarized weights, so that the authors' whole path from the weights is run, backward too.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import scipy.stats  # noqa: F401  (before any author's file: what such a file imports first is dropped with its stand-ins)
import torch

import refgrad
from refgrad import estimators as e
from refgrad.estimators.rotation import Rotation, learned_rotation
from tests.sparsity.authors import load

Case = tuple[str, Callable[..., Any], Any]


def modules(path: Path, **arguments: Any) -> Any:
    """A file of the authors', with its command line's arguments."""
    options = types.ModuleType("options")
    options.args = types.SimpleNamespace(**arguments)  # type: ignore[attr-defined]
    names = ("utils.options", "utils.arguments")
    return load(path, utils=types.ModuleType("utils"), **dict.fromkeys(names, options))


def weights_of(layer: Any) -> Callable[..., Any]:
    """The binarized weights of a layer for convolutions of 1 by 1, as a function of a matrix of weights."""

    def binarized(x: torch.Tensor) -> torch.Tensor:
        layer.to(x.dtype)
        del layer.weight
        layer.weight = x[:, :, None, None]
        layer.alpha.data.fill_(1.0)
        return layer(torch.eye(x.shape[1], dtype=x.dtype)[:, :, None, None])[:, :, 0, 0].T

    return binarized


def layer(code: Any) -> Any:
    """A layer as wide as the inputs are."""
    made = code.BinarizeConv2d(256, 16, 1, bias=False)
    return made.eval()


def recu(folder: Path) -> Iterator[Case]:
    code = modules(folder / "cifar/modules/binarized_modules.py")
    made = layer(code)
    made.tau.fill_(0.85)
    yield "ReCU, weights", weights_of(made), e.ReCU(sign_at_zero="zero")
    yield "ReCU, activations", activations(code), e.BiPerActivation(sign_at_zero="zero")


def biper(folder: Path) -> Iterator[Case]:
    for stage2, stage in ((False, "real"), (True, "binary")):
        code = modules(folder / "cifar10/modules/binarized_modules.py", freq=20.0, stage2=stage2)
        yield f"BiPer, weights, {stage}", weights_of(layer(code)), e.BiPer(stage=stage, sign_at_zero="zero")
    yield "BiPer, activations", activations(code), e.BiPerActivation(sign_at_zero="zero")


def activations(code: Any) -> Callable[..., Any]:
    """A layer's binarized activations: 1 by 1 weights that are an identity."""

    def binarized(x: torch.Tensor) -> torch.Tensor:
        return code.BinaryQuantize_a().apply(x / torch.sqrt(x.var([1], keepdim=True) + 1e-5))

    return binarized


def rbnn(folder: Path) -> Iterator[Case]:
    code = rbnn_code(folder)
    k, t = torch.tensor([10.0]), torch.tensor([0.1])
    yield (
        "RBNN, weights",
        lambda x: code.BinaryQuantize().apply(x, k.to(x.dtype), t.to(x.dtype)),
        e.RBNN(sign_at_zero="zero"),
    )
    yield (
        "RBNN, activations",
        lambda x: code.BinaryQuantize_a().apply(x, k, t),
        e.RBNN(t=1.0, k=1.0, sign_at_zero="zero"),
    )


def rbnn_code(folder: Path) -> Any:
    return modules(folder / "cifar/modules/binarized_modules.py", rotation_update=1, a32=True)


def reste(folder: Path) -> Iterator[Case]:
    code = modules(folder / "model/binary_module/binarized_modules.py", estimator="ReSTE", a32=False)
    for o in (3.0, 2.0, 1.0):
        number = torch.tensor(o)
        apply = lambda x, held=number: code.Binary_ReSTE.apply(x, torch.tensor(1.5), held)  # noqa: E731
        yield f"ReSTE, o = {o}", apply, e.ReSTE(o=o, sign_at_zero="zero")
    yield "ReSTE's STE", code.Binary, e.ClippedSTE(sign_at_zero="zero")


def rotation_difference(folder: Path) -> str:
    """The matrices that the authors' layer has learned in one step, against ours from the same start, in float32."""
    with mock.patch.object(torch.Tensor, "cuda", lambda self: self):
        made = rbnn_code(folder).BinarizeConv2d(8, 16, 3, bias=False)
    w = torch.from_numpy(np.random.default_rng(0).standard_normal((16, 8, 3, 3)).astype(np.float32))
    made.weight.data.copy_(w)
    made.epoch = 0
    start = Rotation(made.R1.numpy().copy(), made.R2.numpy().copy())
    made(torch.zeros(1, 8, 3, 3) + torch.arange(9).reshape(3, 3) + torch.arange(8)[:, None, None])
    centred = w - w.mean([1, 2, 3], keepdim=True)
    found = learned_rotation((centred / centred.std([1, 2, 3], keepdim=True)).numpy(), start)
    worst = max(float(np.abs(a - b.numpy()).max()) for a, b in zip(found, (made.R1, made.R2), strict=True))
    return f"RBNN's matrices after a step differ by at most {worst:.1e}"


CHECKOUTS = {"ReCU": recu, "BiPer": biper, "RBNN": rbnn, "ReSTE": reste}


def main() -> None:
    """Print the table."""
    print("| author's code | judged as | verdict | outside | explained by |\n|---|---|---|---|---|")
    for name, cases in CHECKOUTS.items():
        folder = Path(sys.argv[1]) / name
        if folder.is_dir():
            for label, function, rule in cases(folder):
                verdict = refgrad.verify(function, rule, steps=6)
                why = (
                    verdict.explanation.name
                    if verdict.explanation
                    else "; ".join(f.message for f in verdict.faults[:1])
                )
                total = verdict.total
                print(
                    f"| {label} | {rule} | {verdict.outcome} | {total.outside} of {total.total} | {why} |", flush=True
                )
    if (Path(sys.argv[1]) / "RBNN").is_dir():
        print(rotation_difference(Path(sys.argv[1]) / "RBNN"))


if __name__ == "__main__":
    main()
