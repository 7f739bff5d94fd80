"""`measure`: how often refgrad rejects right programs of a rule and accepts wrong ones, beside the comparisons of tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from refgrad.candidates.resolve import load
from refgrad.errors import ArgumentError, bad_argument
from refgrad.optimizers.base import Optimizer
from refgrad.rule import Rule, Whole, find, short_name
from refgrad.rule_text import rule_of
from refgrad.strength.exercised import exercised, with_decays
from refgrad.strength.figures import MutantFigures, ProgramFigures, RewriteFigures, Strength
from refgrad.strength.legal_programs import measure_random, measure_rewrites
from refgrad.strength.mutants import measure_mutants
from refgrad.strength.programs import programs_of

PARTS = ("programs", "mutants", "rewrites")
VALUES = 1_000_000

#: from the class of a rule to optimizers of it, each with a candidate that was written by hand and is right
Rewrites = Callable[[type[Rule]], Iterable[tuple[Rule, Any]]]
Figures = ProgramFigures | MutantFigures | RewriteFigures


@dataclass(frozen=True)
class Measured:
    """A rule as it is measured: with everything switched on for programs, with decays for mutants."""

    name: str
    for_programs: Rule
    for_mutants: Rule

    @classmethod
    def of(cls, rule: Rule | type[Rule] | str) -> Measured:
        """What is measured where a rule is asked for, as `measure` takes it."""
        thing = _found(rule) if isinstance(rule, str) else rule
        if isinstance(thing, type) and issubclass(thing, Optimizer):
            return cls(short_name(thing), exercised(_with_defaults(thing)), with_decays(thing))
        if isinstance(thing, type) and issubclass(thing, Rule):
            thing = _with_defaults(thing)
        if not isinstance(thing, Rule):
            raise bad_argument("rule", thing, "a rule, a class of rules, or the name or target of one")
        return cls(short_name(type(thing)), thing, thing)

    def part(self, part: str, values: int, rewrites: Rewrites | None = None) -> Figures:
        """The figures of one part.

        Args:
            part: one of `PARTS`.
            values: how many values of random programs are judged, at least.
            rewrites: a function that gives the rewrites of a class of rules; None if there are none.
        """
        if part == "programs":
            return measure_random(programs_of(self.for_programs), values)
        if part == "mutants":
            return measure_mutants(programs_of(self.for_mutants))
        return measure_rewrites(() if rewrites is None else rewrites(type(self.for_programs)))


def _found(text: str) -> Any:
    if ":" in text:
        return load(text)
    return find(text) if text.isidentifier() else rule_of(text, "rule")


def _with_defaults(cls: type[Any]) -> Any:
    try:
        return cls()
    except TypeError as error:
        raise ArgumentError(f"{cls.__name__} cannot be made with its defaults ({error}); legal: an instance") from None


def measure(
    rule: Rule | type[Rule] | str,
    *,
    values: int = VALUES,
    parts: Iterable[str] = ("programs", "mutants"),
    rewrites: Rewrites | None = None,
) -> Strength:
    """How often refgrad rejects right programs of a rule and accepts wrong ones, beside the comparisons that tests use.

    Right programs are made at random: the rule in float32, with operations reordered, fused, distributed and rounded as
    legal implementations may do. Mutants have one operation wrong. The method is described in docs/strength.md.

    Args:
        rule: a rule, measured as it is; a class of rules, of which an optimizer is measured with everything switched on that
            is zero by default; the name of a rule that comes with refgrad; or a target ``package.module:Name`` or
            ``path/to/file.py:Name`` of a rule or class.
        values: how many values of random programs are judged, at least; mutants are as many as there are.
        parts: what is measured, of "programs", "mutants" and "rewrites".
        rewrites: for the part "rewrites", a function from the rule's class to pairs of a rule and a candidate for it that
            somebody wrote and that is right. Only optimizers have them.

    Returns:
        The figures. Right programs rejected are `Strength.programs.outside`, wrong ones accepted
        `Strength.mutants.survivors`.

    Raises:
        ArgumentError: there is no such rule, or no program of it can be made at random.
        CandidateError: a target cannot be found.

    >>> from refgrad.optimizers import Lion
    >>> found = measure(Lion(weight_decay=0.1), values=1000, parts=["programs"])
    >>> found.programs.outside
    0
    """
    wanted = tuple(parts)
    for part in wanted:
        if part not in PARTS:
            raise bad_argument("parts", part, ", ".join(PARTS))
    measured = Measured.of(rule)
    values = Whole(1).check("values", values)
    found: dict[str, Any] = {part: measured.part(part, values, rewrites) for part in wanted}
    return Strength(str(measured.for_programs), measured.for_programs.kind, **found)
