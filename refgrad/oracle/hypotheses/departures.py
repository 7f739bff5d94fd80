"""What a run that fails is instead: found on a screen, judged again on the whole run, and only then told."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.kinds.record import Record
from refgrad.optimizers import elsewhere
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.engine.outcomes import FACT, Departure
from refgrad.oracle.engine.run import Claim
from refgrad.oracle.engine.tally import Tally
from refgrad.oracle.hypotheses import group_by_group, miscounted, places, situated, wrong_groups, wrong_values
from refgrad.oracle.hypotheses.changes import NONE, Change, named, policies
from refgrad.oracle.hypotheses.control import Control, control_of
from refgrad.oracle.hypotheses.examined import contradiction, examined, examined_in_float64
from refgrad.oracle.hypotheses.known_forms import fitted_forms, wrong_leaves
from refgrad.oracle.hypotheses.recovered import vague
from refgrad.oracle.hypotheses.relatives import relatives
from refgrad.oracle.hypotheses.scored import Scored
from refgrad.oracle.hypotheses.screens import judged, telling_screen
from refgrad.oracle.hypotheses.search import Search
from refgrad.oracle.hypotheses.shaped import variant_of_shapes
from refgrad.oracle.hypotheses.wrapped import wrapped
from refgrad.rule import short_name

#: departures that are judged on the whole run where none explains it, and that are told where several do
MOST, ALIKE = 3, 5
#: the share of the time that the forms which others are known to have may take
KNOWN_SHARE = 0.2
#: seconds at most for what the candidate is beyond what was refuted
BEYOND = 10.0


class Meaning(NamedTuple):
    """A departure and the change of a claim that it tells: none of a place, and one of another claim where it is another rule."""

    departure: Departure
    change: Change | None
    claim: Claim


def explain(claim: Claim, record: Record, tally: Tally) -> tuple[Departure, ...]:
    """The departures that explain a run of a candidate that is not what it claims, or come nearest.

    Args:
        claim: who claims to be what; its request says how many seconds may be taken, about.
        record: the whole run; a note is added if the time was over.
        tally: the same, judged as the claim.
    """
    return tuple(each.departure for each in meanings(claim, record, tally))


def meanings(claim: Claim, record: Record, tally: Tally) -> tuple[Meaning, ...]:
    """The same, each with the change that it tells in words."""
    shaped = variant_of_shapes(claim, record, tally, claim.request.explain)
    if shaped is not None:
        return (Meaning(*shaped, claim),)
    if tally.first is None:  # nothing else is wrong with values
        return ()
    for told in (miscounted.explain, group_by_group.explain):
        departure = told(claim, record, tally)
        if departure is not None:
            return (Meaning(departure, None, claim),)
    if (
        claim.situation and claim.rule == claim.request.rule
    ):  # the rule explains ordinary cases, so that no other rule can
        return tuple(Meaning(each, change, claim) for each, change in situated.meanings(claim, record, tally))
    control = functools.cache(lambda: control_of(claim, record))
    usual = [s for s in _whole(claim, record, tally, _usual(claim, record)) if not s.outside]
    if usual:
        doubt = _doubt(control(), usual[0].change) or _elsewhere(claim, record, usual[0].change)
        return (_meaning(claim, usual[0], doubt),)
    related = next(_related(claim, record, tally), None)
    if related is not None:
        return (related,)
    return _searched(claim, record, tally, control)


def _searched(claim: Claim, record: Record, tally: Tally, control: Callable[[], Control | None]) -> tuple[Meaning, ...]:
    """What the search finds; where that is refuted elsewhere, what it finds beyond it."""
    seconds = claim.request.explain
    # processor time, so that a busy machine finds what an idle one finds
    screen = telling_screen(claim, record, lambda: tally.outside > 0)
    search = Search(screen, seconds=seconds, control=control, clock=time.process_time)
    known = _known(claim, record, tally, search)
    if known is not None:
        return (known,)
    began = search.clock()
    search.run(alternatives=False)
    told, explaining = _explaining(search, claim, record, tally)
    until = min(began + seconds, search.clock() + BEYOND)
    # what ended the search is not what the candidate is, nor what ends it then
    while search.clock() < until and search.explained and not _facts(explaining):
        found = _explaining(search.beyond(until - search.clock()), claim, record, tally)
        told, explaining = found if _facts(found[1]) or (found[1] and not explaining) else (told, explaining)
    if search.stopped and all(s.outside for s in told):
        record.notes.append(f"the search for what it is instead was ended after {seconds:g} seconds")
    record.notes.extend(dict.fromkeys(search.failures))
    explained = [_with_owner(search, told, each) for each in explaining]
    if _facts(explaining):
        return tuple(explained)  # beside a fact nothing is near
    around = [Scored(change, counts, tally.counts) for change, counts in wrapped(claim, record)]
    if around:  # though something else is told with a doubt, which may hide what is so
        search.extend(BEYOND)
        found_around = tuple(_believed(search, control(), around, (claim, record)))
        return found_around if _facts(found_around) else (*found_around, *explained)
    first = places.first_ones(claim, record, tally) if isinstance(claim.rule, Optimizer) and not explaining else ()
    first = first or wrong_values.explain(claim, record, tally) or wrong_groups.explain(claim, record, tally)
    if first:
        return (*(Meaning(place, None, claim) for place in first), *explained)
    # what leaves as much outside as the claim is nearer to nothing, and so is what takes in the claim too
    near = [s for s in told if 0 < s.outside < tally.outside and not _loose(control(), s.change)]
    return (*explained, *(_meaning(claim, s) for s in near))


def _explaining(search: Search, claim: Claim, record: Record, tally: Tally) -> tuple[list[Scored], list[Meaning]]:
    """The best of what a search tried and nothing refutes, on the whole run, and what of it explains that."""
    told = _told(claim, record, tally, [s for s in search.ranked if s.change.parts])
    exact = [s for s in told if not s.outside]
    return told, list(_believed(search, search.control(), exact, (claim, record)))


def _facts(meanings: Iterable[Meaning]) -> bool:
    return any(each.departure.sure == FACT for each in meanings)


def _related(claim: Claim, record: Record, tally: Tally) -> Iterator[Meaning]:
    """Rules with more state that explain the whole run, and are told by it."""
    for found in relatives(claim, record):
        for scored in found.search.ranked[:MOST]:
            for whole in _whole(found.claim, found.record, tally, [scored.change] if scored.fits else []):
                if not whole.outside and not _doubt(found.search.control(), whole.change):
                    title, own = found.title(whole.change), short_name(type(claim.rule))
                    told = Departure(title, f"it is {title}, not {own}", 0, _total(whole), another=True)
                    yield Meaning(told, whole.change, found.claim)


def _known(claim: Claim, record: Record, tally: Tally, search: Search) -> Meaning | None:
    """What a rule of the name is known to be elsewhere, if that explains the run, or all of it but some parameters.

    None where one behaviour does: that is told as all others are.
    """
    search.start()
    search.named()
    single = [s for s in search.ranked if s.change.parts == 1 and s.fits]
    if search.late() or any(not s.outside for s in _told(claim, record, tally, single)):
        return None
    wrong = wrong_leaves(claim, record, NONE)
    with search.hurried(KNOWN_SHARE):
        forms = fitted_forms(search)
    for form, scored in forms:
        for whole in _whole(claim, record, tally, [scored.change]):
            left = wrong_leaves(claim, record, scored.change) if whole.outside else set()
            # in part a form is told by its behaviours alone: roundings may right most of a run by themselves
            if not left or (left < wrong and 2 * whole.outside < tally.outside and not scored.change.precision):
                names = ", ".join(map(record.cases.name, sorted(left)))
                whose = f"{form.whose}, except for {names}" if left else form.whose
                found = _meaning(claim, whole, _doubt(search.control(), whole.change))
                return found._replace(departure=dataclasses.replace(found.departure, known=whose))
    return None


def _with_owner(search: Search, told: list[Scored], meaning: Meaning) -> Meaning:
    """A departure with whose rule of the name it is known to be, if it is somebody's: of all whose rules are one on this run."""
    changes = [s.change for s in told if s.change.name == meaning.departure.name and not s.change.precision]
    forms = [(form, s.change) for form, s in fitted_forms(search) if s.fits] if changes else []
    owners = [
        form.whose
        for form, known in forms
        if any(known.key == change.key or search.screen.same(known, change) for change in changes)
    ]
    known_as = elsewhere.AND.join(dict.fromkeys(owners))
    return meaning._replace(departure=dataclasses.replace(meaning.departure, known=known_as))


