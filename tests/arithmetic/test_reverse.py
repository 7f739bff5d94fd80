"""Gradients by reverse mode: against differences in the complex plane and mpmath, and the sets of what kinks leave open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from refgrad.arithmetic import array_error
from refgrad.arithmetic.adjoints import ELEMENTWISE, adjoints_of
from refgrad.arithmetic.explorer import Explorer
from refgrad.arithmetic.ranged import Ranged
from refgrad.arithmetic.reverse import run_backwards
from refgrad.arithmetic.running_error import Bounded
from refgrad.arithmetic.subgradients import between, largest_shares, resorted, stop_gradient, unsorted
from refgrad.errors import TraceError
from refgrad.oracle.acceptance.comparing import model_for
from refgrad.oracle.acceptance.policy import Policy

MODEL = model_for(Policy(), np.dtype(np.float32))


def gradients(function: Callable[..., Any], arrays: list[Any], upstream: Any) -> list[Any]:
    """The gradients of a function of arrays, all of them wanted."""
    named = {str(i): x for i, x in enumerate(arrays)}
    return run_backwards(function, named, list(named), lambda found: [(found, upstream)])[1]


def by_complex_steps(function: Callable[..., Any], arrays: list[np.ndarray], upstream: np.ndarray) -> list[np.ndarray]:
    """The same of a function that is analytic, one element after the other: nothing cancels."""
    found = []
    for i, x in enumerate(arrays):
        found.append(np.empty_like(x))
        for at in np.ndindex(x.shape):
            moved = [a.astype(complex) for a in arrays]
            moved[i][at] += 1e-30j
            found[i][at] = np.sum(upstream * np.imag(function(*moved))) / 1e-30
    return found


#: in the words of mpmath, and numbers to try them on
IN_MPMATH: dict[str, tuple[Any, list[list[float]]]] = {
    "add": (lambda a, b: a + b, [[1.5, -2.0]]),
    "sub": (lambda a, b: a - b, [[1.5, -2.0]]),
    "mul": (lambda a, b: a * b, [[1.5, -2.0]]),
    "div": (lambda a, b: a / b, [[1.5, -2.0], [0.0, 3.0]]),
    "neg": (lambda x: -x, [[1.5]]),
    "abs": (abs, [[1.5], [-0.3]]),
    "square": (lambda x: x * x, [[1.5], [0.0]]),
    "sqrt": (mpmath.sqrt, [[1.5]]),
    "exp": (mpmath.exp, [[1.5], [-3.0]]),
    "expm1": (mpmath.expm1, [[1.5], [1e-9]]),
    "log": (mpmath.log, [[1.5], [1e-9]]),
    "log1p": (mpmath.log1p, [[1.5], [-0.25]]),
    "exp2": (lambda x: mpmath.mpf(2) ** x, [[1.5], [-3.0]]),
    "log2": (lambda x: mpmath.log(x, 2), [[1.5], [1e-9]]),
    "arctan": (mpmath.atan, [[0.7], [-30.0]]),
    "arctan2": (mpmath.atan2, [[0.7, -2.0], [-0.3, 1.5], [2.0, 0.0], [0.5, 3.0]]),
    "sinh": (mpmath.sinh, [[1.5], [-0.3]]),
    "cosh": (mpmath.cosh, [[1.5], [-0.3]]),
    "tanh": (mpmath.tanh, [[1.5], [0.0]]),
    "sin": (mpmath.sin, [[1.5]]),
    "cos": (mpmath.cos, [[1.5]]),
    "erf": (mpmath.erf, [[0.7], [-1.5]]),
    "expit": (lambda x: 1 / (1 + mpmath.exp(-x)), [[0.7], [-1.5]]),
    "maximum": (lambda a, b: max(a, b), [[1.5, -2.0], [-3.0, -2.0]]),
    "minimum": (lambda a, b: min(a, b), [[1.5, -2.0], [-3.0, -2.0]]),
    "power": (lambda x, power: x**power, [[1.5, 3.0], [0.5, -1.5], [2.0, 1.0]]),
}


def test_every_derivative_is_that_of_mpmath() -> None:
    assert IN_MPMATH.keys() - {"power"} == ELEMENTWISE.keys() - {"where"}
    for op, (function, points) in IN_MPMATH.items():
        for point in points:
            rules = adjoints_of(op, point)
            assert rules is not None
            value = np.float64(float(function(*map(mpmath.mpf, point))))
            for i, rule in enumerate(rules):
                order = tuple(int(j == i) for j in range(len(point)))
                with mpmath.workdps(40):
                    true = float(mpmath.diff(function, tuple(map(mpmath.mpf, point)), order))
                got = float(rule(np.float64(1.0), value, *map(np.float64, point)))
                assert got == pytest.approx(true, rel=1e-14, abs=1e-15), (op, point, i)


def writes(x: Any, y: Any) -> Any:
    x = x * 1.0
    x[1:] = y[:, :2].T * x[1:]
    return x * x


#: what moves, folds and joins numbers
BODIES: dict[str, Callable[..., Any]] = {
    "broadcast": lambda x, y: x[:, :1] * np.broadcast_to(y[0], (3, 3)) + x[0, 0],
    "moves": lambda x, y: np.flip(x, 1).T.reshape(3, 3) * np.transpose(y) * np.expand_dims(y[:, 0], 1),
    "pad and roll": lambda x, y: np.pad(x * x, ((1, 0), (0, 2))) * np.roll(np.pad(y, ((0, 1), (1, 1))), 1, axis=1),
    "taken repeatedly": lambda x, y: np.take(x, [0, 2, 2, 1, 2], axis=0) * np.repeat(y, 2, axis=0)[:5],
    "triangle": lambda x, y: np.tril(x * y) + np.triu(y * y, 1) * np.diagonal(x),
    "windows": lambda x, y: np.lib.stride_tricks.sliding_window_view(x, 2, axis=0) * np.stack([y[:2], y[1:]], axis=-1),
    "joined": lambda x, y: np.concatenate([x, np.ones((1, 3)), y], axis=0) * np.vstack([y, x, y[:1]]),
    "split": lambda x, y: np.split(x, 3)[1] * np.split(y, [1], axis=1)[0],
    "sums": lambda x, y: np.sum(x * y, axis=1) * np.mean(y, axis=0) + np.sum(x) * x.sum(-1),
    "cumulated": lambda x, y: np.cumsum(x * y, axis=1) * np.cumsum(x).reshape(3, 3),
    "matrices": lambda x, y: (x @ y)[0] * (y[0] @ x) * (x @ y[0]) * (x[0] @ y[1]),
    "stack of matrices": lambda x, y: np.stack([x, y]) @ y @ x[0],
    "einsum": lambda x, y: np.einsum("ij,kj->ki", x, y) + np.einsum("ij,kl,j->ki", x, y, x[0]),
    "solution": lambda x, y: np.linalg.solve(x @ x.T + 3 * np.eye(3), y[0]),
    "sorted": lambda x, y: np.sort(x * y, axis=0) * y,
    "powers": lambda x, y: (x * x) ** -1.5 + y**3 + y**0 + x**1,
    "written to": writes,
    "constant": lambda x, y: stop_gradient(x * 0.0 + 2.0) * y,
}


@pytest.mark.parametrize("name", BODIES)
def test_gradients_are_those_of_complex_steps(name: str) -> None:
    function, random = BODIES[name], np.random.default_rng(5)
    arrays = [random.standard_normal((3, 3)) for _ in range(2)]
    upstream = random.standard_normal(np.shape(function(*arrays)))
    for got, true in zip(
        gradients(function, arrays, upstream), by_complex_steps(function, arrays, upstream), strict=True
    ):
        np.testing.assert_allclose(got, true, rtol=1e-13, atol=1e-13)


def factor(x: Any) -> Any:
    return np.linalg.cholesky(x @ x.T + 2.0 * np.eye(3))


def test_cholesky_factors_have_the_gradient_of_mpmath_and_torch() -> None:
    """Complex steps are none: NumPy's factor of a complex matrix is another function."""
    random = np.random.default_rng(5)
    x, upstream = random.standard_normal((3, 3)), random.standard_normal((3, 3))
    (found,) = gradients(factor, [x], upstream)

    def total(at: tuple[int, int], move: Any) -> Any:
        own = mpmath.matrix(x.tolist())
        own[at] += move
        lower = mpmath.cholesky(own * own.T + 2 * mpmath.eye(3))
        return mpmath.fsum(upstream[i, j] * lower[i, j] for i in range(3) for j in range(i + 1))

    with mpmath.workdps(40):
        true = [[float(mpmath.diff(lambda move, at=(i, j): total(at, move), 0)) for j in range(3)] for i in range(3)]
    np.testing.assert_allclose(found, true, rtol=1e-14, atol=1e-14)
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(x, requires_grad=True)
    lower = torch.linalg.cholesky(tensor @ tensor.T + 2.0 * torch.eye(3, dtype=torch.float64))
    (theirs,) = torch.autograd.grad(lower, tensor, torch.tensor(upstream))
    np.testing.assert_allclose(found, theirs.numpy(), rtol=1e-14, atol=1e-14)


