"""`python -m tests.fuzz pipe [--seed N] [--answers N]`: answers over a pipe with bytes changed, and other values in their JSON.

A program of each kind that is asked over a pipe gives the rule's own results, of which one answer is damaged. It is read, as
arrays of the dtypes that it says, or is a fault of the candidate's, or cannot be judged, and nothing else happens.
"""

from __future__ import annotations

import copy
import json
import random
import subprocess
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np

from refgrad.candidates import program, program_arrays, protocol
from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import CandidateError
from refgrad.estimators import LSQ
from refgrad.optimizers import AdamW
from refgrad.quantizers import Affine
from refgrad.rule import Rule
from refgrad.sparsity import Magnitude
from tests.fuzz import seeds
from tests.fuzz.judge import in_time
from tests.golden.fuzz import mutated

READ, FAULT, UNJUDGED, REFUSED = "read", "a fault", "could not be judged", "refused by itself"
#: seconds that no answer takes
LONG = 20
X = np.linspace(-2, 2, 6, dtype=np.float32).reshape(2, 3)
#: what stands for a value of JSON somewhere in an answer
JUNK: tuple[Any, ...] = (
    None, True, -1, 0, 2, 255, 256, -129, 0.5, 1e400, float("nan"), 10**400, 10**30, "", "x", "0x1p+0", "0x1p+9999", "nan",
    "1e5", [], {}, [[]], {"shape": [1], "data": [1]}, {"": {}}, "int8", "bool", "float16", "bfloat16", "float64", "object",
    "\x00", "hex", "base64", "AAAA", "=", [10**12], [-1], [2, 3], [6], ["p"], "p", "a b", "\ud800", "é" * 300,
)  # fmt: skip


@dataclass
class Spoken:
    """What stands for a process: it answers what is written to it, the n-th answer damaged."""

    answer: Callable[[Mapping[str, Any]], dict[str, Any]]
    damage: Callable[[dict[str, Any]], bytes]
    damaged: int
    asked: int = 0
    out: bytes = b""

    @property
    def stdin(self) -> Spoken:
        return self

    @property
    def stdout(self) -> Spoken:
        return self

    def write(self, data: Any) -> int:
        line = bytes(data)
        found = self.answer(json.loads(line))
        plain = json.dumps(found).encode() + b"\n"
        self.out += self.damage(found) if self.asked == self.damaged else plain
        self.asked += 1
        return len(line)

    def close(self) -> None:
        pass

    def read(self, most: int) -> bytes:
        found, self.out = self.out[:most], self.out[most:]
        return found

    def wait(self, timeout: float = 0.0) -> int:
        return 0

    def kill(self) -> None:
        pass


@dataclass(frozen=True)
class Kind:
    """A rule of a kind, what a program that is it takes and gives, and how it is asked."""

    rule: Rule
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    results: Callable[[], Mapping[str, Any]]
    ask: Callable[[Any], Mapping[str, np.ndarray]]

    def hello(self) -> dict[str, Any]:
        words = {"rules": [type(self.rule).__name__], "dtypes": ["float32"]}
        words["restrictions"] = ["one axis alone"]
        return {"refgrad": 1, "name": "fuzzed", **words, "takes": list(self.takes), "gives": list(self.gives)}


def _stepped() -> Mapping[str, Any]:
    rule = AdamW()
    p, state = rule.step(X, X, rule.init(X))
    return {"p": p, "m": state["m"], "v": state["v"]}


def _masked(candidate: Any) -> Mapping[str, np.ndarray]:
    return {"mask": candidate.prune(Magnitude(), {"w": X}).mask}