def _believed(
    search: Search, control: Control | None, found: list[Scored], run: tuple[Claim, Record]
) -> Iterator[Meaning]:
    """What explains a run: facts alone, if there are any, one function once; each of several names the others.

    What is another on cases of its own, or in a situation, is no fact (see `refgrad.oracle.hypotheses.examined`).
    """
    doubts = [_doubt(control, s.change) for s in found]
    facts = [s for s, doubt in zip(found, doubts, strict=True) if not doubt]
    distinct: list[list[Scored]] = []
    for scored in facts:
        known = next((each for each in distinct if search.screen.same(each[0].change, scored.change)), None)
        if known is None:
            distinct.append([scored])
        else:
            known.append(scored)
    told = list[tuple[Scored, str]]()
    for alike in distinct:
        if told and search.spent():  # all of them are near, and one is told at least
            break
        told.append(_everywhere(search, run, alike))
    right = [s for s, reason in told if not reason]
    if len(right) > 1 and not search.spent():
        right = _told_apart(run[0], right)
    told = [(s, "") for s in right] or told
    for scored, reason in told:
        others = [s.change.name for s, _ in told if s is not scored]
        doubt = reason or (f"it is explained as well by {', '.join(others)}" if others else "")
        yield _meaning(run[0], scored, doubt)
    if not facts:
        yield from (_meaning(run[0], s, doubt) for s, doubt in zip(found, doubts, strict=True))


