from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from refgrad.arithmetic import formula
from refgrad.arithmetic.operations import REDUCTIONS
from refgrad.estimators.base import Estimator
from refgrad.optimizers import AdamW, Lion, PSGDKron, Shampoo
from refgrad.optimizers.base import Optimizer
from refgrad.rule import Decay, NonNegative, State, find, rules, scalar_slot, zeros_like_param


def lines(rule: Optimizer) -> list[str]:
    return formula.text_lines(rule.plan((4, 4), 10))


def test_adamw_reads_as_in_the_paper() -> None:
    assert lines(AdamW()) == [
        "m' = beta1 m + (1 - beta1) g",
        "v' = beta2 v + (1 - beta2) g^2",
        "m_hat = m' / (1 - beta1^t)",
        "v_hat = v' / (1 - beta2^t)",
        "p' = p - lr (m_hat / (sqrt(v_hat) + eps) + weight_decay p)",
    ]


def test_latex() -> None:
    assert formula.latex(Lion().plan((3,), 1)) == (
        "\\begin{aligned}\n"
        r"\theta' &= \theta - \eta\,\left(\operatorname{sign}\left(\beta_{1}\,m + \left(1 - \beta_{1}\right)\,g\right)"
        r" + \lambda\,\theta\right) \\"
        "\n"
        r"m' &= \beta_{2}\,m + \left(1 - \beta_{2}\right)\,g"
        "\n\\end{aligned}"
    )


class Bracketed(Optimizer):
    """Every place where a bracket decides."""

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9

    state = State(m=zeros_like_param, product=scalar_slot(1.0))

    def update(self, p: Any, g: Any, m: Any, product: Any, t: Any) -> tuple[Any, ...]:
        product = product * self.beta1
        shared = p - (g - m)
        m = np.where(g > 0, shared / (g * m), -(shared + g))
        p = p - shared * (1 - product) / 2 / np.maximum(np.abs(m), 1.0)
        return p, m, product


class Ones(Optimizer):
    """Products with one, by which slots are copied."""

    lr: NonNegative = 1e-3

    state = State(m=zeros_like_param, last=zeros_like_param, once=zeros_like_param, constant=scalar_slot(1.0))

    def update(self, p: Any, g: Any, m: Any, last: Any, once: Any, constant: Any, t: Any) -> tuple[Any, ...]:
        copied = p - (self.lr * 1.0) * (1.0 * (g - m)) * (g * 1.0)
        return copied, 1.0 * g, m * 1.0 * 1.0 * m, 1.0 * (p - g), 1.0 * constant


def test_a_factor_of_one_is_not_written() -> None:
    assert lines(Ones()) == [
        "p' = p - lr (g - m) g",
        "m' = g",
        "last' = m^2",
        "once' = p - g",
        "constant' = constant",
    ]


def test_brackets_stand_where_they_decide() -> None:
    assert lines(Bracketed()) == [
        "a = p - (g - m)",
        "m' = a / (g m) if g > 0 else -(a + g)",
        "p' = p - a (1 - product beta1) / 2 / maximum(abs(m'), 1)",
        "product' = product beta1",
    ]


@pytest.mark.parametrize("name", list(rules(Optimizer)))
def test_every_rule_has_a_formula_for_each_output(name: str) -> None:
    rule = find(name)()
    assert isinstance(rule, Optimizer)
    plan = rule.plan((4, 4), 10)
    left = [line.split(" = ")[0] for line in formula.text_lines(plan)]
    assert len(left) == len(set(left))
    assert {f"{n}'" for n in ("p", *rule.slots())} <= set(left)
    block = formula.latex(plan)
    assert block.count("{") == block.count("}")
    assert block.count(r"\left") == block.count(r"\right")


PRINTED = sorted(name for name, cls in rules().items() if issubclass(cls, Optimizer | Estimator))


@pytest.mark.parametrize("name", PRINTED)
def test_a_line_is_called_by_no_name_of_the_rule(name: str) -> None:
    """Neither by a hyperparameter's, though it meets numbers alone, nor by one that another line has."""
    rule = rules()[name]()
    plan = rule.plan((4, 4), 10)
    left = [line.partition(" = ")[0] for line in formula.text_lines(plan)]
    assert len(set(left)) == len(left)
    assert not {*rule.hyperparameters(), *plan.free, "t"} & set(left)


@pytest.mark.parametrize("name", PRINTED)
def test_what_an_operation_is_told_is_printed(name: str) -> None:
    """Two operations of one name on the same operands that are different operations are written differently."""
    plan = rules()[name]().plan((4, 4), 10)
    told = [n for n in plan.graph.nodes if n.attribute is not None and n.args and n.op not in REDUCTIONS]
    texts = {(formula.expression(plan.graph, dataclasses.replace(n, index=-1)), n.op, n.attribute) for n in told}
    assert len({text for text, _, _ in texts}) == len(texts)


def test_sides_orders_and_transposes_are_printed() -> None:
    assert lines(Shampoo())[:2] == ["left' = left + left_gram(g)", "left_root' = inverse_root(left', 4)"]
    assert any("^T" in line for line in lines(PSGDKron()))
