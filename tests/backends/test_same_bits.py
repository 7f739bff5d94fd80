"""The literal body and the kernels, serial and on several threads, give the same bits."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

from refgrad.arithmetic import floats
from refgrad.optimizers.base import Optimizer
from refgrad.rule import find, rules
from refgrad.tracing import free_values, literal
from tests.backends.covering import cover, operations, operations_within
from tests.depth import marks
from tests.optimizers.made_up import extras

Draw = Callable[[np.random.Generator, tuple[int, ...], type], np.ndarray]

#: rules of many passes, whose kernels take minutes to compile: tests/optimizers/test_paper_extra.py runs each once
LONG = {"ASAM", "LBFGS", "Mechanic", "MoMo", "MoMoAdam", "PolyakSGD", "SAM"}
PLAIN = [cls() for name, cls in rules(Optimizer).items() if name not in LONG]
VARIANTS = [variant for rule in PLAIN for _, variant in rule.variants()]
#: kernels take long to compile, and differ by dtype in their types alone: of the variants, and in float64, the suite looks
#: at some in which every operation within another occurs that occurs in all of them
COVERED = operations_within(PLAIN)
IN_SUITE = {(rule, np.float32) for rule in PLAIN}
IN_SUITE |= {(rule, np.float32) for rule in cover(VARIANTS, lambda rule: operations_within([rule]) - COVERED)}
IN_SUITE |= {(rule, np.float64) for rule in cover(PLAIN, lambda rule: operations_within([rule]))}
IN_QUICK = {(rule, np.float32) for rule in cover(PLAIN, lambda rule: operations([rule]))}


def case(rule: Optimizer, dtype: type) -> Any:
    """A rule in a dtype, marked by the depth at which its kernels are compiled."""
    return pytest.param(rule, dtype, marks=marks(quick=(rule, dtype) in IN_QUICK, suite=(rule, dtype) in IN_SUITE))


#: rules with one number a row or a column of the parameter, whose graphs have no matrices: NumPy runs the bodies of those
ALONE = [type(r).__name__ for r in PLAIN if r.gives() and not r.plan((2, 2), 3).graph.matrix()]
CASES = [case(rule, np.float32) for rule in [*PLAIN, *VARIANTS]] + [case(rule, np.float64) for rule in PLAIN]


def adversarial(random: np.random.Generator, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Magnitudes from the subnormals to near overflow, with infinities, NaN and both zeros."""
    values = np.asarray(random.standard_normal(shape) * np.exp2(np.float64(1) * random.integers(-148, 100, shape)))
    special = np.asarray([np.inf, -np.inf, np.nan, 0.0, -0.0])
    chosen = np.asarray(random.random(shape) < 0.02)
    values = np.where(chosen, random.choice(special, shape), values)
    return values.astype(dtype)


def ordinary(random: np.random.Generator, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Finite numbers near one, of both signs: a NaN would be all that is seen of a rule that looks at a tensor as a whole."""
    return random.standard_normal(shape).astype(dtype)


def bits(array: object) -> bytes:
    """The bits, every NaN alike: which payload a NaN has is not part of the meaning."""
    values = np.asarray(array)
    if values.dtype.kind != "f":
        return values.tobytes()
    return np.where(np.isnan(values), np.asarray(np.nan, values.dtype), values).tobytes()


def run(rule: Optimizer, p: np.ndarray, grads: list[np.ndarray], backend: str, threads: int | None) -> list[bytes]:
    """The bits of the parameter and the state after the steps."""
    state = rule.init(p)
    for g in grads:
        p, state = rule.step(p, g, state, backend=backend, threads=threads, **extras(rule, g))
    return [bits(p), *(bits(value) for _, value in sorted(state.items()))]


@pytest.mark.slow
@pytest.mark.sample(quick=2, suite=10)
@pytest.mark.parametrize(("rule", "dtype"), CASES, ids=lambda x: getattr(x, "__name__", str(x)))
def test_kernels_keep_the_bits_of_the_literal_body(rule: Optimizer, dtype: type) -> None:
    random = np.random.default_rng(1)
    # squares of a matrix's rows or columns are many numbers
    matrix = any(rule.plan((2, 2), t).graph.matrix() for t in (1, 2))
    shapes = [(), (0,), (1,), (7, 3), *([(9,), (3, 5, 2)] if matrix else [(1025,), (3, 5, 67)])]
    for shape, draw in product(shapes, [adversarial, ordinary]):
        p = draw(random, shape, dtype)
        grads = [draw(random, shape, dtype) for _ in range(6 if draw is adversarial else 3)]
        literal = run(rule, p, grads, "numpy", None)
        for backend, threads in [("numba", 1), ("numba", 2), ("numba", 7), ("auto", None)]:
            assert run(rule, p, grads, backend, threads) == literal, (shape, draw.__name__, backend, threads)


@pytest.mark.parametrize("name", ALONE)
def test_without_axes_the_graph_reads_each_leaf_of_the_state_as_the_body_does(name: str) -> None:
    rule, random = find(name)(), np.random.default_rng(4)
    arrays = {n: np.asarray(random.uniform(0.5, 2.0)) for n in rule.takes()}  # from `init` leaves have equal values
    names = dict.fromkeys(rule.scalar_inputs(), 3.0)
    plan, free = rule.plan((), 3, {n: x for n, x in names.items() if n != "t"}), free_values((), names)
    found = floats.evaluate(plan.graph, arrays, list(plan.scalars(*free)))
    wanted = literal(rule, arrays, names)
    assert {n: float(found[n]) for n in plan.graph.outputs} == {n: float(wanted[n]) for n in plan.graph.outputs}


@pytest.mark.sample(suite=6)
@pytest.mark.parametrize("shape", [(420_007,), (7, 60_001), (47_001, 9)], ids=str)
@pytest.mark.parametrize("name", ["AdamW", "Lion", "LAMB", "AdamP", "DiffGrad"])
def test_many_threads_on_many_elements(name: str, shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(2)
    p, g = (random.standard_normal(shape).astype(np.float32) for _ in range(2))
    rule = find(name)()
    literal = run(rule, p, [g], "numpy", None)
    assert run(rule, p, [g], "numba", 2) == run(rule, p, [g], "numba", 5) == run(rule, p, [g], "auto", None) == literal


@pytest.mark.sample(quick=1, suite=1)
@pytest.mark.parametrize("name", ["Adafactor", "CAME", "SM3"])  # the first has its kernels from above
def test_columns_are_folded_in_strips_and_blocks(name: str) -> None:
    random = np.random.default_rng(3)
    p, g = (random.standard_normal((2100, 130)).astype(np.float32) for _ in range(2))
    rule = find(name)()
    assert run(rule, p, [g], "numba", 3) == run(rule, p, [g], "numpy", None)
