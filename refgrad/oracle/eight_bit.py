"""Judging an optimizer with 8-bit state: driven step by step, each step judged from the candidate's own codes."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.candidates.eight_bit import EightBitCandidate, quantized, resolve
from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import ArgumentError, CandidateError, bad_argument
from refgrad.optimizers.base import Optimizer
from refgrad.oracle import verdict as v
from refgrad.oracle.changes import Change, factors, named, policies
from refgrad.oracle.drive import Record, drive
from refgrad.oracle.eight_bit_step import judge_step
from refgrad.oracle.environment import environment
from refgrad.oracle.errors import Errors, measure
from refgrad.oracle.inputs import SHAPE, Inputs, generate
from refgrad.oracle.judge import INSIDE, OUTSIDE, Judged
from refgrad.oracle.mutants import mutations
from refgrad.oracle.policy import Policy
from refgrad.oracle.request import Request
from refgrad.oracle.shrink import shrink as smallest
from refgrad.oracle.trajectory import Plans, count, tightness
from refgrad.oracle.verdict import Count, Counterexample, Departure, Fault, Finding, Verdict
from refgrad.quantizers.eight_bit import EightBit
from refgrad.quantizers.rows import RowQuantizer
from refgrad.tracing import free_values, plan_for

MODE = "step-locked, given the candidate's own codes"

#: steps of one leaf on which departures are looked for, before the best are judged on the whole run
SCREENED = 3
#: a smallest failing input of no more elements is written out in the line that reproduces it
SHOWN = 16


def judge(request: Request) -> Verdict:
    """The verdict on a candidate that claims to be an optimizer with 8-bit state."""
    rule = request.rule
    assert isinstance(rule, EightBit)
    if not isinstance(request.inputs, Inputs | None):
        raise bad_argument("inputs", request.inputs, "refgrad.Inputs, or None")
    if request.state_names:
        raise bad_argument("state_names", request.state_names, "None: parts of slots are found by their names alone")
    claim = _Claim(resolve(request.candidate, request.options, rule), rule, request)
    inputs = request.inputs or generated(claim.subject, rule, request)
    return _verdict(claim, claim.drive(inputs))


def generated(subject: EightBitCandidate, rule: EightBit, request: Request) -> Inputs:
    """The inputs of an optimizer, with a parameter that has a short block, and one that is too small to be quantized."""
    made = generate(request.steps, request.dtype, request.seed, rule.rule)
    repeats = max(-(-rule.min_8bit_size // int(np.prod(SHAPE))), 1)
    sizes = {n: max(rule.quantizer(n).layout((1 << 40,)).width, 1) for n in ("m", "v")}
    leaves = [(np.tile(p, (repeats, 1)), [np.tile(g[i], (repeats, 1)) for g in made.g]) for i, p in enumerate(made.p)]
    names, p, grads = list(made.names), leaves[0][0].reshape(-1), [g.reshape(-1) for g in leaves[0][1]]
    tail = max(min(max(sizes.values()) // 3, p.size), 1)
    longer = [np.concatenate([a[::-1], a[:tail]]) for a in (p, *grads)]
    leaves, names = [*leaves, (longer[0], longer[1:])], [*names, "a tail"]
    if subject.takes_small and rule.min_8bit_size > 1:
        size = min(rule.min_8bit_size - 1, p.size)
        leaves, names = [*leaves, (p[:size], [g[:size] for g in grads])], [*names, "small"]
    return Inputs([p for p, _ in leaves], list(zip(*(g for _, g in leaves), strict=True)), names, made.seed)


@dataclass
class _Outcome:
    counts: dict[str, Count] = dataclasses.field(default_factory=dict)
    tightest: dict[str, float] = dataclasses.field(default_factory=dict)
    errors: dict[str, Errors] = dataclasses.field(default_factory=dict)
    first: Finding | None = None
    failing: tuple[int, int, tuple[int, ...]] | None = None

    @property
    def outside(self) -> int:
        """How many elements of all tensors are outside."""
        return sum(c.outside for c in self.counts.values())


@dataclass(frozen=True)
class _Way:
    """How a run is judged: as it claims, or with something changed."""

    change: Callable[[EightBit], EightBit] = lambda rule: rule
    policy: Policy = dataclasses.field(default_factory=Policy)
    plans: Plans = plan_for
    given: str = "old codes"
    parts: bool = True


@dataclass(frozen=True)
class _Claim:
    """Who claims to be which rule, and how that is judged."""

    subject: EightBitCandidate
    rule: EightBit
    request: Request

    @property
    def way(self) -> _Way:
        return _Way(policy=self.request.policy)

    def drive(self, inputs: Inputs) -> Record:
        return drive(self.subject, self.rule.rule, inputs, self.request.time_limit)  # type: ignore[arg-type]

    def judge(
        self,
        record: Record,
        way: _Way,
        leaves: Sequence[int] | None = None,
        steps: int = 10**9,
        *,
        measured: bool = False,
    ) -> _Outcome:
        """Every completed step of every leaf, in order of steps; distances from the truth too if they are measured."""
        outcome = _Outcome()
        numbers = range(len(record.rules)) if leaves is None else leaves
        runs = [_Leaf(record, i, way.change(self.rule.replace(rule=record.rules[i])), way) for i in numbers]
        for t in range(min(len(record.seen), steps + 1)):
            for leaf in runs:
                for name, judged, values in leaf.judge(t):
                    outcome.counts[name] = outcome.counts.get(name, Count()) + count(judged)
                    closest = max(outcome.tightest.get(name, 0.0), tightness(judged, values))
                    outcome.tightest[name] = closest
                    if measured:
                        unit = dtypes.working(leaf.p.dtype) if "." in name else values.dtype
                        outcome.errors[name] = outcome.errors.get(name, Errors()) + measure(judged, values, unit)
                    if outcome.first is None and (judged.status == OUTSIDE).any():
                        outcome.first = _finding(leaf, name, t, judged, values)
                        outcome.failing = (leaf.index, t, outcome.first.index)
        return outcome

    def fails(self, inputs: Inputs) -> bool:
        """Whether some value is outside on these inputs."""
        try:
            return self.judge(self.drive(inputs), self.way).first is not None
        except (ArgumentError, CandidateFault, CandidateError):
            return False


class _Leaf:
    """One parameter's way through the run."""

    def __init__(self, record: Record, index: int, rule: EightBit, way: _Way) -> None:
        self.record, self.index, self.rule, self.way = record, index, rule, way
        self.p = record.inputs.p[index]
        self.initial = rule.init(self.p)

    def state(self, t: int) -> dict[str, Any]:
        """The state after step ``t``; a slot that does not show before the first step is as the rule has it."""
        seen = self.record.seen[t].state[self.index]
        wanted = self.rule.quantized_slots(self.p.shape)
        found: dict[str, Any] = {"t": t}
        for name, slot in self.rule.rule.slots().items():
            shown = name in seen or any(key.startswith(f"{name}.") for key in seen)
            if not shown and t == 0:
                found[name] = self.initial[name]
            elif name in wanted:
                found[name] = quantized(self.rule, self.p.shape, name, seen)
            elif slot.host:
                found[name] = seen.get(name, self._host(name, t))
            elif name not in seen:
                raise CandidateFault(
                    "structure", f"{name} is not shown as it is; legal: an array of shape {self.p.shape}"
                )
            else:
                found[name] = np.asarray(seen[name]).reshape(slot.shape(self.p.shape))
        return found

    def _host(self, name: str, t: int) -> float:
        """A host slot that cannot be read follows from the steps alone."""
        hosts = {n: float(self.initial[n]) for n, slot in self.rule.rule.slots().items() if slot.host}
        for step in range(1, t + 1):
            free = free_values(self.p.shape, {"t": step, **hosts})
            plan = plan_for(self.rule.rule, self.p.ndim, free)
            hosts = dict(zip(hosts, plan.host_outputs(*free), strict=True))
        return hosts[name]

    def judge(self, t: int) -> Iterator[tuple[str, Judged, np.ndarray]]:
        """Each tensor that was observed after step ``t``, with its values; before the first step, the initial state."""
        if t == 0:
            yield from self._judge_initial()
            return
        p, new_p = (np.asarray(self.record.seen[i].params[self.index]) for i in (t - 1, t))
        g, after = self.record.inputs.g[t - 1][self.index], self.state(t)
        judged = judge_step(
            *(self.rule, p, g, self.state(t - 1), new_p, after, self.way.policy),
            plans=self.way.plans,
            given=self.way.given,
            parts=self.way.parts,
        )
        for name in sorted(
            judged, key=lambda n: (n == "p", n.endswith("codes"))
        ):  # what others were computed from first
            yield name, judged[name], self._values(name, new_p, after)

    def _values(self, name: str, p: np.ndarray, after: Mapping[str, Any]) -> np.ndarray:
        slot, _, part = name.partition(".")
        if not part:
            return p if slot == "p" else np.asarray(after[slot])
        quantizer, layout = self.rule.quantizer(slot), self.rule.quantizer(slot).layout(self.p.shape)
        values = quantizer.values(part, after[slot][part], layout)
        return layout.joined(values) if part == "codes" else values.reshape(-1)

    def _judge_initial(self) -> Iterator[tuple[str, Judged, np.ndarray]]:
        """What the candidate starts from, by the numbers that it stands for."""
        ours, theirs = self.rule.opened(self.initial), self.rule.opened(self.state(0))
        for name, slot in self.rule.rule.slots().items():
            if not slot.host:
                want, value = (np.asarray(each[name], np.float64) for each in (ours, theirs))
                status = np.where(value == want, INSIDE, OUTSIDE)
                yield name, Judged(status, want, want, want), value


