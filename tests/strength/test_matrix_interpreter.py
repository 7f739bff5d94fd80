"""Operations on matrices in random orders: exact on whole numbers, and right up to roundings elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.arithmetic.graph import Node
from refgrad.axes import ELEMENT
from refgrad.strength.matrix_interpreter import MatrixInterpreter
from refgrad.strength.rounding_styles import STYLES, Rounding


def interpreter(seed: int = 0) -> MatrixInterpreter:
    random = np.random.Generator(np.random.Philox(seed))
    return MatrixInterpreter(Rounding(STYLES["rewritten"], random), random)


def node(op: str, attribute: object = None) -> Node:
    return Node(0, op, (), attribute, ELEMENT)


def whole(*shape: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(1)).integers(-4, 5, shape).astype(np.float64)


def ordinary(*shape: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(2)).standard_normal(shape).astype(np.float32).astype(np.float64)


def test_products_of_whole_numbers_are_exact_in_every_order() -> None:
    a, b = whole(5, 7), whole(7, 3)
    assert all(np.array_equal(interpreter(seed).product(a, b), a @ b) for seed in range(10))
    assert np.array_equal(interpreter().operation(node("gram", "left"), [a]), a @ a.T)
    assert np.array_equal(interpreter().operation(node("gram", "right"), [a]), a.T @ a)
    assert np.array_equal(interpreter().operation(node("matmul", (True, False)), [a, a]), a.T @ a)


def test_products_of_ordinary_numbers_depend_on_the_order() -> None:
    a, b = ordinary(6, 40), ordinary(40, 6)
    found = {interpreter(seed).product(a, b).tobytes() for seed in range(10)}
    assert len(found) > 1
    assert np.allclose(interpreter().product(a, b), a @ b, atol=1e-4)


def test_a_triangular_system_is_solved() -> None:
    q, x = np.triu(ordinary(5, 5)) + 4 * np.eye(5), ordinary(3, 5)
    found = interpreter().operation(node("solve", "right"), [q, x])
    assert np.allclose(found @ q, x, atol=1e-4)


@pytest.mark.parametrize("op", ["orthonormal", "eigenbasis"])
def test_bases_are_orthonormal_and_their_signs_random(op: str) -> None:
    x = ordinary(5, 5)
    x = x @ x.T
    found = [interpreter(seed).operation(node(op), [x]) for seed in range(6)]
    assert all(np.allclose(q.T @ q, np.eye(5), atol=1e-5) for q in found)
    assert len({tuple(np.sign(q[0])) for q in found}) > 1


def test_what_is_not_finite_cannot_be_decomposed() -> None:
    assert np.isnan(interpreter().operation(node("eigenbasis"), [np.full((3, 3), np.inf)])).all()


def test_forms_of_a_polynomial_agree() -> None:
    x = ordinary(4, 6) / 8
    coefficients = [[np.asarray(c) for c in (3.4445, -4.775, 2.0315)]] * 2
    want = x
    for a, b, c in coefficients:
        square = want @ want.T
        want = a * want + (b * square + c * square @ square) @ want
    found = [interpreter(seed).polynomials(x, coefficients) for seed in range(12)]
    assert np.allclose(found, want, atol=1e-5)
    assert len({f.tobytes() for f in found}) > 3
