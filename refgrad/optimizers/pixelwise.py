"""Pixel-wise gradient clipping."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from refgrad.errors import bad_argument
from refgrad.optimizers.transform import Transform
from refgrad.rule import Choice, Citation, NonNegative


class PixelwiseClip(Transform):
    """Each pixel's gradient, a vector of its channels, scaled so that it is at most ``threshold``: its direction is kept.

    ``v``: [..., channels, height, width]. A pixel that is all zeros stays so; one NaN reaches its pixel. Source: Pan et al.
    2024, arXiv:2310.12474.
    """

    threshold: NonNegative = 0.1
    measure: Annotated[
        str,
        Choice(
            euclidean="the root of the sum of the channels' squares (the paper's norm)",
            largest="the largest magnitude of the channels (the authors' code, its default)",
        ),
    ] = "euclidean"
    form: Annotated[
        str,
        Choice(
            hard="the factor is min(1, threshold / size)",
            soft="the factor is threshold / (size + threshold) (a mode of the authors' code)",
        ),
    ] = "hard"
    citation = Citation(
        "Pan et al. 2024",
        "Enhancing High-Resolution 3D Generation through Pixel-wise Gradient Clipping",
        "arXiv:2310.12474",
    )
    left_open = "which norm: that of reviews of the paper; its released code takes the largest channel"

    def check(self, *arrays: np.ndarray) -> None:
        if arrays[0].ndim < 3:
            raise bad_argument("v.ndim", arrays[0].ndim, "at least 3: [..., channels, height, width]")

    def apply(self, v: Any) -> Any:
        if self.measure == "euclidean":
            size = np.sqrt(np.sum(v * v, axis=-3, keepdims=True))
        else:
            size = np.max(np.abs(v), axis=-3, keepdims=True)
        if self.form == "soft":
            return v * (self.threshold / (size + self.threshold))
        return v * np.minimum(1.0, self.threshold / size)
