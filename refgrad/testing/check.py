"""`check_laws`: does an implementation obey the laws of the rule that it says it is?"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from refgrad.candidates.protocol import Candidate, Observation
from refgrad.candidates.resolve import resolve
from refgrad.errors import ArgumentError, VerdictError, bad_argument, nearest
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.drive import Record, drive
from refgrad.oracle.inputs import Inputs
from refgrad.oracle.policy import Policy
from refgrad.oracle.shrink import shrink
from refgrad.oracle.trajectory import judge_record
from refgrad.testing.laws import BY_NAME, LAWS, Law

#: seconds that smaller inputs are looked for, by Hypothesis and then by leaving out elements and steps
SHRINKING = 1.5

HOLDS, ROUNDING, BROKEN, EXEMPT = "holds", "holds within rounding", "broken", "does not apply"


@dataclass(frozen=True)
class LawReport:
    """What came of one law.

    Attributes:
        law: its name.
        sentence: what it says.
        outcome: "holds" (to the bit), "holds within rounding" (what the law expects is in the acceptance set),
            "broken", or "does not apply".
        message: for a broken law, what differed; for one that does not apply, why.
        counterexample: for a broken law, the smallest inputs found, as hex floats: ``p``, each step's ``g`` and extra inputs.
    """

    law: str
    sentence: str
    outcome: str
    message: str = ""
    counterexample: Mapping[str, Sequence[str]] | None = None

    @property
    def broken(self) -> bool:
        """Whether the law was found broken."""
        return self.outcome == BROKEN

    def __str__(self) -> str:
        lines = [f"{self.outcome:>21}  {self.law}: {self.sentence}"]
        if self.message:
            lines.append(f"{'':>21}  {self.message}")
        for name, values in (self.counterexample or {}).items():
            lines.append(f"{'':>21}  {name} = [{', '.join(values)}]")
        return "\n".join(lines)


class BrokenLawError(VerdictError):
    """A law does not hold; the text says what differed."""


def raise_if_broken(reports: Sequence[LawReport]) -> None:
    """`BrokenLawError` with the reports of the laws that are broken, if any is."""
    __tracebackhide__ = True
    broken = [str(report) for report in reports if report.broken]
    if broken:
        raise BrokenLawError("\n".join(broken))


def check_laws(
    candidate: Any,
    rule: Any,
    *,
    laws: Sequence[str] | None = None,
    examples: int = 50,
    dtype: Any = "float32",
    seed: int = 0,
    policy: Policy | Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> tuple[LawReport, ...]:
    """Run a candidate on inputs and on inputs derived from them, law by law; a broken law's inputs are shrunk.

    Args:
        candidate: whatever `refgrad.verify` takes.
        rule: the rule that it claims to be; it tells which laws apply.
        laws: names of laws; all that apply by default.
        examples: inputs tried for each law.
        dtype: of the parameters.
        seed: of the inputs.
        policy: what counts as rounding where two runs differ in bits.
        options: extra keyword arguments for the candidate's constructor.

    Returns:
        A report a law.

    Raises:
        ArgumentError: an unknown law, or a rule that is no optimizer.
        ImportError: Hypothesis is not installed.
    """
    rule = rule() if isinstance(rule, type) and issubclass(rule, Optimizer) else rule
    if not isinstance(rule, Optimizer):
        raise bad_argument("rule", rule, "an update rule such as refgrad.optimizers.AdamW(lr=1e-3)")
    for name in laws or ():
        if name not in BY_NAME:
            raise ArgumentError(f"laws has {name!r}{nearest(name, BY_NAME)}; legal: {', '.join(BY_NAME)}")
    dtype = np.dtype(getattr(ml_dtypes, str(dtype), dtype))
    told = isinstance(candidate, (type, Optimizer))  # only these can be given the hyperparameters that a law is about
    chosen = [law for law in LAWS if laws is None or law.name in laws]
    trial = _Trial(candidate, dict(options or {}), Policy.of(policy), examples, dtype, seed)
    return tuple(_report(trial, law, rule, told) for law in chosen)


@dataclass(frozen=True)
class _Trial:
    """Who is tried, and how hard."""

    candidate: Any
    options: Mapping[str, Any]
    policy: Policy
    examples: int
    dtype: np.dtype
    seed: int

    def subject(self, law: Law) -> Candidate:
        """The candidate; one of refgrad's own rules with the hyperparameters that the law is about."""
        own = isinstance(self.candidate, Optimizer)
        return resolve(law.subject(self.candidate) if own else self.candidate, self.options)


def _report(trial: _Trial, law: Law, rule: Optimizer, told: bool) -> LawReport:
    reason = _silent(law, rule, told)
    if reason:
        return LawReport(law.name, law.sentence, EXEMPT, reason)
    rounded: list[bool] = []
    broken = _smallest(trial, law, law.subject(rule), rounded)
    if broken is None:
        return LawReport(law.name, law.sentence, ROUNDING if any(rounded) else HOLDS)
    inputs, message = broken
    text = lambda a: tuple(float(x).hex() for x in np.asarray(a, np.float64).ravel())  # noqa: E731
    found = {"p": text(inputs.p[0])} | {f"g{t}": text(g[0]) for t, g in enumerate(inputs.g, 1)}
    given = [(n, t, v) for t, step in enumerate(inputs.extras, 1) for n, v in step.items()]
    found |= {f"{n}{t}": text(v if isinstance(v, float) else v[0]) for n, t, v in given}
    return LawReport(law.name, law.sentence, BROKEN, message, found)


