"""Driving a candidate: what it did at each step, recorded, with everything that it did wrong besides values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refgrad.candidates.protocol import Candidate, CandidateFault, Observation, Run
from refgrad.errors import ArgumentError, CandidateError
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.engine.time_limit import Call, watched
from refgrad.oracle.engine.verdict import Fault
from refgrad.oracle.inputs.steps import Inputs
from refgrad.rule import Slot

#: steps after which the gradient's memory is overwritten, to see whether the candidate still uses it
PROBED_STEPS = 2


@dataclass
class Record:
    """One candidate's run: an observation before the first step and one after each step that was completed."""

    inputs: Inputs
    rules: list[Optimizer]
    seen: list[Observation] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    #: random bits that the rule takes and the candidate draws by itself
    unknown: frozenset[str] = frozenset()

    @property
    def steps(self) -> int:
        """How many steps were completed."""
        return max(len(self.seen) - 1, 0)


def drive(candidate: Candidate, rule: Optimizer, inputs: Inputs, time_limit: float = math.inf) -> Record:
    """Run a candidate on inputs; its exceptions, and a step that takes more seconds than the limit, become faults."""
    record = Record(inputs, [rule] * len(inputs.p))
    with watched(time_limit) as call:
        try:
            _run(candidate, rule, record, call)
        except CandidateFault as fault:
            record.faults.append(Fault(fault.kind, len(record.seen), str(fault)))
        except (ArgumentError, CandidateError):
            raise
        except Exception as error:  # whatever a stranger's code raises is a finding, not our traceback
            record.faults.append(Fault("raised", len(record.seen), f"{type(error).__name__}: {error}"))
    return record


def _run(candidate: Candidate, rule: Optimizer, record: Record, call: Call) -> None:
    params = [np.array(a, copy=True) for a in record.inputs.p]
    run = call(lambda: candidate.start(rule, params), f"building {candidate.name}")
    rule_for = getattr(run, "rule_for", None)
    if rule_for is not None:
        record.rules = [rule_for(leaf, rule) for leaf in range(len(params))]
    record.unknown = _unknown(run, record.rules)
    for name in sorted(record.unknown):
        record.notes.append(
            f"{candidate.name} is not handed {name}, and draws its own: of the numbers that some {name} lead to, each is "
            "acceptable, and only all of them together tell a bias"
        )
    record.seen.append(_kept(call(run.observe, candidate.name)))
    for step in range(1, len(record.inputs.g) + 1):
        _step(run, step, record, lambda action: call(action, candidate.name))
        if record.faults:
            break
    record.notes.extend(getattr(run, "notes", ()))


def _unknown(run: Run, rules: Sequence[Optimizer]) -> frozenset[str]:
    """The random bits that a run does not take."""
    taken = getattr(run, "extras_taken", None)
    bits = {n for rule in rules for n, extra in rule.inputs().items() if extra.bits}
    return frozenset() if taken is None else frozenset(bits - set(taken))


def _step(run: Run, step: int, record: Record, call: Callable[[Callable[[], Any]], Any]) -> None:
    given = {"gradient": record.inputs.g[step - 1], **_asked_for(record, step)}
    handed = {
        n: v if isinstance(v, float) else [np.array(a, order="C", copy=True) for a in v] for n, v in given.items()
    }
    grads: Any = handed["gradient"]
    extras = {n: v for n, v in handed.items() if n != "gradient"}

    def step_and_look() -> Observation:
        if extras:
            run.step(grads, extras)
        else:
            run.step(grads)
        return _kept(run.observe())  # which may be computed lazily, and is waited for too

    seen = call(step_and_look)
    _check_outputs(record.seen[-1], seen, step, record)
    arrays = {n: (v, given[n]) for n, v in handed.items() if not isinstance(v, float)}
    _check_unchanged(arrays, step, record)
    record.seen.append(seen)
    if step <= PROBED_STEPS and not record.faults:
        for now, _ in arrays.values():
            for array in now:
                array[...] = np.asarray(7.0).astype(array.dtype)
        if not call(lambda: _same(seen, run.observe())):
            message = "the state or the parameter changed when the caller overwrote the gradient after the step"
            record.faults.append(Fault("aliased", step, message))


def _asked_for(record: Record, step: int) -> dict[str, Any]:
    """The extra inputs of a step that the rules take, numbers as floats."""
    wanted = {n: extra for rule in record.rules for n, extra in rule.inputs().items()}
    given = record.inputs.given(step)
    missing = [n for n in wanted if n not in given]
    if missing:
        raise ArgumentError(f"inputs.extras has no {missing[0]!r}, which {record.rules[0]} takes")
    return {n: float(given[n]) if extra.scalar else given[n] for n, extra in wanted.items()}


def _check_unchanged(
    arrays: Mapping[str, tuple[Sequence[np.ndarray], Sequence[np.ndarray]]], step: int, record: Record
) -> None:
    for what, (handed, given) in arrays.items():
        for leaf, (now, then) in enumerate(zip(handed, given, strict=True)):
            if now.tobytes() != np.ascontiguousarray(then).tobytes():
                name = record.inputs.name(leaf)
                record.faults.append(Fault("mutated", step, f"the {what} of {name or 'p'} was changed by the step"))
                return


def _kept(seen: Observation) -> Observation:
    params = [np.array(a, order="C", copy=True) for a in seen.params]
    state = [{n: v if isinstance(v, float) else np.array(v, copy=True) for n, v in s.items()} for s in seen.state]
    return Observation(params, state or [{} for _ in params])


def _check_outputs(before: Observation, after: Observation, step: int, record: Record) -> None:
    for leaf, (old, new) in enumerate(zip(before.params, after.params, strict=True)):
        name = record.inputs.name(leaf)
        if new.shape != old.shape:
            record.faults.append(Fault("shape", step, f"p {name} has shape {new.shape}; legal: {old.shape}"))
        elif new.dtype != old.dtype:
            record.faults.append(Fault("dtype", step, f"p {name} has dtype {new.dtype}; legal: {old.dtype}"))
        slots = record.rules[leaf].slots()
        for slot, value in after.state[leaf].items():
            if slot in slots and not slots[slot].scalar and not fits(np.shape(value), slots[slot], old.shape):
                legal = slots[slot].shape(old.shape)
                message = f"{slot} {name} has shape {np.shape(value)}; legal: {legal}, {slots[slot].described()}"
                record.faults.append(Fault("shape", step, message))


def fits(shape: tuple[int, ...], slot: Slot, p: tuple[int, ...]) -> bool:
    """Whether a state has its slot's shape; it may be flat, and axes may be left out where it is not one an element."""
    legal = slot.shape(p)
    free = slot.level != "element" or len(shape) == 1
    return shape == legal or (free and math.prod(shape) == math.prod(legal))


def _same(first: Observation, second: Observation) -> bool:
    pairs = list(zip(first.params, second.params, strict=True))
    for a, b in zip(first.state, second.state or [{}] * len(first.state), strict=True):
        pairs += [(np.asarray(a[n]), np.asarray(b[n])) for n in a if n in b]
    return all(np.asarray(x).tobytes() == np.ascontiguousarray(y).tobytes() for x, y in pairs)
