"""Where an optimizer keeps how many steps it has taken."""

from __future__ import annotations

from typing import Any

import pytest

from refgrad.candidates.step_counts import places, set_counts
from refgrad.errors import CandidateError


class Optimizer:
    """What torch's optimizers look like from outside."""

    def __init__(self, state: Any, group: Any, **own: Any) -> None:
        self.state, self.param_groups = state, [{"params": ["a", "b"], **group}]
        vars(self).update(own)


def test_all_places_are_set_and_others_left() -> None:
    optimizer = Optimizer(
        {"a": {"step": 2.0, "k": 2}, "b": {"step": 2}},
        {"num_steps": 2, "period": 2, "step": 1},
        _step_count=2,
        flag=True,
    )
    set_counts(places(optimizer, 2, "it"), 1000)
    assert optimizer.state == {"a": {"step": 1000.0, "k": 2}, "b": {"step": 1000}}
    assert optimizer.param_groups[0] == {"params": ["a", "b"], "num_steps": 1000, "period": 2, "step": 1}
    assert vars(optimizer)["_step_count"] == 1000


def test_a_parameter_without_a_count_is_refused() -> None:
    with pytest.raises(CandidateError, match="it has no count"):
        places(Optimizer({"a": {"step": 2}, "b": {"step": 1}}, {}), 2, "it")


def test_a_count_with_the_group_is_enough() -> None:
    assert len(places(Optimizer({}, {"step": 2}), 2, "it")) == 1


def test_a_number_of_a_group_that_rose_from_zero_counts_whatever_its_name() -> None:
    optimizer = Optimizer(
        {"a": {"step": 2}, "b": {"step": 2}}, {"k": 2, "every": 2, "d": 0.5}, defaults={"k": 0, "every": 2, "d": 0}
    )
    set_counts(places(optimizer, 2, "it"), 1000)
    assert optimizer.param_groups[0] == {"params": ["a", "b"], "k": 1000, "every": 2, "d": 0.5}