def _told_apart(claim: Claim, right: list[Scored]) -> list[Scored]:
    """Of several that fit those which are so in float64 too, whose sets are narrow; all of them where that tells none apart."""
    if np.dtype(claim.request.dtype) == np.float64 or any(s.change.precision for s in right):
        return right
    narrow = [s for s in right if not contradiction(examined_in_float64(claim, s.change))]
    return narrow or right


def _everywhere(search: Search, run: tuple[Claim, Record], alike: list[Scored]) -> tuple[Scored, str]:
    """Of hypotheses that are one function along a run, the first that is so elsewhere too; with why it is not, if none is.

    What never rises from zero is what never moves, until a state that was saved is loaded.
    """
    found = list[tuple[Scored, str]]()
    for scored in alike:
        if found and search.spent():
            break
        found.append((scored, _elsewhere(*run, scored.change)))
        if not found[-1][1]:
            return found[-1]
    return found[0]


def _elsewhere(claim: Claim, record: Record, change: Change) -> str:
    return "" if record.faults else contradiction(examined(claim, record, change))


def _loose(control: Control | None, change: Change) -> bool:
    return control is not None and control.may_fit(change)


def _doubt(control: Control | None, change: Change) -> str:
    return vague(change.recovered) or ("" if control is None else control.doubt(change))


def _whole(claim: Claim, record: Record, tally: Tally, changes: Iterable[Change]) -> list[Scored]:
    counts = ((change, judged(claim, record, change)) for change in changes)
    return [Scored(change, each, tally.counts) for change, each in counts if each]


def _usual(claim: Claim, record: Record) -> list[Change]:
    """Changes so common that one which explains the run ends the search before it begins.

    On a narrow grid mutants hide among the roundings of what most implementations do there. Of a rule that says how it is
    stored, another way of that says more than wider bounds, which take in all of them.
    """
    primary = record.cases.arrays[0][claim.rule.primary]
    narrow = dtypes.working(primary.dtype) != primary.dtype
    usual = [c for c in policies(claim.request.policy) if narrow and c.policy == {"precision": "storage"}]
    stores = isinstance(claim.rule, Optimizer) and "round" in claim.rule.plan(primary.shape, 1).graph.counts()
    return [*named(claim.rule), *usual] if stores else usual


def _told(claim: Claim, record: Record, tally: Tally, ranked: list[Scored]) -> list[Scored]:
    """The best of a search on the whole run: the first that explains it, with others as simple that do; else the nearest."""
    found: list[Scored] = []
    for scored in ranked:
        explained = [s for s in found if not s.outside]
        if len(found) >= (ALIKE if explained else MOST):
            break
        if explained and not (scored.fits and _simplicity(scored) == _simplicity(explained[0])):
            break
        found += _whole(claim, record, tally, [scored.change])
    return sorted(found, key=lambda s: s.outside)


def _simplicity(scored: Scored) -> tuple[object, ...]:
    change = scored.change
    return change.parts, change.precision, change.model, change.kind


def _meaning(claim: Claim, scored: Scored, doubt: str = "") -> Meaning:
    change, another = scored.change, scored.change.of is not None
    departure = Departure(change.name, change.sentence, scored.outside, _total(scored), doubt, another=another)
    return Meaning(departure, change, claim)


def _total(scored: Scored) -> int:
    return sum(count.total for count in scored.counts.values())
