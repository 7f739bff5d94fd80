"""`check_laws`: does an implementation obey the laws of the rule that it says it is?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from refgrad.arithmetic.dtypes import as_dtype
from refgrad.candidates.protocol import Candidate, Observation
from refgrad.candidates.resolve import resolve
from refgrad.errors import ArgumentError, bad_argument, nearest
from refgrad.kinds.laws.optimizer import BY_NAME, Law
from refgrad.kinds.laws.single_run import single_laws
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.drive import Record, drive
from refgrad.oracle.engine.steps import judge_record
from refgrad.oracle.inputs.cases import Inputs
from refgrad.oracle.shrink import shrink
from refgrad.rule import Rule
from refgrad.testing import check_cases
from refgrad.testing.hypothesis_runner import smallest
from refgrad.testing.kinds import KINDS
from refgrad.testing.reports import BROKEN, EXEMPT, HOLDS, ROUNDING, SHRINKING, LawReport


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
        ArgumentError: an unknown law, or no rule.
        ImportError: Hypothesis is not installed.
    """
    rule = rule() if isinstance(rule, type) and issubclass(rule, Rule) else rule
    if not isinstance(rule, Rule) or (rule.kind not in KINDS and not isinstance(rule, Optimizer)):
        raise bad_argument("rule", rule, "a rule such as refgrad.optimizers.AdamW(lr=1e-3)")
    every = known_laws(rule)
    for name in laws or ():
        if name not in every:
            raise ArgumentError(f"laws has {name!r}{nearest(name, every)}; legal: {', '.join(every)}")
    dtype = as_dtype(dtype)
    how = (rule, candidate, dict(options or {}), Policy.of(policy), examples, dtype, seed)
    if not isinstance(rule, Optimizer):
        tried = check_cases.Trial(*how)
        return tuple(check_cases.report(tried, law) for n, law in every.items() if laws is None or n in laws)
    told = isinstance(candidate, (type, Optimizer))  # only these can be given the hyperparameters that a law is about
    chosen = [law for law in every.values() if laws is None or law.name in laws]
    trial = _Trial(*how)
    return tuple(_report(trial, law, rule, told) for law in chosen)


def known_laws(rule: Rule) -> Mapping[str, Any]:
    """The laws of a rule's kind, by name."""
    if isinstance(rule, Optimizer):
        return {**BY_NAME, **{law.name: law for law in single_laws(rule)}}
    return {law.name: law for law in KINDS[rule.kind].laws}


class _Trial(check_cases.Trial):
    """A trial of an optimizer, which may be told the hyperparameters that a law is about."""

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
    from refgrad.testing import strategies

    subject = trial.subject(law)
    drawn = strategies.problems(trial.dtype, strategies.moderate() if law.moderate else None, rule=rule).map(law.base)
    broken = lambda inputs: _broken(subject, law, rule, inputs, rounded, trial.policy)  # noqa: E731
    found = smallest(drawn, broken, _length, examples=trial.examples, seed=trial.seed)
    if found is None:
        return None
    inputs, message = found

    def fails(smaller: Inputs) -> bool:
        return bool(_broken(subject, law, rule, smaller, [], trial.policy))

    inputs = shrink(inputs, 0, len(inputs.g), (), fails, SHRINKING)
    return inputs, _broken(subject, law, rule, inputs, [], trial.policy) or message


def _length(inputs: Inputs) -> tuple[int, int]:
    """How much there is to read: elements, and digits."""
    arrays = [inputs.p[0], *(g[0] for g in inputs.g)]
    return inputs.p[0].size, sum(len(float(x).hex()) for a in arrays for x in a.ravel())


def _broken(subject: Candidate, law: Law, rule: Optimizer, inputs: Inputs, rounded: list[bool], policy: Policy) -> str:
    """What differs between the two runs by more than rounding; empty if nothing does."""
    if law.holds is not None:
        return _broken_alone(subject, law, rule, inputs, rounded, policy)
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


def _broken_alone(
    subject: Candidate, law: Law, rule: Optimizer, inputs: Inputs, rounded: list[bool], policy: Policy
) -> str:
    """What is wrong with one run by more than rounding; empty if nothing is."""
    assert law.holds is not None
    run = drive(subject, rule, inputs, math.inf)
    if run.faults:
        return f"{run.faults[0].kind} at step {run.faults[0].step}: {run.faults[0].message}"
    message = law.holds(rule, run)
    judged_as = [law.judged_as] if law.judged_as is not None else run.rules
    by_rounding = bool(message) and judge_record(run, judged_as, policy).first is None
    rounded.append(by_rounding)
    return "" if by_rounding else message


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
    state = {n: np.asarray(v) for n, v in seen.state[0].items() if n in slots and not slots[n].scalar}
    return {"p": np.asarray(seen.params[0]), **state}
