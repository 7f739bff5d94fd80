"""Gradients at fixed points: nudges of equilibrium propagation, recurrent backpropagation, and how symmetric a Jacobian is."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np

from refgrad.arithmetic.function_arguments import ITERATIONS, NOT_NEGATIVE, Function, Numbers, gated
from refgrad.errors import bad_argument
from refgrad.gradients.solved import Conditions, Solved
from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Choice, Citation, Iterations, Positive, Range, by

#: roundings, for each unknown, that what is left of an equation may come from
ROUNDINGS = 4
#: which shares of a whole step the dynamics take, one after another, until they come to rest
PACES = (1.0, 0.3, 0.1, 0.02)

_HOLOMORPHIC = Citation(
    "Laborieux & Zenke 2024",
    "Improving Equilibrium Propagation without Weight Symmetry through Jacobian Homeostasis",
    "ICLR, arXiv:2309.02214",
    read="authors' code",
    source="Laborieux-Axel/generalized-holo-ep 30592f5, by notes on it",
)


class OneSidedNudge(Transform):
    """The derivative of activations by the nudge at no nudge, by one nudge: (a(beta) - a(0)) / beta.

    ``free``, ``nudged`` [neuron]. Its error is of the order of beta. Source: Scellier & Bengio 2017, arXiv:1602.05179.
    """

    beta: Positive = 0.1
    citation = Citation(
        "Scellier & Bengio 2017",
        "Equilibrium Propagation",
        "Frontiers in Computational Neuroscience, arXiv:1602.05179",
        read="authors' code",
        source="Laborieux-Axel/generalized-holo-ep 30592f5, by notes on it",
    )
    shapes: ClassVar[Mapping[str, str]] = {"free": "neuron", "nudged": "neuron"}
    lengths: ClassVar[Mapping[str, int]] = {"neuron": 5}
    unspecified = "nothing: states that have not converged are taken as they are"

    def check(self, *arrays: np.ndarray) -> None:
        check_same(arrays[1], "nudged", arrays[0].shape, "the shape of free")

    def apply(self, free: Any, nudged: Any) -> Any:
        return (nudged - free) / self.beta


class ContourNudge(Transform):
    """The derivative of activations by the nudge at no nudge, by N nudges on a circle: Cauchy's formula.

    ``real``, ``imaginary`` [nudge, neuron]: activations at beta w**k, w = exp(2 pi i / N), k from 0 to N - 1. Gives the real part
    of (1 / N) sum of a(beta w**k) / (beta w**k), [neuron]. Two nudges are the symmetric difference. Its error is of the order of
    beta**N. Source: Laborieux & Zenke 2022, arXiv:2209.00530, and 2024, arXiv:2309.02214.
    """

    beta: Positive = 0.1
    citation = _HOLOMORPHIC
    shapes: ClassVar[Mapping[str, str]] = {"real": "nudge neuron", "imaginary": "nudge neuron"}
    lengths: ClassVar[Mapping[str, int]] = {"nudge": 4, "neuron": 3}
    unspecified = "one nudge, of which the formula has no derivative: refused"

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "real", 2, "[nudge, neuron]")
        check_count(arrays[0], "real", 2, "two nudges")
        check_same(arrays[1], "imaginary", arrays[0].shape, "the shape of real")

    def apply(self, real: Any, imaginary: Any) -> Any:
        count = len(real)
        turns = 2 * math.pi / count * np.arange(count)
        cosines, sines = np.cos(turns)[:, None], np.sin(turns)[:, None]
        return np.sum(cosines * real + sines * imaginary, axis=0) / (count * self.beta)


class RecurrentBackpropagation(Transform):
    """The gradient by a fixed point's input, by iteration: delta becomes delta + J^T delta + dL/du, from zeros.

    ``jacobian`` [neuron, neuron] of the dynamics u + F(u), J = dF/du; ``gradient`` [neuron], dL/du. At the end J^T delta +
    dL/du = 0. Source: Almeida 1987, Pineda 1987; Laborieux & Zenke 2024, arXiv:2309.02214.
    """

    iterations: Annotated[int, Iterations()] = 3
    citation = _HOLOMORPHIC
    shapes: ClassVar[Mapping[str, str]] = {"jacobian": "neuron neuron", "gradient": "neuron"}
    lengths: ClassVar[Mapping[str, int]] = {"neuron": 4}
    unspecified = "how many iterations; the sum of (I + J^T)**k dL/du, term by term, is the same"

    def check(self, *arrays: np.ndarray) -> None:
        check_square(arrays[0], "jacobian")
        check_same(arrays[1], "gradient", arrays[0].shape[:1], "one number a neuron")

    def apply(self, jacobian: Any, gradient: Any) -> Any:
        delta = gradient
        for _ in range(self.iterations - 1):
            delta = delta + (delta @ jacobian + gradient)
        return delta


class ImplicitGradient(Solved):
    """What recurrent backpropagation converges to: delta with J^T delta + dL/du = 0.

    ``jacobian`` [neuron, neuron] at the fixed point, ``gradient`` [neuron], dL/du. Judged by what is left of the equation,
    whose norm is at most ``tolerance`` and roundings, of the norms of its terms. Source: Laborieux & Zenke 2024,
    arXiv:2309.02214.
    """

    tolerance: Annotated[float, Range(0.0, 1e-2)] = 1e-5
    citation = _HOLOMORPHIC
    shapes: ClassVar[Mapping[str, str]] = RecurrentBackpropagation.shapes
    lengths: ClassVar[Mapping[str, int]] = RecurrentBackpropagation.lengths
    unspecified = "a singular Jacobian: NaN here"

    def check(self, *arrays: np.ndarray) -> None:
        check_square(arrays[0], "jacobian")
        check_same(arrays[1], "gradient", arrays[0].shape[:1], "one number a neuron")

    def apply(self, jacobian: Any, gradient: Any) -> Any:
        try:
            return np.linalg.solve(jacobian.T, -gradient)
        except np.linalg.LinAlgError:
            return np.full_like(gradient, np.nan)

    def computed_in(self, dtype: np.dtype) -> np.dtype:
        """Float64, whatever came in: the equation is solved as if exactly, and rounded once."""
        return np.dtype(np.float64)

    def condition(self, jacobian: Any, gradient: Any, delta: Any, unit: float) -> Conditions:
        terms = np.linalg.norm(jacobian) * np.linalg.norm(delta) + np.linalg.norm(gradient)
        room = self.tolerance + ROUNDINGS * len(gradient) * unit
        return {"what is left of the equation": (np.linalg.norm(jacobian.T @ delta + gradient), room * terms)}


class HomeostaticLoss(Transform):
    """How far a Jacobian is from a symmetric one: |J - J^T|**2 / (2 n), by Frobenius' norm.

    ``jacobian`` [neuron, neuron]; ``probes`` [probe, neuron], normal numbers, of which the estimate is the mean of (|J e|**2 -
    e^T J J e) / n. Gives one number. Source: Laborieux & Zenke 2024, arXiv:2309.02214.
    """

    value: Annotated[
        str,
        Choice(
            estimate=by("the mean over probes", "published", "authors"),
            exact="the expectation itself; probes are not read",
        ),
    ] = "estimate"
    citation = _HOLOMORPHIC
    shapes: ClassVar[Mapping[str, str]] = {"jacobian": "neuron neuron", "probes": "probe neuron"}
    lengths: ClassVar[Mapping[str, int]] = {"neuron": 4, "probe": 3}
    unspecified = "the coefficient with which it is added to a loss"

    def check(self, *arrays: np.ndarray) -> None:
        check_square(arrays[0], "jacobian")
        check_axes(arrays[1], "probes", 2, "[probe, neuron]")
        check_count(arrays[1], "probes", 1, "one row a probe")
        check_same(arrays[1][0], "probes[0]", arrays[0].shape[:1], "one number a neuron")

    def apply(self, jacobian: Any, probes: Any) -> Any:
        count = len(jacobian)
        if self.value == "exact":
            skew = jacobian - jacobian.T
            return np.sum(skew * skew) / (2 * count)
        forth, back = probes @ jacobian.T, probes @ jacobian
        return np.mean(np.sum(forth * forth, axis=1) - np.sum(back * forth, axis=1)) / count


class JacobianSymmetry(Transform):
    """The share of a Jacobian that is symmetric: |S| / (|S| + |A|), S and A its symmetric and antisymmetric part.

    ``jacobian`` [neuron, neuron]; Frobenius' norm; one number, NaN of a Jacobian that is zero. Source: Laborieux & Zenke 2024,
    arXiv:2309.02214.
    """

    citation = _HOLOMORPHIC
    shapes: ClassVar[Mapping[str, str]] = {"jacobian": "neuron neuron"}
    lengths: ClassVar[Mapping[str, int]] = {"neuron": 4}
    unspecified = "a Jacobian that is zero: 0 / 0"

    def check(self, *arrays: np.ndarray) -> None:
        check_square(arrays[0], "jacobian")

    def apply(self, jacobian: Any) -> Any:
        symmetric = np.linalg.norm(0.5 * (jacobian + jacobian.T))
        return symmetric / (symmetric + np.linalg.norm(0.5 * (jacobian - jacobian.T)))


class EquilibriumState(Solved):
    """The state in which a network of sigmoid neurons comes to rest: u = s(W u + c), s(z) = 1 / (1 + exp(2 - 4 z)).

    ``weights`` W [neuron, neuron], ``drive`` c [neuron], what inputs and biases add. Gives u [neuron]. Judged by what is left of
    the equation, neuron by neuron: at most ``tolerance``, and roundings of the sums in it; a sigmoid is no steeper than one.
    `fixed_point` has any dynamics. Source: Laborieux & Zenke 2024, arXiv:2309.02214.
    """

    tolerance: Annotated[float, Range(0.0, 1e-2)] = 1e-5
    citation = _HOLOMORPHIC
    shapes: ClassVar[Mapping[str, str]] = {"weights": "neuron neuron", "drive": "neuron"}
    lengths: ClassVar[Mapping[str, int]] = {"neuron": 5}
    longest: ClassVar[Mapping[str, int]] = {"neuron": 9}  # larger networks of normal weights seldom come to rest
    unspecified = "which state, where several are at rest: any; how the network comes there"

    def check(self, *arrays: np.ndarray) -> None:
        check_square(arrays[0], "weights")
        check_same(arrays[1], "drive", arrays[0].shape[:1], "one number a neuron")

    def apply(self, weights: Any, drive: Any) -> Any:
        weights, drive = np.asarray(weights, np.float64), np.asarray(drive, np.float64)
        if not (np.isfinite(weights).all() and np.isfinite(drive).all()):
            return np.full(drive.shape, np.nan)
        states = [np.full(drive.shape, 0.5)]
        for pace in PACES:  # slower where faster ones swing

            def change(state: np.ndarray, share: float = pace) -> np.ndarray:
                return share * _left(weights, drive, state)

            states.append(fixed_point(change, states[-1], most=300).state)
            if _largest(weights, drive, states[-1]) <= self.tolerance / 1000:
                return states[-1]
        states += [_root(weights, drive, state) for state in states]
        return min(states, key=lambda state: _largest(weights, drive, state))

    def condition(self, weights: Any, drive: Any, state: Any, unit: float) -> Conditions:
        sums = np.abs(weights) @ np.abs(state) + np.abs(drive)
        room = self.tolerance + unit * ((ROUNDINGS + len(drive)) * sums + ROUNDINGS)
        return {"what is left of the equation": (_left(weights, drive, state), room)}


def _left(weights: np.ndarray, drive: np.ndarray, state: np.ndarray) -> np.ndarray:
    """By how much a step changes a state."""
    return np.asarray(1.0 / (1.0 + np.exp(2.0 - 4.0 * (weights @ state + drive))) - state)


def _largest(weights: np.ndarray, drive: np.ndarray, state: np.ndarray) -> float:
    """The largest change of a neuron; infinite where one is no number."""
    largest = float(np.max(np.abs(_left(weights, drive, state)), initial=0.0))
    return math.inf if math.isnan(largest) else largest


def _root(weights: np.ndarray, drive: np.ndarray, state: np.ndarray) -> np.ndarray:
    """A state at rest that dynamics swing around, or one that is none, by Powell's method with the Jacobian."""
    from scipy.optimize import root

    def jacobian(u: np.ndarray) -> np.ndarray:
        sigmoid = _left(weights, drive, u) + u
        return (4.0 * sigmoid * (1.0 - sigmoid))[:, None] * weights - np.eye(len(drive))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an end without a root, which its largest change says
        return np.asarray(root(lambda u: _left(weights, drive, u), state, jac=jacobian, tol=1e-13).x)


