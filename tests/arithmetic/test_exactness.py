"""Results that no program rounds, and no policy on subnormals touches."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.arithmetic import running_error as bounds
from refgrad.arithmetic.bounded import Bounded, Model
from refgrad.arithmetic.dtypes import format_of
from refgrad.arithmetic.exactness import exact_product, exact_sum

F32 = format_of(np.dtype(np.float32))
TINY = F32.smallest_normal
MODELS = [Model.of(F32, 3, 2, subnormals, "any") for subnormals in ("keep", "flush", "either")]


@pytest.mark.parametrize("model", MODELS)
def test_sums_and_products_of_normal_numbers_are_known_under_every_policy(model: Model) -> None:
    a, b = Bounded(np.asarray([1.5, 1.0, 1.0, TINY, 0.0])), Bounded(np.asarray([0.5, -1.0, 2.0**-30, TINY * 1.5, 0.0]))
    known = exact_sum([(1, a), (-1, b)], a.value - b.value, model)
    assert known is not None
    # the third needs more bits than there are; the difference of the fourth is subnormal
    assert known.tolist() == [True, True, False, False, True]
    half = Bounded(np.asarray(0.5))
    known = exact_product([a, half], [], a.value * 0.5, model)
    assert known is not None
    assert known.tolist() == [True, True, True, False, False]


@pytest.mark.parametrize("model", MODELS)
def test_zeros_decide(model: Model) -> None:
    """A sum of zeros is zero, in either form of an average: its sign is known."""
    zero = Bounded(np.zeros(2))
    found = bounds.total([(1, zero), (1, zero)], np.zeros(2), model)
    assert found.reach_of_decision().tolist() == [0.0, 0.0]
    many = bounds.add_up(Bounded(np.zeros((1, 8))), (0, 1), 8, model)
    assert many.bound().tolist() == [[0.0]]


def test_a_subnormal_number_is_itself_or_zero() -> None:
    found = bounds.exact(np.asarray([TINY / 2, -TINY / 2, 1.0]), MODELS[2])
    assert found.lowest().tolist() == [0.0, -TINY / 2, 1.0]
    assert found.highest().tolist() == [TINY / 2, 0.0, 1.0]


def test_what_was_observed_is_held_against_what_it_is_computed_of() -> None:
    seen = Bounded(np.asarray([0.0, 0.0, 1.0]), np.asarray([0.5, 0.5, 0.5]))
    computed = Bounded(np.asarray([0.0, 0.2, 9.0]), np.asarray([0.0, 0.1, 0.1]))
    found = bounds.given(seen, computed, MODELS[0])
    assert found.lowest().tolist() == [0.0, 0.0, 0.5]  # what is stored is never left out
    assert found.highest().tolist() == pytest.approx([0.0, 0.3, 1.5])
    some = bounds.given(seen, computed, MODELS[0], np.asarray([False, True, True]))
    assert some.highest().tolist() == pytest.approx([0.5, 0.3, 1.5])
