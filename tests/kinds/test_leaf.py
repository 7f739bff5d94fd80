"""A parameter's way through a run: what a step is judged from does not depend on which steps were looked at before."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest

from refgrad import optimizers
from refgrad.kinds.leaf import Leaf
from refgrad.optimizers import Optimizer
from refgrad.oracle.acceptance.policy import Policy
from refgrad.strength.exercised import exercised
from refgrad.strength.programs.optimizer import OptimizerPrograms
from refgrad.strength.rounding_styles import STYLES
from refgrad.tracing import plan_for
from tests.oracle.cases import shipped

WITH_SCALARS = {
    type(rule).__name__: rule for rule in map(exercised, shipped()) if any(s.scalar for s in rule.slots().values())
}


def unread(rule: Optimizer) -> Leaf:
    """The first parameter of a run of whose scalar slots none can be read."""
    case = next(iter(next(iter(OptimizerPrograms(rule).batches(1)))))
    record = OptimizerPrograms(rule).legal(case, np.random.default_rng(5), STYLES["rewritten"])

    def arrays(state: Mapping[str, object]) -> dict[str, object]:
        return {name: value for name, value in state.items() if not rule.slots()[name].scalar}

    record.seen[:] = [
        dataclasses.replace(seen, state=tuple(arrays(state) for state in seen.state)) for seen in record.seen
    ]
    return Leaf(record, 0, record.rules[0], Policy(), plan_for)


@pytest.mark.parametrize("name", sorted(WITH_SCALARS))
def test_scalar_slots_that_cannot_be_read_follow_from_all_steps_before(name: str) -> None:
    there, back = unread(WITH_SCALARS[name]), unread(WITH_SCALARS[name])
    steps = range(1, len(there.record.seen))
    forwards = {t: there.step(t).free for t in steps}
    assert forwards == {t: back.step(t).free for t in reversed(steps)}
    scalars = [slot for slot, kept in there.slots.items() if kept.scalar]
    assert [forwards[1][slot] for slot in scalars] == [float(there.initial[slot]) for slot in scalars]


def test_there_are_such_rules() -> None:
    assert {"ASGD", "NAdam"} <= set(WITH_SCALARS) <= set(optimizers.__all__)
