"""Rounding by chance with bits that are not known: whether it goes up as often as it should, each time anew.

Of each element the enclosure says between which two numbers it lies, and how far along: r. With independent, unbiased bits it
goes up (u is 1, else 0) with probability r, whatever happened before. So for any tilt and any weight c that is known beforehand,
the product of exp(tilt c u) / (1 + r (exp(tilt c) - 1)) over all elements is a martingale that starts at 1: exactly, though r is
another each time and depends on what was rounded before, as no binomial distribution is. It reaches 1/delta with a probability of
at most delta (Ville 1939), and so does the mean over several tilts. The weight is 1 for sums of u - r, and the u - r of the step
before, or of the element before, for products. What the enclosure leaves open of r is in the candidate's favour.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from refgrad.arithmetic.enclosure import Enclosure
from refgrad.arithmetic.running_error import exact
from refgrad.arithmetic.storage import Grid
from refgrad.oracle.acceptance.comparing import model_for
from refgrad.oracle.acceptance.findings import Fault
from refgrad.oracle.acceptance.judge import Step, scalars_of
from refgrad.oracle.acceptance.policy import Policy

#: how unlikely what was seen must be, if the bits were fair, for it to be a fault; all sums together
UNLIKELY = 2.0**-40
#: r is looked at in so many equal parts, by themselves
PARTS = 8
#: what a bias is looked for with: the smaller it is, and the more terms there are, the smaller is the tilt that shows it
TILTS = np.concatenate([np.exp2(np.arange(-9.0, 4.0)), -np.exp2(np.arange(-9.0, 4.0))])


@dataclass(frozen=True)
class Roundings:
    """One step of one leaf: u - r, by how much r may be off, r itself, and where all that is known."""

    rest: np.ndarray
    slack: np.ndarray
    share: np.ndarray
    known: np.ndarray

    def part(self, cut: slice) -> Roundings:
        """Some elements, in flat order."""
        rest, slack, share, known = (a.reshape(-1)[cut] for a in (self.rest, self.slack, self.share, self.known))
        return Roundings(rest, slack, share, known)


@dataclass(frozen=True)
class Sum:
    """A sum of u - r times weights: its name, value, number of terms, and the logarithm of the martingale at each of `TILTS`."""

    name: str
    value: float = 0.0
    terms: int = 0
    logs: np.ndarray = field(default_factory=lambda: np.zeros(TILTS.size))

    def __add__(self, other: Sum) -> Sum:
        return Sum(self.name, self.value + other.value, self.terms + other.terms, self.logs + other.logs)

    @property
    def surprise(self) -> float:
        """Minus the logarithm of the probability that fair bits lead there, at least."""
        return float(np.logaddexp.reduce(self.logs)) - math.log(TILTS.size)


def judge(leaves: Iterable[Iterable[Step]], policy: Policy) -> tuple[int, Fault | None]:
    """How many roundings were seen of the outputs ``p``, and what is worst with them; each leaf's steps in their order."""
    sums: dict[str, Sum] = {}
    for steps in leaves:
        seen = [roundings(step, policy) for step in steps]
        for new in sums_of([s for s in seen if s is not None]):
            sums[new.name] = sums[new.name] + new if new.name in sums else new
    count = sums["in all"].terms if sums else 0
    worst = max(sums.values(), key=lambda s: s.surprise, default=Sum(""))
    return count, _fault(worst) if worst.surprise > math.log(max(len(sums), 1) / UNLIKELY) else None


def _fault(found: Sum) -> Fault:
    what = f"u - r of roundings by chance {found.name}: {found.terms} terms add up to {found.value:.0f}"
    odds = f"with independent, unbiased bits the probability of that is below 2**{math.log2(UNLIKELY):.0f}"
    return Fault("biased", 0, f"{what} (u: 1 where it went up, else 0; r: how far along it was); {odds}")


def sums_of(seen: list[Roundings]) -> Iterator[Sum]:
    """Every sum of one leaf, step by step; those of one name belong together.

    Args:
        seen: the leaf's steps, in their order.
    """
    for now in seen:
        terms = _terms(now, np.ones(now.rest.shape))
        yield _sum("in all", now.rest, terms, now.known)
        part = np.minimum((now.share * PARTS).astype(np.int64), PARTS - 1)
        for k in range(PARTS):
            name = f"between {k}/{PARTS} and {k + 1}/{PARTS} of the way"
            yield _sum(name, now.rest, terms, now.known & (part == k))
        yield _product("times that of the element before", now.part(slice(1, None)), now.part(slice(0, -1)))
    for now, before in zip(seen[1:], seen, strict=False):
        yield _product("times that of the step before", now, before)


def _terms(now: Roundings, weight: np.ndarray) -> np.ndarray:
    """What each element adds to the logarithm of the martingale: one row a tilt."""
    tilt = TILTS.reshape(-1, *(1 for _ in weight.shape)) * weight
    # the largest denominator that r may lead to
    likely = np.clip(np.where(tilt > 0, now.share + now.slack, now.share - now.slack), 0.0, 1.0)
    return tilt * (now.rest + now.share) - np.log1p(likely * np.expm1(tilt))


def _sum(name: str, values: np.ndarray, terms: np.ndarray, known: np.ndarray) -> Sum:
    return Sum(name, float(values[known].sum()), int(known.sum()), terms[:, known].sum(axis=1))


def _product(name: str, now: Roundings, before: Roundings) -> Sum:
    return _sum(name, now.rest * before.rest, _terms(now, before.rest), now.known & before.known)


def roundings(step: Step, policy: Policy) -> Roundings | None:
    """The elements of a step that lie between two numbers for certain; None if it is not rounded by chance."""
    node = step.plan.graph.outputs["p"]
    if node.op != "round" or node.attribute.bits is None:
        return None
    model = model_for(policy, step.after["p"].dtype)
    graph = step.plan.graph.cut({"x": node.args[0]}, {})
    inputs = {n: exact(b.value, model) if b.error is None else b for n, b in step.before.items()}
    with np.errstate(all="ignore"):
        branch = next(Enclosure(graph, model).branches(inputs, scalars_of(step.plan, graph, step.free, model), {}))
        known, seen = branch.sets["x"], step.after["p"].astype(np.float64)
        value, error = np.broadcast_to(known.value, seen.shape), np.broadcast_to(known.bound(), seen.shape)
        found, open_ = _between(node.attribute, value, error, seen), branch.open.get("x")
        return found if open_ is None else replace(found, known=found.known & ~open_)


def _between(grid: Grid, value: np.ndarray, error: np.ndarray, seen: np.ndarray) -> Roundings:
    unit = grid.unit(value)
    low, high = (np.abs(value) - error) / unit, (np.abs(value) + error) / unit
    floor = np.floor(low)
    known = (low > floor) & (high < floor + 1) & np.isfinite(error) & np.isfinite(value)
    known &= (floor + 1) * unit <= grid.facts.largest  # beyond it, to go up would be to infinity
    up = np.abs(seen) / unit - floor
    known &= (up == 0) | (up == 1)
    share = (low + high) / 2 - floor
    slack = np.where(known, (high - low) / 2 + 2.0 ** -(grid.bits or 0), 0.0)  # fewer bits than cut off: less by one
    return Roundings(np.where(known, up - share, 0.0), slack, np.where(known, share, 0.0), known)
