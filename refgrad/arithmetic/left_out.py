"""What a selection leaves out of a gradient: zero, whatever is infinite or NaN beside it.

Where a body takes one of two values, the other has no part in the result, and what it is made of receives exactly zero: also
where a derivative on the way is infinite or NaN, as that of an exponential that overflows in the branch that is not taken. A
program that multiplies that zero by an infinity gives NaN where the derivative is a number.

At zero a root is infinitely steep. What is under it as a square is flat there: of a norm zero is a subgradient, and of what is
multiplied by zero the root is a constant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from refgrad.arithmetic.subgradients import known_to_carriers


@known_to_carriers
def surely(condition: Any, truth: bool) -> np.ndarray:
    """Where a condition holds for certain, or for certain does not: booleans, whatever stands for the condition.

    Args:
        condition: truth values, or what stands for them.
        truth: what is asked for.
    """
    return np.asarray(condition, bool) == truth


@known_to_carriers
def surely_less(a: Any, b: Any) -> np.ndarray:
    """Where a number is for certain less than another one: booleans."""
    return np.asarray(a < b)


@known_to_carriers
def surely_zero(x: Any) -> np.ndarray:
    """Where a number is zero for certain: booleans."""
    return np.asarray(x) == 0.0


@known_to_carriers
def dropped(x: Any, places: np.ndarray) -> Any:
    """A gradient in which what is not finite is zero in places that are left out.

    Args:
        x: the gradient.
        places: booleans, of its shape.
    """
    return np.where(places & ~np.isfinite(x), np.zeros((), np.asarray(x).dtype), x)


@known_to_carriers
def unsettled(x: Any, places: np.ndarray) -> Any:
    """A gradient of which nothing is known where it is not finite, in places that may be left out; of floats, itself.

    Args:
        x: the gradient.
        places: booleans, of its shape: where some programs leave it out, as where a comparison with NaN decides.
    """
    return x


class Marks(NamedTuple):
    """What is known of a gradient on its way.

    Attributes:
        left_out: where it is zero because of a selection; None for nowhere.
        steep: where it is infinite because a root is taken of zero; None for nowhere.
        open: where programs may leave it out; None for nowhere.
    """

    left_out: np.ndarray | None = None
    steep: np.ndarray | None = None
    open: np.ndarray | None = None

    def through(self, reach: Callable[[np.ndarray], np.ndarray], own: Marks) -> Marks:
        """Those of what an operand receives.

        Args:
            reach: what it would receive of ones and zeros were the operation a sum of what it is made of.
            own: what the operation itself leaves out, and where it is steep, in the shape of its value.
        """
        if self is NONE and own is NONE:
            return NONE
        left_out, steep, open_ = (_either(one, other) for one, other in zip(self, own, strict=True))
        found = Marks(
            None if left_out is None else _some(reach(1.0 - left_out.astype(np.float64)) == 0.0),
            None if steep is None else _some(reach(steep.astype(np.float64)) > 0.0),
            None if open_ is None else _some(reach(open_.astype(np.float64)) > 0.0),
        )
        return found.or_none()

    def or_none(self) -> Marks:
        """The marks; `NONE` itself where they say nothing, so that the next operation sees at once that there are none."""
        return NONE if self.left_out is None and self.steep is None and self.open is None else self

    def applied(self, gradient: Any) -> Any:
        """A gradient without what is left out of it."""
        if self.open is not None:
            gradient = unsettled(gradient, self.open)
        return gradient if self.left_out is None else dropped(gradient, self.left_out)

    def met(self, other: Marks) -> Marks:
        """Those of the sum of two gradients that reach one value."""
        if self is NONE and other is NONE:
            return NONE
        both = None if self.left_out is None or other.left_out is None else self.left_out & other.left_out
        return Marks(both, _either(self.steep, other.steep), _either(self.open, other.open)).or_none()


def _either(a: np.ndarray | None, b: np.ndarray | None) -> np.ndarray | None:
    return b if a is None else a if b is None else a | b


def _some(places: np.ndarray) -> np.ndarray | None:
    return places if _somewhere(places) else None


def _somewhere(places: Any) -> bool:
    """True if one of the places is marked; of what stands for arrays of any numbers, if one may be."""
    return getattr(places, "any_numbers", False) or bool(places.any())


NONE = Marks()


class Receives(NamedTuple):
    """What an operand receives of the gradient of an operation's value.

    Attributes:
        of: what it receives of a gradient, and of the marks that this has.
        marks: those of what it receives, of the marks of the gradient.
    """

    of: Callable[[Any, Marks], Any]
    marks: Callable[[Marks], Marks]

    @classmethod
    def moved(cls, get: Callable[[Any], Any], leaves_out: Callable[[], np.ndarray] | None = None) -> Receives:
        """Of an operation that moves and adds up numbers: of marks it makes what it makes of numbers.

        Args:
            get: what the operand receives.
            leaves_out: where the operand itself is left out; None for nowhere.
        """
        return cls.joined(get, get, leaves_out)

    @classmethod
    def joined(
        cls,
        get: Callable[[Any], Any],
        reach: Callable[[np.ndarray], np.ndarray],
        leaves_out: Callable[[], np.ndarray] | None = None,
    ) -> Receives:
        """Of an operation on many elements, of which ``reach`` says which of its numbers go where."""

        def marks(given: Marks) -> Marks:
            found = given.through(reach, NONE)
            own = None if leaves_out is None else leaves_out()
            if own is None or not _somewhere(own):
                return found
            return found._replace(left_out=own if found.left_out is None else own | found.left_out)

        def of(upstream: Any, given: Marks) -> Any:
            return marks(given).applied(get(upstream))

        return cls(of, marks)


#: an operation on elements -> of its operands, where each is left out for certain, and where it is taken for certain
LEFT_OUT: Mapping[str, Sequence[tuple[Callable[..., np.ndarray], Callable[..., np.ndarray]]]] = {
    "where": (
        (lambda condition, a, b: np.zeros((), bool), lambda condition, a, b: np.ones((), bool)),
        (lambda condition, a, b: surely(condition, False), lambda condition, a, b: surely(condition, True)),
        (lambda condition, a, b: surely(condition, True), lambda condition, a, b: surely(condition, False)),
    ),
    "maximum": (
        (lambda a, b: surely_less(a, b), lambda a, b: surely_less(b, a)),
        (lambda a, b: surely_less(b, a), lambda a, b: surely_less(a, b)),
    ),
    "minimum": (
        (lambda a, b: surely_less(b, a), lambda a, b: surely_less(a, b)),
        (lambda a, b: surely_less(a, b), lambda a, b: surely_less(b, a)),
    ),
}


def own_marks(op: str, which: int, operands: Sequence[Any], steep: np.ndarray | None) -> Marks:
    """What an operation on elements leaves out of what an operand receives, and where it is steep.

    Args:
        op: its name.
        which: the operand that is asked for.
        operands: the operands.
        steep: where what reaches the operation is infinite because of a root of zero.
    """
    if op in LEFT_OUT:
        out, taken = (found(*operands) for found in LEFT_OUT[op][which])
        return Marks(left_out=_some(out), open=_some(~out & ~taken))
    if op == "sqrt":
        return Marks(steep=_some(surely_zero(operands[0])))
    if steep is None or op not in ("mul", "square", "power") or (op == "power" and float(operands[1]) < 2.0):
        return NONE
    flat = surely_zero(operands[1 - which] if op == "mul" else operands[0])
    return Marks(left_out=_some(flat & steep))
