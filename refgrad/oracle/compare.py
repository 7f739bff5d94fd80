"""`compare`: what changed between two versions of an implementation?"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from refgrad.candidates.targets import target_parts
from refgrad.float_environment import guarded
from refgrad.isolation import hosting
from refgrad.kinds.record import Wanted
from refgrad.kinds.table import rule_of
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.comparison import Comparison, outcome_of
from refgrad.oracle.comparison_text import named
from refgrad.oracle.difference import Answers, Changed, Differences, combined, rounded_share
from refgrad.oracle.engine import reproduce
from refgrad.oracle.engine.request import Request
from refgrad.oracle.engine.run import Claim, drawn, judge_claim
from refgrad.oracle.engine.time_limit import TIME_LIMIT, check_time_limit
from refgrad.oracle.engine.verdict import Verdict
from refgrad.oracle.verify import at_place, explained

#: policies that are narrower than the usual one, and what a program does that is outside them and inside that
NARROWER = (
    ("sums", "blocked", "adds up in longer runs than 32 terms in turn and a tree"),
    ("roundings", 1, "takes more than one rounding for an operation"),
)
#: the share of elements that are the truth rounded once, from which on a program is said to compute in a wider format
WIDE = 0.999


@guarded
def compare(
    old: Any,
    new: Any,
    rule: Any,
    *,
    steps: int = 10,
    dtype: Any = None,
    seed: int | None = 0,
    policy: Policy | Mapping[str, Any] | None = None,
    inputs: Any = None,
    options: Mapping[str, Any] | None = None,
    state_names: Mapping[str, str] | None = None,
    shrink: bool = True,
    explain: bool | float = True,
    time_limit: float = TIME_LIMIT,
    isolate: bool | str = False,
) -> Comparison:
    """Compare two versions of an implementation on the cases of `refgrad.verify`, by what its rule allows.

    Both are judged, and then held against each other element by element: where they differ, how far apart they are and how
    far each is from the truth in units of what is allowed, and for each output whether the new one is better or worse. Of a
    rule with state each goes on from its own state, so that after the first difference inputs differ too; errors are from
    what a candidate itself had before a step.

    Args:
        old: the version that was there before; whatever `refgrad.verify` takes.
        new: the one that is to take its place.
        rule: what both claim to be.
        steps: how many steps are taken.
        dtype: the dtype of the parameters; by default the one that the rule keeps them in.
        seed: of the generated inputs. None draws one when both have been loaded.
        policy: what counts as correct; a `Policy`, or a dict of its fields.
        inputs: your own `Cases` or `Inputs` in place of generated ones, or a function that makes them of the seed.
        options: extra keyword arguments for the constructors of both.
        state_names: slot of the rule -> what the states of both call it.
        shrink: look for the smallest input on which the new one fails.
        explain: look for what the new one is instead if it fails, or the old one if it alone does; true or seconds.
        time_limit: seconds that building a candidate, or one step of it, may take.
        isolate: make and run each in a process of its own, as `refgrad.verify` does.

    Returns:
        The comparison, with both verdicts. Its exit code is that of the new one's verdict.

    Raises:
        ArgumentError: an argument is not legal.
        CandidateError: a candidate cannot be found, or is nothing that can be checked.

    >>> import refgrad
    >>> from refgrad.examples.numpy_adamw import adamw
    >>> refgrad.compare(adamw, adamw, refgrad.optimizers.AdamW(lr=0.1), steps=3).outcome
    'same bits'
    """
    rule, limit = rule_of(rule), check_time_limit(time_limit)
    for name, version in (("old", old), ("new", new)):
        if isinstance(version, str):
            target_parts(version, name)  # else an error would call either a candidate
    words = {
        **{"steps": steps, "dtype": dtype, "policy": policy, "inputs": inputs, "options": options, "explain": explain},
        **{"state_names": state_names, "time_limit": time_limit, "seed": 0 if seed is None else seed},
    }

    def claim_of(candidate: Any, resolve: Any, shrinking: bool) -> Claim:
        return Claim.of(Request.of(candidate, rule, resolve=resolve, shrink=shrinking, **words))

    def beside(candidate: Any, resolve: Any) -> tuple[Comparison, hosting.Place]:
        before = claim_of(candidate, resolve, False)
        return hosting.judged(new, isolate, limit, lambda thing, where: both(before, thing, where))

    def both(before: Claim, candidate: Any, resolve: Any) -> Comparison:
        after = claim_of(candidate, resolve, shrink)
        number = secrets.randbits(31) if seed is None else seed
        return _compared(*_same_inputs(before, after, number))

    (found, place), place_of_old = hosting.judged(old, isolate, limit, beside)
    found = dataclasses.replace(found, old=at_place(found.old, place_of_old), new=at_place(found.new, place))
    return dataclasses.replace(found, reproduce=_isolated(found)) if isolate else found


def _isolated(found: Comparison) -> str:
    """The line that gives a comparison again; what ended or held up its process must not do so to the reader's."""
    ends = any(fault.kind in ("crashed", "hung") for fault in (*found.old.faults, *found.new.faults))
    return f"{found.reproduce[:-1]}, isolate=True)" if ends else found.reproduce


