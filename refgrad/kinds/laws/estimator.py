"""Laws of estimators: of the forward value, and of the declared gradient, which is a vector-Jacobian product."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from refgrad.axes import ELEMENT
from refgrad.estimators.base import Estimator
from refgrad.kinds.laws.case_law import Arrays, Call, CaseLaw, Claim, first

#: how far out a surrogate that vanishes has vanished, and a factor that rounds nothing
FAR, FACTOR = 1e30, -4.0


def is_local(rule: Estimator) -> bool:
    """True if the elements of the input do not see each other."""
    axes = {*rule.parameter_axes().values(), *rule.gives().values()}
    return not rule.chosen and axes <= {ELEMENT} and not rule.plan((2, 2)).graph.reductions()


def _gradients(results: Arrays) -> dict[str, np.ndarray]:
    return {n: a for n, a in results.items() if n != "y"}


def _times(values: Arrays, factor: float) -> dict[str, np.ndarray]:
    return {n: a * a.dtype.type(factor) for n, a in values.items()}


def _linear(call: Call, rule: Estimator, arrays: Arrays) -> Iterator[Claim]:
    one = call(arrays)
    changed = {**arrays, **_times({"cotangent": arrays["cotangent"]}, FACTOR)}
    yield Claim(changed, call(changed), _times(_gradients(one), FACTOR))


def _no_cotangent(call: Call, rule: Estimator, arrays: Arrays) -> Iterator[Claim]:
    changed = {**arrays, "cotangent": np.zeros_like(arrays["cotangent"])}
    got = call(changed)
    yield Claim(changed, got, {n: np.zeros_like(a) for n, a in _gradients(got).items()})


def _apart(call: Call, rule: Estimator, arrays: Arrays) -> Iterator[Claim]:
    one = call(arrays)
    other = {**arrays, "cotangent": np.flip(arrays["cotangent"]).copy()}
    got = call(other)
    yield Claim(other, {"y": got["y"]} if "y" in got else {}, {"y": one["y"]} if "y" in one else {})


def _permuted(call: Call, rule: Estimator, arrays: Arrays) -> Iterator[Claim]:
    one = call(arrays)
    other = {n: np.flip(a).copy() for n, a in arrays.items()}
    yield Claim(other, call(other), {n: np.flip(a) for n, a in one.items()})


def _mirrored(arrays: Arrays) -> dict[str, np.ndarray]:
    return {**arrays, "x": -arrays["x"]}


def _odd(call: Call, rule: Estimator, arrays: Arrays) -> Iterator[Claim]:
    one, other = call(arrays), _mirrored(arrays)
    if "y" in one:
        away = _away(rule, arrays, one)
        yield Claim(other, _at(call(other), "y", away), _at({"y": -one["y"]}, "y", away))


def _even(call: Call, rule: Estimator, arrays: Arrays) -> Iterator[Claim]:
    one, other = call(arrays), _mirrored(arrays)
    if "x_grad" in one:
        yield Claim(other, _at(call(other), "x_grad", None), {"x_grad": one["x_grad"]})


def _away(rule: Estimator, arrays: Arrays, results: Arrays) -> np.ndarray:
    """Where an input is not zero: a sign of zero is a matter of policy, and has no mirror image."""
    return np.asarray(arrays["x"] != 0.0)


def _at(results: Arrays, name: str, where: np.ndarray | None) -> dict[str, np.ndarray]:
    if name not in results:
        return {}
    values = np.asarray(results[name])
    return {name: values if where is None else np.where(where, values, values.dtype.type(0))}


def _monotone(call: Call, rule: Estimator, arrays: Arrays) -> Iterator[Claim]:
    shape = arrays["x"].shape
    # what elements are given besides, such as a draw each, is the same along a row: else more than x is another
    alike = {n: np.broadcast_to(a[..., :1], shape).copy() for n, a in arrays.items() if np.shape(a) == shape and a.ndim}
    other = {**arrays, **alike, "x": np.sort(arrays["x"], axis=-1)}
    got = call(other)
    if "y" in got:
        falls = np.diff(np.asarray(got["y"], np.float64), axis=-1) < 0
        yield Claim(other, got, message=_said(got["y"][..., 1:], falls, "y", "falls where x grows"))


def _idempotent(call: Call, rule: Estimator, arrays: Arrays) -> Iterator[Claim]:
    one = call(arrays)
    if "y" in one:
        other = {**arrays, "x": one["y"]}
        yield Claim(other, {"y": call(other)["y"]}, {"y": one["y"]})


def _not_against(call: Call, rule: Estimator, arrays: Arrays) -> Iterator[Claim]:
    changed = {**arrays, "cotangent": np.abs(arrays["cotangent"])}
    got = call(changed)
    if "x_grad" in got:
        yield Claim(changed, got, message=_said(got["x_grad"], got["x_grad"] < 0, "x_grad", "is against the cotangent"))


def _vanishing(call: Call, rule: Estimator, arrays: Arrays) -> Iterator[Claim]:
    far = np.where(np.signbit(arrays["x"]), -FAR, FAR).astype(arrays["x"].dtype)
    changed = {**arrays, "x": far}
    got = call(changed)
    if "x_grad" in got:
        tiny = np.abs(arrays["cotangent"].astype(np.float64)) / FAR
        wrong = np.abs(np.asarray(got["x_grad"], np.float64)) > tiny
        yield Claim(
            changed, got, message=_said(got["x_grad"], wrong, "x_grad", f"at an input of {FAR:g} has not vanished")
        )


def _said(values: np.ndarray, wrong: np.ndarray, name: str, what: str) -> str:
    if not wrong.any():
        return ""
    at = first(wrong)
    return f"{name}[{', '.join(map(str, at))}], which is {float(values[at])!r}, {what}"


LAWS: tuple[CaseLaw, ...] = (
    CaseLaw(
        "linear in the cotangent",
        "a cotangent of minus four times as much gives gradients of minus four times as much",
        _linear,
        moderate=True,
    ),
    CaseLaw("no cotangent", "a cotangent of zero gives gradients of zero", _no_cotangent, moderate=True),
    CaseLaw("the value alone", "the value does not depend on the cotangent", _apart, universal=True),
    CaseLaw(
        "permutation",
        "elements do not see each other: in another order they give the same, in that order",
        _permuted,
        is_local,
        universal=True,
    ),
    CaseLaw("odd", "the value at minus x is minus that at x, but where x is zero", _odd),
    CaseLaw("even surrogate", "the gradient at minus x is that at x", _even),
    CaseLaw("monotone", "where x grows the value does not fall", _monotone, is_local),
    CaseLaw("idempotent", "the value at a value is that value", _idempotent),
    CaseLaw("along the cotangent", "no gradient has the sign against that of its cotangent", _not_against),
    CaseLaw("saturation", "far from all decisions the gradient vanishes", _vanishing, is_local),
)
