"""Kinds whose candidates take steps: how they are driven, what is smaller, and what their cases must hold."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Container, Iterator, Sequence
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.axes import ELEMENT
from refgrad.candidates.one_step import GRADIENT, Order, StepRequest, Taken, kept, take
from refgrad.candidates.protocol import STRIDED, Candidate, CandidateFault, Observation, Run
from refgrad.errors import ArgumentError, bad_argument, with_article
from refgrad.kinds.kind import Kind
from refgrad.kinds.record import Call, Question, Record
from refgrad.oracle.acceptance.findings import Fault, Output
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.simpler import parts, simpler
from refgrad.rule import Rule, Slot

#: steps after which the gradient's memory is overwritten, to see whether the candidate still uses it
PROBED_STEPS = 2


class Stepped(Kind):
    """A kind whose candidates are given parameters and then take steps; a case is a leaf, and all go together."""

    stepped = True
    legal_inputs = "refgrad.Inputs"

    def filled(self, rule: Any, cases: Cases) -> Cases:
        """Cases of a few elements, as laws are tried on, in shapes that a candidate takes."""
        return cases

    def record(self, rule: Any, cases: Cases) -> Record:
        """A record of nothing yet, with the rule once a leaf."""
        own = cases.settings or [{}] * len(cases.arrays)
        return Record(cases, [self.retold(rule, self.told(rule).replace(**each)) if each else rule for each in own])

    def checked(self, rule: Any, cases: Cases) -> Cases:
        """Cases with a parameter each, and a gradient like it at each step."""
        if not cases.steps or any("p" not in arrays for arrays in cases.arrays):
            raise bad_argument("inputs", cases, f"{self.legal_inputs}: p before the first step, and g at each step")
        for t, step in enumerate(cases.steps, 1):
            for arrays, leaf in zip(cases.arrays, step, strict=True):
                if "g" not in leaf or leaf["g"].shape != arrays["p"].shape:
                    raise bad_argument(f"inputs at step {t}", sorted(leaf), f"g of shape {arrays['p'].shape}")
        return cases

    def questions(self, subject: Candidate, record: Record, call: Call) -> Iterator[Question]:
        """Building it and looking, then each step."""
        run: list[Run] = []
        steps: Iterator[Taken] = iter(())
        order, count = _order(subject), len(record.cases.steps)
        self._begin(subject, record)

        def start() -> Observation:
            name, given = self._start(subject, record)
            run.append(call(lambda: getattr(subject, name)(*given), f"building {subject.name}"))
            self._begun(run[0], subject, record)
            seen = kept(call(run[0].observe, subject.name))
            _check_start(seen, record, [self.told(rule) for rule in record.rules])
            return seen

        def go_on(step: int) -> Observation:
            nonlocal steps
            if step - 1 in record.cases.saved:
                _saved(run[0], step, record, lambda action: call(action, subject.name))
            if step - 1 in record.cases.rates:
                call(lambda: run[0].scale_rates(record.cases.rates[step - 1]), subject.name)  # type: ignore[attr-defined]
            if step - 1 in record.cases.counts:
                call(lambda: run[0].set_count(record.cases.counts[step - 1]), subject.name)  # type: ignore[attr-defined]
            if step == 1 or step - 1 in {*record.cases.saved, *record.cases.rates, *record.cases.counts}:
                asked = [self._asked(record, t, order) for t in range(step, _until(record.cases, step))]
                steps = _taken(run[0], asked, lambda action: call(action, subject.name))
            return self._step(step, record, lambda: next(steps))

        try:
            yield start
            for step in range(1, count + 1):
                yield functools.partial(go_on, step)
        finally:  # it may be asked no further
            record.notes.extend(getattr(run[0], "notes", ()) if run else ())

    def _start(self, subject: Candidate, record: Record) -> tuple[str, tuple[Any, list[np.ndarray]]]:
        """How a run is started: the method, the rule or the rule of each leaf, and the parameters."""
        params = [np.array(a, copy=True) for a in record.cases.p]
        rules = [self.told(rule) for rule in record.rules]
        grouped = record.cases.settings and getattr(subject, "start_groups", None)
        return ("start_groups", (rules, params)) if grouped else ("start", (rules[0], params))

    def begun(self, subject: Candidate, rule: Any, cases: Cases) -> None:
        """A run, and its steps up to where its state is saved."""
        if hasattr(subject, "begin_run"):
            self._begin(subject, self.record(rule, cases))

    def _begin(self, subject: Candidate, record: Record) -> None:
        begin, cases, order = getattr(subject, "begin_run", None), record.cases, _order(subject)
        if begin is not None and cases.steps and 0 not in (*cases.saved, *cases.counts):
            with contextlib.suppress(ArgumentError):  # which is raised where it is driven
                asked = [self._asked(record, t, order) for t in range(1, _until(cases, 1))]
                begin(*self._start(subject, record), asked)

    def _asked(self, record: Record, step: int, order: Order) -> StepRequest:
        """What the candidate is asked for at a step."""
        extras = _asked_for(record, [self.told(rule) for rule in record.rules], step)
        return StepRequest({GRADIENT: _gradients(record.cases, step), **extras}, order, step <= PROBED_STEPS)

    def _begun(self, run: Run, subject: Candidate, record: Record) -> None:
        """What a run says of itself: the rule of each leaf, and random bits that it draws by itself."""
        record.settings.extend(getattr(run, "settings", ()))
        record.read = frozenset(getattr(run, "read", ()))
        if getattr(run, "rule_for", None) is not None:
            rules = enumerate(record.rules)
            record.rules = [self.retold(rule, _own_rule(run, leaf, self.told(rule), record)) for leaf, rule in rules]
        record.unknown = _unknown(run, [self.told(rule) for rule in record.rules])
        for name in sorted(record.unknown):
            record.notes.append(
                f"{subject.name} is not handed {name}, and draws its own: of the numbers that some {name} lead to, each "
                "is acceptable, and only all of them together tell a bias"
            )

    def _step(self, step: int, record: Record, take_it: Callable[[], Taken]) -> Observation:
        """One step, and what was seen after it; faults besides are added to the record."""
        taken, known = take_it(), len(record.faults)
        _check_outputs(record.seen[-1], taken.seen, step, record, [self.told(rule) for rule in record.rules])
        if taken.changed and all(f.kind != "mutated" for f in record.faults):
            what, leaf = taken.changed[0]
            name = record.cases.name(leaf) or "p"
            record.faults.append(Fault("mutated", step, f"the {what} of {name} was changed by the step"))
        if not taken.kept and len(record.faults) == known:
            message = "the state or the parameter changed when the caller overwrote the gradient after the step"
            record.faults.append(Fault("aliased", step, message))
        return taken.seen

    def shrunk_from(self, cases: Cases, first: Output) -> list[Cases]:
        """The leaf that failed alone, up to the step that failed; else all leaves up to there."""
        some = cases.at_steps(slice(0, max(first.step, 1)))
        return [some.only(first.leaf), some]

    def smaller(self, rule: Any, cases: Cases, index: tuple[int, ...]) -> Iterator[Cases]:
        """The element that failed, halves along each axis; of one element fewer steps and simpler numbers."""
        p = cases.p[0]
        if p.size > 1:
            for at in parts(p.shape, index):
                yield cases.mapped(lambda a, at=at: a[at].copy())  # type: ignore[misc]
            return
        steps = range(len(cases.steps))
        if len(steps) > 1:
            yield from (cases.at_steps([t for t in steps if t != drop]) for drop in steps)
        yield from (cases.with_array(0, "p", simple) for simple in simpler(p))
        for t in steps:
            for name, array in cases.steps[t][0].items():
                yield from (cases.with_array(0, name, simple, t) for simple in simpler(array))
            for name, value in (cases.numbers[t] if cases.numbers else {}).items():
                yield from (cases.with_number(t, name, float(simple)) for simple in simpler(np.asarray(value)))


def _order(subject: Candidate) -> Order:
    return "K" if STRIDED in getattr(subject, "abilities", ()) else "C"


def _until(cases: Cases, step: int) -> int:
    """The step before which the state is saved, or the rate changed, next; one after the last if neither is."""
    return min((t + 1 for t in (*cases.saved, *cases.rates, *cases.counts) if t >= step), default=len(cases.steps) + 1)


def _gradients(cases: Cases, step: int) -> list[Any]:
    """The gradients of a step, None of a leaf that has none."""
    return [leaf["g"] if cases.given(step, i) else None for i, leaf in enumerate(cases.steps[step - 1])]


def _taken(run: Run, asked: Sequence[StepRequest], call: Callable[[Callable[[], Any]], Any]) -> Iterator[Taken]:
    """The steps one by one; a run in another process is told all of them at once, and goes on by itself."""
    ahead = getattr(run, "take_all", None)
    if ahead is not None:
        return iter(ahead(asked))
    return (call(functools.partial(take, run, each)) for each in asked)


def _saved(run: Any, step: int, record: Record, call: Callable[[Callable[[], Any]], Any]) -> None:
    """Save the candidate's state, load it into another one, and see that it is the same."""
    lost = call(run.save_and_load)
    before, after = record.seen[-1], kept(call(run.observe))
    for leaf, (old, new) in enumerate(zip(before.state, after.state, strict=True)):
        for name, value in old.items():
            if name not in new or np.asarray(value).tobytes() != np.asarray(new[name]).tobytes():
                where = f"{name} of {record.cases.name(leaf) or 'p'}"
                message = f"{where} is not the same once the state was saved after {step - 1} steps and loaded again"
                record.faults.append(Fault("resumed", step - 1, message))
                return
    if lost:
        record.notes.append(
            f"{', '.join(lost)} is kept beside the state, and would be lost where that is saved and loaded"
        )


