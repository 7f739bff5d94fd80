"""Graphs written anew: what changes, what stays, and one output's own part."""

from __future__ import annotations

import pytest

from refgrad.arithmetic import rewriting
from refgrad.arithmetic.graph import Graph, Node
from refgrad.arithmetic.rewriting import Edit, cone, cone_nodes, is_number, keys, rebuilt, replaced, subexpressions
from refgrad.arithmetic.scalar_math import Expr, const
from refgrad.optimizers import LAMB, AdamW, Lion, Muon
from refgrad.tracing import free_values, plan_for

LR, BETA = Expr("name", ("lr",)), Expr("name", ("beta1",))


def graph_of(rule: object) -> Graph:
    return plan_for(rule, 2, free_values((3, 4), {"t": 2})).graph  # type: ignore[arg-type]


def expressions(graph: Graph) -> dict[str, int]:
    """Numbers that are equal where outputs are the same expression."""
    numbers = keys(graph)
    return {name: numbers[node.index] for name, node in graph.outputs.items()}


@pytest.mark.parametrize("rule", [AdamW(), Lion(), LAMB(), Muon()], ids=str)
def test_nothing_changed_is_the_same(rule: object) -> None:
    graph = graph_of(rule)
    again = rebuilt(graph)
    assert expressions(again) == expressions(graph)
    assert (again.scalar_outputs, again.guards) == (graph.scalar_outputs, graph.guards)


def test_a_node_that_is_replaced_is_used_by_what_used_it() -> None:
    graph = graph_of(AdamW())
    root = next(node for node in graph.nodes if node.op == "sqrt")
    without = rebuilt(graph, at={root.index: lambda edit, args: args[0]})
    assert not any(node.op == "sqrt" for node in without.nodes)
    before, after = expressions(graph), expressions(without)
    assert {name for name in before if before[name] != after[name]} == {"p"}


def test_an_output_can_be_another_node() -> None:
    graph = graph_of(AdamW())
    doubled = rebuilt(graph, outputs={"m": lambda edit, node: edit.op("mul", node, edit.number(2.0))})
    assert doubled.outputs["m"].op == "mul"
    # the parameter still reads the moment as it was
    assert keys(doubled)[doubled.outputs["v"].index] == keys(graph)[graph.outputs["v"].index]


def test_products_and_quotients_by_one_are_the_other_operand() -> None:
    edit = Edit()
    x, one = edit.input("x"), edit.number(1.0)
    assert is_number(one, 1.0)
    assert not is_number(x, 1.0)
    assert edit.op("mul", x, one) is edit.op("mul", one, x) is edit.op("div", x, one) is x
    quotient: Node = edit.op("div", one, x)
    assert quotient.op == "div"


def test_scalar_expressions_are_mapped_wherever_they_stand() -> None:
    graph = graph_of(AdamW())
    found = {e for expr in graph.scalars() for e in subexpressions(expr)}
    assert LR in found
    other = rebuilt(graph, scalar=lambda e: replaced(e, LR, BETA))
    left = {e for expr in other.scalars() for e in subexpressions(expr)}
    assert LR not in left
    assert BETA in left


def test_a_subexpression_is_replaced_at_every_place() -> None:
    expr = Expr("add", (Expr("mul", (LR, BETA)), LR))
    assert replaced(expr, LR, const(2.0)) == Expr("add", (Expr("mul", (const(2.0), BETA)), const(2.0)))
    assert replaced(expr, expr, LR) == LR
    assert list(subexpressions(rewriting.complement(LR))) == [Expr("sub", (const(1.0), LR)), const(1.0), LR]
    assert rewriting.times(LR, BETA, LR) == Expr("mul", (Expr("mul", (LR, BETA)), LR))
    assert rewriting.negated(LR) == Expr("neg", (LR,))


def test_the_part_of_an_output_reads_the_others_as_they_were_seen() -> None:
    graph = graph_of(AdamW())
    part = cone(graph, "p")
    assert list(part.outputs) == ["p"]
    read = {node.attribute for node in part.nodes if node.op == "input"}
    assert read == {"p", "m'", "v'"}
    inputs = {node.attribute for node in cone(graph, "m").nodes if node.op == "input"}
    assert inputs == {"m", "g"}
    # the same nodes, but for the other outputs, which the part has as inputs
    own = cone_nodes(graph, "p")
    assert [node.index for node in own] == sorted(node.index for node in own)
    assert len(own) == len(part.nodes) - 2
