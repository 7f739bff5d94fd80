"""What can be checked as an optimizer with 8-bit state: how a candidate shows its codes and scales.

An observation's state has one array a part, called ``slot.part`` (``m.codes``, ``m.absmax``); a slot that the candidate
keeps as it is stands under its own name. Candidates are functions on codes, torch optimizers that keep codes as
bitsandbytes or torchao do, and `EightBit` itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from refgrad.candidates import resolve as optimizers
from refgrad.candidates.arguments import parameters_of
from refgrad.candidates.faults import building, stepping
from refgrad.candidates.frameworks import candidate_of
from refgrad.candidates.names import SLOTS
from refgrad.candidates.numpy_function import FunctionRun, NumpyFunction
from refgrad.candidates.protocol import COUNTED, CandidateFault, Extras, Observation, Run, Value
from refgrad.errors import CandidateError
from refgrad.optimizers.base import Optimizer
from refgrad.quantizers.base import Quantized
from refgrad.quantizers.eight_bit import EightBit
from refgrad.rule import Rule, Slot

#: part of a quantizer -> what functions call it after the slot's name and an underscore, besides its own name
PARTS: Mapping[str, tuple[str, ...]] = {
    "codes": ("quantized", "q", "8bit", "uint8"),
    "absmax": ("scale", "scales", "max"),
    "scale": ("scales", "absmax"),
}


class EightBitCandidate(Protocol):
    """Something that claims to be an optimizer with 8-bit state."""

    @property
    def name(self) -> str:
        """How reports call it."""

    @property
    def takes_small(self) -> bool:
        """True if parameters below the size from which slots are quantized can be handed to it."""

    def start(self, rule: Optimizer, params: Sequence[np.ndarray]) -> Run:
        """Hand it its parameters, copied; its observations have codes and scales by ``slot.part``."""


def resolve(thing: Any, options: Mapping[str, Any], rule: EightBit) -> EightBitCandidate:
    """The candidate that a thing is; `CandidateError` if it is nothing that can be checked so."""
    target, name = thing, thing if isinstance(thing, str) else optimizers.describe(thing)
    thing = optimizers.load(thing) if isinstance(thing, str) else thing
    if isinstance(thing, type) and issubclass(thing, EightBit):
        thing, options = rule.replace(**options), {}
    if isinstance(thing, EightBit):
        if options:
            raise CandidateError(f"{name} is a rule already; legal options: none, not {', '.join(options)}")
        return _Reference(optimizers.describe_rule(thing), thing)
    if hasattr(thing, "start") and hasattr(thing, "takes_small") and not isinstance(thing, type):
        return thing
    options = {**_known_options(thing, rule), **options}
    candidate = optimizers.resolve(target, options)  # by its string, which reports repeat
    if isinstance(candidate, NumpyFunction):
        return _Function(candidate, rule)
    found: EightBitCandidate | None = candidate_of("8-bit-optimizer", candidate, rule)
    if found is not None:
        return found
    raise CandidateError(
        f"{name} shows no 8-bit state; legal: a function f(p, g, m_codes, m_absmax, ..., t), a torch optimizer that keeps "
        "codes as bitsandbytes or torchao do, or refgrad.quantizers.EightBit(...)"
    )


def _known_options(thing: Any, rule: EightBit) -> dict[str, Any]:
    """Of the wrapper's own hyperparameters those that a constructor or a function takes by their names."""
    takes = parameters_of(thing) if callable(thing) else {}
    values = {"min_8bit_size": rule.min_8bit_size, "block_size": getattr(rule.signed, "block_size", None)}
    return {n: v for n, v in values.items() if n in takes and v is not None}


def flat(rule: EightBit, state: Mapping[str, Any]) -> dict[str, Value]:
    """A state as `EightBit.init` gives it, with every part under its own name."""
    found: dict[str, Value] = {}
    for name in rule.rule.slots():
        value = state[name]
        if isinstance(value, Quantized):
            found |= {f"{name}.{part}": array for part, array in value.arrays.items()}
        else:
            found[name] = value
    return found


@dataclass(frozen=True)
class _Reference:
    """`EightBit` as a candidate."""

    name: str
    rule: EightBit
    takes_small: bool = True
    abilities: frozenset[str] = frozenset({COUNTED})

    def start(self, rule: Optimizer, params: Sequence[np.ndarray]) -> _ReferenceRun:
        with building(self.name):
            return _ReferenceRun(self.name, self.rule, params)


class _ReferenceRun:
    def __init__(self, name: str, rule: EightBit, params: Sequence[np.ndarray]) -> None:
        self._name, self._rule = name, rule
        self._params = [np.array(p, order="C", copy=True) for p in params]
        self._state = [rule.init(p) for p in self._params]

    def step(self, grads: Sequence[np.ndarray], extras: Extras = MappingProxyType({})) -> None:
        with stepping(self._name):
            for leaf, g in enumerate(grads):
                self._params[leaf], self._state[leaf] = self._rule.step(self._params[leaf], g, self._state[leaf])

    def set_count(self, count: int) -> None:
        self._state = [{**state, "t": count} for state in self._state]

    def observe(self) -> Observation:
        return Observation(self._params, [flat(self._rule, state) for state in self._state])