KINDS: Mapping[str, Kind] = {
    "optimizer": Kind(
        AdamW(), ("p", "g", "m", "v", "t"), ("p", "m", "v"), _stepped, lambda f: f(X, X, np.zeros_like(X), np.zeros_like(X), 1)
    ),
    "quantizer": Kind(
        Affine(), ("x",), ("scale", "zero_point", "codes"), lambda: dict(Affine().quantize(X).arrays), lambda f: f(X)
    ),
    "estimator": Kind(
        LSQ(),
        ("x", "cotangent", "scale"),
        ("y", "x_grad", "scale_grad"),
        lambda: {"y": X, "x_grad": X, "scale_grad": np.float32(0.5)},
        lambda f: f.start(LSQ())({"x": X, "cotangent": X, "scale": np.asarray(0.5, np.float32)}),
    ),
    "mask": Kind(Magnitude(), ("w",), ("mask",), lambda: {"mask": Magnitude().mask(X)}, _masked),
}  # fmt: skip


def _answer(kind: Kind, encoding: str) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """What a program that is right says."""

    def answer(asked: Mapping[str, Any]) -> dict[str, Any]:
        if asked["ask"] == "hello":
            return {**kind.hello(), "encoding": encoding}
        arrays = {n: {**program_arrays.encoded(np.asarray(a), encoding)} for n, a in kind.results().items()}
        for name, array in kind.results().items():
            arrays[name]["dtype"] = str(np.asarray(array).dtype)
        return {"id": asked["id"], "arrays": arrays}

    return answer


def _places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where a value of JSON holds others."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [found for key, value in pairs for found in ((*path, key), *_places(value, (*path, key)))]


def _replaced(found: dict[str, Any], draw: random.Random) -> bytes:
    """An answer of which one or two values are others, or are left out."""
    found = copy.deepcopy(found)
    for _ in range(draw.choice((1, 1, 2))):
        *path, last = draw.choice(_places(found) or [("x",)])
        node: Any = found
        for key in path:
            node = node[key]
        if draw.random() < 0.15:
            node.pop(last, None) if isinstance(node, dict) else node.pop(last)
        else:
            node[last] = copy.deepcopy(draw.choice(JUNK))
    return json.dumps(found).encode() + b"\n"


def outcome(name: str, seed: int) -> str:
    """What becomes of a damaged answer: one of "read", "a fault", "could not be judged", "refused by itself"; else raised.

    Args:
        name: a name of `KINDS`.
        seed: what is damaged, and how.
    """
    draw, kind = random.Random(f"{name} {seed}"), KINDS[name]

    def damage(found: dict[str, Any]) -> bytes:
        return _replaced(found, draw) if draw.random() < 0.7 else mutated(json.dumps(found).encode() + b"\n", draw)

    spoken = Spoken(_answer(kind, draw.choice(program_arrays.ENCODINGS)), damage, draw.choice((0, 1, 1, 2)))
    with mock.patch.object(subprocess, "Popen", return_value=spoken), in_time(LONG), warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found = kind.ask(program.function(["fuzzed"], kind.rule, group=False))
        except (CandidateFault, CandidateError, ValueError) as error:
            return _refused(error)
    if spoken.damaged >= spoken.asked:
        _is_right(found, kind)
    for array in found.values():
        assert isinstance(array, np.ndarray)
        assert array.nbytes <= 1 << 20
    return READ


def _refused(error: Exception) -> str:
    """What an error is, if it is one that a program that is asked may end in, in words that steer no terminal."""
    if not str(error).isprintable():
        raise AssertionError(repr(str(error))) from error
    if isinstance(error, CandidateFault):
        return REFUSED if error.kind == protocol.REFUSED else FAULT
    if isinstance(error, CandidateError):
        return UNJUDGED
    raise error


def _is_right(found: Mapping[str, np.ndarray], kind: Kind) -> None:
    """That what was read of an undamaged answer is what was written."""
    for name, array in kind.results().items():
        assert found[name].dtype == np.asarray(array).dtype
        assert found[name].tobytes() == np.asarray(array).tobytes()


def main(arguments: Sequence[str]) -> int:
    """0 if every answer was read, refused or a fault, 1 if something else happened.

    Args:
        arguments: the command line.
    """
    return seeds.main(arguments, "pipe", str(__doc__), "answers", KINDS, outcome)