def test_no_gradient_goes_through_places() -> None:
    x = np.array([[1.0, 3.0, 2.0], [4.0, 0.0, -1.0]])
    (found,) = gradients(lambda x: x * (np.argmax(x, axis=1, keepdims=True) + np.argmin(x)), [x], np.ones((2, 3)))
    assert found.tolist() == [[6.0] * 3, [5.0] * 3]


def test_the_variance_has_the_gradient_of_its_definition() -> None:
    def written(x: Any, y: Any) -> Any:  # numpy.var of complex numbers is another function
        first, second = x - np.mean(x, axis=0), y - np.mean(y, axis=0)
        return np.sum(first * first, axis=0) / 2 * np.sqrt(np.mean(second * second, axis=0))

    random = np.random.default_rng(5)
    arrays, upstream = [random.standard_normal((3, 3)) for _ in range(2)], random.standard_normal(3)
    found = gradients(lambda x, y: np.var(x, axis=0, ddof=1) * y.std(axis=0), arrays, upstream)
    for got, true in zip(found, by_complex_steps(written, arrays, upstream), strict=True):
        np.testing.assert_allclose(got, true, rtol=1e-13, atol=1e-14)


def test_a_gradient_has_a_gradient() -> None:
    def function(x: Any, y: Any) -> Any:
        powers = np.exp(x - stop_gradient(np.max(x, axis=1, keepdims=True)))
        return np.einsum("ij,jk->ik", powers / np.sum(powers, axis=1, keepdims=True), np.tanh(y)) ** 2

    random = np.random.default_rng(6)
    arrays, upstream = [random.standard_normal((3, 3)) for _ in range(2)], random.standard_normal((3, 3))
    weights = [random.standard_normal((3, 3)) for _ in range(2)]

    def first(x: Any, y: Any) -> Any:
        got = gradients(function, [x, y], upstream)
        return np.sum(got[0] * weights[0]) + np.sum(got[1] * weights[1])

    for got, true in zip(gradients(first, arrays, 1.0), by_complex_steps(first, arrays, np.float64(1.0)), strict=True):
        np.testing.assert_allclose(got, true, rtol=1e-12, atol=1e-13)


