"""What a rule's step is handed besides a parameter and its gradient: state slots, kept from step to step, and extra inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from refgrad.axes import ELEMENT, LOW, THIN, Axes, axes_shape, described
from refgrad.projections import projected

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Slot:
    """One array of state for each parameter, or one number.

    Args:
        fill: the first value; or the name of the hyperparameter that gives it; or ``"p"`` for a copy of the parameter. Of a
            square matrix it is the diagonal's.
        when: the hyperparameter that must be true or non-zero for the slot to exist; None if it always does.
        scalar: whether it is one float64 number a parameter, a Python float.
        axes: `ELEMENT` (shaped like the parameter), `ROW`, `COLUMN` or `TENSOR` (one number for each, in an array that
            broadcasts against the parameter), `LEFT` or `RIGHT` (a square matrix, of as many rows as the parameter has rows
            or columns), `THIN` (``rank`` vectors as columns, as long as the parameter's ``side``) or `LOW` (the parameter
            seen in these), of `refgrad.axes`; or the name of the hyperparameter that says "row", "column" or "tensor". A
            parameter's rows run along its first axis, its columns along all others.
        rank: how many vectors a thin slot has, or the hyperparameter that says so.
        side: the side of a matrix that they are of, "shorter" or "longer", or the hyperparameter that says so.
    """

    fill: float | str = 0.0
    when: str | None = None
    scalar: bool = False
    axes: Axes | str = ELEMENT
    rank: int | str = 0
    side: str = ""

    @property
    def settled(self) -> Axes:
        """The axes, of a slot whose hyperparameter has said which."""
        assert not isinstance(self.axes, str), self.axes
        return self.axes

    def shape(self, p: tuple[int, ...]) -> tuple[int, ...]:
        """The array's shape.

        Args:
            p: the shape of the parameter.

        Returns:
            The shape that the slot has beside that parameter.

        >>> from refgrad.axes import RIGHT, ROW
        >>> Slot(axes=ROW).shape((4, 3, 2)), Slot(axes=RIGHT).shape((4, 3, 2))
        ((4, 1, 1), (6, 6))
        """
        axes = self.settled
        if p and axes in (THIN, LOW):
            return projected(p, int(self.rank), self.side)[axes == LOW]
        return axes_shape(axes, p)

    def described(self) -> str:
        """What it is of a parameter, where it is not shaped like it."""
        return described(self.settled)


zeros_like_param = Slot()
copy_of_param = Slot(fill="p")


def scalar_slot(fill: float) -> Slot:
    """A slot that holds one float64 number a parameter, a Python float.

    Args:
        fill: its first value.

    Returns:
        The slot.
    """
    return Slot(fill, scalar=True)


class Named(Mapping[str, Thing]):
    """Things by name, in the order in which they were written.

    Args:
        things: the things.
    """

    def __init__(self, **things: Thing) -> None:
        self._things = things

    def __getitem__(self, name: str) -> Thing:
        return self._things[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)


class State(Named[Slot]):
    """The state slots of a rule, in the order in which `update` takes and returns them.

    >>> list(State(m=zeros_like_param, v=zeros_like_param))
    ['m', 'v']
    """


@dataclass(frozen=True)
class Kind:
    """What an extra input of a step is.

    Args:
        sentence: what it is, for people.
        scalar: whether it is one float64 number rather than an array.
        odd: whether it changes sign with the gradient.
        scales: whether it is multiplied by what multiplies the loss.
    """

    sentence: str
    scalar: bool = False
    odd: bool = False
    scales: bool = False


KINDS: Mapping[str, Kind] = {
    "gradient": Kind("another gradient, such as that at another point", odd=True, scales=True),
    "curvature": Kind("an estimate of the Hessian's diagonal", scales=True),
    "noise": Kind("independent standard normal numbers", odd=True, scales=True),
    "bits": Kind("independent whole numbers from 0 to 2**bits - 1, as unsigned integers or as floats that hold them"),
    "loss": Kind("the loss, one float64 number of all parameters together", scalar=True, scales=True),
}


@dataclass(frozen=True)
class Extra:
    """One input of a step besides the parameter, its gradient and the state.

    Args:
        kind: a key of `KINDS`, which says whether it is an array shaped like the parameter, or one number.
        when: the hyperparameter that must be true or non-zero for the input to exist; None if it always does.
        at: of a gradient that is taken at another point than the parameter, the slot that holds this point.
        bits: of random bits, how many, at most 24, so that every working precision holds them.
    """

    kind: str
    when: str | None = None
    at: str | None = None
    bits: int = 0

    @property
    def facts(self) -> Kind:
        """What its kind says."""
        return KINDS[self.kind]

    @property
    def scalar(self) -> bool:
        """True if it is one number."""
        return self.facts.scalar


class Extras(Named[Extra]):
    """The extra inputs of a rule's step, in the order in which `update` takes them, after the gradient.

    >>> Extras(h=Extra("curvature"))["h"].facts.sentence
    "an estimate of the Hessian's diagonal"
    """
