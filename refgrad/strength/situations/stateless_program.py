"""A rule without steps as a candidate with a planted fault: one program for every kind, in the form that each kind asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refgrad.candidates.arguments import parameters_of
from refgrad.candidates.mask_function import MaskSeen
from refgrad.candidates.mask_updates import UpdateCandidate
from refgrad.candidates.protocol import STRIDED
from refgrad.candidates.quantizer import QuantizerCandidate
from refgrad.candidates.scaling import ScalingCandidate
from refgrad.candidates.transform_arguments import TransformCandidate
from refgrad.errors import ArgumentError
from refgrad.oracle.acceptance.bodies import named
from refgrad.quantizers.base import Quantized
from refgrad.strength.situations.fault import Arrays, At, Fault, Results

#: from a rule, what it was given and what was made so far to what is made of that: the array of codes, the weights of a mask
Then = Callable[[Any, Arrays, Results], Results]


def right(rule: Any, given: Arrays) -> Results:
    """The rule's own results of arrays, without a fault.

    Args:
        rule: a rule without steps, of any kind.
        given: the arrays that its kind hands to a candidate.
    """
    first = FIRST[rule.kind](rule, given)
    return {**first, **THEN[rule.kind](rule, given, first)}


def _quantized(rule: Any, given: Arrays) -> Results:
    taken = {n: a for n, a in given.items() if n == "x" or n in parameters_of(rule.quantize)}
    return dict(rule.quantize(**taken).arrays)


def _dequantized(rule: Any, given: Arrays, parts: Results) -> Results:
    x = given["x"]
    try:
        return {"y": np.asarray(rule.dequantize(Quantized(dict(parts), x.shape, x.dtype)))}
    except (ArgumentError, IndexError):  # codes that stand for nothing
        return {}


def _estimated(rule: Any, given: Arrays) -> Results:
    own = {n: a for n, a in given.items() if n in rule.handed()}
    return dict(rule.both(given["cotangent"], given["x"], **own))


def _masked(rule: Any, given: Arrays) -> Results:
    others = {n: a for n, a in given.items() if n != "w" and n in rule.takes()}
    return {"scores": rule.score(given["w"], **others), "mask": rule.mask(given["w"], **others)}


def _step_of(given: Arrays) -> int:
    return int(given["t"].reshape(-1)[0]) if "t" in given else 0


def _updated(rule: Any, given: Arrays) -> Results:
    return {"mask": rule.after(_arrays(given), _step_of(given))}


def _weights(rule: Any, given: Arrays, made: Results) -> Results:
    return {"w": rule.weights(_arrays(given), made["mask"], _step_of(given))}


def _arrays(given: Arrays) -> dict[str, np.ndarray]:
    return {n: a for n, a in given.items() if n != "t"}


def _transformed(rule: Any, given: Arrays) -> Results:
    return {n: np.asarray(a) for n, a in named(rule(*given.values())).items()}


def _scaled(rule: Any, given: Arrays) -> Results:
    batch, epochs = (int(given[n].reshape(-1)[0]) for n in ("batch", "epochs"))
    return {n: np.asarray(float(v)) for n, v in rule.scaled(batch, epochs).items()}


FIRST: Mapping[str, Callable[[Any, Arrays], Results]] = {
    "quantizer": _quantized,
    "estimator": _estimated,
    "mask": _masked,
    "mask-update": _updated,
    "transform": _transformed,
    "scaling": _scaled,
}
_NOTHING: Then = lambda rule, given, made: {}  # noqa: E731
THEN: Mapping[str, Then] = {**dict.fromkeys(FIRST, _NOTHING), "quantizer": _dequantized, "mask-update": _weights}


@dataclass(eq=False)
class Program:
    """A rule's own program with a fault; it remembers what a program with that fault does."""

    kind: str
    fault: Fault | None = None
    name: str = "planted"
    abilities: frozenset[str] = frozenset({STRIDED})
    calls: int = 0
    memory: dict[Any, Any] = field(default_factory=dict)

    def takes(self, rule: Any) -> frozenset[str]:
        """All that the rule has."""
        return frozenset(rule.legal())

    def __call__(self, rule: Any, given: Arrays) -> Results:
        """The results of a call, by name.

        Args:
            rule: what it is told to be.
            given: the arrays.
        """
        self.calls += 1
        if self.fault is None:
            return right(rule, given)
        rule = self.fault.settings(rule)
        at = At(rule, given, _step_of(given) if "t" in given else self.calls, self.calls, memory=self.memory)
        used = given if self.fault.given is None else self.fault.given(given)
        made = self._changed(FIRST[self.kind](rule, used), at)
        return {**made, **self._changed(THEN[self.kind](rule, used, made), at)}

    def _changed(self, made: Results, at: At) -> Results:
        if self.fault is None or self.fault.result is None or not made:
            return made
        with np.errstate(all="ignore"):
            return self.fault.result({n: np.asarray(a) for n, a in made.items()}, {}, at)

    def start(self, rule: Any) -> Callable[[Arrays], Results]:
        """The program as an estimator."""
        return lambda arrays: self(rule, arrays)

    def prune(self, rule: Any, arrays: Arrays) -> MaskSeen:
        """The program as a mask."""
        made = self(rule, arrays)
        return MaskSeen(made["mask"], made["scores"])

    def candidate(self) -> Any:
        """The program in the form that its kind takes."""
        return self if self.kind in ("estimator", "mask") else FORMS[self.kind](self)


@dataclass(frozen=True)
class _Quantizer(QuantizerCandidate):
    takes: Any = None


@dataclass(frozen=True)
class _Update(UpdateCandidate):
    takes: Any = None


@dataclass(frozen=True)
class _Transform(TransformCandidate):
    takes: Any = None


@dataclass(frozen=True)
class _Scaling(ScalingCandidate):
    takes: Any = None


def _as_quantizer(program: Program) -> Any:
    def quantize(rule: Any, x: np.ndarray, **besides: np.ndarray) -> Results:
        return program(rule, {"x": x, **besides})

    return _Quantizer(program.name, quantize, takes=program.takes)


def _as_update(program: Program) -> Any:
    def next_(rule: Any, arrays: Arrays, t: int) -> Results:
        return program(rule, {**arrays, "t": np.asarray([t])})

    return _Update(program.name, next_, takes=program.takes)


def _as_transform(program: Program) -> Any:
    def call(rule: Any, arrays: Arrays) -> Any:
        made = program(rule, arrays)
        if list(made) == ["result"]:
            return made["result"]
        return tuple(made.values()) if "result[0]" in made else made

    return _Transform(program.name, call, takes=program.takes)


def _as_scaling(program: Program) -> Any:
    def call(rule: Any, batch: int, epochs: int) -> Any:
        made = program(rule, {"batch": np.asarray(batch), "epochs": np.asarray(epochs)})
        return {n: float(a) for n, a in made.items()}

    return _Scaling(program.name, call, takes=program.takes)


FORMS: Mapping[str, Callable[[Program], Any]] = {
    "quantizer": _as_quantizer,
    "mask-update": _as_update,
    "transform": _as_transform,
    "scaling": _as_scaling,
}