class FixedPoint(NamedTuple):
    """A state that a step leaves as it is, as nearly as its residual says.

    Args:
        state: the state.
        residual: the largest absolute number by which the next step changes it.
        iterations: how many steps it took.
    """

    state: np.ndarray
    residual: float
    iterations: int


@gated(change=Function(), start=Numbers(complex=True), tolerance=NOT_NEGATIVE, most=ITERATIONS)
def fixed_point(
    change: Callable[[np.ndarray], np.ndarray], start: Any, *, tolerance: float = 1e-13, most: int = 10_000
) -> FixedPoint:
    """The state in which dynamics come to rest: u becomes u + F(u) until F(u) is nearly zero.

    Args:
        change: F, from a state, real or complex, to what is added to it.
        start: the first state, of any shape.
        tolerance: of the residual, at which it ends.
        most: steps at most; dynamics that do not come to rest say so by the residual, NaN where they diverge.

    Returns:
        The fixed point.

    >>> round(float(fixed_point(lambda u: np.cos(u) - u, 1.0).state), 9)
    0.739085133
    """
    state, count = start, 0

    def changed(state: np.ndarray) -> np.ndarray:
        found = Numbers(complex=True).check("change's result", change(state))
        check_same(found, "change's result", state.shape, "the shape of the state")
        return found

    step = changed(state)
    while np.max(np.abs(step), initial=0.0) > tolerance and count < most:
        state, count = state + step, count + 1
        step = changed(state)
    return FixedPoint(state, float(np.max(np.abs(step), initial=0.0)), count)


def check_square(array: np.ndarray, name: str) -> None:
    """Check that an array is a square matrix of at least one row.

    Args:
        array: the array.
        name: what errors call it.

    Raises:
        ArgumentError: it is not.
    """
    if array.ndim != 2 or array.shape[0] != array.shape[1] or not array.size:
        raise bad_argument(f"{name}.shape", array.shape, "a square matrix")