def _unknown(run: Run, rules: Sequence[Any]) -> frozenset[str]:
    """The random bits that a run does not take."""
    taken = getattr(run, "extras_taken", None)
    bits = {n for rule in rules for n, extra in rule.inputs().items() if extra.bits}
    return frozenset() if taken is None else frozenset(bits - set(taken))


def _asked_for(record: Record, rules: Sequence[Any], step: int) -> dict[str, Any]:
    """The extra inputs of a step that the rules take, numbers as floats."""
    wanted = {n: extra for rule in rules for n, extra in rule.inputs().items()}
    given = record.cases.extras(step) if wanted else {}
    missing = [n for n in wanted if n not in given]
    if missing:
        raise ArgumentError(f"inputs have no {missing[0]!r} at step {step}, which {rules[0]} takes")
    return {n: float(given[n]) if extra.scalar else given[n] for n, extra in wanted.items()}


def _own_rule(run: Any, leaf: int, rule: Any, record: Record) -> Any:
    """The rule with what a run says of itself; what is claimed stays a claim, and what it says otherwise is told first.

    Only settings of groups that are stated (`refgrad.candidates.optax_transform.in_groups`) stand above a claim.

    Raises:
        CandidateFault: it says what is no such rule.
    """
    legal = f"{type(rule).__name__} with legal hyperparameters"
    try:
        told = run.rule_for(leaf, rule)
        if type(told) is not type(rule):
            raise CandidateFault("structure", f"rule_for gave {with_article(type(told).__name__)}; legal: {legal}")
        rule.replace(**told.hyperparameters())  # illegal ones too may have been put there
        return _settled(rule, told, "", (getattr(run, "of_groups", ()), record))
    except ArgumentError as error:
        raise CandidateFault("structure", f"rule_for gave a rule of which {error}; the rule is {legal}") from None


