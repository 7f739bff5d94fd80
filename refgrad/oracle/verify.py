"""`verify`: is this implementation the rule that it says it is?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.candidates.protocol import Candidate
from refgrad.candidates.resolve import resolve
from refgrad.errors import ArgumentError, bad_argument
from refgrad.optimizers.base import Optimizer
from refgrad.oracle import departures as known
from refgrad.oracle import verdict as v
from refgrad.oracle.drive import Record, drive
from refgrad.oracle.environment import environment
from refgrad.oracle.inputs import Inputs, generate
from refgrad.oracle.policy import Policy
from refgrad.oracle.shrink import shrink as smallest
from refgrad.oracle.trajectory import Outcome, judge_record
from refgrad.oracle.verdict import Counterexample, Verdict


def verify(
    candidate: Any,
    rule: Any,
    *,
    steps: int = 10,
    dtype: Any = "float32",
    seed: int = 0,
    policy: Policy | Mapping[str, Any] | None = None,
    inputs: Inputs | None = None,
    options: Mapping[str, Any] | None = None,
    shrink: bool = True,
) -> Verdict:
    """Judge a candidate against a rule, step by step, from the candidate's own previous state.

    Args:
        candidate: a torch.optim.Optimizer class, instance or factory, an optax transform or factory, a function on NumPy
            arrays, a refgrad rule, or a string ``package.module:name`` (see docs/candidates.md).
        rule: the rule that it claims to be, such as ``refgrad.optimizers.AdamW(lr=1e-3)``, or its class.
        steps: how many steps are taken.
        dtype: the dtype of the parameters.
        seed: of the generated inputs.
        policy: what counts as correct; a `Policy`, or a dict of its fields.
        inputs: the user's own inputs in place of generated ones.
        options: extra keyword arguments for the candidate's constructor.
        shrink: look for the smallest failing input.

    Returns:
        The verdict. Whatever the candidate does wrong is in it; only errors in the arguments raise.

    Raises:
        ArgumentError: an argument is not legal.
        CandidateError: the candidate cannot be found, or is nothing that can be checked.
    """
    rule = rule() if isinstance(rule, type) and issubclass(rule, Optimizer) else rule
    if not isinstance(rule, Optimizer):
        raise bad_argument("rule", rule, "a rule such as refgrad.optimizers.AdamW(lr=1e-3)")
    if not dtypes.is_float(np.dtype(_dtype(dtype))):
        raise bad_argument("dtype", dtype, "a float dtype, such as 'float32' or 'bfloat16'")
    policy = Policy.of(policy)
    subject = resolve(candidate, options)
    driven = inputs if inputs is not None else generate(steps, _dtype(dtype), seed)
    record = drive(subject, rule, driven)
    outcome = judge_record(record, record.rules, policy)
    return _verdict(subject, rule, policy, record, outcome, shrink, dict(options or {}))


def _dtype(value: Any) -> np.dtype:
    import ml_dtypes

    try:
        return np.dtype(getattr(ml_dtypes, value)) if hasattr(ml_dtypes, str(value)) else np.dtype(value)
    except TypeError:
        raise bad_argument("dtype", value, "a float dtype, such as 'float32' or 'bfloat16'") from None


def _verdict(
    subject: Candidate,
    rule: Optimizer,
    policy: Policy,
    record: Record,
    outcome: Outcome,
    shrink: bool,
    options: dict[str, Any],
) -> Verdict:
    wrong = outcome.first is not None
    judged = sum(c.inside + c.outside for c in outcome.counts.values())
    result = v.DIFFERS if wrong or record.faults else v.CONFORMS if judged else v.UNJUDGED
    counterexample = None
    if wrong and shrink and outcome.failing is not None:
        counterexample = _counterexample(subject, rule, policy, record.inputs, outcome.failing)
    dtype = str(record.inputs.p[0].dtype)
    return Verdict(
        outcome=result,
        candidate=subject.name,
        rule=str(rule),
        policy=policy.changed(),
        mode="step-locked" if outcome.locked else "free-running",
        steps=record.steps,
        dtype=dtype,
        seed=record.inputs.seed,
        counts=outcome.counts,
        first=outcome.first,
        faults=tuple(record.faults),
        departures=known.departures(record, policy) if wrong else (),
        counterexample=counterexample,
        reproduce=_reproduce(subject, rule, policy, record, counterexample, options),
        tightest=outcome.tightest,
        environment=environment(),
        notes=tuple(dict.fromkeys(record.notes)),
    )


def _counterexample(
    subject: Candidate, rule: Optimizer, policy: Policy, inputs: Inputs, failing: tuple[int, int, tuple[int, ...]]
) -> Counterexample:
    def fails(smaller: Inputs) -> bool:
        record = drive(subject, rule, smaller)
        try:
            return judge_record(record, record.rules, policy).first is not None
        except ArgumentError:
            return False

    least = smallest(inputs, *failing, fails)
    text = lambda a: tuple(float(x).hex() for x in np.asarray(a, dtype=np.float64).ravel()[:64])  # noqa: E731
    p = least.p[0]
    return Counterexample(str(p.dtype), p.shape, text(p), tuple(text(g[0]) for g in least.g))


def _reproduce(
    subject: Candidate,
    rule: Optimizer,
    policy: Policy,
    record: Record,
    least: Counterexample | None,
    options: dict[str, Any],
) -> str:
    """A line of Python that gives this verdict again."""
    target = repr(subject.name.partition("(")[0]) if ":" in subject.name else subject.name
    extra = (f", options={options!r}" if options else "") + (
        f", policy={policy.changed()!r}" if policy.changed() else ""
    )
    head = f"refgrad.verify({target}, refgrad.optimizers.{rule}"
    if least is not None and np.prod(least.shape) == 1:
        grads = [list(g) for g in least.g]
        return f"{head}, inputs=refgrad.Inputs.of({list(least.p)!r}, {grads!r}, {least.dtype!r}){extra})"
    return f"{head}, steps={len(record.inputs.g)}, dtype={str(record.inputs.p[0].dtype)!r}, seed={record.inputs.seed}{extra})"
