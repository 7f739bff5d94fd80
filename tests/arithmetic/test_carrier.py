"""What a rule may do with an array, under every arithmetic; and what it is told when it does something else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad.arithmetic import primitives
from refgrad.arithmetic.carrier import Carrier
from refgrad.arithmetic.exact import Exact
from refgrad.arithmetic.exact import evaluate as exactly
from refgrad.arithmetic.graph import Builder, Graph, Tracer, walk
from refgrad.arithmetic.operations import BOOLEAN, UFUNCS
from refgrad.arithmetic.scalar_math import Scope
from refgrad.axes import ELEMENT, ROW, TENSOR
from refgrad.errors import TraceError

X, Y = np.asarray([4.0, -1.5, 0.0, 2.0]), np.asarray([0.5, 2.0, -1.0, 2.0])
LOGICAL = {np.logical_and, np.logical_or, np.logical_not, np.bitwise_and, np.bitwise_or, np.invert}


def traced(function: Any, *names: str) -> Graph:
    """The graph of a function of arrays."""
    builder = Builder(Scope(), 1)
    result = function(*(builder.input(n) for n in names))
    outputs = {"out": builder.lift(result)}
    return Graph(builder.live(outputs), outputs, {}, ())


def exact_values(function: Any) -> list:
    """The function of X and Y by way of a graph, in exact arithmetic."""
    return exactly(traced(function, "x", "y"), {"x": X, "y": Y}, {"tensor_length": 4.0})["out"].tolist()


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda u: u.__name__)
def test_every_ufunc_is_traced_and_evaluated(ufunc: np.ufunc) -> None:
    if ufunc in LOGICAL:
        function = lambda x, y: ufunc(*(x > 1, y > 1)[: ufunc.nin])  # noqa: E731
    elif ufunc is np.sqrt:
        function = lambda x, y: np.sqrt(np.abs(x))  # noqa: E731
    else:
        function = lambda x, y: ufunc(*(x, y)[: ufunc.nin])  # noqa: E731
    graph = traced(function, "x", "y")
    wanted_op = "mul" if ufunc is np.square else UFUNCS[ufunc]  # one node for g * g and square(g)
    assert graph.outputs["out"].op == wanted_op
    assert graph.outputs["out"].is_boolean == (wanted_op in BOOLEAN)
    wanted = function(X, Y)
    assert np.array_equal(np.asarray(exact_values(function), float), wanted)
    assert np.array_equal(np.asarray(function(Exact.of(X), Exact.of(Y)).values, float), wanted)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: 2 + x - 3 * y / 4,
        lambda x, y: (1 - x) / -(y - 5),
        lambda x, y: abs(x) ** 0.5 + y**2,
        lambda x, y: np.where((x > y) & ~(x == 2) | (y != 2), x, np.clip(y, -0.5, 1)),
        lambda x, y: np.power(y, 2) + np.fabs(x),
        lambda x, y: primitives.tree_sum(x * y) + primitives.tree_max(y),
        lambda x, y: x / primitives.length(x),
    ],
)
def test_operators_and_functions(function: Any) -> None:
    assert np.array_equal(np.asarray(exact_values(function), float), function(X, Y))


def test_equal_operations_are_one_node_and_dead_ones_none() -> None:
    graph = traced(lambda x, y: ((x * y) + (x * y), x / y)[0], "x", "y")
    assert graph.counts() == {"mul": 1, "add": 1}
    assert graph.inputs() == ["x", "y"]
    assert [n.op for n in walk(graph.outputs["out"])] == ["input", "input", "mul", "add"]
    assert "%2 = mul(%0, %1) [i j]" in repr(graph.nodes)


def test_axes() -> None:
    builder = Builder(Scope(), 2)
    x = builder.input("x")
    row, tensor = primitives.tree_sum(x, "row"), primitives.tree_sum(x)
    assert (row.node.axes, tensor.node.axes) == (ROW, TENSOR)
    assert ((row * tensor).node.axes, (tensor * 2).node.axes, (row + x).node.axes) == (ROW, TENSOR, ELEMENT)
    assert x.ndim == 2


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (np.sin, "numpy.sin.__call__ is not an operation of a rule; known: absolute, add"),
        (np.add.reduce, "numpy.add.reduce is not an operation of a rule"),
        (lambda x: np.add(x, x, where=np.ones(4, bool)), "numpy.add.__call__ is not an operation"),
        (np.sum, "numpy.sum is not an operation of a rule; write tree_sum"),
        (np.linalg.norm, r"numpy.norm is not an operation of a rule; write numpy.sqrt\(tree_sum"),
        (np.cumsum, "numpy.cumsum is not an operation of a rule; known: where, clip, absolute"),
        (lambda x: x**3, "a power of an array has exponent 3; legal: 2 and 0.5"),
        (lambda x: 2**x, "a power of an array has exponent|unsupported operand"),
        (lambda x: 1.0 if x > 0 else 2.0, "a branch depends on an array's values; use numpy.where"),
    ],
)
@pytest.mark.parametrize("make", [lambda: Builder(Scope(), 1).input("x"), lambda: Exact.of(X)], ids=["tracer", "exact"])
def test_errors_name_what_is_legal(make: Any, function: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        function(make())


def test_an_operand_that_is_no_number() -> None:
    with pytest.raises(TraceError, match="an operand is 'one' of type str; legal: arrays and numbers"):
        Builder(Scope(), 1).input("x") + "one"


def test_carriers_are_not_hashed() -> None:
    assert isinstance(Builder(Scope(), 1).input("x"), Tracer)
    with pytest.raises(TypeError, match="unhashable"):
        hash(Builder(Scope(), 1).input("x"))
    with pytest.raises(NotImplementedError):
        -Carrier()
