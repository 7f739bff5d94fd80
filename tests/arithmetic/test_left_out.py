"""What a selection leaves out of a gradient: values against limits and torch, and kernels that are right or wrong there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.arithmetic.left_out import Marks, dropped, surely, surely_less, surely_zero, unsettled

mpmath = pytest.importorskip("mpmath")


def of_rows(body: Callable[..., Any]) -> Any:
    return refgrad.formula(x="batch feature", wrt="x")(body)


@of_rows
def elu(x: Any) -> Any:
    return np.where(x > 0, x, np.expm1(x))


@of_rows
def softplus(x: Any) -> Any:
    return np.where(x > 20.0, x, np.log1p(np.exp(x)))


@of_rows
def relu_squared(x: Any) -> Any:
    return np.maximum(x, 0.0) ** 2


@of_rows
def logarithm_kept(x: Any) -> Any:
    return np.maximum(np.log(np.abs(x)), -100.0)


@of_rows
def norm(x: Any) -> Any:
    return np.linalg.norm(x, axis=-1)


@of_rows
def normalize(x: Any) -> Any:
    return x / np.maximum(np.sqrt(np.sum(x * x, axis=-1, keepdims=True)), 1e-12)


@refgrad.formula(x="n", y="n", wrt="x y")
def huber(x: Any, y: Any) -> Any:
    d = np.abs(x - y)
    return np.mean(np.where(d <= 1.0, 0.5 * d * d, d - 0.5))


def test_what_is_left_out_is_zero_and_what_is_a_number_stays() -> None:
    x, places = np.float32([np.nan, np.inf, 2.0, np.nan]), np.array([True, True, True, False])
    assert dropped(x, places).tolist()[:3] == [0.0, 0.0, 2.0]
    assert np.isnan(dropped(x, places)[3])
    assert dropped(x, places).dtype == np.float32
    assert unsettled(x, places) is x
    assert surely(np.array([True, False]), False).tolist() == [False, True]
    assert surely_less(np.array([1.0, 2.0, np.nan]), 2.0).tolist() == [True, False, False]
    assert surely_zero(np.array([0.0, 1.0])).tolist() == [True, False]


def test_a_sum_is_left_out_where_all_its_gradients_are() -> None:
    one, both = Marks(left_out=np.array([True, False])), Marks(left_out=np.array([True, True]))
    assert both.through(lambda ones: np.sum(ones), Marks()).left_out is not None
    assert one.through(lambda ones: np.sum(ones), Marks()).left_out is None
    assert both.met(one).left_out.tolist() == [True, False]  # type: ignore[union-attr]
    assert both.met(Marks()).left_out is None


#: a formula, the function at a point in mpmath's words, and where a branch overflows or is beyond its kink
LIMITS = [
    (elu, lambda t: t if t > 0 else mpmath.expm1(t), (455.0, 800.0, -800.0, -3.0)),
    (softplus, lambda t: mpmath.log1p(mpmath.exp(t)), (800.0, 30.0, -2.0)),
    (relu_squared, lambda t: max(t, 0) ** 2, (-2.0, 3.0)),
    (logarithm_kept, lambda t: max(mpmath.log(abs(t)), mpmath.mpf(-100)) if t else mpmath.mpf(-100), (0.0, 1e-60, 2.0)),
]


@pytest.mark.parametrize(("rule", "function", "points"), LIMITS, ids=lambda each: getattr(each, "__name__", ""))
def test_gradients_are_the_limits_of_quotients(rule: Any, function: Any, points: tuple[float, ...]) -> None:
    with mpmath.workdps(60), np.errstate(all="ignore"):
        for point in points:
            step = mpmath.mpf(10) ** -110 if point == 0.0 else abs(mpmath.mpf(point)) * mpmath.mpf(10) ** -25
            true = float((function(point + step) - function(point - step)) / (2 * step))
            got = rule().backward(np.array([[point]]), np.array([[1.0]]))["grad_x"].item()
            assert got == pytest.approx(true, rel=1e-12)


def test_at_zero_a_norm_has_the_gradient_zero_and_beside_it_the_unit_vector() -> None:
    with np.errstate(all="ignore"):
        for power in (norm, of_rows(lambda x: np.sqrt(np.sum(x**2, axis=-1)))):
            got = power().backward(np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([2.0, 1.0]))["grad_x"]
            assert got == pytest.approx(np.array([[0.0, 0.0], [0.6, 0.8]]), rel=1e-15)
        root = of_rows(lambda x: np.sqrt(x))
        assert root().backward(np.array([[0.0]]), np.array([[1.0]]))["grad_x"].item() == np.inf


def test_a_gradient_is_that_of_infinities_where_it_has_one() -> None:
    x, y = np.array([np.inf, -np.inf, 0.5]), np.zeros(3)
    with np.errstate(all="ignore"):
        got = huber().backward(x, y, np.array(3.0))
    assert got["grad_x"].tolist() == [1.0, -1.0, 0.5]


def test_a_second_derivative_leaves_out_the_same() -> None:
    @refgrad.formula(x="n", grad="n", wrt="x")
    def slope(x: Any, grad: Any) -> Any:
        return elu().backward.apply(np.reshape(x, (1, -1)), np.reshape(grad, (1, -1)))["grad_x"][0]

    with np.errstate(all="ignore"):
        got = slope().backward(np.array([800.0, -1.0]), np.ones(2), np.ones(2))["grad_x"]
    assert got == pytest.approx([0.0, np.exp(-1.0)], rel=1e-14)


def elu_backward(x: Any, grad_output: Any, *, beyond: float = 1.0) -> Any:
    slope = np.where(x > 88.8, np.float32(beyond), np.where(x > 0, np.float32(1), np.exp(np.minimum(x, 0))))
    return slope * grad_output


def norm_backward(x: Any, grad_output: Any, *, at_zero: float = 0.0) -> Any:
    length = np.sqrt(np.sum(x * x, axis=-1, keepdims=True))
    with np.errstate(all="ignore"):
        return np.where(length == 0, x.dtype.type(at_zero), x / length) * grad_output[:, None]


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize(
    ("rule", "kernel", "right"),
    [
        (elu, elu_backward, 1.0),
        (elu, elu_backward, np.nan),
        (elu, elu_backward, 2.0),
        (elu, elu_backward, 0.0),
        (norm, norm_backward, 0.0),
        (norm, norm_backward, np.nan),
        (norm, norm_backward, 1.0),
    ],
)
def test_kernels_are_judged_where_the_derivation_has_zero_times_infinity(rule: Any, kernel: Any, right: float) -> None:
    word = "beyond" if kernel is elu_backward else "at_zero"
    candidate = lambda x, grad_output: kernel(x, grad_output, **{word: right})  # noqa: E731
    verdict = refgrad.verify(candidate, rule().backward, explain=False, shrink=False)
    assert verdict.conforms == (right == (1.0 if rule is elu else 0.0)), verdict


@pytest.mark.sample(suite=4)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["elu", "softplus", "normalize", "norm", "huber", "logsumexp", "top_k"])
def test_torch_s_gradients_conform(name: str, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional

    @of_rows
    def logsumexp(x: Any) -> Any:
        return refgrad.logsumexp(x)

    @of_rows
    def top_k(x: Any) -> Any:
        kept = np.where(refgrad.top_k(x, 2), np.exp(x - np.max(x, axis=-1, keepdims=True)), 0.0)
        return kept / np.sum(kept, axis=-1, keepdims=True)

    def scattered(x: Any) -> Any:
        largest, where = x.topk(min(2, x.shape[-1]), -1)
        return torch.zeros_like(x).scatter(-1, where, torch.softmax(largest, -1))

    rule, function = {
        "elu": (elu, functional.elu),
        "softplus": (softplus, functional.softplus),
        "normalize": (normalize, lambda x: functional.normalize(x, dim=-1)),
        "norm": (norm, lambda x: torch.linalg.norm(x, dim=-1)),
        "huber": (huber, functional.huber_loss),
        "logsumexp": (logsumexp, lambda x: torch.logsumexp(x, -1)),
        "top_k": (top_k, scattered),
    }[name]

    def backward(*arrays: np.ndarray) -> Any:
        tensors = [torch.tensor(a, requires_grad=True) for a in arrays[:-1]]
        found = torch.autograd.grad(function(*tensors), tensors, torch.tensor(arrays[-1]))
        return found[0].numpy() if len(found) == 1 else tuple(each.numpy() for each in found)

    verdict = refgrad.verify(backward, rule().backward, dtype=dtype, explain=False, shrink=False)
    assert verdict.conforms, verdict