def hessians(x: Any, y: Any) -> Any:
    """What formulas are made of, in NumPy's words: folds, products, a choice, an order, and functions."""
    powers = np.exp(x - stop_gradient(np.max(x, axis=1, keepdims=True)))
    shares = powers / np.sum(powers, axis=1, keepdims=True)
    chosen = np.where(y > 0.0, np.tanh(y), y * y) * np.maximum(x, -0.25)
    return shares @ chosen + np.sort(x * y, axis=1) ** 3 + np.cumsum(np.arctan(x), axis=1) / np.sqrt(1.0 + y * y)


def hessians_in_torch(torch: Any, x: Any, y: Any) -> Any:
    chosen = torch.where(y > 0.0, torch.tanh(y), y * y) * torch.clamp(x, min=-0.25)
    ordered = torch.sort(x * y, dim=1).values ** 3
    rest = torch.cumsum(torch.arctan(x), dim=1) / torch.sqrt(1.0 + y * y)
    return torch.softmax(x, dim=1) @ chosen + ordered + rest


def test_reverse_over_reverse_is_torch_s_double_autograd() -> None:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(9)
    arrays, upstream = [random.standard_normal((4, 4)) for _ in range(2)], random.standard_normal((4, 4))
    weights = [random.standard_normal((4, 4)) for _ in range(2)]

    def first(x: Any, y: Any) -> Any:
        got = gradients(hessians, [x, y], upstream)
        return np.sum(got[0] * weights[0]) + np.sum(got[1] * weights[1])

    ours = gradients(first, arrays, 1.0)
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    once = torch.autograd.grad(hessians_in_torch(torch, *tensors), tensors, torch.tensor(upstream), create_graph=True)
    theirs = torch.autograd.grad(sum((g * torch.tensor(w)).sum() for g, w in zip(once, weights, strict=True)), tensors)
    for got, true in zip(ours, theirs, strict=True):
        scale = float(np.abs(true.numpy()).max())
        np.testing.assert_allclose(got, true.numpy(), rtol=0, atol=1e-14 * scale)


#: second derivatives in the words of mpmath, with numbers where no kink is near
TWICE: dict[str, tuple[Any, Any, float]] = {
    **{
        op: (getattr(np, op), function, at)
        for op, (function, ((at, *_), *_)) in IN_MPMATH.items()
        if len(IN_MPMATH[op][1][0]) == 1 and hasattr(np, op)
    },
    "quotient": (lambda x: 1.0 / (x * x + 1.0), lambda x: 1 / (x * x + 1), 0.7),
    "power": (lambda x: x**3, lambda x: x**3, -1.5),
    "largest": (lambda x: np.max(np.stack([x * x, x]), axis=0), lambda x: max(x * x, x), 1.5),
    "sorted": (
        lambda x: np.sort(np.stack([x * x, np.exp(x)]), axis=0)[0] ** 2,
        lambda x: min(x * x, mpmath.exp(x)) ** 2,
        0.7,
    ),
}