def _finding(leaf: _Leaf, name: str, t: int, judged: Judged, values: np.ndarray) -> Finding:
    index = tuple(int(i) for i in np.argwhere(judged.status == OUTSIDE)[0])
    value, truth = float(values[index]), float(judged.truth[index])
    inputs: dict[str, float] = {"t": float(t)}
    if t and values.shape == leaf.p.shape:
        before = leaf.rule.opened(leaf.state(t - 1))
        inputs["p"] = float(leaf.record.seen[t - 1].params[leaf.index][index])
        inputs["g"] = float(leaf.record.inputs.g[t - 1][leaf.index][index])
        inputs |= {n: float(a[index]) for n, a in before.items() if np.shape(a) == values.shape}
    with np.errstate(all="ignore"):
        distance = abs(value - truth) / float(dtypes.ulp(np.asarray(truth), dtypes.working(leaf.p.dtype)))
    ulps = float(distance) if np.isfinite(distance) else float("inf")
    low, high = float(judged.low[index]), float(judged.high[index])
    path = leaf.record.inputs.name(leaf.index)
    return Finding(t, name, path, index, str(leaf.p.dtype), value, truth, low, high, ulps, inputs)


def _verdict(claim: _Claim, record: Record) -> Verdict:
    request, outcome = claim.request, _Outcome()
    try:
        outcome = claim.judge(record, claim.way, measured=True)
    except (CandidateFault, ArgumentError) as fault:  # codes that stand for nothing are refused by the quantizer
        record.faults.append(Fault(getattr(fault, "kind", "structure"), record.steps, str(fault)))
    wrong, least = outcome.first is not None, None
    judged = sum(c.inside + c.outside for c in outcome.counts.values())
    if wrong and request.shrink and outcome.failing is not None:
        least = smallest(record.inputs, *outcome.failing, claim.fails)
    return Verdict(
        outcome=v.DIFFERS if wrong or record.faults else v.CONFORMS if judged else v.UNJUDGED,
        candidate=claim.subject.name,
        rule=str(claim.rule),
        policy=request.policy.changed(),
        mode=MODE,
        steps=record.steps,
        dtype=str(record.inputs.p[0].dtype),
        seed=record.inputs.seed,
        counts=outcome.counts,
        first=outcome.first,
        faults=tuple(record.faults),
        departures=_departures(claim, record, outcome) if wrong and request.explain else (),
        counterexample=None if least is None else _counterexample(least),
        reproduce=_reproduce(claim, record, least),
        tightest=outcome.tightest,
        errors=outcome.errors,
        environment=environment(),
        notes=tuple(dict.fromkeys(record.notes)),
    )


