"""Functions of NumPy in formulas and in their backwards: right kernels in several words, and wrong ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.linalg

import refgrad
from refgrad.errors import ArgumentError

F = np.float32
FEW: dict[str, Any] = {"explain": False, "shrink": False}


@refgrad.formula(x="batch feature", wrt="x")
def exp2(x: Any) -> Any:
    return np.exp2(x)


@refgrad.formula(x="batch feature", wrt="x")
def log2(x: Any) -> Any:
    return np.log2(x)


@refgrad.formula(x="batch feature", wrt="x")
def arctan(x: Any) -> Any:
    return np.arctan(x)


@refgrad.formula(x="batch feature", wrt="x")
def sinh(x: Any) -> Any:
    return np.sinh(x)


@refgrad.formula(x="batch feature", wrt="x")
def cosh(x: Any) -> Any:
    return np.cosh(x)


@refgrad.formula(y="batch feature", x="batch feature", wrt="y x")
def angle(y: Any, x: Any) -> Any:
    return np.arctan2(y, x)


@refgrad.formula(x="batch feature", wrt="x")
def rint(x: Any) -> Any:
    return np.rint(x)


@refgrad.formula(x="batch feature", wrt="x")
def floor(x: Any) -> Any:
    return np.floor(x)


@refgrad.formula(x="batch feature", wrt="x")
def ceil(x: Any) -> Any:
    return np.ceil(x)


@refgrad.formula(x="batch feature", wrt="x")
def on_a_grid(x: Any, *, step: refgrad.Positive = 0.1) -> Any:
    return step * np.floor(x * x / step + 0.25)


class Words(NamedTuple):
    """Programs of a function, wrong ones, and its slope; that of a step is zero."""

    right: list[Callable[[Any], Any]]
    wrong: list[Callable[[Any], Any]]
    slope: Callable[[Any], Any]


LN2 = F(np.log(2.0))
WORDS: dict[Any, Words] = {
    exp2: Words(
        [np.exp2, lambda x: np.exp(x * LN2), lambda x: F(2) ** x],
        [np.exp, lambda x: np.exp(x * F(0.6931)), lambda x: np.exp2(x) * F(1.00001)],
        lambda x: np.exp2(x) * LN2,
    ),
    log2: Words(
        [np.log2, lambda x: np.log(x) / LN2, lambda x: np.log(x) * (1 / LN2)],
        [np.log, np.log10, lambda x: np.log(x) * F(1.4427)],
        lambda x: 1 / (x * LN2),
    ),
    arctan: Words(
        [np.arctan, lambda x: np.arctan2(x, np.ones_like(x)), lambda x: -np.arctan(-x)],
        [np.tanh, lambda x: np.arctan(x) * F(1.00001), lambda x: np.arctan(x) + F(1e-6)],
        lambda x: 1 / (1 + x * x),
    ),
    sinh: Words(
        [np.sinh, lambda x: -np.sinh(-x)],
        [np.cosh, lambda x: (np.exp(x) - np.exp(-x)) / 2, lambda x: np.sinh(x) * F(1.00001)],
        np.cosh,
    ),
    cosh: Words(
        [np.cosh, lambda x: np.exp(x) / 2 + np.exp(-x) / 2],
        [np.sinh, lambda x: np.exp(np.abs(x)) / 2, lambda x: np.cosh(x) * F(1.00001)],
        np.sinh,
    ),
    rint: Words([np.rint, np.round], [np.floor, lambda x: np.floor(x + F(0.5)), np.trunc], np.zeros_like),
    floor: Words([np.floor, lambda x: -np.ceil(-x)], [np.trunc, np.rint, np.ceil], np.zeros_like),
    ceil: Words([np.ceil, lambda x: -np.floor(-x)], [np.floor, np.rint, lambda x: np.floor(x) + 1], np.zeros_like),
}
NAMES = [pytest.param(formula, id=formula.__name__) for formula in WORDS]


def quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    def called(x: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(x).astype(x.dtype)

    return called


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize("formula", NAMES)
def test_programs_of_a_function(formula: Any) -> None:
    words = WORDS[formula]
    for number, program in enumerate(words.right):
        verdict = refgrad.verify(quiet(program), formula(), **FEW)
        assert verdict.conforms, (number, str(verdict))
        assert verdict.total.undecided == 0
    for number, program in enumerate(words.wrong):
        assert refgrad.verify(quiet(program), formula(), **FEW).outcome == "does not conform", number


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize("formula", NAMES)
def test_programs_of_a_backward(formula: Any) -> None:
    def backward(x: Any, grad_output: Any) -> Any:
        with np.errstate(all="ignore"):
            return (WORDS[formula].slope(x) * grad_output).astype(x.dtype)

    def off(x: Any, grad_output: Any) -> Any:
        return backward(x, grad_output) * F(1.0001) + (grad_output if WORDS[formula].slope is np.zeros_like else 0)

    assert refgrad.verify(backward, formula().backward, **FEW).conforms
    assert refgrad.verify(off, formula().backward, **FEW).outcome == "does not conform"


def test_the_angle_of_a_point_and_its_gradient() -> None:
    by_library = lambda y, x: np.arctan2(y, x)  # noqa: E731
    without_signs = lambda y, x: np.angle(x + 1j * y).astype(x.dtype)  # noqa: E731  # the sum makes 0 of -0

    def of_complex(y: Any, x: Any) -> Any:
        point = np.empty(x.shape, np.complex64)
        point.real, point.imag = x, y
        return np.angle(point).astype(x.dtype)

    programs = {by_library: True, of_complex: True, without_signs: False, (lambda y, x: np.arctan2(x, y)): False}
    for program, conforms in programs.items():
        assert refgrad.verify(program, angle(), **FEW).conforms == conforms
    half = lambda y, x: quiet(lambda y: np.arctan(y / x))(y)  # noqa: E731
    assert refgrad.verify(half, angle(), **FEW).outcome == "does not conform"

    def backward(y: Any, x: Any, grad_output: Any) -> Any:
        with np.errstate(all="ignore"):
            squares = x * x + y * y
            return grad_output * (x / squares), -grad_output * (y / squares)

    assert refgrad.verify(backward, angle().backward, **FEW).conforms
    exchanged = lambda y, x, grad_output: backward(y, x, grad_output)[::-1]  # noqa: E731
    assert refgrad.verify(exchanged, angle().backward, **FEW).outcome == "does not conform"


ON_AXES = [(y, x) for y in (0.0, -0.0, 1.0, -1.0) for x in (0.0, -0.0, 2.0, -2.0, math.inf, -math.inf)]


def test_angles_on_the_axes_are_known_and_one_of_another_sign_is_refused() -> None:
    """A zero that is handed in has a sign, and the angle of a point on the negative axis is on the side that it says."""
    y, x = np.float32(ON_AXES).T
    found = refgrad.sets(angle(), {"y": y[:, None], "x": x[:, None]})["result"]
    assert not found.open.any()
    right = np.arctan2(y, x).astype(np.float64)[:, None]
    inside = lambda angles: (found.low <= angles) & (angles <= found.high)  # noqa: E731
    assert inside(right).all()
    assert not inside(-right)[right != 0].any()
    assert not inside(right + 2 * np.pi).any()
    other = lambda y, x: np.where((y == 0) & (x < 0), -np.arctan2(y, x), np.arctan2(y, x))  # noqa: E731
    assert refgrad.verify(other, angle(), **FEW).outcome == "does not conform"


@refgrad.formula(x="batch feature")
def of_a_difference(x: Any) -> Any:
    return np.arctan2((x + 1.0) - x - 1.0, -1.0 - x * x)


def test_the_angle_of_what_may_be_a_zero_of_either_sign_is_open_on_the_negative_axis() -> None:
    found = refgrad.sets(of_a_difference(), {"x": np.float32([[0.3, 5.7]])})["result"]
    assert (found.open | ((found.low <= -np.pi) & (found.high >= 3.14))).all()


@pytest.mark.slow
def test_where_rounding_crosses_a_step_either_side_is_right() -> None:
    def divided(x: Any, step: float) -> Any:
        return F(step) * np.floor(x * x / F(step) + F(0.25))

    def multiplied(x: Any, step: float) -> Any:
        return F(step) * np.floor(x * x * F(1 / step) + F(0.25))

    def moved(x: Any, step: float) -> Any:
        return F(step) * np.floor(x * x / F(step) + F(0.26))

    for program, conforms in ((divided, True), (multiplied, True), (moved, False)):
        assert refgrad.verify(program, on_a_grid(), **FEW).conforms == conforms


@refgrad.formula(x="row feature", labels="row below:4", wrt="x")
def of_segments(x: Any, labels: Any) -> Any:
    return refgrad.segment_sum(x, labels, 4)


@pytest.mark.slow
def test_sums_of_segments() -> None:
    def added(x: Any, labels: Any) -> Any:
        found = np.zeros((4, x.shape[1]), x.dtype)
        np.add.at(found, labels, x)
        return found

    def the_last(x: Any, labels: Any) -> Any:
        found = np.zeros((4, x.shape[1]), x.dtype)
        found[labels] = x
        return found

    assert refgrad.verify(added, of_segments(), **FEW).conforms
    product = refgrad.verify(lambda x, labels: refgrad.one_hot(labels, 4).T @ x, of_segments(), **FEW)
    assert (product.outcome, product.situation) == ("does not conform", "NaN")  # of a row of another label
    assert refgrad.verify(the_last, of_segments(), **FEW).outcome == "does not conform"
    x, labels = np.ones((3, 2)), np.array([0, 1, 3])
    assert of_segments()(x, labels).tolist() == [[1, 1], [1, 1], [0, 0], [1, 1]]
    with pytest.raises(ArgumentError, match=r"labels is .*; legal: whole numbers of the shape .3,., one a row"):
        refgrad.segment_sum(x, np.array([0, 1]), 4)


@refgrad.formula(x="row feature", labels="row below:4", wrt="x")
def of_segments_or_by_a_product(x: Any, labels: Any) -> Any:
    return refgrad.segment_sum(x, labels, 4)


@of_segments_or_by_a_product.form("by a product")
def by_a_product(x: Any, labels: Any) -> Any:
    return refgrad.one_hot(labels, 4).T @ x


@pytest.mark.slow
def test_a_product_that_takes_in_rows_of_other_labels_is_a_form_of_their_sums() -> None:
    rule = of_segments_or_by_a_product()
    assert refgrad.verify(lambda x, labels: refgrad.one_hot(labels, 4).T @ x, rule, **FEW).conforms
    assert refgrad.verify(lambda x, labels: of_segments()(x, labels).astype(F), rule, **FEW).conforms
    others = lambda x, labels: refgrad.one_hot((labels + 1) % 4, 4).T @ x  # noqa: E731
    assert refgrad.verify(others, rule, **FEW).outcome == "does not conform"


def test_what_to_write_for_what_has_no_bound() -> None:
    of_all = refgrad.formula(x="batch feature")(lambda x: x * np.prod(x, axis=-1, keepdims=True))
    with pytest.raises(ArgumentError, match=r"numpy.prod has no bound in refgrad; write numpy.exp of a sum"):
        refgrad.verify(lambda x: x, of_all(), **FEW)


@refgrad.formula(x="batch 16", wrt="x")
def rotated(x: Any) -> Any:
    return refgrad.hadamard(x) / 4.0


SIGNS = np.float32(scipy.linalg.hadamard(16))


def term_after_term(x: Any) -> Any:
    found = np.zeros_like(x)
    for k in range(16):
        found = found + x[:, k : k + 1] * SIGNS[k]
    return found * F(0.25)


def in_the_order_of_sign_changes(x: Any) -> Any:
    order = np.argsort([np.count_nonzero(np.diff(row)) for row in SIGNS])
    return x @ SIGNS[:, order] * F(0.25)


def test_a_transform_of_hadamards_is_right_by_butterflies_by_a_matrix_and_term_after_term() -> None:
    for kernel in (lambda x: refgrad.hadamard(x) / F(4.0), lambda x: x @ SIGNS / F(4.0), term_after_term):
        assert refgrad.verify(kernel, rotated(), **FEW).conforms
    back = lambda x, grad_output: grad_output @ SIGNS * F(0.25)  # noqa: E731
    assert refgrad.verify(back, rotated().backward, **FEW).conforms
    assert refgrad.verify(in_the_order_of_sign_changes, rotated(), **FEW).outcome == "does not conform"
    unscaled = refgrad.verify(lambda x: x @ SIGNS, rotated())
    assert unscaled.explanation is not None
    assert unscaled.explanation.name == "no divisor `4.0`"


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_hadamard_is_the_product_with_scipys_matrix(axis: int) -> None:
    x = np.random.default_rng(0).standard_normal((8, 8, 3))[..., 0]
    wanted = np.moveaxis(np.moveaxis(x, axis, -1) @ scipy.linalg.hadamard(8), -1, axis)
    np.testing.assert_allclose(refgrad.hadamard(x, axis=axis), wanted, rtol=1e-13, atol=1e-14)
    assert refgrad.hadamard(np.float32([[2.0]])).tolist() == [[2.0]]
    for shape in ((3, 6), (1, 8192)):
        with pytest.raises(ArgumentError, match="legal: a power of two up to 4096 along axis -1"):
            refgrad.hadamard(np.ones(shape))


@refgrad.formula(x="row column", wrt="x")
def factor(x: Any, *, ridge: refgrad.Positive = 0.5) -> Any:
    return np.linalg.cholesky(x @ x.T + ridge * np.eye(x.shape[0]))


def lapack(x: Any, ridge: Any) -> Any:
    return np.linalg.cholesky(x @ x.T + F(ridge) * np.eye(len(x), dtype=F))


@pytest.mark.slow
def test_a_factor_of_choleskys_and_its_gradient() -> None:
    torch = pytest.importorskip("torch")

    def backward(x: Any, grad_output: Any, ridge: Any) -> Any:
        rows = torch.as_tensor(x).requires_grad_()
        lower = torch.linalg.cholesky(rows @ rows.T + ridge * torch.eye(len(x)))
        return torch.autograd.grad(lower, rows, torch.as_tensor(grad_output))[0].numpy()

    assert refgrad.verify(lapack, factor(), **FEW).conforms
    assert refgrad.verify(backward, factor().backward, **FEW).conforms
    upper = refgrad.verify(lambda x, ridge: lapack(x, ridge).T, factor())
    assert upper.explanation is not None
    assert upper.explanation.name == "cholesky is transposed"
    not_halved = lambda x, grad_output, ridge: 2 * backward(x, grad_output, ridge)  # noqa: E731
    assert refgrad.verify(not_halved, factor().backward, **FEW).outcome == "does not conform"


@refgrad.formula(x="batch class", weight="class", wrt="x")
def at_largest(x: Any, weight: Any) -> Any:
    return np.exp(refgrad.take(x, np.argmax(x * weight, axis=-1)))


def picked(x: Any, weight: Any) -> Any:
    return np.exp(x[np.arange(len(x)), np.argmax(x * weight, axis=-1)])


def test_the_place_of_the_largest_number_is_an_index() -> None:
    assert refgrad.verify(picked, at_largest(), **FEW).conforms
    least = lambda x, weight: np.exp(x[np.arange(len(x)), np.argmin(x * weight, axis=-1)])  # noqa: E731
    verdict = refgrad.verify(least, at_largest())
    assert verdict.explanation is not None
    assert verdict.explanation.name in ("mul has the other sign", "argmin for argmax in np.argmax(x * weight, axis=-1)")
