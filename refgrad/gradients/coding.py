"""Gradient coding: sums of parts of a batch, each held by several workers, from which any few may be missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.function_arguments import AT_LEAST_ONE, COUNT, Labels, gated
from refgrad.errors import bad_argument
from refgrad.gradients.solved import Conditions, Solved
from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Citation, Range, Whole

_TANDON = Citation(
    "Tandon, Lei, Dimakis & Karampatziakis 2017",
    "Gradient Coding: Avoiding Stragglers in Distributed Learning",
    "ICML, arXiv:1612.03301",
    source="independent notes on rashisht1/gradient_coding and on mamaj/Sequential-Gradient-Coding-2 21933da",
)


class GradientCode(Transform):
    """What each worker sends of the parts' gradients: a matrix of which any rows but s have the all-ones row in their span.

    ``draws`` [straggler, other worker]: random numbers, s rows of one fewer than there are workers. Worker i holds the parts from
    i on, s + 1 of them, in a ring. Source: Tandon et al. 2017, arXiv:1612.03301 (cyclic repetition).
    """

    citation = _TANDON
    shapes: ClassVar[Mapping[str, str]] = {"draws": "straggler other"}
    lengths: ClassVar[Mapping[str, int]] = {"straggler": 2, "other": 5}
    longest: ClassVar[Mapping[str, int]] = {"straggler": 3, "other": 7}
    unspecified = "how the draws are distributed: they are handed in"

    def check(self, *arrays: np.ndarray) -> None:
        (draws,) = arrays
        check_axes(draws, "draws", 2, "stragglers and workers but one")
        check_count(draws.T, "draws.T", max(len(draws), 1), "no more stragglers than workers but one")

    def apply(self, draws: Any) -> Any:
        s, m = len(draws), draws.shape[1] + 1
        zero, one = 0.0 * np.sum(draws), 0.0 * np.sum(draws) + 1.0
        checks = np.concatenate([draws, -np.sum(draws, axis=1)[:, None]], axis=1)
        rows = []
        for i in range(m):
            row, held = [zero] * m, [(i + k) % m for k in range(s + 1)]
            row[i] = one
            if s:
                others = _solved(checks[:, held[1:]], -checks[:, i : i + 1])
                for k, part in enumerate(held[1:]):
                    row[part] = others[k, 0]
            rows.append(np.stack(row))
        return np.stack(rows)


class GradientDecoding(Solved):
    """With which factors workers' sums are added up to the whole gradient, when the slowest s are not waited for.

    ``draws``: as `GradientCode` takes them; ``times`` [worker]: when each answers; ties go to the earlier worker. Judged by what
    is left of the all-ones row, and by the slowest, whose factors are zero: of several right factors any. Source: Tandon et
    al. 2017, arXiv:1612.03301.
    """

    tolerance: Annotated[float, Range(0.0, 1e-3)] = 1e-5
    citation = _TANDON
    shapes: ClassVar[Mapping[str, str]] = {"draws": "straggler other", "times": "worker"}
    lengths: ClassVar[Mapping[str, int]] = {"straggler": 2, "other": 5, "worker": 6}
    distinct: ClassVar[frozenset[str]] = frozenset({"draws"})  # of draws that repeat there is no code
    longest: ClassVar[Mapping[str, int]] = {"straggler": 3, "other": 17, "worker": 18}
    unspecified = "which factors, where several are right: any; here those of least squares"

    def check(self, *arrays: np.ndarray) -> None:
        draws, times = arrays
        GradientCode().check(draws)
        check_same(times, "times", (draws.shape[1] + 1,), "one a worker")

    def apply(self, draws: Any, times: Any) -> Any:
        code, there = self._code(draws), self._there(times, len(draws))
        factors = np.zeros(len(times))
        if np.isfinite(code).all():
            factors[there] = np.linalg.lstsq(code[there].T, np.ones(len(times)))[0]
        return factors

    def condition(self, draws: Any, times: Any, factors: Any, unit: float) -> Conditions:
        code, there = self._code(draws), self._there(times, len(draws))
        late = np.setdiff1d(np.arange(len(times)), there)
        known_to = 8 * unit * (np.abs(factors) @ np.abs(code))
        return {
            "what is left of the all-ones row": (
                np.max(np.abs(factors @ code - 1.0), initial=0.0),
                self.tolerance + np.max(known_to, initial=0.0),
            ),
            "the factors of workers that are not waited for": (np.max(np.abs(factors[late]), initial=0.0), 0.0),
        }

    def _code(self, draws: Any) -> np.ndarray:
        draws = np.asarray(draws, np.float64)
        return np.asarray(GradientCode().apply(draws))

    def _there(self, times: Any, stragglers: int) -> np.ndarray:
        return np.sort(np.argsort(times, kind="stable")[: len(times) - stragglers])


def _solved(matrix: Any, right: Any) -> Any:
    """The solution of a system; NaN of draws that make none."""
    try:
        return np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        return np.nan * right


@gated(straggles=Labels(0, 1, axes=2), bursts=AT_LEAST_ONE, stragglers=COUNT)
def selective_repeat(straggles: np.ndarray, bursts: int, stragglers: int) -> list[int | None]:
    """The round in which each job of selective-repeat sequential gradient coding can be decoded.

    In round r workers who failed job r - ``bursts`` repeat it, as many as fail beyond ``stragglers``, the first by number; the
    others do job r. Source: Krishnan et al. 2023, arXiv:2211.13802, by independent notes on mamaj/Sequential-Gradient-Coding-2
    21933da; a job needs all answers but ``stragglers``.

    Args:
        straggles: [round, worker], true where a worker's answer of a round does not arrive.
        bursts: after how many rounds a job is repeated, B.
        stragglers: how many answers of a job may be missing, s.

    Returns:
        For each round's job the round, counted from 0, after which it is decoded; None if it is not.

    >>> selective_repeat(np.array([[True, True, False], [False, False, False]]), 1, 1)
    [1, 1]
    """
    return _whole(repeat_schedule(~straggles.astype(bool), bursts, stragglers)[1])


@gated(straggles=Labels(0, 1, axes=2), bursts=Whole(0, 10_000), window=AT_LEAST_ONE, stragglers=COUNT)
def multiplexed_repeat(straggles: np.ndarray, bursts: int, window: int, stragglers: int) -> list[int | None]:
    """The round in which each job of multiplexed sequential gradient coding can be decoded.

    In its slot k of round r a worker does job r - k: a plain part in the first ``window`` - 1 slots; in each of the ``bursts``
    others that group's coded part if all plain parts of the job have arrived from it, else a plain part once more. A job needs
    ``window`` - 1 plain parts of each worker, and of each group all coded parts but ``stragglers``. Source: Krishnan et al. 2023,
    arXiv:2211.13802. Read: mamaj/Sequential-Gradient-Coding-2 21933da, multiplexed_sgc.py, where the master waits for all workers
    in a round that the model of stragglers does not allow.

    Args:
        straggles: [round, worker], true where a worker's answer of a round does not arrive.
        bursts: how many rounds at most a worker straggles within a window, B.
        window: W, above ``bursts``.
        stragglers: how many workers at most straggle within a window, lambda.

    Returns:
        For each round's job the round, counted from 0, after which it is decoded; None if it is not.

    Raises:
        ArgumentError: a job has no slot at all.

    >>> multiplexed_repeat(np.array([[True, False], [False, False], [False, False]]), 1, 2, 1)
    [1, 2, None]
    """
    check_slots(bursts, window)
    return _whole(multiplexed_schedule(~straggles.astype(bool), bursts, window, stragglers)[1])


@gated(workers=AT_LEAST_ONE, bursts=COUNT, window=AT_LEAST_ONE, stragglers=COUNT)
def multiplexed_load(workers: int, bursts: int, window: int, stragglers: int) -> tuple[float, float]:
    """The share of a job that a worker of multiplexed sequential gradient coding computes in a plain and in a coded slot.

    A job has ``window`` - 1 plain and ``bursts`` coded slots a worker. Source: as of `selective_repeat`; the shares are derived.

    Args:
        workers: m.
        bursts: the longest burst, B.
        window: in how many rounds at most ``stragglers`` workers straggle, W.
        stragglers: their number, lambda, below ``workers``.

    Returns:
        The shares of a plain slot and of a coded one, before its parts are combined.

    >>> plain, coded = multiplexed_load(4, 1, 2, 1)
    >>> round(4 * 1 * plain + 4 * 1 * coded, 12)
    1.0
    """
    check_slots(bursts, window)
    parts = workers * (bursts + (window - 1) * (stragglers + 1))
    return (stragglers + 1) / parts, 1 / parts


def repeat_schedule(there: Any, bursts: int, stragglers: int) -> tuple[Any, Any]:
    """As `selective_repeat`, with what each worker does.

    Args:
        there: truths [round, worker], true where a worker's answer arrives; an array of any arithmetic.
        bursts, stragglers: as of `selective_repeat`.

    Returns:
        True where a worker repeats the job of ``bursts`` rounds before, [round, worker]; and the rounds, -1 for none.
    """
    rounds, workers = there.shape
    repeats, first = [there[:bursts] & False], [there[:bursts]]
    for start in range(bursts, rounds, bursts):  # as many rounds at once as do not depend on each other
        now = there[start : start + bursts]
        missing = ~first[-1][: len(now)]
        owed = np.sum(missing, axis=1)[:, None] - stragglers
        repeats.append(missing & (np.cumsum(missing, axis=1) <= owed))
        first.append(now & ~repeats[-1])
    again, at_once = np.concatenate(repeats), np.concatenate(first)
    later = _later(again & there, bursts)
    numbers, enough = np.arange(rounds), workers - stragglers
    by_then = np.where(np.sum(at_once | later, axis=1) >= enough, numbers + bursts, -1.0)
    # of the last jobs nothing is repeated, so that they have what they had at once
    return again, np.where(np.sum(at_once, axis=1) >= enough, numbers, by_then)


def multiplexed_schedule(there: Any, bursts: int, window: int, stragglers: int) -> tuple[Any, Any]:
    """As `multiplexed_repeat`, with how often each worker does a plain part once more.

    Args:
        there: truths [round, worker], true where a worker's answer arrives; an array of any arithmetic.
        bursts, window, stragglers: as of `multiplexed_repeat`.

    Returns:
        How many of its slots of coded parts a worker spends on plain parts that are missing, [round, worker]; and the rounds, -1
        for none.
    """
    (rounds, workers), slots = there.shape, window - 1 + bursts
    plain, retries = 0.0 * there, 0.0 * there
    ready = np.arange(rounds) + slots <= rounds
    for slot in range(
        min(slots, rounds)
    ):  # of all jobs at once, in rows; what comes after the last round never arrives
        seen = _later(there, slot)
        if slot < window - 1:
            plain = plain + seen
            continue
        again = plain < window - 1
        retries = retries + _earlier(again, slot)
        ready = ready & (np.sum(seen & ~again, axis=1) >= workers - stragglers)
        plain = plain + (seen & again)
    ready = ready & np.all(plain >= window - 1, axis=1)
    return retries, np.where(ready, np.arange(rounds) + (slots - 1), -1.0)


def _later(rows: Any, count: int) -> Any:
    """In each row of truth values that of some rows later; false where there is none."""
    return np.concatenate([rows[count:], rows[:count] & False]) if count else rows


def _earlier(rows: Any, count: int) -> Any:
    """In each row of truth values that of some rows earlier; false where there is none."""
    return np.concatenate([rows[:count] & False, rows[: len(rows) - count]]) if count else rows


def _whole(rounds: Any) -> list[int | None]:
    """Rounds as whole numbers, None for none."""
    return [None if each < 0 else int(each) for each in rounds]


def check_slots(bursts: int, window: int) -> None:
    """Check that a job of multiplexed coding has a slot.

    Args:
        bursts, window: as of `multiplexed_repeat`.

    Raises:
        ArgumentError: it has none.
    """
    if bursts == 0 and window == 1:
        raise bad_argument("bursts", bursts, "a whole number from 1, where window is 1")
