"""Laws of update rules that speak of one run: how far a step goes, where to, and which other rule the run is as well."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.kinds.laws.optimizer import LAWS, Law
from refgrad.kinds.record import Record
from refgrad.optimizers.base import Optimizer
from refgrad.rule import find, short_name

#: a step is looked up to this one to see whether a rule has a bound
STEPS = (1, 2, 3)


def _moves(record: Record) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Each step with the parameter before it and its move, in float64."""
    for t in range(1, record.steps + 1):
        before, after = (np.asarray(record.seen[i].params[0], np.float64) for i in (t - 1, t))
        yield t, before, after - before


def _slack(rule: Optimizer, record: Record, t: int) -> float:
    """The relative error of a step: three roundings an operation, of this step and of those before."""
    p = record.cases.p[0]
    unit = dtypes.format_of(p.dtype).unit_roundoff
    return 3.0 * t * len(rule.plan(p.shape, t).graph.nodes) * unit


def _rounded(record: Record, t: int) -> np.ndarray:
    """What rounding the new parameter may move it by."""
    p = record.seen[t].params[0]
    return dtypes.ulp(np.asarray(p, np.float64), p.dtype)


def _short(rule: Optimizer, record: Record) -> str:
    for t, _, move in _moves(record):
        most = rule.largest_step(t)
        wrong = np.abs(move) > most * (1 + _slack(rule, record, t)) + _rounded(record, t)
        if wrong.any():
            at = tuple(int(i) for i in np.argwhere(wrong)[0])
            return f"step {t} moves p[{', '.join(map(str, at))}] by {float(move[at])!r}; at most {most!r}"
    return ""


def _short_in_norm(rule: Optimizer, record: Record) -> str:
    for t, before, move in _moves(record):
        most = rule.largest_norm(t, float(np.linalg.norm(before)))
        length = float(np.linalg.norm(move))
        if length > most * (1 + _slack(rule, record, t)) + float(np.linalg.norm(_rounded(record, t))):
            return f"step {t} has the norm {length!r}; at most {most!r}"
    return ""


def _orthogonal(rule: Optimizer, record: Record) -> str:
    assert rule.orthogonal is not None
    free = rule.replace(**rule.orthogonal[1])
    for t, before, move in _moves(record):
        seen, grads = record.seen[t - 1], record.cases.g[t - 1]
        whole, _ = free.step(seen.params[0], grads[0], {"t": t - 1, **seen.state[0]}, backend="numpy")
        size = np.linalg.norm(np.asarray(whole, np.float64) - before) * np.linalg.norm(before)
        room = _slack(rule, record, t) * size + float(np.sum(_rounded(record, t) * np.abs(before)))
        along = float(np.sum(move * before))
        if abs(along) > room:
            return f"step {t} has the product {along!r} with the parameter; at most {room!r}"
    return ""


def _as(other: Optimizer) -> Any:
    def holds(rule: Optimizer, record: Record) -> str:
        p, state = record.cases.p[0], other.init(record.cases.p[0])
        for t, (g,) in enumerate(record.cases.g[: record.steps], 1):
            p, state = other.step(p, g, state, backend="numpy")
            seen = record.seen[t].params[0]
            wrong = ~((seen == p) | (np.isnan(seen) & np.isnan(p)))
            if wrong.any():
                at = tuple(int(i) for i in np.argwhere(wrong)[0])
                return f"step {t}, p[{', '.join(map(str, at))}] is {float(seen[at])!r}, {float(p[at])!r} by {other}"
        return ""

    return holds


def limit_of(rule: Optimizer, number: int) -> Optimizer:
    """The other rule that a rule is by its limit of a number, sharing its hyperparameters."""
    limit = rule.limits[number]
    at = rule.replace(**limit.at)
    if limit.rule in rule.inner_rules():
        inner = at.inner_rules()[limit.rule]
        assert isinstance(inner, Optimizer)
        return inner
    cls = find(limit.rule)
    legal = cls.legal()
    shared = {n: v for n, v in at.hyperparameters().items() if n in legal and str(legal[n]) == str(at.legal()[n])}
    found = cls(**{**shared, **limit.of})
    assert isinstance(found, Optimizer)
    return found


def _limits(rule: Optimizer) -> Iterator[Law]:
    for number, limit in enumerate(rule.limits):
        other = limit_of(rule, number)
        where = ", ".join(f"{n}={v}" for n, v in limit.at.items())
        yield Law.single(
            f"limit: {short_name(type(other))}",
            f"{f'at {where} ' if where else ''}p goes the way of {short_name(type(other))}",
            dict(limit.at),
            _as(other),
            judged_as=other,
        )


def single_laws(rule: Optimizer) -> list[Law]:
    """The laws of one run that apply to a rule."""
    found = list(_limits(rule))
    still = rule.replace(weight_decay=0.0) if "weight_decay" in rule.legal() else rule
    if all(math.isfinite(still.largest_step(t)) for t in STEPS):
        text = "no step moves an element farther than the rule can, if decay is zero"
        found.append(Law.single("bounded step", text, {"weight_decay": 0.0}, _short))
    if any(math.isfinite(still.largest_norm(t, 1.0)) for t in STEPS):
        text = "no step is longer than the parameter's norm allows, if decay is zero"
        found.append(Law.single("bounded norm", text, {"weight_decay": 0.0}, _short_in_norm))
    if rule.orthogonal is not None:
        at = {**rule.orthogonal[0], "weight_decay": 0.0}
        text = "where it is projected, the step of a row is orthogonal to it"
        found.append(Law.single("orthogonal", text, at, _orthogonal, as_row=True))
    return found


def laws_of(rule: Optimizer) -> tuple[Law, ...]:
    """The laws of every optimizer, and those of one run that apply to a rule."""
    return (*LAWS, *single_laws(rule))