@pytest.mark.parametrize("name", TWICE)
def test_reverse_over_reverse_is_mpmath_s_second_derivative(name: str) -> None:
    ours, in_mpmath, at = TWICE[name]
    (found,) = gradients(lambda x: gradients(ours, [x], np.float64(1.0))[0], [np.float64(at)], np.float64(1.0))
    with mpmath.workdps(50):
        true = float(mpmath.diff(in_mpmath, mpmath.mpf(at), 2))
    assert float(found) == pytest.approx(true, rel=1e-14, abs=1e-15)


def test_what_was_not_recorded_has_no_gradient() -> None:
    x = np.ones(3)
    assert gradients(lambda x, y: 2 * x, [x, x], x)[1].tolist() == [0, 0, 0]
    assert gradients(lambda x: np.where(x > 0, 2.0, 1.0), [x], x)[0].tolist() == [0, 0, 0]
    for body in (np.percentile, lambda x, q: np.fmod(x, 2.0), lambda x, q: float(x), lambda x, q: x**x):
        with pytest.raises(TraceError, match=r"no gradient|a number is made|an exponent is an array"):
            gradients(lambda x, body=body: body(x, 50.0), [x], x)


def ranged(values: Any) -> Ranged:
    return Ranged(Bounded(np.asarray(values, float)), MODEL, Explorer())


#: bodies with a kink, where they are asked, and gradients that programs give there
KINKS: dict[str, tuple[Any, Any, list[Any], Any]] = {
    "abs": (np.abs, [0.0, 2.0], [[0.0, 1.0], [1.0, 1.0], [-1.0, 1.0]], [1.1, 1.0]),
    "relu": (lambda x: np.maximum(x, 0.0), [0.0, -2.0], [[0.0, 0.0], [1.0, 0.0], [0.5, 0.0]], [-0.1, 0.0]),
    "clip": (lambda x: np.clip(x, -1, 1), [-1.0, 1.0], [[1.0, 1.0], [0.0, 0.5]], [1.0, 1.5]),
    "max": (np.max, [2.0, 1.0, 2.0], [[1.0, 0, 0], [0, 0, 1.0], [0.5, 0, 0.5]], [0.5, 0.1, 0.5]),
    "sort": (lambda x: np.sort(x)[1], [2.0, 1.0, 2.0], [[1.0, 0, 0], [0, 0, 1.0], [0.5, 0, 0.5]], [0, 1.0, 0]),
}


@pytest.mark.parametrize("name", KINKS)
def test_at_a_kink_every_subgradient_is_in_the_set(name: str) -> None:
    body, at, right, wrong = KINKS[name]
    (numbers,) = gradients(body, [np.asarray(at)], 1.0 if name in ("max", "sort") else np.ones(len(at)))
    (found,) = gradients(body, [ranged(at)], ranged(1.0 if name in ("max", "sort") else np.ones(len(at))))
    for each in (*right, numbers):
        assert (np.abs(np.asarray(each) - found.known.value) <= found.known.bound() + 1e-15).all()
    assert not (np.abs(np.asarray(wrong) - found.known.value) <= found.known.bound()).all()


def test_numbers_go_back_to_their_places() -> None:
    random = np.random.default_rng(7)
    x, numbers = random.standard_normal((4, 6)), random.standard_normal((4, 6))
    found = array_error.unsorted(Bounded(x), Bounded(numbers), 1)
    assert (found.value == unsorted(x, numbers, axis=1)).all()
    assert (found.bound() == 0.0).all()
    near = array_error.unsorted(Bounded(x, np.full(x.shape, 0.3)), Bounded(numbers), 1)
    for _ in range(20):
        got = unsorted(x + random.uniform(-0.3, 0.3, x.shape), numbers, axis=1)
        assert (np.abs(got - near.value) <= near.bound() * (1 + 1e-12) + 1e-15).all()
    assert (array_error.resorted(Bounded(x), found, 1).value == numbers).all()
    wide = array_error.resorted(Bounded(x, np.full(x.shape, 0.3)), Bounded(numbers), 1)
    for _ in range(20):
        got = resorted(x + random.uniform(-0.3, 0.3, x.shape), numbers, axis=1)
        assert (np.abs(got - wide.value) <= wide.bound() * (1 + 1e-12) + 1e-15).all()
    shares = array_error.shares_of_largest(Bounded(np.array([1.0, 3.0, 3.0])), (0,))
    assert (np.abs(largest_shares(np.array([1.0, 3.0, 3.0]), axis=(0,)) - shares.value) <= shares.bound()).all()
    assert between(np.float64(1.0), np.float64(3.0)) == 2.0