def _same_inputs(before: Claim, after: Claim, seed: int) -> tuple[Claim, Claim]:
    """Both claims with one seed, and with the same inputs where the caller makes them."""
    request = dataclasses.replace(after.request, seed=seed)
    after = drawn(dataclasses.replace(after, request=request))
    asked = dataclasses.replace(before.request, seed=seed, inputs=after.request.inputs)
    return dataclasses.replace(before, request=asked), after


def _compared(before: Claim, after: Claim) -> Comparison:
    """Both claims judged, the new one first: what the old one was instead is looked for if that was mended."""
    answers = Answers(), Answers()
    after = dataclasses.replace(after, watch=answers[1])
    new = judge_claim(after, explained)
    if not new.conforms:
        before = dataclasses.replace(before, request=dataclasses.replace(before.request, explain=0.0))
    before = dataclasses.replace(before, watch=answers[0])
    old = judge_claim(before, explained)
    found = Differences(*answers)
    outcome = outcome_of(old, new, found.outputs, combined([each.outcome for each in found.outputs.values()]))
    return Comparison(
        outcome=outcome,
        rule=new.rule,
        old=old,
        new=new,
        outputs=found.outputs,
        first=found.first,
        largest=found.largest,
        change=tuple(_named(old, new, answers, found.outputs)) if after.request.explain else (),
        uncompared=tuple(_uncompared(found)),
        reproduce=_line(before, after),
        notes=tuple(_notes(after, found)),
    )


def _named(
    old: Verdict, new: Verdict, answers: tuple[Answers, Answers], outputs: Mapping[str, Changed]
) -> Iterator[str]:
    """What the change is, where it has a name."""
    if not any(each.changed for each in outputs.values()):
        return
    for word, verdict in (("the new one", new), ("the old one", old)):
        if named(verdict):
            yield f"{word}: {named(verdict)}"
    if not (old.conforms and new.conforms):
        return
    for field, value, told in NARROWER:
        outside = [_outside(each, field, value) for each in answers]
        if (outside[0] > 0) != (outside[1] > 0):
            which, other, count = ("old", "new", outside[0]) if outside[0] else ("new", "old", outside[1])
            yield f"the {which} one {told} ({field}={value!r}: {count} elements outside), and the {other} one does not"
    shares = rounded_share(outputs)
    if (shares[0] > WIDE) != (shares[1] > WIDE):
        word, (share, others) = ("old", shares) if shares[0] > WIDE else ("new", shares[::-1])
        yield (
            f"the {word} one may compute in a wider format: {share:.2%} of its elements are the truth rounded once, "
            f"of the other's {others:.2%}"
        )


def _outside(answers: Answers, field: str, value: Any) -> int:
    """How many elements are outside under a narrower policy; none where it is no narrower than the one that is asked for."""
    count = 0
    for claim, record in answers.runs:
        policy: Policy = claim.request.policy
        if getattr(policy, field) == getattr(Policy(), field):
            narrow = Wanted(dataclasses.replace(policy, **{field: value}))
            count += claim.judge(record, wanted=narrow).outside
    return count


def _uncompared(found: Differences) -> Iterator[str]:
    for word, only in (("old", found.only_old), ("new", found.only_new)):
        if only:
            told = ", ".join(f"{situation or 'ordinary cases'} ({count})" for situation, count in only.items())
            yield f"outputs that the {word} one alone has been judged on: {told}"


def _notes(after: Claim, found: Differences) -> Iterator[str]:
    if after.kind.stepped and found.first is not None:
        yield f"each goes on from its own state, which is another one from step {found.first.step} on"
    if after.request.dtype.itemsize >= 8 and found.first is not None:
        yield "the truth is known in float64, so that in this dtype it does not tell which of two numbers is nearer"


def _line(before: Claim, after: Claim) -> str:
    """The line that gives the comparison again."""
    request = after.request
    given = {"options": dict(request.options), "policy": request.policy.changed(), "state_names": request.state_names}
    made = "inputs=inputs" if request.inputs is not None else ""
    made = made or reproduce.generated(request.dtype, request.seed, request.steps if after.kind.counted else None)
    both = f"{reproduce.target(before.subject.name, 'old')}, {reproduce.target(after.subject.name, 'new')}"
    more = "".join(f", {word}={value!r}" for word, value in given.items() if value)
    return f"refgrad.compare({both}, {reproduce.called(after.rule)}, {made}{more})"
