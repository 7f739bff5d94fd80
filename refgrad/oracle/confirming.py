"""What fits a run, confirmed: what `verify` would not call the candidate is not told as what it is."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

from refgrad.oracle.engine.run import Judgement
from refgrad.oracle.fitting import Fitting, Found, fitting_alone
from refgrad.oracle.hypotheses.changes import Change, joined, named
from refgrad.oracle.hypotheses.examined import OWN_CASES, contradiction, examined
from refgrad.oracle.trials import Trial

#: how many other hypotheses are judged everywhere where what fits best is wrong in a situation
OTHERS = 6
#: the share of what a candidate was asked that it must have answered so that it is said what it is
ANSWERED = 0.5


@dataclasses.dataclass(frozen=True, eq=False)
class Confirmed:
    """What a candidate is.

    Attributes:
        fits: what `verify` would call it, or if there is nothing, what fits ordinary cases alone.
        elsewhere: where it is not what fits best; empty if there is no such place.
        simpler: what fits ordinary cases best and is wrong there; empty unless another holds there too.
    """

    fits: Fitting
    elsewhere: str = ""
    simpler: str = ""


def confirmed(fits: Fitting, searched: list[Trial]) -> Confirmed:
    """Of what fits, what holds on cases of its own and in every situation; else another that fits, if it does."""
    pairs = [(found, _examined(found)) for found in fits.found]
    right = [_doubted(found, run) for found, run in pairs if run is None or not run.wrong]
    if right or not pairs:
        return Confirmed(Fitting(tuple(right)))
    wrong = next(run.where or OWN_CASES for _, run in pairs if run is not None)
    for found in itertools.islice(_others(fits, searched), OTHERS):
        run = _examined(found)
        if run is not None and not run.wrong:
            return Confirmed(Fitting((_doubted(found, run),)), wrong, fits.found[0].explanation.title)
    if all(found.explanation.doubt for found in fits.found):  # nobody was found to be what it is not elsewhere
        return Confirmed(Fitting(tuple(itertools.starmap(_doubted, pairs))))
    return Confirmed(fits, wrong)


def _examined(found: Found) -> Judgement | None:
    return examined(found.trial.claim, found.trial.record, found.change)


def _doubted(found: Found, run: Judgement | None) -> Found:
    """With the doubt that it is not so elsewhere, or that too little of it is known for "conforms"."""
    known, other = found.explanation.doubt, contradiction(run)
    doubt = f"{known}; {other}" if known and run is not None and run.wrong else known or other
    return dataclasses.replace(found, explanation=dataclasses.replace(found.explanation, doubt=doubt))


def _others(fits: Fitting, searched: list[Trial]) -> Iterator[Found]:
    """Rules as refgrad has them that fit as well, the simplest first; then what fits best with a named variant besides."""
    known, best = {found.explanation.title for found in fits.found}, fits.found[0]
    tried = [(t, s.change) for t in searched for s in t.search.ranked if s.fits and not s.loose and _plain(s.change)]
    besides = [joined((best.change, change)) for change in named(best.change.changed(best.trial.told))]
    for trial, change in [*tried, *((best.trial, change) for change in besides if change is not None)]:
        found = fitting_alone(trial, change)
        if found is not None and found.explanation.title not in known:
            known.add(found.explanation.title)
            yield found


def _plain(change: Change) -> bool:
    return not (change.mutations or change.how or change.policy)
