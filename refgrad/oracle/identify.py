"""`identify`: what is this implementation?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from refgrad.candidates.protocol import Observation
from refgrad.errors import ArgumentError, CandidateError, NotThereError, bad_argument, nearest
from refgrad.float_environment import candidate_notes, guarded
from refgrad.isolation import hosting
from refgrad.kinds.kind import Kind
from refgrad.kinds.table import MODULES, kind_of, rule_of
from refgrad.oracle.acceptance.findings import Fault
from refgrad.oracle.acceptance.kept import keeping
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.confirming import ANSWERED, Confirmed, confirmed
from refgrad.oracle.engine.environment import environment
from refgrad.oracle.engine.request import Request
from refgrad.oracle.engine.time_limit import TIME_LIMIT, check_time_limit
from refgrad.oracle.explanation import SITUATION, outcome_of
from refgrad.oracle.fitting import Fitting, explanation, fitting, near_misses
from refgrad.oracle.hypotheses.changes import NONE
from refgrad.oracle.hypotheses.examined import told_otherwise
from refgrad.oracle.identification import Identification
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.trials import SECONDS, Trial, of_its_shapes, related, searched, trials
from refgrad.rule import Rule, rules, short_name

#: the kind that is meant where nothing says which
DEFAULT = "optimizer"
#: the dtype of the arrays where no rule is named and nothing is said
USUAL = "float32"
#: the faults that are faults whatever a candidate is; one that raises may be no rule of those that it was asked as
WHATEVER = frozenset({"mutated", "hung", "crashed", "aliased"})
LEGAL = f"a rule such as refgrad.optimizers.AdamW(lr=1e-3), or one of {', '.join(map(repr, MODULES))}; or None"


@guarded
def identify(
    candidate: Any,
    rule: Any = None,
    *,
    steps: int = 10,
    dtype: Any = None,
    seed: int = 0,
    policy: Policy | Mapping[str, Any] | None = None,
    inputs: Cases | None = None,
    options: Mapping[str, Any] | None = None,
    time_limit: float = TIME_LIMIT,
    isolate: bool | str = False,
) -> Identification:
    """Name what a candidate computes: a rule, a named variant, a rule with other hyperparameters, or with a fault.

    >>> import refgrad
    >>> from refgrad.estimators import ArcTan
    >>> refgrad.identify(ArcTan(alpha=4.0), ArcTan()).best.title
    'ArcTan(alpha=4.0)'

    Args:
        candidate: as for `refgrad.verify`.
        rule: the rule that it claims to be, an instance or a class; or a kind of rules by its name, such as "optimizer",
            "quantizer" or "mask", for every rule of that kind that takes and gives what the candidate does. By default the
            kind of the candidate, if it is a rule itself, else "optimizer".
        steps: how many steps are taken, or cases made.
        dtype: the dtype of the arrays; by default the one that the rule keeps them in, float32 for most and for a kind.
        seed: of the generated inputs.
        policy: what counts as correct.
        inputs: your own `Cases` in place of generated ones; `Inputs` writes those of an optimizer shortly.
        options: extra keyword arguments for the candidate's constructor.
        time_limit: seconds that building the candidate, or one step of it, may take.
        isolate: make and run the candidate in a process of its own, as for `refgrad.verify`.

    Returns:
        What explains all that was seen, or the nearest that is known. A search is ended after thirty seconds of processor
        time, which a note says then.

    Raises:
        ArgumentError: an argument is not legal.
        CandidateError: the candidate cannot be found, or cannot be run as any rule that was asked for.
    """
    kind, claim = _claim(candidate, rule)
    guessed = rule is None and not isinstance(candidate, Rule)
    if not isinstance(inputs, Cases | None):
        raise bad_argument("inputs", inputs, f"{kind.legal_inputs}, or None")
    own = [cls() for cls in rules().values() if cls.kind == kind.name]
    every = [claim] if claim is not None else [*own, *(form for each in own for form in kind.shown_otherwise(each))]

    def judged(thing: Any, resolve: Any) -> Identification:
        request = Request.of(
            thing,
            every[0],
            steps=steps,
            dtype=USUAL if dtype is None and claim is None else dtype,
            seed=seed,
            policy=policy,
            inputs=inputs,
            options=options,
            time_limit=time_limit,
            resolve=resolve,
        )
        try:
            with keeping():
                tried = trials(request, every, claim is not None)
                found = _identification(tried if claim is None else of_its_shapes(tried, request), claim)
        except CandidateError as error:
            if guessed and _was_found(error):
                raise CandidateError(f"{error}; {_other_kinds(kind)}") from None
            raise
        if guessed and found.exit_code:
            found = dataclasses.replace(found, notes=(*found.notes, _other_kinds(kind)))
        return found

    found, place = hosting.judged(candidate, isolate, check_time_limit(time_limit), judged)
    lost = (place.isolation,) if place.isolation.startswith(hosting.NOT) else ()
    environment = {**found.environment, **place.environment}
    return dataclasses.replace(found, environment=environment, notes=(*lost, *found.notes, *place.notes))


def _was_found(error: CandidateError) -> bool:
    """True if there is a candidate, which is none of the kind that was tried; another process tells an error by its name."""
    return not isinstance(error, NotThereError) and getattr(error, "raised", "") != NotThereError.__name__


def _other_kinds(kind: Kind) -> str:
    """What to do about a candidate of another kind than was tried."""
    others = ", ".join(name for name in MODULES if name != kind.name)
    said = f"it was tried as an {kind.name}, because nothing says of what kind it is; --kind says so: {others}"
    return f"{said}; of a kernel of your own formula --as names that"


def _claim(candidate: Any, rule: Any) -> tuple[Kind, Rule | None]:
    """The kind that is asked for, and the rule, if it is one."""
    if rule is None:
        return kind_of(candidate.kind if isinstance(candidate, Rule) else DEFAULT), None
    if isinstance(rule, str):
        try:
            return kind_of(rule), None
        except ArgumentError:
            raise ArgumentError(f"rule is {rule!r}{nearest(rule, MODULES)}; legal: {LEGAL}") from None
    claim = rule_of(rule, LEGAL)
    return kind_of(claim), claim


def _identification(found: list[Trial], claim: Rule | None) -> Identification:
    near = searched([*found, *related(found)] if claim is not None else found, SECONDS)
    fits = fitting(near)
    if not fits.explanations:
        for trial in near:
            trial.look_closer()
        fits = fitting(near)
    if fits.change.parts and any(t.search.stopped for t in near):  # what is simpler and was not tried may fit as well
        fits = fits.doubted(_ended(SECONDS))
    shown = fits.trial or near[0]
    enough = shown.share >= ANSWERED
    if not enough:
        fits = Fitting()
    tally, more = shown.claim.judge(shown.record, measured=True), list[str]()
    faults, misdeeds = _faults(shown, fits, tally.faults, claim is not None)
    if fits.found and not misdeeds:
        told = confirmed(fits, near)
        fits, shown = told.fits, told.fits.trial or shown
        misdeeds = tuple(_wrong_elsewhere(told))
        faults, more = (*faults, *misdeeds), list(_told_by(told))
    counts = fits.explanations[0].counts if fits.explanations else tally.counts
    judged = (enough or bool(misdeeds)) and any(t.search.tried for t in found)
    kind, record = shown.claim.kind, shown.record
    more += [_ended(SECONDS)] if any(t.search.stopped for t in near) else []
    more += [] if enough else [f"it answered {_answered(shown)}, which is too little to say what it is"]
    notes = [
        *record.notes,
        *tally.notes,
        *kind.notes(shown.claim.subject, record, counts),
        *_hidden(shown, fits),
        *more,
    ]
    return Identification(
        outcome=outcome_of(fits.explanations, judged, misdeeds),
        candidate=shown.claim.subject.name,
        claim=None if claim is None else str(claim),
        explanations=fits.explanations,
        nearest=() if fits.explanations or not enough else tuple(near_misses(near)),
        itself=explanation(shown, NONE, tally.counts) if judged else None,
        rules=tuple(short_name(type(t.rule)) for t in found),
        hypotheses=sum(len(t.search.tried) for t in found),
        mode=kind.mode(counts, record),
        steps=record.steps if kind.stepped else record.answered,
        dtype=str(record.cases.arrays[0][shown.rule.primary].dtype),
        seed=record.cases.seed,
        faults=faults,
        environment=environment(),
        notes=tuple(dict.fromkeys([*notes, *candidate_notes()])),
    )


def _faults(
    shown: Trial, fits: Fitting, judging: list[Fault], claimed: bool
) -> tuple[tuple[Fault, ...], tuple[Fault, ...]]:
    """What is wrong besides values: all that is told, and what a candidate must not do, whatever it is.

    What shows only when a run is judged as the claim is told if the claim explains it, or nothing does; it counts against
    the candidate in the first case alone. An answer that is none of a rule which the candidate never claimed to be, and
    which does not explain it, is no fault.
    """
    driving = tuple(shown.record.faults)
    if fits.explanations and fits.change is not NONE:
        return driving, driving
    whole = shown.claim.kind.faults(shown.record, shown.claim.wanted) if fits.explanations else ()
    faults = (*driving, *judging, *whole)
    if fits.explanations:
        return faults, faults
    return faults, driving if claimed else tuple(f for f in driving if f.kind in WHATEVER)


def _answered(shown: Trial) -> str:
    record, kind = shown.record, shown.claim.kind
    asked = len(record.cases.steps) or len(record.cases.arrays)
    return f"{record.steps if kind.stepped else record.answered} of {asked} {'steps' if kind.stepped else 'cases'}"


def _wrong_elsewhere(told: Confirmed) -> Iterator[Fault]:
    """What is wrong of a candidate that was found out on ordinary cases: `verify` would not call it that rule."""
    if told.elsewhere and not told.simpler:
        best = told.fits.explanations[0]
        text = f"it is {best.title} on ordinary cases, and not where it is driven through {told.elsewhere}"
        yield Fault(SITUATION, 0, text)


def _told_by(told: Confirmed) -> Iterator[str]:
    """What tells an explanation from a simpler one that fits ordinary cases too."""
    if told.simpler:
        yield f"{told.simpler} fits ordinary cases too, and is wrong where it is driven through {told.elsewhere}"
    for found in told.fits.found[:1]:
        claim, rule = found.trial.claim, found.trial.told
        if told_otherwise(claim, rule, found.change.changed(rule)):
            yield f"it was told to be {rule}: what it is holds of it as it was told, and may be another where it is told that"


def _ended(seconds: float) -> str:
    return f"the search for what it is was ended after {seconds:g} seconds of processor time; not everything was tried"


def _hidden(shown: Trial, fits: Fitting) -> Iterator[str]:
    """Why nothing may be known of a candidate whose state is hidden, and what to do about it."""
    last = next((each for each in reversed(shown.record.seen) if each is not None), None)
    if not isinstance(last, Observation) or fits.explanations or not shown.record.steps:
        return
    names = [n for n, slot in shown.rule.slots().items() if not slot.scalar and n not in last.state[0]]
    if names:
        yield (
            f"{' and '.join(names)} could not be read, so that the run was followed from its start and a fault shows in the "
            "parameter alone; a candidate that takes and returns them, or keeps them under a name that says so, is judged "
            "tensor by tensor, which finds more (docs/candidates.md)"
        )