def _counterexample(least: Inputs) -> Counterexample:
    text = lambda a: tuple(float(x).hex() for x in np.asarray(a, dtype=np.float64).ravel()[:64])  # noqa: E731
    return Counterexample(str(least.p[0].dtype), least.p[0].shape, text(least.p[0]), tuple(text(g[0]) for g in least.g))


def _reproduce(claim: _Claim, record: Record, least: Inputs | None) -> str:
    """A line of Python that gives this verdict again."""
    name, rule = claim.subject.name, claim.rule
    target = repr(name.partition("(")[0]) if ":" in name else name
    fields = [f"refgrad.optimizers.{rule.rule}"]
    for field, default in rule.defaults().items():
        value = getattr(rule, field)
        if field not in ("rule", "scalars") and value != default:
            fields.append(f"{field}={f'refgrad.quantizers.{value}' if field in rule.inner_rules() else repr(value)}")
    given = {"options": dict(claim.request.options), "policy": claim.request.policy.changed()}
    extra = "".join(f", {word}={value!r}" for word, value in given.items() if value)
    head = f"refgrad.verify({target}, refgrad.quantizers.EightBit({', '.join(fields)})"
    if least is not None and least.p[0].size <= SHOWN:
        shape = least.p[0].shape
        p, *grads = (
            np.asarray([float(x).hex() for x in a.ravel()], object).reshape(shape).tolist()
            for a in (least.p[0].astype(np.float64), *(g[0].astype(np.float64) for g in least.g))
        )
        return f"{head}, inputs=refgrad.Inputs.of({p!r}, {grads!r}, {str(least.p[0].dtype)!r}){extra})"
    p0 = record.inputs.p[0]
    return f"{head}, steps={len(record.inputs.g)}, dtype={str(p0.dtype)!r}, seed={record.inputs.seed}{extra})"


