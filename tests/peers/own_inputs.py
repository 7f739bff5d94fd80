"""What is drawn for rows of the survey whose inputs are their own: problems of the kind that their function of inputs makes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.written import of_steps
from refgrad.surveys.implementations import inputs
from refgrad.testing.strategies import moderate, numbers

F32 = np.dtype(np.float32)
#: numbers from here on are drawn as ones of their sign where squares are not to overflow
LARGE = 2.0**30
#: few, since XLA compiles each
MATRICES = ((3, 5), (6, 4), (4, 4), (1, 6))
VECTORS = ((), (5,), (3, 4))
STEPS = 4


def element() -> st.SearchStrategy[float]:
    """A number of any magnitude whose square does not overflow, or a tame one."""
    tame = numbers(F32).map(lambda x: x if abs(x) < LARGE else math.copysign(1.0, x))
    return st.one_of(moderate(), tame)


@st.composite
def array(draw: Any, shape: tuple[int, ...]) -> np.ndarray:
    """An array of such numbers."""
    size = math.prod(shape)
    return np.asarray(draw(st.lists(element(), min_size=size, max_size=size)), F32).reshape(shape)


@st.composite
def random(draw: Any, shape: tuple[int, ...]) -> np.ndarray:
    """An array of normal numbers: a matrix of them is far from singular."""
    return np.random.default_rng(draw(st.integers(0, 2**16))).standard_normal(shape).astype(F32)


@st.composite
def problem(draw: Any, shapes: tuple[tuple[int, ...], ...], values: Callable[..., Any] = array) -> Cases:
    """A parameter or two of some shapes, with gradients for a few steps."""
    chosen = draw(st.lists(st.sampled_from(shapes), min_size=1, max_size=2, unique=True))
    leaves = [draw(values(shape)) for shape in chosen]
    return of_steps(leaves, [[draw(values(shape)) for shape in chosen] for _ in range(draw(st.integers(1, STEPS)))])


@st.composite
def blocks(draw: Any) -> dict[str, np.ndarray]:
    """Weights that blocks of two by four divide."""
    return {"w": draw(array((2 * draw(st.integers(1, 4)), 4 * draw(st.integers(1, 3)))))}


def _from_zero(made: Cases) -> Cases:
    return dataclasses.replace(made, arrays=[{"p": np.zeros_like(a)} for a in made.p])


#: the function of inputs of a row -> what is drawn in its place
OWN: Mapping[str, Callable[[], st.SearchStrategy[Any]]] = {
    "without_wide_magnitudes": lambda: problem(VECTORS),
    "matrices": lambda: problem(MATRICES),
    "two_matrices": lambda: problem(MATRICES[:2]),
    "regular_matrices": lambda: problem(MATRICES[:2], random),
    "noise_of_optax": lambda: problem(VECTORS).map(inputs.noise_of_optax),
    "from_zero": lambda: problem(VECTORS).map(_from_zero),
    "quadratic": lambda: st.builds(inputs.quadratic, st.integers(0, 2**16), st.sampled_from([1, 5, 40])),
    "even_blocks": blocks,
}
