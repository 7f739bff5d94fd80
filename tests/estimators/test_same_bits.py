"""The literal body and the kernels of estimators, serial and on several threads, give the same bits."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from refgrad.axes import axes_shape
from refgrad.estimators import FDA
from refgrad.estimators.base import Estimator
from refgrad.rule import rules
from tests.backends.covering import cover, operations_within
from tests.backends.test_same_bits import Draw, adversarial, bits, ordinary
from tests.depth import marks

#: named behaviours that every rule of a family shares: looked at in one rule of each
SHARED = ("sign_at_zero", "sign_of_nan", "step_at_zero", "step_of_nan", "edge", "ties", "rounding", "scalars")
#: rules whose float64 kernels the suite looks at: each elementary function, and all axes of parameters, is in one of them
IN_FLOAT64 = ("BiPer", "ClippedSTE", "DoReFaWeights", "GumbelSoftmax", "LSQ", "ReSTE", "RPReLU", "TQT", "XNORPlusPlus")
#: the one that depth quick looks at: it has a parameter and an elementary function, and is compiled in a moment
IN_QUICK = "ContinuousSparsification"


def estimators() -> list[Estimator]:
    """Every rule, and every variant in what is its own."""
    found = []
    for name, cls in rules(Estimator).items():
        assert issubclass(cls, Estimator)
        shown = name in ("ClippedSTE", "FastSigmoid", "RoundingSTE")
        variants = [v for text, v in cls().variants() if shown or text.partition("=")[0] not in SHARED]
        # each cosine more is compiled once more
        found += [cls(terms=2) if name == "FDA" else cls(), *variants]
    return found


def inputs(rule: Estimator, shape: tuple[int, ...], dtype: type, draw: Draw = adversarial) -> dict[str, np.ndarray]:
    """Adversarial values, or others, for what has an element each, legal numbers for the rest."""
    random = np.random.default_rng(3)
    arrays = {"x": draw(random, shape, dtype), "cotangent": draw(random, shape, dtype)}
    for name, axes in rule.parameter_axes().items():
        legal = rule.parameters[name].legal
        low, high = max(legal.low, -1.0), min(legal.high, 2.0)
        arrays[name] = random.uniform(low, high, axes_shape(axes, shape)).astype(dtype) * dtype(0.99)
    usual = random.random(shape) < 0.5
    arrays["x"] = np.where(usual, random.standard_normal(shape).astype(dtype), arrays["x"])
    return arrays


def cases() -> list[Any]:
    """Each rule in a dtype, marked by the depth at which its kernels are compiled, which takes long.

    The suite looks at every rule in float32, and at some variants in which every operation within another occurs that
    occurs in all of them.
    """
    every = estimators()
    variants = [rule for rule in every if "=" in str(rule) and not isinstance(rule, FDA)]
    plain = [rule for rule in every if rule not in variants]
    covered = operations_within(plain)
    suite = [*plain, *cover(variants, lambda rule: operations_within([rule]) - covered)]
    found = [(rule, "float32", str(rule) == f"{IN_QUICK}()", rule in suite) for rule in every]
    found += [(rule, "float64", False, type(rule).__name__ in IN_FLOAT64) for rule in plain]
    return [
        pytest.param(rule, getattr(np, dtype), marks=marks(quick=one, suite=other), id=f"{rule}-{dtype}")
        for rule, dtype, one, other in found
    ]


@pytest.mark.sample(suite=4)
@pytest.mark.parametrize(("rule", "dtype"), cases())
def test_kernels_keep_the_bits_of_the_literal_body(rule: Estimator, dtype: type) -> None:
    for shape, draw in product([(), (0,), (7, 3), (3, 5, 667)], [adversarial, ordinary]):
        given = inputs(rule, shape, dtype, draw)
        literal = {n: bits(a) for n, a in rule.both(backend="numpy", **given).items()}
        for threads in (1, 3):
            kernel = {n: bits(a) for n, a in rule.both(backend="numba", threads=threads, **given).items()}
            assert kernel == literal, (shape, draw.__name__, threads)


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize("name", ["LSQ", "RSign", "ClippedSTE"])
def test_value_and_gradients_alone_are_those_of_both(name: str) -> None:
    rule = rules(Estimator)[name]()
    assert isinstance(rule, Estimator)
    given = inputs(rule, (5, 300), np.float32)
    both = rule.both(**given)
    cotangent = given.pop("cotangent")
    for backend in ("numpy", "numba"):
        assert bits(rule.evaluate(backend=backend, **given)) == bits(both["y"])
        gradients = rule.differentiate(cotangent, backend=backend, **given)
        assert {n: bits(a) for n, a in gradients.items()} == {n: bits(a) for n, a in both.items() if n != "y"}
