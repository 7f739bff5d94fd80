"""Axes have names: what meets in one place has one name, folds take axes by name, and products fold the axis that is shared."""

from __future__ import annotations

import math
from itertools import product as pairs

import numpy as np
import pytest

from refgrad.arithmetic.graph import Builder, Tracer
from refgrad.arithmetic.operations import OPERATIONS
from refgrad.arithmetic.primitives import gram, length, matmul, tree_max, tree_sum
from refgrad.arithmetic.scalar_math import Scope
from refgrad.axes import (
    COLUMN,
    EACH_COLUMN,
    EACH_ROW,
    ELEMENT,
    LEFT,
    LOW,
    NUMBER,
    RIGHT,
    ROW,
    TENSOR,
    THIN,
    Axes,
    after,
    axes_shape,
    broadcasts,
    described,
    folded,
    joint,
    places,
    terms,
    within,
)
from refgrad.errors import TraceError

ALONG = (ELEMENT, ROW, COLUMN, TENSOR, NUMBER)
BESIDE = (LEFT, RIGHT, THIN, LOW)


def tracer(axes: Axes, name: str = "x") -> Tracer:
    return Builder(Scope(), 2).input(name, axes)


def two(first: Axes, second: Axes) -> tuple[Tracer, Tracer]:
    builder = Builder(Scope(), 2)
    return builder.input("x", first), builder.input("y", second)


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3), (5,)])
@pytest.mark.parametrize(("a", "b"), list(pairs(ALONG[:4], repeat=2)), ids=str)
def test_axes_meet_as_arrays_broadcast(a: Axes, b: Axes, shape: tuple[int, ...]) -> None:
    both = np.broadcast_shapes(axes_shape(a, shape), axes_shape(b, shape))
    assert axes_shape(joint([a, b]), shape) == both
    x, y = two(a, b)
    assert (x + y).node.axes == joint([a, b])


@pytest.mark.parametrize(("a", "b"), [(a, b) for a in BESIDE for b in (*ALONG[:3], *BESIDE) if a != b], ids=str)
def test_two_names_in_one_place_are_an_error_at_tracing(a: Axes, b: Axes) -> None:
    for x, y in (two(a, b), two(b, a)):
        with pytest.raises(TraceError, match="meet in one place; legal: one name, or a length of one"):
            x * y
    assert not within(a, b)


def test_names_of_ones_own_meet_from_the_last_place() -> None:
    """The names of a formula: a vector of weights meets the features, and not the batch."""
    batch, feature = tracer(("batch", "feature")), ("feature",)
    weight, other = batch.builder.input("w", feature), batch.builder.input("b", ("batch",))
    assert (batch * weight).node.axes == ("batch", "feature")
    with pytest.raises(TraceError, match="axes feature and batch meet in one place"):
        batch * other


def test_a_fold_of_named_axes_leaves_the_others() -> None:
    builder = Builder(Scope(), 2)
    x = builder.input("x", ("batch", "feature"))
    node = builder.node("sum", (x.node,), ("feature",))
    assert node.axes == ("batch", "1")
    assert (x / Tracer(node, builder)).node.axes == ("batch", "feature")


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3), (5,)])
@pytest.mark.parametrize("over", ["tensor", "row", "column"])
@pytest.mark.parametrize("axes", [ELEMENT, ROW, COLUMN, TENSOR], ids=str)
def test_a_traced_fold_has_the_axes_of_the_folded_array(axes: Axes, over: str, shape: tuple[int, ...]) -> None:
    x = np.arange(math.prod(axes_shape(axes, shape)), dtype=np.float32).reshape(axes_shape(axes, shape))
    for fold, meaning in ((tree_sum, np.sum), (tree_max, np.max)):
        found = fold(x, over)
        assert np.array_equal(found, meaning(x, axis=places(folded(over), x.ndim), keepdims=True))
        assert axes_shape(fold(tracer(axes), over).node.axes, shape) == found.shape
    assert length(x, over) == terms(folded(over), x.shape)


def test_what_a_fold_takes_of_a_parameter() -> None:
    assert (folded("row"), folded("column"), folded("tensor")) == (EACH_ROW, EACH_COLUMN, ELEMENT)
    assert places(EACH_ROW, 3) == (1, 2)
    assert places(EACH_COLUMN, 4, batch=1) == (1,)
    assert after(ELEMENT, EACH_ROW) == ROW


@pytest.mark.parametrize(
    ("a", "b", "found"),
    [(LEFT, LEFT, LEFT), (RIGHT, RIGHT, RIGHT), (LEFT, ELEMENT, ELEMENT), (ELEMENT, RIGHT, ELEMENT)],
    ids=str,
)
def test_products_fold_the_axis_that_is_shared(a: Axes, b: Axes, found: Axes) -> None:
    x, y = two(a, b)
    assert matmul(x, y).node.axes == found


@pytest.mark.parametrize(
    ("a", "b"),
    [
        *(
            (ELEMENT, LEFT),
            (RIGHT, ELEMENT),
            (ELEMENT, ELEMENT),
            (LEFT, RIGHT),
            (RIGHT, LEFT),
            (LEFT, ROW),
            (TENSOR, LEFT),
        ),
        *((LOW, RIGHT), (LEFT, THIN), (THIN, LOW)),
    ],
    ids=str,
)
def test_a_product_without_a_shared_axis_is_an_error_at_tracing(a: Axes, b: Axes) -> None:
    x, y = two(a, b)
    with pytest.raises(TraceError, match="legal: matrices, of which the first ends in"):
        matmul(x, y)


def test_square_matrices_alone_are_transposed() -> None:
    x, y = two(ELEMENT, RIGHT)
    assert matmul(x, y, transpose_b=True).node.axes == ELEMENT
    with pytest.raises(TraceError, match="legal: square matrices"):
        matmul(x, y, transpose_a=True)
    assert (gram(x, "left").node.axes, gram(x, "right").node.axes) == (LEFT, RIGHT)


def test_what_stands_beside_the_parameter_is_told_from_what_broadcasts() -> None:
    assert all(map(broadcasts, ALONG))
    assert not any(map(broadcasts, BESIDE))
    assert len({described(axes) for axes in (*ALONG[:4], *BESIDE)}) == 8
    assert all(op.axes is not None for op in OPERATIONS.values() if op.kind == "matrix")
