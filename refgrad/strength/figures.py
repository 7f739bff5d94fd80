"""Figures of the oracle's strength on one rule: typed, as plain data, and as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from refgrad.oracle.engine.result import AsJson
from refgrad.strength.rejections import JUDGES, REFGRAD

#: numbers of programs: of "all", and of those on "ordinary" numbers
Numbers = Mapping[str, int]


@dataclass(frozen=True)
class ProgramFigures:
    """What became of random legal programs, of which none may be rejected.

    Attributes:
        values: how many values were judged; of them so many outside, and so many undecided.
        outside, undecided: see ``values``.
        share: the largest distance from the truth over the half-width of the set, of programs that take the three roundings
            an operation that the policy allows: near one means that the sets could hardly be smaller.
        programs: how many programs the other judges were shown.
        rejected: judge -> how many of those it rejected.
    """

    values: int
    outside: int
    undecided: int
    share: Mapping[str, float]
    programs: Numbers
    rejected: Mapping[str, Numbers]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class RewriteFigures:
    """What became of legal programs that were written by hand: how many there are, and judge -> how many it rejected."""

    programs: Numbers
    rejected: Mapping[str, Numbers]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class Survivor:
    """A mutant that refgrad accepted, and the largest error over what is allowed (0 where that is not measured)."""

    name: str
    sentence: str
    share: float


@dataclass(frozen=True)
class MutantFigures:
    """What became of mutants, of which all should be rejected.

    Attributes:
        made: how many were run.
        impossible: how many could not be run, because of a divisor of zero or a matrix that cannot be decomposed.
        rejected: judge -> how many it rejected.
        survivors: those that refgrad accepted.
        sampled_of: if the mutants are a sample, of how many.
    """

    made: int
    impossible: int
    rejected: Mapping[str, Numbers]
    survivors: tuple[Survivor, ...]
    sampled_of: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        sample = {} if self.sampled_of is None else {"sampled of": self.sampled_of}
        survivors = [dict(vars(s)) for s in self.survivors]
        return {
            "made": self.made,
            "impossible": self.impossible,
            "rejected": self.rejected,
            "survivors": survivors,
        } | sample


@dataclass(frozen=True)
class Strength(AsJson):
    """How strong the oracle is on one rule.

    Attributes:
        rule: the rule, as text.
        kind: its kind.
        programs: random legal programs; None if they were not asked for.
        mutants: mutants; None if they were not asked for.
        rewrites: legal programs written by hand; None if there are none.
    """

    rule: str
    kind: str
    programs: ProgramFigures | None = None
    mutants: MutantFigures | None = None
    rewrites: RewriteFigures | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        parts = {"programs": self.programs, "mutants": self.mutants, "rewrites": self.rewrites}
        return {"rule": self.rule, "kind": self.kind, **{n: f.to_dict() for n, f in parts.items() if f is not None}}

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.rule} ({self.kind})"
        if self.programs is not None:
            p = self.programs
            yield f"  random legal programs: {p.values:,} values, {p.outside:,} outside, {p.undecided:,} undecided"
            shares = ", ".join(f"{name} {share:.2f}" for name, share in p.share.items())
            yield f"    largest error over what is allowed: {shares}"
            yield f"    rejected, of {p.programs['all']:,}: {_by_judge(p.rejected)}"
        if self.rewrites is not None:
            yield f"  rewrites by hand rejected, of {self.rewrites.programs['all']}: {_by_judge(self.rewrites.rejected)}"
        if self.mutants is not None:
            m = self.mutants
            accepted = {judge: {"all": m.made - numbers["all"]} for judge, numbers in m.rejected.items()}
            sample = "" if m.sampled_of is None else f" (a sample of {m.sampled_of:,})"
            yield f"  mutants accepted, of {m.made:,}{sample}: {_by_judge(accepted)}"
            yield from (f"    survivor: {s.name}" for s in m.survivors)


def _by_judge(numbers: Mapping[str, Numbers]) -> str:
    short = {judge: judge.rpartition(".")[2] for judge in JUDGES}
    return ", ".join(
        f"{short[judge]} {numbers[judge]['all']:,}" for judge in (REFGRAD, *JUDGES[1:]) if judge in numbers
    )
