"""A recorded step put together: what each parameter was before and after it, its gradient, its rule and its step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from refgrad.arithmetic.scalar_math import names_in
from refgrad.audits import formats
from refgrad.audits.groups import told
from refgrad.audits.judging import Leaf, misfits
from refgrad.audits.naming import Checkpoint, Names, arrays_by_name, check_used, checkpoint, group_of
from refgrad.audits.stored import Contents, RecordError, Stored
from refgrad.errors import ArgumentError, nearest
from refgrad.optimizers.base import Optimizer

#: steps that stand for all but the first
LATER = (2, 3, 5, 1000)


@dataclass(frozen=True, eq=False)
class Recorded:
    """One recorded step.

    Attributes:
        leaves: the parameters that have a gradient.
        still: arrays that have none, by name: what they were before and after; whether they are parameters.
        faults: what is wrong besides values, such as counts of steps.
        notes: what is worth knowing, a sentence each.
        files: the identity of each file.
    """

    leaves: tuple[Leaf, ...]
    still: Mapping[str, tuple[Stored, Stored, bool]]
    faults: tuple[str, ...]
    notes: tuple[str, ...]
    files: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, eq=False)
class Moments:
    """The two checkpoints of a step, and the gradients if there are any."""

    before: Checkpoint
    after: Checkpoint
    grads: Mapping[str, Stored] | None
    files: tuple[tuple[str, int, int], ...]
    metadata: Mapping[str, str] = field(default_factory=dict)


def read(before: Any, after: Any, grads: Any, rule: Optimizer, names: Names) -> Moments:
    """The files of a step, of whose arrays the headers alone are read.

    Args:
        before, after, grads: paths; ``grads`` may be None.
        rule: whose slots the states have.
        names: what is stated of names.

    Raises:
        ArgumentError, RecordError: a file is not there, cannot be read, or it cannot be told which array is what.
    """
    contents = [
        Contents() if p is None else formats.read(p, n)
        for p, n in ((before, "before"), (after, "after"), (grads, "grads"))
    ]
    found = None if grads is None else arrays_by_name(contents[2], names)
    known = tuple(found or ())
    moments = [checkpoint(each, rule, names, known) for each in contents[:2]]
    check_used(names, contents, [*moments[0].params, *moments[1].params, *known])
    files = tuple(file for each in contents for file in each.files)
    return Moments(moments[0], moments[1], found, files, contents[0].metadata)


def put_together(moments: Moments, rule: Optimizer, names: Names, step: int | None) -> Recorded:
    """What each parameter is judged from.

    Args:
        moments: what was read, gradients too.
        rule: what is claimed.
        names: what is stated of names.
        step: which step it is, where the state does not say.

    Raises:
        RecordError: something is missing, or does not fit.
    """
    assert moments.grads is not None
    before, after = moments.before, moments.after
    lost = [n for n in moments.grads if n not in before.params or n not in after.params]
    if lost:
        moment = "before" if lost[0] not in before.params else "after"
        known = before.params if moment == "before" else after.params
        raise RecordError(
            f"{lost[0]!r} has a gradient and is no parameter {moment}{nearest(lost[0], known)}; legal: names that fit, or --map"
        )
    leaves = [_leaf(name, g, moments, rule, names, step) for name, g in moments.grads.items()]
    for leaf in leaves:
        wrong = next(iter(misfits(leaf)), None)
        if wrong is not None:
            raise RecordError(wrong)
    notes = dict.fromkeys(note for leaf in leaves for note in leaf.notes)
    still = {
        name: (before.params[name], after.params[name], name in before.state or name in before.groups)
        for name in before.params
        if name not in moments.grads and name in after.params
    }
    for name, (one, other, _) in still.items():
        if one.shape != other.shape:
            raise RecordError(f"{name!r} has shape {one.shape} before and {other.shape} after")
    gone = [n for n in {**before.params, **after.params} if (n in before.params) != (n in after.params)]
    more = [f"{name!r} is in one of the checkpoints alone" for name in gone]
    return Recorded(tuple(leaves), still, tuple(_counted(moments, step)), (*notes, *more), moments.files)


def _leaf(name: str, g: Stored, moments: Moments, rule: Optimizer, names: Names, step: int | None) -> Leaf:
    before, after = moments.before, moments.after
    own = told(rule, name, group_of(name, before, after), names)
    t = step if step is not None else _step(name, before, after, own.rule)
    states = [each.state.get(name, {}) for each in (before, after)]
    slots = own.rule.slots()
    scalars = [{n: _number(v, name) for n, v in s.items() if n in slots and slots[n].scalar} for s in states]
    arrays = [
        {n: v for n, v in s.items() if n in slots and not slots[n].scalar and isinstance(v, Stored)} for s in states
    ]
    missing = [n for n, slot in slots.items() if not slot.scalar and n not in arrays[0]]
    if missing and t != 1:
        raise RecordError(
            f"before has no {missing[0]} of {name!r}, and step {t} is not the first; legal: the optimizer's state too, or --map "
            f"with what it calls {missing[0]}"
        )
    absent = [n for n in slots if n not in {**arrays[1], **scalars[1]}]
    lost = tuple(n for n in absent if not slots[n].scalar or n in scalars[0])
    notes = own.notes + tuple(f"no state has {n} of {name!r}: it is not judged" for n in absent if n not in lost)
    at = ({"p": c.params[name], **a} for c, a in zip((before, after), arrays, strict=True))
    return Leaf(name, own.rule, t, next(at), next(at), g, (scalars[0], scalars[1]), notes, lost)


def _number(value: Any, name: str) -> float:
    found = value.read()[0] if isinstance(value, Stored) and value.size == 1 else value
    try:
        return float(found)
    except (TypeError, ValueError):
        raise RecordError(f"a state of {name!r} that is one number has shape {getattr(value, 'shape', '')}") from None


def _step(name: str, before: Checkpoint, after: Checkpoint, rule: Optimizer) -> int:
    if name in before.steps:
        return before.steps[name] + 1
    if name in after.steps and name not in before.state:
        return after.steps[name]
    if name not in before.steps and _alike(rule, before.params[name].shape):
        arrays = [n for n, slot in rule.slots().items() if not slot.scalar]
        return 1 if arrays and not before.state.get(name) else LATER[0]
    raise RecordError(f"nothing says which step of {name!r} it is; legal: a state with step or count, or --step")


def _alike(rule: Optimizer, shape: tuple[int, ...]) -> bool:
    """True if all steps but the first are alike, so that it does not matter which one it is."""
    if any(slot.scalar for slot in rule.slots().values()):
        return False
    plans = {rule.plan(shape or (1,), t) for t in LATER}
    return len(plans) == 1 and not any("t" in names_in(each) for each in plans.pop().graph.scalars())


def _counted(moments: Moments, step: int | None) -> list[str]:
    """Counts of steps that did not go up by one."""
    before, after = moments.before.steps, moments.after.steps
    wrong: dict[tuple[int, int], list[str]] = {}
    other: dict[int, list[str]] = {}
    for name in moments.grads or moments.before.params:
        if name in before and name in after and after[name] != before[name] + 1:
            wrong.setdefault((before[name], after[name]), []).append(name)
        elif step is not None and name in after and after[name] != step:
            other.setdefault(after[name], []).append(name)
    return [
        *(
            f"the count of steps goes from {was} to {now} (of {_some(names)}); legal: {was + 1}"
            for (was, now), names in wrong.items()
        ),
        *(
            f"the count of steps after it is {now} (of {_some(names)}), and --step is {step}"
            for now, names in other.items()
        ),
    ]


def _some(names: list[str]) -> str:
    return f"{names[0]!r}" + (f" and {len(names) - 1} others" if len(names) > 1 else "")


def check(rule: Any) -> Optimizer:
    """A rule whose recorded steps can be audited.

    Raises:
        ArgumentError: it is none.
    """
    if not isinstance(rule, Optimizer):
        raise ArgumentError(
            f"rule is {rule}; legal: an optimizer: audits of other rules are `refgrad.sets` of their arrays"
        )
    if rule.scope == "tree":
        raise ArgumentError(
            f"rule is {rule}, which updates all parameters as one vector; legal: a rule that steps each by itself"
        )
    if rule.inputs():
        raise ArgumentError(
            f"rule is {rule}, which takes {', '.join(rule.inputs())} besides the gradient; legal: one that takes nothing else"
        )
    return rule
