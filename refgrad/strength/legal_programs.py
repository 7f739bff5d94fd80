"""Legal programs of a rule, random ones and those written by hand, judged by refgrad and by the comparisons that tests use."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from refgrad.errors import ArgumentError, with_article
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.tally import Tally
from refgrad.rule import Rule
from refgrad.strength.figures import ProgramFigures, RewriteFigures
from refgrad.strength.programs import Programs, programs_of
from refgrad.strength.programs.optimizer import OptimizerPrograms
from refgrad.strength.rejections import REFGRAD, Rejections
from refgrad.strength.rounding_styles import STYLES


def measure_random(programs: Programs, values: int) -> ProgramFigures:
    """Random legal programs, another for each case and style, until so many values were judged.

    Programs that round to nearest are shown to the other judges as well. How far the sets were used is measured on those that
    take the three roundings which the policy allows.

    Args:
        programs: the rule as the measurement sees it; see `refgrad.strength.programs.programs_of`.
        values: how many values are judged, at least; fewer where a kind says that they are enough.
    """
    counts: Counter[str] = Counter()
    share: dict[str, float] = {}
    rejections, runs = Rejections(), 0
    random = np.random.Generator(np.random.Philox(0))
    values = programs.enough(values)
    for cases in programs.batches(values):
        for case in cases:
            reference = programs.reference(case)
            for name, style in STYLES.items():
                runs += 1
                given = programs.legal(case, random, style)
                tally = programs.judged(case, given, style.policy)
                _add(counts, tally)
                if name == "thrice":
                    for output, most in tally.tightest.items():
                        kind = programs.share_of(output)
                        share[kind] = max(share.get(kind, 0.0), most)
                if style.rounding == "nearest":
                    judges = list(programs.rejections(given, reference))
                    # a run in which some value is outside counts as one
                    names = [*itertools.chain(*judges), *([REFGRAD] if tally.outside else [])]
                    rejections.count(names, case.ordinary, programs=len(judges))
        if counts["values"] >= values or runs >= programs.most_runs:
            break
    values, outside, undecided = (counts[name] for name in ("values", "outside", "undecided"))
    return ProgramFigures(values, outside, undecided, share, rejections.programs, rejections.rejected)


def _add(counts: Counter[str], tally: Tally) -> None:
    for count in tally.counts.values():
        counts.update(values=count.total, outside=count.outside, undecided=count.undecided)


def measure_rewrites(rewrites: Iterable[tuple[Rule, Any]]) -> RewriteFigures:
    """Legal programs written by hand, each judged on the families that `refgrad.verify` generates.

    Args:
        rewrites: optimizers, each with a candidate that is one.

    Raises:
        ArgumentError: a rewrite is of a rule of another kind.
    """
    rejections = Rejections()
    for rule, candidate in rewrites:
        programs = programs_of(rule)
        if not isinstance(programs, OptimizerPrograms):
            raise ArgumentError(
                f"a rewrite is of {rule}, which is {with_article(rule.kind)}; legal: rewrites of optimizers"
            )
        by_ordinary: dict[bool, set[str]] = {True: set(), False: set()}
        for case in programs.cases(0):
            given = programs.written(case, candidate)
            judges = set().union(*programs.rejections(given))
            if programs.judged(case, given, Policy()).outside:
                judges.add(REFGRAD)
            by_ordinary[case.ordinary] |= judges
        rejections.add(by_ordinary[True], by_ordinary[True] | by_ordinary[False])
    return RewriteFigures(rejections.programs, rejections.rejected)
