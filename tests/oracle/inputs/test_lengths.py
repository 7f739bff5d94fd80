"""Lengths of axes of transforms: which are driven, together, alone and long."""

from __future__ import annotations

import numpy as np

import refgrad
from refgrad.oracle.inputs.lengths import LENGTHS, LONGER, moderate, sizes, takes_one_of


@refgrad.formula(x="row column")
def rows(x):
    """Rows without their mean."""
    return x - np.mean(x, axis=-1, keepdims=True)


@refgrad.formula(x="token width")
def meets(x):
    """Every token beside every other one."""
    return np.exp(x @ x.T)


@refgrad.formula(x="depth", turned="pair", lengths={"depth": 10, "pair": 3})
def partly(x, turned):
    """Twice as many numbers as there are pairs are turned, the others are left."""
    n = turned.shape[0]
    return np.concatenate([x[:n] * turned, x[n : 2 * n] * turned, x[2 * n :]], axis=0)


def lengths_of(formula, name, axis):
    made = sizes(formula(), np.dtype(np.float32), 0)
    return [arrays[name].shape[axis] for arrays in made.arrays]


def test_every_axis_is_long_by_itself_and_short_together_with_the_others():
    for axis in (0, 1):
        assert {*LENGTHS, *LONGER} <= set(lengths_of(rows, "x", axis))


def test_an_axis_that_meets_itself_is_long_once():
    assert max(lengths_of(meets, "x", 0)) == LONGER[0]


def test_lengths_that_depend_on_each_other_are_long_where_the_rule_has_a_result():
    assert max(lengths_of(partly, "x", 0)) >= LONGER[0]


def test_what_takes_an_exponential_is_known():
    assert takes_one_of(meets(), {"exp"})
    assert not takes_one_of(rows(), {"exp"})


def test_arrays_of_few_elements_alone_are_moderate():
    small, large = np.zeros((2, 2)), np.zeros((512, 512))
    assert moderate(rows(), {}, {"x": small})
    assert not moderate(rows(), {}, {"x": large})
