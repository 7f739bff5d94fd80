"""Balance between tasks, losses and inputs, so that no one's magnitude rules the gradient."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.optimizers.transform import Transform, check_axes
from refgrad.rule import Choice, Citation, by


class MagnitudeInvariantEncoding(Transform):
    """What a hypernetwork takes for hyperparameters from 0 to 1: their cosines and sines, whose norm is the same for all.

    ``gamma`` [hyperparameters], each from 0 to 1. Gives [2 hyperparameters]: all cosines of pi/2 times them, then all sines.
    Source: Ortiz, Guttag & Dalca 2023, arXiv:2304.07645.
    """

    encoding: Annotated[
        str,
        Choice(
            circle="cosines and sines of a quarter turn, of one Euclidean norm",
            complement=by("the numbers, then one less them: of one 1-norm alone", "authors"),
        ),
    ] = "circle"

    citation = Citation(
        "Ortiz, Guttag & Dalca 2023",
        "Magnitude Invariant Parametrizations Improve Hypernetwork Learning",
        "arXiv:2304.07645",
        read="study",
        source="a study of the paper and of JJGO/hyperlight a3e2108",
    )
    shapes: ClassVar[Mapping[str, str]] = {"gamma": "hyperparameter+"}
    lengths: ClassVar[Mapping[str, int]] = {"hyperparameter": 5}
    unspecified = "numbers beyond 0 and 1, of which the authors' code warns: encoded as they are"

    def check(self, *arrays: np.ndarray) -> None:
        """One number a hyperparameter."""
        check_axes(arrays[0], "gamma", 1, "one number a hyperparameter")

    def apply(self, gamma: Any) -> Any:
        if self.encoding == "complement":
            return np.concatenate([gamma, 1.0 - gamma])
        turn = gamma * (math.pi / 2)
        return np.concatenate([np.cos(turn), np.sin(turn)])
