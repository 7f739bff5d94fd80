"""Values that keep their operations: the numbers are NumPy's, and each node has the operands that it was made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from refgrad.arithmetic.written import Node, Written, nodes_of, values_of

X = np.arange(6.0).reshape(2, 3)


def node_of(value: Any) -> Node:
    """What is known of a value."""
    node = nodes_of(value)
    assert isinstance(node, Node)
    return node


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (lambda x: x + 1.0, "add"),
        (lambda x: 2.0 / (x + 1.0), "div"),
        (lambda x: x @ np.ones((3, 2)), "matmul"),
        (lambda x: x**3, "power"),
        (np.exp, "exp"),
        (lambda x: np.sum(x, axis=1), "sum"),
        (lambda x: np.concatenate([x, x]), "concatenate"),
        (lambda x: x[1:, ::2], "item"),
        (lambda x: x.T, "T"),
        (lambda x: x.reshape(3, 2), "reshape"),
        (lambda x: x.transpose(1, 0), "transpose"),
    ],
    ids=["add", "div", "matmul", "power", "exp", "sum", "concatenate", "item", "T", "reshape", "transpose"],
)
def test_numbers_are_numpys_and_the_operation_is_kept(operation: Callable[[Any], Any], name: str) -> None:
    found = operation(Written(X, "x"))
    assert values_of(found).tobytes() == np.ascontiguousarray(operation(X)).tobytes()
    assert node_of(found).op == name
    assert any(each.op == "x" for each in _all_of(node_of(found)))


def _all_of(node: Any) -> list[Node]:
    """A node with all that it was made of."""
    if isinstance(node, list | tuple):
        return [found for each in node for found in _all_of(each)]
    return [node, *(found for each in node.args for found in _all_of(each))] if isinstance(node, Node) else []


def test_what_is_set_in_an_array_makes_another_node_and_leaves_the_array_alone() -> None:
    """A node stands for what it was when it was made."""
    value, given = Written(X, "x"), X.copy()
    before = value.node
    value[0] = 7.0
    assert np.array_equal(X, given)
    assert values_of(value).tolist() == [[7.0] * 3, X[1].tolist()]
    assert before.value.tolist() == X.tolist()
    assert value.node is not before
    assert before in _all_of(value.node)


@pytest.mark.parametrize("key", [(slice(1, 2), slice(None)), (slice(None), slice(0, 3, 2)), (0, 1)])
def test_the_gradient_of_what_was_taken_by_an_index_lies_where_it_was_taken(key: tuple[Any, ...]) -> None:
    sources = np.arange(X.size).reshape(X.shape)[key]
    given = Written(np.full(np.shape(sources), 5.0), "g")
    found = given.gathered(sources, X.shape, key)
    expected = np.zeros(X.shape)
    expected[key] = 5.0
    assert np.array_equal(values_of(found), expected)


def test_a_number_that_is_taken_twice_has_both_gradients() -> None:
    key = (np.array([0, 0, 1]),)
    sources = np.arange(X.size).reshape(X.shape)[key]
    found = Written(np.ones((3, 3)), "g").gathered(sources, X.shape, key)
    assert values_of(found).tolist() == [[2.0] * 3, [1.0] * 3]
    assert node_of(found).op == "added"
