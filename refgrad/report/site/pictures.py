"""What a rule does, drawn from a run: an optimizer's path, a quantizer's and an estimator's curves, the mask of some weights."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from refgrad.errors import RefgradError
from refgrad.estimators.base import Estimator
from refgrad.legal import Range
from refgrad.optimizers.base import Optimizer
from refgrad.quantizers.base import Quantizer
from refgrad.quantizers.eight_bit import EightBit
from refgrad.report.site import svg
from refgrad.rule import Rule
from refgrad.sparsity.base import Mask

#: the bowl that optimizers walk down: half of x^2 + 12 y^2, turned by so many degrees
STEEP, TURNED, START, STEPS = 12.0, 25.0, (-1.7, 0.75), 60
#: beyond which a path is lost
FAR = 100.0
RATES = tuple(float(f"{m}e{e}") for e in range(-3, 1) for m in (1, 2, 5))
_ANGLE = np.radians(TURNED)
TURN = np.array([[np.cos(_ANGLE), -np.sin(_ANGLE)], [np.sin(_ANGLE), np.cos(_ANGLE)]])
HESSIAN = TURN @ np.diag([1.0, STEEP]) @ TURN.T
#: what curves are drawn over, in a number of elements that blocks of every format divide
X = np.linspace(-3, 3, 512).astype(np.float32)


@functools.cache
def pictures(rule: Rule) -> tuple[str, ...]:
    """What is drawn of a rule.

    Args:
        rule: an instance.

    Returns:
        SVG documents that take their colours from the page; none of a kind that is not drawn, or of a rule that needs more
        than such a picture has.
    """
    for kind, draw in DRAWN.items():
        if isinstance(rule, kind):
            return tuple(draw(rule))
    return ()


def path(rule: Optimizer | EightBit) -> np.ndarray:
    """The way of an optimizer down the bowl, from `START`; a row a step."""
    p, random = np.array([START]), np.random.default_rng(0)
    state, rows = rule.init(p), [p[0]]
    for _ in range(STEPS):
        g = p @ HESSIAN
        given = {} if isinstance(rule, EightBit) else {"backend": "numpy", **_extras(rule, p, g, random)}
        p, state = rule.step(p, g, state, **given)
        rows.append(p[0])
        if not np.abs(p).max() < FAR:
            break
    return np.array(rows)


def _extras(rule: Optimizer, p: np.ndarray, g: np.ndarray, random: np.random.Generator) -> dict[str, Any]:
    """What a step takes besides, as it is on the bowl."""
    along = p + 0.05 * g / max(float(np.linalg.norm(g)), 1e-12)
    known = {
        "second": lambda: along @ HESSIAN,
        "h": lambda: np.broadcast_to(np.diag(HESSIAN), p.shape).copy(),
        "noise": lambda: random.standard_normal(p.shape),
        "loss": lambda: float(height(p)),
    }
    return {name: known[name]() for name in rule.inputs()}


def height(p: np.ndarray) -> np.ndarray:
    """The bowl's height at points, rows of two numbers."""
    return 0.5 * np.einsum("...i,ij,...j->...", p, HESSIAN, p).squeeze()


def _eight_bit(rule: EightBit) -> Iterable[str]:
    """The way of the rule, whose slots are quantized between steps though the bowl has few elements."""
    small = rule.replace(min_8bit_size=1)
    return _paths([(small.replace(rule=rule.rule.replace(lr=rate)), f", lr={rate:g}") for rate in RATES])


def _optimizer(rule: Optimizer) -> Iterable[str]:
    rate = next((name for name in ("lr", "inner_lr") if name in rule.hyperparameters() or _has(rule, name)), None)
    tried = (
        [(rule, "")] if rate is None else [(rule.replace(**{rate: value}), f", {rate}={value:g}") for value in RATES]
    )
    return _paths(tried)


