"""A graph's nodes: the same operation on the same operands once, in their order."""

from __future__ import annotations

from refgrad.arithmetic.graph import Builder
from refgrad.arithmetic.scalar_math import Scope


def test_operations_on_the_same_operands_are_one_node_and_on_others_another() -> None:
    builder = Builder(Scope(), 1)
    x, y = builder.input("x"), builder.input("y")
    assert (x - y).node is (x - y).node
    assert len({each.node.index for each in (x - y, y - x, x / y, y / x, x - x, x + y)}) == 6
    assert [arg.attribute for arg in (y - x).node.args] == ["y", "x"]
