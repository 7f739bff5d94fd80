"""A run of several leaves seen as one vector, for rules whose steps couple all parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from refgrad.axes import TENSOR
from refgrad.candidates.protocol import Observation, Value
from refgrad.kinds.record import Record
from refgrad.optimizers.base import Optimizer


def joined(record: Record, rule: Optimizer) -> Record:
    """The record with its leaves joined in their order; a slot that some leaf does not show is hidden."""
    if len(record.cases.p) == 1:
        return record
    given = record.cases
    steps = [[{n: _flat([leaf[n] for leaf in step]) for n in step[0]}] for step in given.steps]
    one = dataclasses.replace(given, arrays=[{"p": _flat(given.p)}], names=["all"], steps=steps)
    cases = dataclasses.replace(one, settings=given.settings[:1])
    seen = [each and Observation([_flat(each.params)], [_state(each.state, rule)]) for each in record.seen]
    return dataclasses.replace(record, cases=cases, rules=record.rules[:1], seen=seen)


def _flat(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.ravel(a) for a in arrays])


def _state(leaves: Sequence[Mapping[str, Value]], rule: Optimizer) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, slot in rule.slots().items():
        values = [leaf[name] for leaf in leaves if name in leaf]
        if len(values) != len(leaves):
            continue
        single = slot.scalar or slot.axes == TENSOR
        found[name] = values[0] if single else _flat([np.asarray(v) for v in values])
    return found
