"""`verify`: is this implementation the rule that it says it is?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
from refgrad.oracle.watch import TIME_LIMIT, check_time_limit


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
    time_limit: float = TIME_LIMIT,
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
        time_limit: seconds that building the candidate, or one step of it, may take before it has the fault "hung".
            Infinity is no limit, and runs the candidate on the thread of the caller.

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
    claim = _Claim(
        resolve(candidate, options), rule, Policy.of(policy), dict(options or {}), check_time_limit(time_limit)
    )
    record = claim.drive(inputs if inputs is not None else generate(steps, _dtype(dtype), seed))
    return _verdict(claim, record, shrink)


def _dtype(value: Any) -> np.dtype:
    import ml_dtypes

    try:
        return np.dtype(getattr(ml_dtypes, value)) if hasattr(ml_dtypes, str(value)) else np.dtype(value)
    except TypeError:
        raise bad_argument("dtype", value, "a float dtype, such as 'float32' or 'bfloat16'") from None


@dataclass(frozen=True)
class _Claim:
    """Who claims to be which rule, and how that is judged."""

    subject: Candidate
    rule: Optimizer
    policy: Policy
    options: Mapping[str, Any]
    time_limit: float

    def drive(self, inputs: Inputs) -> Record:
        return drive(self.subject, self.rule, inputs, self.time_limit)

    def judge(self, record: Record) -> Outcome:
        return judge_record(record, record.rules, self.policy)

    def fails(self, inputs: Inputs) -> bool:
        """Whether some value is outside on these inputs."""
        try:
            return self.judge(self.drive(inputs)).first is not None
        except ArgumentError:
            return False


def _verdict(claim: _Claim, record: Record, shrink: bool) -> Verdict:
    outcome = claim.judge(record)
    wrong = outcome.first is not None
    judged = sum(c.inside + c.outside for c in outcome.counts.values())
    result = v.DIFFERS if wrong or record.faults else v.CONFORMS if judged else v.UNJUDGED
    counterexample = None
    if wrong and shrink and outcome.failing is not None:
        counterexample = _counterexample(smallest(record.inputs, *outcome.failing, claim.fails))
    return Verdict(
        outcome=result,
        candidate=claim.subject.name,
        rule=str(claim.rule),
        policy=claim.policy.changed(),
        mode="step-locked" if outcome.locked else "free-running",
        steps=record.steps,
        dtype=str(record.inputs.p[0].dtype),
        seed=record.inputs.seed,
        counts=outcome.counts,
        first=outcome.first,
        faults=tuple(record.faults),
        departures=known.departures(record, claim.policy) if wrong else (),
        counterexample=counterexample,
        reproduce=_reproduce(claim, record, counterexample),
        tightest=outcome.tightest,
        environment=environment(),
        notes=tuple(dict.fromkeys(record.notes)),
    )


def _counterexample(least: Inputs) -> Counterexample:
    text = lambda a: tuple(float(x).hex() for x in np.asarray(a, dtype=np.float64).ravel()[:64])  # noqa: E731
    p = least.p[0]
    return Counterexample(str(p.dtype), p.shape, text(p), tuple(text(g[0]) for g in least.g))


def _reproduce(claim: _Claim, record: Record, least: Counterexample | None) -> str:
    """A line of Python that gives this verdict again."""
    name = claim.subject.name
    target = repr(name.partition("(")[0]) if ":" in name else name
    given = {"options": claim.options, "policy": claim.policy.changed()}
    extra = "".join(f", {word}={value!r}" for word, value in given.items() if value)
    head = f"refgrad.verify({target}, refgrad.optimizers.{claim.rule}"
    if least is not None and np.prod(least.shape) == 1:
        grads = [list(g) for g in least.g]
        return f"{head}, inputs=refgrad.Inputs.of({list(least.p)!r}, {grads!r}, {least.dtype!r}){extra})"
    return f"{head}, steps={len(record.inputs.g)}, dtype={str(record.inputs.p[0].dtype)!r}, seed={record.inputs.seed}{extra})"