@dataclass(frozen=True)
class _Function:
    """A function on codes: ``f(p, g, m_codes, m_absmax, ..., t, **hyperparameters)``, pure or in place."""

    function: NumpyFunction
    rule: EightBit
    takes_small: bool = False

    @property
    def name(self) -> str:
        return self.function.name

    @property
    def abilities(self) -> frozenset[str]:
        return self.function.abilities

    def start(self, rule: Optimizer, params: Sequence[np.ndarray]) -> _FunctionRun:
        eight = self.rule.replace(rule=rule)
        small = next((p.shape for p in params if not eight.quantized_slots(p.shape)), None)
        if small is not None:
            raise CandidateError(
                f"{self.name} takes codes alone, and one of shape {small} keeps none; legal: larger ones"
            )
        stated = _stated(self.function.function, eight)
        run = dataclasses.replace(self.function, stated=stated).start(_Unfolded(eight, params), params)
        return _FunctionRun(run, stated)


def _stated(function: Callable[..., Any], rule: EightBit) -> dict[str, str]:
    """``slot.part`` -> the argument that takes it; `CandidateError` for one that no argument takes."""
    takes = parameters_of(function)
    found: dict[str, str] = {}
    for number, (slot, part) in enumerate(_parts(rule)):
        slots, parts = (slot, *SLOTS.get(slot, ())), (part, *PARTS.get(part, ()))
        names = [f"{s}_{p}" for s in slots for p in parts]
        named = next((n for n in names if n in takes and n not in found.values()), None)
        if named is None:
            raise CandidateError(
                f"no argument takes the {part} of {slot}, slot {number + 1}; legal: {', '.join(names[:4])}"
            )
        found[f"{slot}.{part}"] = named
    return found


def _parts(rule: EightBit) -> list[tuple[str, str]]:
    return [(n, part) for n in rule.quantized_slots((1 << 40,)) for part in rule.quantizer(n).parts]


class _Unfolded:
    """A rule whose parts of slots are slots themselves, as a function's arguments are bound to."""

    def __init__(self, rule: EightBit, params: Sequence[np.ndarray]) -> None:
        self._rule, self._state = rule, [rule.init(p) for p in params]

    def slots(self) -> dict[str, Slot]:
        parts = {f"{n}.{part}": Slot() for n, part in _parts(self._rule)}
        quantized = {n for n, _ in _parts(self._rule)}
        return parts | {n: slot for n, slot in self._rule.rule.slots().items() if n not in quantized}

    def init(self, params: Sequence[np.ndarray]) -> dict[str, list[Value]]:
        rows = [flat(self._rule, state) for state in self._state]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def inputs(self) -> dict[str, Any]:
        return {}

    def told(self) -> _Unfolded:
        return self

    def hyperparameters(self) -> dict[str, Any]:
        return self._rule.rule.hyperparameters()

    def numbers(self) -> dict[str, float]:
        return self._rule.rule.numbers()

    def inner_rules(self) -> dict[str, Rule]:
        return self._rule.rule.inner_rules()

    def legal(self) -> dict[str, Any]:
        return self._rule.rule.legal()


class _FunctionRun:
    def __init__(self, run: FunctionRun, stated: Mapping[str, str]) -> None:
        self._run, self._stated = run, stated

    def step(self, grads: Sequence[np.ndarray], extras: Extras = MappingProxyType({})) -> None:
        self._run.step(grads)

    def set_count(self, count: int) -> None:
        self._run.set_count(count)

    def observe(self) -> Observation:
        return self._run.observe()


def quantized(rule: EightBit, shape: tuple[int, ...], slot: str, state: Mapping[str, Value]) -> Quantized:
    """A slot's parts as they were seen; a `CandidateFault` for those that are missing, or hold another number."""
    quantizer = rule.quantizer(slot)
    layout, parts = quantizer.layout(shape), {}
    for part in quantizer.parts:
        if f"{slot}.{part}" not in state:
            kept = f"{slot} is kept as it is" if slot in state else f"{slot} has no {part}"
            raise CandidateFault("structure", f"{kept}; legal: {', '.join(quantizer.parts)} of shape {shape}")
        array = np.asarray(state[f"{slot}.{part}"])
        wanted = shape if part == "codes" else (layout.rows,)
        if array.size != int(np.prod(wanted)):
            raise CandidateFault("shape", f"{slot}.{part} has shape {array.shape}; legal: {wanted}")
        parts[part] = array.reshape(wanted)
    scale = next(a for n, a in parts.items() if n != "codes")
    return Quantized(parts, shape, scale.dtype)
