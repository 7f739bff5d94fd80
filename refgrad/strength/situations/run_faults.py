"""Faults of calls, parameters, parts and time: what goes wrong between steps, between leaves, in one part, or late."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.rule import Range, Rule
from refgrad.strength.situations.fault import Arrays, At, Fault, Results, before, only, spoilt

FAR_STEPS = "a count of 16 bits is another from step 32,768 on; it is set of no rule with numbers in its state"
#: one element of so many is wrong
RARE = 1009


def part_faults(outputs: tuple[str, ...]) -> Iterator[Fault]:
    """A result or a slot that is not set, is that of the call before, or is wrong in one element.

    Args:
        outputs: the names of the results.
    """
    for name in outputs:
        own = frozenset({name})
        yield Fault(
            "part", "unset", f"{name} is left at zero", result=only(own, lambda new, old, at: np.zeros_like(new))
        )
        yield Fault("part", "stale", f"{name} is that of the call before", result=_stale(name))
        yield Fault("part", "one element", f"one element of {name} is wrong", result=only(own, _one(lambda n: n // 3)))
        yield Fault(
            "part", "last element", f"the last element of {name} is wrong", result=only(own, _one(lambda n: n - 1))
        )
        yield Fault("part", "rare", f"one element in {RARE} of {name} is wrong", result=only(own, _rare))


def _one(which: Callable[[int], int]) -> Callable[[np.ndarray, np.ndarray, At], np.ndarray]:
    def change(new: np.ndarray, old: np.ndarray, at: At) -> np.ndarray:
        flat = new.reshape(-1).copy()
        place = slice(which(new.size), which(new.size) + 1)
        flat[place] = spoilt(flat[place])
        return flat.reshape(new.shape)

    return change


def _rare(new: np.ndarray, old: np.ndarray, at: At) -> np.ndarray:
    flat = new.reshape(-1).copy()
    flat[RARE - 1 :: RARE] = spoilt(flat[RARE - 1 :: RARE])
    return flat.reshape(new.shape)


def _stale(name: str) -> Callable[[Results, Arrays, At], Results]:
    def change(new: Results, old: Arrays, at: At) -> Results:
        if name not in new:
            return new
        key = ("stale", name, at.leaf, new[name].shape)
        last, at.memory[key] = at.memory.get(key, before(name, new[name], old)), new[name].copy()
        return {**new, name: old.get(name, last) if at.leaves and name in old else last}

    return change


def _first_kept(name: str) -> Callable[[Results, Arrays, At], Results]:
    """A result of the first call of its shape is given ever after."""

    def change(new: Results, old: Arrays, at: At) -> Results:
        if name not in new:
            return new
        kept = at.memory.setdefault(("first", name, at.leaf, new[name].shape), new[name].copy())
        return {**new, name: kept.copy()}

    return change


def call_faults(rule: Rule, outputs: tuple[str, ...], absent: bool) -> Iterator[Fault]:
    """What goes wrong between the calls of an optimizer.

    Args:
        rule: the rule.
        outputs: the parameter and the slots.
        absent: whether the rule says what becomes of a parameter without a gradient.
    """
    for k in (2, 3, 5, 7, 10):
        yield Fault("call", "skipped", f"every step that {k} divides is skipped", left_out=_divided(k))
    yield Fault("call", "int8", "the count is of 7 bits", count=lambda at: at.t % 128 or 1)
    yield Fault("call", "uint8", "the count is of 8 bits", count=lambda at: at.t % 256 or 1)
    yield Fault("call", "int16", "the count is of 15 bits", count=lambda at: at.t % 32768 or 1, reach=FAR_STEPS)
    yield Fault("call", "cached", "what depends on the step is that of the first", count=lambda at: 1)
    yield Fault(
        "call", "late count", "the count is behind by one from the second step on", count=lambda at: max(at.t - 1, 1)
    )
    yield Fault("call", "third", "the third step alone is wrong", result=_at_step(lambda at: at.call == 3))
    for name in outputs:
        yield Fault("call", "first kept", f"{name} is that of the first step ever after", result=_first_kept(name))
    if absent:
        yield Fault(
            "call", "absent advances", "a step without a gradient is one with a gradient of zero", absent="advances"
        )
        yield Fault("call", "absent counts", "the count is that of the calls, for all parameters", absent="counts")
    yield from _loading(outputs[1:])


def _loading(slots: tuple[str, ...]) -> Iterator[Fault]:
    """Faults of a state that is saved and loaded."""
    for name in slots:
        yield Fault("call", "lost", f"{name} is lost where the state is saved", loaded=_loaded(name, np.zeros_like))
        yield Fault("call", "halved", f"{name} is saved in bfloat16", loaded=_loaded(name, _narrow))
    yield Fault(
        "call", "count lost", "the count is lost where the state is saved", loaded=lambda state: {**state, "t": 0}
    )


def _loaded(name: str, change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda state: {**state, name: change(state[name])}


def _narrow(value: Any) -> Any:
    narrow = dtypes.round_to(np.asarray(value, np.float64), "bfloat16")
    return float(narrow) if isinstance(value, float) else narrow.astype(value.dtype)


def _at_step(when: Callable[[At], bool]) -> Callable[[Results, Arrays, At], Results]:
    """A step in which the parameter, or the last result, is wrong."""

    def change(new: Results, old: Arrays, at: At) -> Results:
        name = "p" if "p" in new else list(new)[-1]
        return {**new, name: spoilt(new[name])} if when(at) else new

    return change


def _divided(k: int) -> Callable[[At], bool]:
    return lambda at: at.call % k == 0


def _beyond(name: str) -> Callable[[At], bool]:
    return lambda at: bool(at.t > getattr(at.rule, name))


def stateless_call_faults(outputs: tuple[str, ...]) -> Iterator[Fault]:
    """What goes wrong between the calls of a function that should remember nothing.

    Args:
        outputs: the names of the results.
    """
    for name in outputs:
        yield Fault("call", "first kept", f"{name} of a shape is that of its first call", result=_first_kept(name))
    yield Fault("call", "third", "the third call alone is wrong", result=_at_step(lambda at: at.call == 3))
    for k in (2, 3, 5):
        yield Fault(
            "call",
            "skipped",
            f"every call that {k} divides is wrong",
            result=_at_step(_divided(k)),
        )
    if "mask" in outputs:
        once = only(frozenset({"mask"}), lambda new, old, at: new if at.call == 1 else np.ones_like(new))
        yield Fault("call", "once", "the mask is applied in the first call alone", result=once)


def leaf_faults(outputs: tuple[str, ...], slots: bool, groups: bool) -> Iterator[Fault]:
    """What goes wrong between the parameters of an optimizer.

    Args:
        outputs: the parameter and the slots.
        slots: whether it has a state of its own for each.
        groups: whether parameters may have settings of their own.
    """
    last: Callable[[At], bool] = lambda at: at.leaves > 1 and at.leaf == at.leaves - 1  # noqa: E731
    yield Fault("leaf", "last", "the last parameter is left out", left_out=last)
    yield Fault("leaf", "second", "the second parameter is left out", left_out=lambda at: at.leaf == 1)
    yield Fault("leaf", "own count", "every parameter counts on", count=lambda at: (at.t - 1) * at.leaves + at.leaf + 1)
    yield Fault(
        "leaf", "first alone", "the parameters beyond the first are wrong", result=_at_step(lambda at: at.leaf > 0)
    )
    if slots:
        yield Fault(
            "leaf", "state of another", "the state of the first parameter is used for all of its shape", state_of=0
        )
    if groups:
        yield Fault("leaf", "first group", "the settings of the first group are used for all", one_group=True)


def time_faults(rule: Rule) -> Iterator[Fault]:
    """What goes wrong late.

    Args:
        rule: the rule, whose numbers of steps say where its warm-up or its end is.
    """
    yield Fault("time", "t = 12", "step 12 alone is wrong", result=_at_step(lambda at: at.t == 12))
    yield Fault("time", "beyond 12", "steps from 12 on are wrong", result=_at_step(lambda at: at.t >= 12))
    yield Fault("time", "beyond 100", "steps beyond 100 are wrong", result=_at_step(lambda at: at.t > 100))
    yield Fault("time", "count stops", "the count stops at 100", count=lambda at: min(at.t, 100))
    for name, value in steps_in(rule).items():
        reach = "" if value <= 256 else f"the default run takes 260 steps, and {name} is {value:g}"
        yield Fault(
            "time", "beyond an end", f"steps beyond {name} are wrong", result=_at_step(_beyond(name)), reach=reach
        )


def steps_in(rule: Rule) -> dict[str, float]:
    """The numbers of steps among a rule's own numbers."""
    words = {"steps", "interval", "period", "every", "warmup", "end", "k", "start", "total"}
    legal = {n: each for n, each in rule.legal().items() if isinstance(each, Range)}
    own = {n: float(getattr(rule, n)) for n in legal if words & set(n.split("_")) and n in rule.reads()}
    return {n: value for n, value in own.items() if value >= 1}