def _silent(law: Law, rule: Optimizer, told: bool) -> str:
    """Why a law says nothing of a rule, or cannot be tried; empty if it can."""
    if not law.applies(rule):
        return "the rule is not of that kind"
    changed = {n: v for n, v in law.hyperparameters.items() if n in rule.legal() and getattr(rule, n) != v}
    if changed and not told:
        return f"the candidate cannot be told {', '.join(f'{n}={v:g}' for n, v in changed.items())}"
    return rule.exempt().get(law.name) or law.subject(rule).exempt().get(law.name, "")


def _smallest(trial: _Trial, law: Law, rule: Optimizer, rounded: list[bool]) -> tuple[Inputs, str] | None:
    """The smallest inputs found on which a law is broken, with what differed; None if there are none."""
    import hypothesis

    from refgrad.testing import strategies

    subject = trial.subject(law)
    known: list[tuple[Inputs, str]] = []
    deadlines: list[float] = []

    @hypothesis.seed(trial.seed)
    @hypothesis.settings(
        max_examples=trial.examples,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
    )
    @hypothesis.given(strategies.problems(trial.dtype, strategies.moderate() if law.moderate else None, rule=rule))
    def attempt(drawn: Inputs) -> None:
        if deadlines and time.monotonic() > deadlines[0]:
            raise _Enough
        inputs = law.base(drawn)
        message = _broken(subject, law, rule, inputs, rounded, trial.policy)
        if message:
            known.append((inputs, message))
            deadlines.append(time.monotonic() + SHRINKING)
            raise BrokenLawError(message)

    with contextlib.suppress(BrokenLawError, _Enough):
        attempt()
    if not known:
        return None
    inputs, message = min(known, key=lambda found: _length(found[0]))

    def fails(smaller: Inputs) -> bool:
        return bool(_broken(subject, law, rule, smaller, [], trial.policy))

    inputs = shrink(inputs, 0, len(inputs.g), (), fails, SHRINKING)
    return inputs, _broken(subject, law, rule, inputs, [], trial.policy) or message


class _Enough(KeyboardInterrupt):
    """Ends Hypothesis' search: of all exceptions, those that interrupt are not taken for a failure."""


def _length(inputs: Inputs) -> tuple[int, int]:
    """How much there is to read: elements, and digits."""
    arrays = [inputs.p[0], *(g[0] for g in inputs.g)]
    return inputs.p[0].size, sum(len(float(x).hex()) for a in arrays for x in a.ravel())


def _broken(subject: Candidate, law: Law, rule: Optimizer, inputs: Inputs, rounded: list[bool], policy: Policy) -> str:
    """What differs between the two runs by more than rounding; empty if nothing does."""
    first, second = (drive(subject, rule, each, math.inf) for each in (inputs, law.change(inputs, rule)))
    for run in (first, second):
        if run.faults:
            return f"{run.faults[0].kind} at step {run.faults[0].step}: {run.faults[0].message}"
    for step in range(1, first.steps + 1):
        want = law.expected(_tensors(first, step), first.inputs.p[0], second.inputs.p[0])
        message = _difference(want, _tensors(second, step), step)
        if message:
            both = (_as_expected(second, step, want), _as_expected(second, step, {}))
            by_rounding = all(judge_record(each, each.rules, policy).first is None for each in both)
            rounded.append(by_rounding)
            return "" if by_rounding else message  # up to here the runs agreed to the bit
    return ""


def _difference(want: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray], step: int) -> str:
    for name, expected in want.items():
        actual = got[name] if name in got else abs(got[name.strip("|")])
        same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
        if not same.all():
            at = tuple(int(i) for i in np.argwhere(~same)[0])
            pair = f"{float(actual[at])!r}, expected {float(expected[at])!r}"
            return f"step {step}, {name}[{', '.join(map(str, at))}] is {pair}"
    return ""


def _as_expected(run: Record, step: int, want: Mapping[str, np.ndarray]) -> Record:
    """The run up to a step, with what was expected in place of what was seen."""
    seen = run.seen[step]
    state = {**seen.state[0], **{n: v for n, v in want.items() if n in seen.state[0]}}
    last = Observation([want.get("p", seen.params[0])], [state])
    return Record(run.inputs, run.rules, [*run.seen[:step], last])


def _tensors(record: Record, step: int) -> dict[str, np.ndarray]:
    """What was seen after a step: the parameter, and the slots that are arrays."""
    seen, slots = record.seen[step], record.rules[0].slots()
    state = {n: np.asarray(v) for n, v in seen.state[0].items() if n in slots and not slots[n].host}
    return {"p": np.asarray(seen.params[0]), **state}