def _settled(rule: Any, told: Any, within: str, by: tuple[Container[str], Record]) -> Any:
    """A rule with those of another's hyperparameters that it does not claim; those of a rule within likewise."""
    changes, (stated, record) = {}, by
    for name, value in told.hyperparameters().items():
        ours, word = getattr(rule, name), f"{within}{name}"
        if isinstance(ours, Rule) and type(value) is type(ours):
            value = _settled(ours, value, f"{word}_", by)
        elif value != ours:
            claimed, known = name in rule.claimed, word in record.read
            record.read |= {word}
            is_so = f"{word}={ours!r} is {'claimed' if claimed else 'the default'}"
            judged = "" if claimed and word not in stated else ", and is judged at that"
            record.settings += [] if known and not claimed else [f"{is_so}; the candidate says {value!r:.60}{judged}"]
            value = value if judged else ours
        if value != ours:
            changes[name] = value
    return rule.replace(**changes) if changes else rule


def _check_count(seen: Observation, leaves: int) -> None:
    """`CandidateFault` if what was seen is not as many parameters, and as many states, as were handed over."""
    for what, found in (("parameters", seen.params), ("states", seen.state)):
        if len(found) != leaves:
            raise CandidateFault(
                "structure", f"the candidate shows {len(found)} {what}; legal: {leaves}, one a parameter"
            )


