"""A run of several leaves seen as one vector, for rules whose steps couple all parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from refgrad.candidates.protocol import Observation, Value
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.engine.drive import Record
from refgrad.oracle.inputs.steps import Inputs


def joined(record: Record, rule: Optimizer) -> Record:
    """The record with its leaves joined in their order; a slot that some leaf does not show is hidden."""
    if len(record.inputs.p) == 1:
        return record
    given = record.inputs
    extras = [{n: v if isinstance(v, float | int) else [_flat(v)] for n, v in step.items()} for step in given.extras]
    inputs = Inputs([_flat(given.p)], [[_flat(g)] for g in given.g], ["all"], given.seed, extras)
    seen = [Observation([_flat(o.params)], [_state(o.state, rule)]) for o in record.seen]
    return dataclasses.replace(record, inputs=inputs, rules=record.rules[:1], seen=seen)


def _flat(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.ravel(a) for a in arrays])


def _state(leaves: Sequence[Mapping[str, Value]], rule: Optimizer) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, slot in rule.slots().items():
        values = [leaf[name] for leaf in leaves if name in leaf]
        if len(values) != len(leaves):
            continue
        single = slot.scalar or slot.level == "tensor"
        found[name] = values[0] if single else _flat([np.asarray(v) for v in values])
    return found