def _paths(tried: Iterable[tuple[Optimizer | EightBit, str]]) -> Iterator[str]:
    """The way that goes down best of those of rules, each with what is told of it, and its height."""
    found: list[tuple[float, np.ndarray, str]] = []
    for each, told in tried:
        try:
            rows = path(each)
        except (RefgradError, KeyError, np.linalg.LinAlgError):
            continue
        if len(rows) > STEPS:
            found.append((float(height(rows[STEPS // 2 :]).max()), rows, told))
    if not found:
        return
    _, rows, told = min(found, key=lambda each: each[0])
    panel = svg.Panel(f"{STEPS} steps down a bowl{told}", (-2.05, 1.25), (-1.0, 1.15))
    for level in (0.15, 0.6, 1.35, 2.4):
        panel.ellipse((2 * level) ** 0.5, (2 * level / STEEP) ** 0.5, TURNED)
    panel.line(rows[:, 0], rows[:, 1], "path")
    panel.dots(rows[:, 0], rows[:, 1])
    panel.dots([0], [0], "goal", 3.5)
    yield panel.text()
    heights = height(rows)
    down = svg.Panel("height, log10", (0, STEPS), svg.ends(np.log10(np.maximum(heights, 1e-16))))
    down.line(range(STEPS + 1), np.log10(np.maximum(heights, 1e-16)))
    yield down.text()


def _has(rule: Optimizer, name: str) -> bool:
    try:
        rule.replace(**{name: 0.5})
    except (RefgradError, TypeError):
        return False
    return True


def _quantizer(rule: Quantizer) -> Iterable[str]:
    for shape in ((1, 512), (128, 4)):
        x = X.reshape(shape)
        try:
            y = rule.dequantize(rule.quantize(x, **rule.besides(x, np.random.default_rng(0))))
        except (RefgradError, np.linalg.LinAlgError):
            continue
        y = np.asarray(y, float).reshape(-1)
        curve = svg.Panel("what x stands for", (-3, 3), svg.ends(y))
        curve.line(X, X, "level")
        curve.line(X, y)
        error = svg.Panel("error", (-3, 3), svg.ends(y - X))
        error.line(X, y - X)
        yield from (curve.text(), error.text())
        return


def _estimator(rule: Estimator) -> Iterable[str]:
    x = X.reshape(1, -1)
    try:
        given: dict[str, Any] = {n: _parameter(rule, n, x) for n in rule.parameters}
        results = rule.both(np.ones_like(x), x, backend="numpy", **given)
    except RefgradError:
        return
    for name, title in (("y", "value"), ("x_grad", "gradient of x, for a cotangent of 1")):
        y = np.asarray(results[name], float).reshape(-1)
        panel = svg.Panel(title, (-3, 3), svg.ends(y))
        panel.line(X, y)
        yield panel.text()


def _parameter(rule: Estimator, name: str, x: np.ndarray) -> np.ndarray:
    """A number that is legal for a parameter: 1 or a half, or the middle of its range."""
    legal = rule.parameters[name].legal
    middle = (
        (legal.low + legal.high) / 2 if isinstance(legal, Range) and np.isfinite([legal.low, legal.high]).all() else 1.0
    )
    value = next(float(v) for v in (middle, 0.5, -0.5) if v in legal)
    axes = rule.parameter_axes()[name]
    shape = tuple(1 if axis == "1" else n for axis, n in zip(axes, x.shape, strict=True)) if len(axes) == 2 else x.shape
    return np.full(shape, value, np.float32)


def _mask(rule: Mask) -> Iterable[str]:
    random = np.random.default_rng(1)
    shape = rule.example_shape()
    others = {n: np.abs(random.standard_normal(shape)).astype(np.float32) + 0.1 for n in rule.takes() if n != "w"}
    try:
        mask = np.asarray(rule.mask(random.standard_normal(shape).astype(np.float32), **others))
    except (RefgradError, np.linalg.LinAlgError):
        return
    yield svg.cells(f"{int(mask.sum())} of {mask.size} weights are kept", mask[:24, :32].astype(bool))


DRAWN: Mapping[type, Callable[[Any], Iterable[str]]] = {
    EightBit: _eight_bit,
    Optimizer: _optimizer,
    Quantizer: _quantizer,
    Estimator: _estimator,
    Mask: _mask,
}
