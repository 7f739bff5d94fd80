"""What happens to recorded steps and is no departure of a rule: left out, stepped twice, swapped, cut and not rounded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.arithmetic.running_error import Bounded
from refgrad.audits.judging import Leaf
from refgrad.oracle.acceptance import judge, judgement
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.hypotheses.changes import Change

#: units in the last place to either side of what a step gives, from which a second one is judged
NEAR = 4.0
#: how near a multiple of the gradient is known, and tensors of one shape that are looked at for a swap
KNOWN, MOST = 2.0**-18, 64
#: the share of elements that must be equal where a number was cut or rounded
ALIKE = 0.99


@dataclass(frozen=True)
class Cause:
    """What explains a sample; the doubt says why it may yet not be so."""

    name: str
    sentence: str
    doubt: str = ""


@dataclass(frozen=True, eq=False)
class Sample:
    """Some elements of a recorded tensor.

    Attributes:
        leaf: the tensor.
        places: of the elements.
        before: ``p``, ``g`` and the slots that are arrays.
        after: ``p`` and those slots that were recorded.
        policy: what counts as correct.
    """

    leaf: Leaf
    places: np.ndarray
    before: Mapping[str, np.ndarray]
    after: Mapping[str, np.ndarray]
    policy: Policy

    @classmethod
    def of(cls, leaf: Leaf, places: np.ndarray, policy: Policy) -> Sample:
        """The elements at some places, in order; all, where elements see each other."""
        step = leaf.step(places if leaf.apart else (0, places.size))
        stored = step.before.arrays if isinstance(step.before, judge.Large) else step.before
        dtype_of = {**{n: s.dtype for n, s in leaf.before.items()}, "g": leaf.g.dtype}
        before = {
            n: np.asarray(b.value if isinstance(b, Bounded) else b).astype(dtype_of.get(n, step.after["p"].dtype))
            for n, b in stored.items()
        }
        return cls(leaf, places, before, dict(step.after), policy)

    @property
    def total(self) -> int:
        """How many values were recorded of it."""
        return sum(a.size for a in self.after.values())

    def own(self) -> dict[str, np.ndarray]:
        """What the rule itself gives from what stood before."""
        state = {n: a for n, a in self.before.items() if n not in ("p", "g")}
        numbers = dict(self.leaf.numbers[0])
        initial = {
            n: v for n, v in self.leaf.rule.init(self.before["p"]).items() if n not in state and n not in numbers
        }
        given = {**initial, **state, **numbers, "t": self.leaf.t - 1}
        with np.errstate(all="ignore"):
            p, new = self.leaf.rule.step(self.before["p"], self.before["g"], given, backend="numpy")
        return {"p": p, **{n: np.asarray(new[n]) for n in state}}

    def outside(self, before: Mapping[str, Any] | None = None, after: Any = None, t: int | None = None) -> int:
        """How many values are outside, with something exchanged.

        Args:
            before: arrays, or what is known of them, in place of those that were recorded.
            after: the same of what was recorded after the step.
            t: another number of the step.
        """
        leaf = self.leaf if t is None else replace(self.leaf, t=t)
        known = _bounded({**self.before, **(before or {})})
        step = judge.Step(leaf.plan, leaf.free, known, {**self.after, **(after or {})})
        with np.errstate(all="ignore"):
            return judgement.outside(judge.judge(step, self.policy)[0].values())

    def judged(self, change: Change) -> Mapping[str, judgement.Judged]:
        """Every value of it against its set under a change of the rule.

        Raises:
            ArgumentError, ArithmeticError, ValueError: the change is not defined here.
        """
        leaf = replace(self.leaf, rule=change.changed(self.leaf.rule))
        plan = change.plans(leaf.rule, len(leaf.shape), tuple(leaf.free.values()))
        step = judge.Step(plan, leaf.free, _bounded(self.before), self.after)
        with np.errstate(all="ignore"):
            return judge.judge(step, change.policy_of(self.policy))[0]


def _bounded(arrays: Mapping[str, Any]) -> dict[str, Bounded]:
    return {n: b if isinstance(b, Bounded) else Bounded(np.asarray(b).astype(np.float64)) for n, b in arrays.items()}


def causes(sample: Sample, others: Sequence[Leaf]) -> Iterator[Cause]:
    """The causes that explain a sample, most telling first.

    Args:
        sample: of a tensor that is wrong.
        others: the other tensors that are wrong.
    """
    yield from _unmoved(sample)
    for make in (_other_step, _twice, _multiple, _truncated):
        try:
            yield from make(sample)
        except (ArithmeticError, ValueError):
            continue
    yield from _swapped(sample, others)


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a.astype(np.float64), b.astype(np.float64), equal_nan=True)


def _unmoved(sample: Sample) -> Iterator[Cause]:
    still = [n for n, a in sample.after.items() if _same(a, sample.before[n])]
    if len(still) == len(sample.after):
        yield Cause("not updated", "nothing of it changed in the step: it was left out, or an old copy was saved")
    elif still == ["p"] and len(sample.after) > 1:
        right = sample.outside(after={"p": sample.own()["p"]}) == 0
        if right:
            yield Cause(
                "parameter not updated",
                "its state took the step, and the parameter did not: an old copy was saved, or written",
            )
    elif "p" not in still and len(still) == len(sample.after) - 1:
        rest = {n: a for n, a in sample.own().items() if n != "p"}
        if sample.outside(after=rest) == 0:
            yield Cause(
                "state not updated",
                f"the parameter took the step, and {', '.join(still)} did not: an old copy was saved",
            )


def _other_step(sample: Sample) -> Iterator[Cause]:
    t = sample.leaf.t
    for other in dict.fromkeys((t + 1, t - 1, 1)):
        if other >= 1 and other != t and sample.outside(t=other) == 0:
            yield Cause(
                f"step={other}", f"it was computed as step {other}, and it is step {t}: its own count of steps is off"
            )
            return


def _twice(sample: Sample) -> Iterator[Cause]:
    once = sample.own()
    near = {n: Bounded(a.astype(np.float64), NEAR * dtypes.ulp(a.astype(np.float64), a.dtype)) for n, a in once.items()}
    for t in (sample.leaf.t + 1, sample.leaf.t):
        if sample.outside(near, t=t) == 0:
            yield Cause("stepped twice", "the step was taken twice with the same gradient")
            return


def _multiple(sample: Sample) -> Iterator[Cause]:
    """The gradient that was used is a multiple of the one that was recorded."""
    g = sample.before["g"].astype(np.float64)
    for s in dict.fromkeys((-1.0, 0.0, *_factors(sample))):
        scaled = g * s
        exact = s in (-1.0, 0.0) or np.frexp(s)[0] == 0.5
        if sample.outside({"g": Bounded(scaled, None if exact else np.abs(scaled) * KNOWN)}) == 0:
            yield _of_factor(s, exact)
            return


def _of_factor(s: float, exact: bool) -> Cause:
    if s == 0.0:
        return Cause("no gradient", "the step was taken with a gradient of zero")
    if s == -1.0:
        return Cause("gradient turned", "the sign of the gradient was turned: it was maximized, or the sign is wrong")
    doubt = "" if exact else "a multiple that is known to within rounding takes in more than one step"
    sentence = f"the gradient of the step was {s:.6g} times the one that was recorded: clipped, averaged or unscaled after that"
    return Cause(f"gradient times {s:.6g}", sentence, doubt)


def _factors(sample: Sample) -> list[float]:
    """What the first moment says the gradient was, over the one that was recorded."""
    rule, before, after = sample.leaf.rule, sample.before, sample.after
    beta = getattr(rule, "beta1", None)
    if beta is None or "m" not in after or "m" not in before:
        return []
    m, new, g = (a.astype(np.float64).reshape(-1) for a in (before["m"], after["m"], before["g"]))
    usable = np.abs(g) > np.abs(m) * 1e-3
    usable &= (g != 0) & np.isfinite(new) & np.isfinite(m)
    if not usable.any():
        return []
    ratios = (new - beta * m)[usable] / ((1 - beta) * g[usable])
    middle = float(np.median(ratios))
    power = float(2.0 ** np.round(np.log2(abs(middle)))) if middle and np.isfinite(middle) else 0.0
    near = [power] if middle > 0 and abs(middle / power - 1) < 1e-3 else []
    return [s for s in (*near, middle) if np.isfinite(s) and s not in (0.0, 1.0)]


def _truncated(sample: Sample) -> Iterator[Cause]:
    """A narrow parameter, or a narrow state, whose low bits were cut off instead of rounded."""
    narrow = [n for n, a in sample.after.items() if dtypes.working(a.dtype) != a.dtype]
    if not narrow:
        return
    wide = replace(sample, before={n: a.astype(np.float32) for n, a in sample.before.items()}).own()
    cut = {n: _toward_zero(wide[n], sample.after[n].dtype) for n in narrow if n in wide}
    right = {n: wide[n].astype(sample.after[n].dtype) for n in cut}
    bad = [n for n in cut if _alike(sample.after[n], cut[n]) and not _alike(sample.after[n], right[n])]
    if bad and sample.outside(after={n: right[n] for n in bad}) == 0:
        dtype = sample.after[bad[0]].dtype
        yield Cause("truncated", f"{', '.join(bad)} was cut to {dtype}, towards zero, and not rounded to nearest")


def _alike(a: np.ndarray, b: np.ndarray) -> bool:
    """True if nearly all elements are equal: another order of operations makes some others."""
    return float(np.mean(a.astype(np.float64) == b.astype(np.float64))) > ALIKE


def _toward_zero(wide: np.ndarray, dtype: np.dtype) -> np.ndarray:
    rounded = wide.astype(dtype)
    over = np.abs(rounded.astype(np.float64)) > np.abs(wide.astype(np.float64))
    bits = rounded.view(f"u{dtype.itemsize}")
    return np.where(over, bits - 1, bits).astype(bits.dtype).view(dtype)


def _swapped(sample: Sample, others: Sequence[Leaf]) -> Iterator[Cause]:
    """What was recorded of another tensor of the same shape fits, and the other way round it may."""
    alike = [o for o in others if o.shape == sample.leaf.shape and o is not sample.leaf][:MOST]
    for other in alike:
        step = other.step(sample.places if sample.leaf.apart else (0, sample.places.size))
        if step.after.keys() != sample.after.keys():
            continue
        if sample.outside(after=step.after) == 0:
            yield Cause("swapped", f"what was saved of it is {other.name!r}'s: the names of both are swapped")
            return
        exchanged = {n: np.asarray(step.before[n].value) for n in ("g",)}
        if sample.outside(exchanged) == 0:
            yield Cause("gradients swapped", f"it took its step with the gradient of {other.name!r}")
            return