@dataclass(frozen=True)
class _Suspect:
    """Something that the run may be instead."""

    name: str
    sentence: str
    way: _Way


def _departures(claim: _Claim, record: Record, outcome: _Outcome, most: int = 2) -> tuple[Departure, ...]:
    """The suspects under which less is outside: looked for on one leaf, then judged on the whole run.

    Where the parameter is right, so is the update; where codes and scales are, so is what keeps the state.
    """
    wrong = {"." in name for name, c in outcome.counts.items() if c.outside}
    state = _screened(claim, record, _of_the_state(claim), most) if True in wrong else []
    update = _screened(claim, record, _of_the_update(claim), most) if False in wrong else []
    found: list[Departure] = []
    for suspect in (*state, *update, *(_both(s, u) for s in state[:1] for u in update[:1])):
        judged = _judged(claim, record, dataclasses.replace(suspect.way, parts=True))
        if judged is not None and judged.outside < outcome.outside:
            total = sum(c.total for c in judged.counts.values())
            found.append(Departure(suspect.name, suspect.sentence, judged.outside, total))
            if found[-1].explains:
                break
    return tuple(sorted(found, key=lambda d: d.outside))


def _both(state: _Suspect, update: _Suspect) -> _Suspect:
    """The state kept otherwise, and another update."""
    way = dataclasses.replace(
        update.way, change=lambda rule: update.way.change(state.way.change(rule)), given=state.way.given
    )
    return _Suspect(f"{state.name}, {update.name}", f"{state.sentence}, and {update.sentence}", way)


