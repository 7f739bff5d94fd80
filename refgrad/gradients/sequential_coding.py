"""Sequential gradient coding as rules: which workers do what again, and when each job can be decoded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.gradients.coding import check_slots, multiplexed_schedule, repeat_schedule
from refgrad.gradients.solved import Conditions, Solved
from refgrad.optimizers.transform import check_axes, check_count, check_same
from refgrad.rule import Citation, Whole

_KRISHNAN = Citation(
    "Krishnan et al. 2023",
    "Sequential Gradient Coding For Straggler Mitigation",
    "ICLR, arXiv:2211.13802",
    read="authors' code",
    source="mamaj/Sequential-Gradient-Coding-2 21933da, by notes on it",
)


class _Sequential(Solved):
    """What both schemes share: who answers in time, and a round a job."""

    stragglers: Annotated[int, Whole(0)] = 1
    shapes: ClassVar[Mapping[str, str]] = {"times": "round worker+", "until": "round+"}
    lengths: ClassVar[Mapping[str, int]] = {"round": 6, "worker": 4}
    longest: ClassVar[Mapping[str, int]] = {"round": 65, "worker": 129}

    def check(self, *arrays: np.ndarray) -> None:
        times, until = arrays
        check_axes(times, "times", 2, "rounds and workers")
        check_count(times.T, "times.T", self.stragglers + 1, f"more workers than stragglers={self.stragglers}")
        check_same(until, "until", times.shape[:1], "one number a round")

    def arrives(self, times: Any, until: Any) -> Any:
        """True where a worker's answer of a round arrives; one that takes NaN never does."""
        return times <= until[:, None]


class SelectiveRepeat(_Sequential):
    """Selective-repeat sequential gradient coding: who repeats a job that it failed, and after which round it is decoded.

    ``times`` [round, worker], how long an answer takes; ``until`` [round], how long it is waited for. In round r as many of those
    who failed job r - ``bursts`` repeat it as failed beyond ``stragglers``; all others do job r. Gives ``repeats`` [round,
    worker], 1 of those who repeat, and ``decoded`` [round], the round after which that round's job is decoded, or -1: as soon as
    n - ``stragglers`` of n workers have answered with it, in its own round or as repeats. An answer is in time if it takes at
    most ``until``; one that takes NaN is late. Judged by who may repeat, how many must, and by the answers that there are then.
    Source: Krishnan et al. 2023, arXiv:2211.13802.
    """

    bursts: Annotated[int, Whole(1)] = 1
    citation = _KRISHNAN
    unspecified = (
        "which of those who failed repeat: any, as many as must; here the first by number, as in the authors' code"
    )

    def apply(self, times: Any, until: Any) -> Any:
        repeats, decoded = repeat_schedule(self.arrives(times, until), self.bursts, self.stragglers)
        return {"repeats": 1.0 * repeats, "decoded": decoded}

    def condition(self, times: Any, until: Any, repeats: Any, decoded: Any, unit: float) -> Conditions:
        there, again = self.arrives(times, until), repeats == 1
        first = there & ~again  # who answers with the job of the round itself
        failed, late = np.zeros_like(there), np.zeros_like(there)
        if self.bursts < len(there):
            failed[self.bursts :] = ~first[: -self.bursts]
            late[: -self.bursts] = (again & there)[self.bursts :]
        enough, rounds = there.shape[1] - self.stragglers, np.arange(len(there))
        by_then = np.where(np.sum(first | late, axis=1) >= enough, rounds + self.bursts, -1)
        expected = np.where(np.sum(first, axis=1) >= enough, rounds, by_then)
        owed = np.maximum(np.sum(failed, axis=1) - self.stragglers, 0)
        return {
            "a number that is neither 0 nor 1": (np.minimum(np.abs(repeats), np.abs(repeats - 1)), 0.0),
            "a worker who repeats what it did not fail": (1.0 * (again & ~failed), 0.0),
            "how many repeat beside how many must": (np.sum(again, axis=1) - owed, 0.0),
            "the round of decoding less that of enough answers": (decoded - expected, 0.0),
        }


class MultiplexedRepeat(_Sequential):
    """Multiplexed sequential gradient coding: how often plain parts are done again, and after which round a job is decoded.

    ``times``, ``until`` as of `SelectiveRepeat`. In slot k of round r a worker does job r - k: a plain part in the first
    ``window`` - 1 slots; in each of the ``bursts`` others that group's coded part if all plain parts of the job have arrived from
    it, else a plain part once more. Gives ``retries`` [round, worker], how many these are, and ``decoded`` [round], the round
    after which that round's job is decoded, or -1. Judged by the same schedule slot by slot. Source: Krishnan et al. 2023,
    arXiv:2211.13802.
    """

    bursts: Annotated[int, Whole(0, 64)] = 1
    window: Annotated[int, Whole(1, 64)] = 2
    citation = _KRISHNAN
    unspecified = (
        "rounds that the model of stragglers does not allow: jobs that are never decoded; the authors' master waits"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_slots(self.bursts, self.window)

    def apply(self, times: Any, until: Any) -> Any:
        retries, decoded = multiplexed_schedule(self.arrives(times, until), self.bursts, self.window, self.stragglers)
        return {"retries": retries, "decoded": decoded}

    def condition(self, times: Any, until: Any, retries: Any, decoded: Any, unit: float) -> Conditions:
        there = self.arrives(times, until)
        rounds, slots = len(there), self.window - 1 + self.bursts
        missing, expected = np.zeros_like(retries), np.full(rounds, -1.0)
        for job in range(rounds):
            seen = there[job : job + slots]  # slot by slot what arrives of the job
            done = np.cumsum(seen, axis=0)
            before = np.concatenate([np.zeros_like(done[:1]), done[:-1]])
            again = before < self.window - 1
            again[: self.window - 1] = False  # plain parts of the first slots are not repeated ones
            missing[job : job + slots] += again
            coded = (seen & ~again)[self.window - 1 :]
            ready = len(seen) == slots and bool((np.sum(seen, axis=0) >= self.window - 1).all())
            if ready and bool((np.sum(coded, axis=1) >= there.shape[1] - self.stragglers).all()):
                expected[job] = job + slots - 1
        return {
            "plain parts that are done again, less those that are missing": (retries - missing, 0.0),
            "the round of decoding less that of enough parts": (decoded - expected, 0.0),
        }
