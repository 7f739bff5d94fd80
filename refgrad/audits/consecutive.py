"""Two checkpoints without the gradients between them: what can be said is said, and all of it is labelled so.

Counts of steps; tensors that did not move; numbers that no step gives, whatever its gradient: a second moment that is negative or
falls faster than it decays, a first moment that is too large beside the second, NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.audits.found import Audit
from refgrad.audits.groups import told
from refgrad.audits.judging import CHUNK
from refgrad.audits.naming import Names, group_of
from refgrad.audits.recorded import Moments
from refgrad.audits.stored import Stored
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.outcomes import DIFFERS, UNJUDGED
from refgrad.rule import stated

#: roundings that an average may have taken beyond what is exact, relative to float32
SLACK = 2.0**-20
#: rules whose second moment is the average beta2 v + (1 - beta2) g^2, and whose first is beta1 m + (1 - beta1) g
AVERAGES = ("Adam", "AdamW", "NAdam", "AMSGrad")
#: names that a sentence lists
SHOWN = 6


@dataclass
class _Seen:
    """What was seen of one parameter."""

    moved: bool = False
    moved_slots: tuple[str, ...] = ()
    impossible: tuple[str, ...] = ()


def found(moments: Moments, rule: Optimizer, names: Names, policy: Policy) -> Audit:
    """What two checkpoints say by themselves.

    Args:
        moments: what was read.
        rule: what the step between them claims to be.
        names: what is stated of names.
        policy: what would count as correct.

    Returns:
        An `Audit` that says "could not be judged", or "does not conform" where something is impossible.
    """
    before, after = moments.before, moments.after
    both = [n for n in before.params if n in after.params]
    faults, sentences, still = _backwards(before.steps, after.steps), list[str](), list[str]()
    steps = {after.steps[n] - before.steps[n] for n in both if n in before.steps and n in after.steps}
    apart = steps.pop() if len(steps) == 1 else None
    sentences.append(_counted(apart, steps, moments))
    for name in both:
        seen = _seen(name, moments, told(rule, name, group_of(name, before, after), names).rule, apart)
        faults += [f"{name!r}: {each}" for each in seen.impossible]
        still += [] if seen.moved else [name]
    owned = [n for n in still if n in before.state or n in after.state]
    if owned:
        sentences.append(
            f"did not move, though an optimizer keeps them: {_some(owned)} ({len(owned)} of {len(both)} tensors)"
        )
    if len(still) > len(owned):
        others = [n for n in still if n not in owned]
        sentences.append(f"did not move, and have no state: {_some(others)}")
    sentences += _recovered(moments, rule, names, both, apart)
    if not faults:
        sentences.append("nothing impossible was found; whether the step was right needs its gradients (--grads)")
    gone = [f"{n!r} is in one of the checkpoints alone" for n in {**before.params, **after.params} if n not in both]
    outcome = DIFFERS if faults else UNJUDGED
    files = tuple(f[0] for f in moments.files)
    return Audit(outcome, stated(rule), policy.changed(), (), tuple(faults), tuple(sentences), tuple(gone), files)


def _backwards(before: Mapping[str, int], after: Mapping[str, int]) -> list[str]:
    """Counts of steps that went down, which no number of steps does: a sentence for each pair of counts."""
    fell: dict[tuple[int, int], list[str]] = {}
    for name in before:
        if name in after and after[name] < before[name]:
            fell.setdefault((before[name], after[name]), []).append(name)
    return [
        f"the count of steps goes down from {was} to {now} (of {_some(names)}): before is later than after"
        for (was, now), names in fell.items()
    ]


def _counted(apart: int | None, steps: set[int], moments: Moments) -> str:
    if apart is not None:
        lead = (
            "the count of steps goes up by one" if apart == 1 else f"the count of steps changes by {apart}, not by one"
        )
        return lead + ("" if apart == 1 else ": these are not consecutive checkpoints")
    if steps:
        return f"counts of steps change by {', '.join(map(str, sorted(steps)))}: tensors are not at one step"
    return "nothing says how many steps lie between the checkpoints"


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} others" if len(names) > SHOWN else "")


def _seen(name: str, moments: Moments, rule: Optimizer, apart: int | None) -> _Seen:
    """One parameter, read a chunk at a time."""
    seen, impossible = _Seen(), dict[str, int]()
    p = (moments.before.params[name], moments.after.params[name])
    states = [
        {n: v for n, v in each.state.get(name, {}).items() if isinstance(v, Stored) and v.size == p[0].size}
        for each in (moments.before, moments.after)
    ]
    if p[0].size != p[1].size:
        return _Seen(True, (), (f"it has shape {p[0].shape} before and {p[1].shape} after",))
    t = moments.after.steps.get(name)
    for start in range(0, p[0].size, CHUNK):
        stop = min(start + CHUNK, p[0].size)
        old, new = (each.read(start, stop) for each in p)
        seen.moved |= old.tobytes() != new.tobytes()
        state = [{n: v.read(start, stop).astype(np.float64) for n, v in each.items()} for each in states]
        for what, many in _impossible(
            new.astype(np.float64), old.astype(np.float64), state[0], state[1], rule, t, apart
        ):
            impossible[what] = impossible.get(what, 0) + many
    seen.impossible = tuple(f"{what} ({many:,} elements)" for what, many in impossible.items())
    return seen


def _impossible(
    new: np.ndarray,
    old: np.ndarray,
    before: Mapping[str, np.ndarray],
    after: Mapping[str, np.ndarray],
    rule: Optimizer,
    t: int | None,
    apart: int | None,
) -> Iterator[tuple[str, int]]:
    """What no gradient leads to, and of how many elements."""
    with np.errstate(all="ignore"):
        yield from _some_true("it is NaN after, and was a number", np.isnan(new) & ~np.isnan(old))
        for slot, values in after.items():
            yield from _some_true(f"{slot} is NaN", np.isnan(values))
        if type(rule).__name__ not in AVERAGES or "v" not in after:
            return
        beta1, beta2 = float(getattr(rule, "beta1", 0.0)), float(getattr(rule, "beta2", 0.0))
        v = after["v"]
        yield from _some_true("v, an average of squares, is negative", v < 0)
        tiny = 4 * float(np.finfo(np.float32).tiny)
        if apart is not None and apart >= 0 and "v" in before:
            least = beta2**apart * before["v"] * (1 - SLACK * (apart + 1)) - tiny
            yield from _some_true(f"v fell below beta2^{apart} times what it was, faster than it decays", v < least)
        if "m" in after:
            bound = math.sqrt(_bound(beta1, beta2, t))
            yield from _some_true(
                f"|m| is above {bound:.4g} sqrt(v), which no gradients give",
                np.abs(after["m"]) > bound * np.sqrt(v + tiny) * (1 + 1e-3),
            )


def _bound(beta1: float, beta2: float, t: int | None) -> float:
    """The largest m^2 / v of averages of the same gradients, from zero (Cauchy and Schwarz); of t steps or of any number.

    m = (1 - b1) sum b1^i g_i and v = (1 - b2) sum b2^i g_i^2, so that m^2 <= v (1 - b1)^2 / (1 - b2) sum (b1^2 / b2)^i.
    """
    ratio = beta1 * beta1 / beta2 if beta2 else math.inf
    if beta2 >= 1 or (ratio >= 1 and t is None) or not math.isfinite(ratio):
        return math.inf
    total = float(t or 0) if ratio == 1 else (1 - ratio ** (math.inf if t is None else t)) / (1 - ratio)
    return (1 - beta1) ** 2 / (1 - beta2) * total


def _some_true(what: str, where: np.ndarray) -> Iterator[tuple[str, int]]:
    many = int(np.count_nonzero(where))
    if many:
        yield what, many


def _recovered(moments: Moments, rule: Optimizer, names: Names, both: list[str], apart: int | None) -> list[str]:
    """Decays that elements tell whose gradient was zero: there an average only decays."""
    if apart != 1 or type(rule).__name__ not in AVERAGES:
        return []
    found: dict[str, list[float]] = {"beta1": [], "beta2": []}
    for name in both:
        for slot, word in (("m", "beta1"), ("v", "beta2")):
            pair = [each.state.get(name, {}).get(slot) for each in (moments.before, moments.after)]
            if all(isinstance(each, Stored) and each.size for each in pair):
                found[word] += _lowest_ratios(pair[0], pair[1]) if slot == "v" else []
    if not found["beta2"]:
        return []
    low = min(found["beta2"])
    return [f"beta2 is at most {low:.9g}: v fell to this share of itself somewhere, and falls no faster than it decays"]


def _lowest_ratios(before: Any, after: Any) -> list[float]:
    """The least share of a second moment that was left."""
    least = math.inf
    for start in range(0, before.size, CHUNK):
        stop = min(start + CHUNK, before.size)
        old, new = (each.read(start, stop).astype(np.float64) for each in (before, after))
        usable = old > 1e-30
        if usable.any():
            least = min(least, float(np.min(new[usable] / old[usable])))
    return [least] if math.isfinite(least) else []