def _screened(claim: _Claim, record: Record, suspects: Iterator[_Suspect], most: int) -> list[_Suspect]:
    """Those under which least is outside in the first steps of the first leaf; alone the first that explains the run."""
    seen: list[tuple[int, int, _Suspect]] = []
    for suspect in suspects:
        outcome = _judged(claim, record, suspect.way, [0], SCREENED)
        if outcome is None:
            continue
        if not outcome.outside:
            whole = _judged(claim, record, dataclasses.replace(suspect.way, parts=True))
            if whole is not None and not whole.outside:
                return [suspect]
        seen.append((outcome.outside, len(seen), suspect))
    return [suspect for _, _, suspect in sorted(seen, key=lambda s: s[:2])[:most]]


def _judged(
    claim: _Claim, record: Record, way: _Way, leaves: list[int] | None = None, steps: int = 10**9
) -> _Outcome | None:
    try:
        return claim.judge(record, way, leaves, steps)
    except (ArgumentError, ArithmeticError, CandidateFault):
        return None  # the departure is not defined for these hyperparameters, or has other parts


def _of_the_state(claim: _Claim) -> Iterator[_Suspect]:
    """How else slots may be kept."""
    policy, rule = claim.request.policy, claim.rule
    fields = [f for f in ("signed", "unsigned") if _uses(rule, f)]
    changes = {field: _maps(rule, field) for field in fields}
    both = [{f: o[name] for f, o in changes.items()} for name in _common(list(changes.values()))]
    single = (
        [{field: other} for field, others in changes.items() for other in others.values()] if len(fields) > 1 else []
    )
    for change in (*both, *single):
        name = ", ".join(f"{field}={other}" for field, other in change.items())
        yield _Suspect(name, f"slots kept otherwise: {name}", _Way(functools.partial(_with, changes=change), policy))


def _of_the_update(claim: _Claim) -> Iterator[_Suspect]:
    """Old state for new, named variants of the update rule, other numbers, mutants of its graph; by the parameter alone."""
    policy, rule = claim.request.policy, claim.rule
    yield _Suspect(
        "state quantized first",
        "the parameter comes of the slots after they are quantized again",
        _Way(policy=policy, given="new codes", parts=False),
    )
    for change in (*named(rule.rule), *factors(rule.rule)):
        way = _Way(functools.partial(_changed, change=change), policy, parts=False)
        yield _Suspect(change.name, change.sentence, way)
    for change in policies(policy):
        yield _Suspect(change.name, change.sentence, _Way(policy=change.policy_of(policy), parts=False))
    for mutation in mutations([rule.rule.plan(SHAPE, t) for t in range(1, SCREENED + 1)]):
        if not mutation.model:
            change = Change(mutation.name, mutation.sentence, "mutant", mutations=(mutation,))
            yield _Suspect(mutation.name, mutation.sentence, _Way(policy=policy, plans=change.plans, parts=False))


def _uses(rule: EightBit, field: str) -> bool:
    """Whether some slot is kept by one of the quantizers."""
    return any(rule.quantizer(n) is getattr(rule, field) for n in rule.quantized_slots((1 << 40,)))


def _common(names: list[dict[str, Any]]) -> list[str]:
    """What all have, in the order of the first."""
    return [n for n in names[0] if all(n in other for other in names)] if names else []


def _maps(rule: EightBit, field: str) -> dict[str, RowQuantizer]:
    """What else the slots may be quantized by, by the name of what differs."""
    own, other = getattr(rule, field), getattr(rule, "unsigned" if field == "signed" else "signed")
    found = {} if own == other else {"the other": other}
    return found | {n: q for n, q in own.variants() if n.startswith(("map=", "ties=", "search="))}


def _with(rule: EightBit, changes: Mapping[str, Any]) -> EightBit:
    return rule.replace(**changes)


def _changed(rule: EightBit, change: Change) -> EightBit:
    inner: Optimizer = rule.rule.replace(**change.rule)
    return rule.replace(rule=inner)