def _check_start(seen: Observation, record: Record, rules: Sequence[Any]) -> None:
    """`CandidateFault` if what is seen before the first step are not the parameters that were handed over."""
    _check_count(seen, len(record.cases.p))
    for leaf, (given, p) in enumerate(zip(record.cases.p, seen.params, strict=True)):
        name = record.cases.name(leaf) or "p"
        if (p.shape or (1,)) != (given.shape or (1,)):
            raise CandidateFault("shape", f"before the first step {name} has shape {p.shape}; legal: {given.shape}")
        if not dtypes.is_float(p.dtype):
            raise CandidateFault("dtype", f"before the first step {name} has dtype {p.dtype}; legal: {given.dtype}")
        wrong = ~_handed_over(given.reshape(p.shape), p)
        if wrong.any():
            index = tuple(int(i) for i in np.argwhere(wrong)[0])
            where = f"{name}{list(index) if index else ''}"
            numbers = f"{float(p[index])!r}; legal: {float(given.reshape(p.shape)[index])!r}"
            message = f"before the first step parameter {where} is not what was handed over: {numbers}"
            raise CandidateFault("structure", message)
        _check_state(seen, leaf, name, rules)


def _handed_over(given: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Where a parameter is the number that was handed over, rounded to the dtype that it is kept in; any NaN is NaN."""
    with np.errstate(all="ignore"):
        rounded, kept_wide = given.astype(p.dtype).astype(np.float64), p.astype(np.float64)
    alike = (rounded == kept_wide) & (np.signbit(rounded) == np.signbit(kept_wide))
    return alike | (np.isnan(rounded) & np.isnan(kept_wide))


def _check_state(seen: Observation, leaf: int, name: str, rules: Sequence[Any]) -> None:
    """`CandidateFault` for a slot of numbers of a parameter that is kept in no float dtype."""
    slots = rules[leaf].slots() if seen.params[leaf].size else {}
    for slot, value in seen.state[leaf].items():
        if slot in slots and not slots[slot].scalar and not dtypes.is_float(np.asarray(value).dtype):
            found = np.asarray(value).dtype
            raise CandidateFault("dtype", f"{slot} of {name} has dtype {found}; legal: a float dtype")


def _check_outputs(before: Observation, after: Observation, step: int, record: Record, rules: Sequence[Any]) -> None:
    _check_count(after, len(before.params))
    for leaf, (old, new) in enumerate(zip(before.params, after.params, strict=True)):
        name = record.cases.name(leaf)
        if new.shape != old.shape:
            record.faults.append(Fault("shape", step, f"p {name} has shape {new.shape}; legal: {old.shape}"))
        elif new.dtype != old.dtype:
            record.faults.append(Fault("dtype", step, f"p {name} has dtype {new.dtype}; legal: {old.dtype}"))
        _check_state(after, leaf, name, rules)
        slots = rules[leaf].slots() if old.size else {}  # what is kept of no number may have any shape
        for slot, value in after.state[leaf].items():
            if slot in slots and not slots[slot].scalar and not fits(np.shape(value), slots[slot], old.shape):
                legal = slots[slot].shape(old.shape)
                message = f"{slot} {name} has shape {np.shape(value)}; legal: {legal}, {slots[slot].described()}"
                record.faults.append(Fault("shape", step, message))


def fits(shape: tuple[int, ...], slot: Slot, p: tuple[int, ...]) -> bool:
    """True if a state has its slot's shape; it may be flat, and axes may be left out where it is not one an element."""
    legal = slot.shape(p)
    free = slot.axes != ELEMENT or len(shape) == 1
    return shape == legal or (free and math.prod(shape) == math.prod(legal))
