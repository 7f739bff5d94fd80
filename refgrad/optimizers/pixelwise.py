"""Pixel-wise gradient clipping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.errors import bad_argument
from refgrad.optimizers.logistic import sigmoid
from refgrad.optimizers.transform import Transform
from refgrad.rule import Choice, Citation, NonNegative, by


class PixelwiseClip(Transform):
    """Each pixel's gradient, a vector of its channels, scaled so that it is at most ``threshold``: its direction is kept.

    ``v``: [..., channels, height, width]. A pixel that is all zeros stays so; one NaN reaches its pixel. Source: Pan et al.
    2024, arXiv:2310.12474.
    """

    threshold: NonNegative = 0.1
    measure: Annotated[
        str,
        Choice(
            euclidean=by("the root of the sum of the channels' squares", "published: clipping by norm"),
            largest=by("the largest magnitude of the channels", "authors: its default"),
        ),
    ] = "euclidean"
    form: Annotated[
        str,
        Choice(
            hard="the factor is min(1, threshold / size)",
            soft=by("the factor is threshold / (size + threshold)", "authors: a mode"),
            value=by("each number by itself is held between -threshold and threshold", "authors: a mode"),
            soft_value=by("each number by itself: threshold v / (|v| + threshold)", "authors: a mode"),
            sigmoid=by("each number by itself: threshold (sigmoid(v) - 1/2)", "authors: a mode"),
            rescaled=by("all numbers by threshold over the largest magnitude of all", "authors: a mode"),
        ),
    ] = "hard"
    citation = Citation(
        "Pan et al. 2024",
        "Enhancing High-Resolution 3D Generation through Pixel-wise Gradient Clipping",
        "arXiv:2310.12474",
        read="authors' code",
        source="fudan-zvg/PGC-3D 14b9653, trainer.py and 2d.py, and a review of the publication",
    )
    shapes: ClassVar[Mapping[str, str]] = {"v": "n channels height width"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 2, "channels": 3, "height": 4, "width": 5}
    unspecified = (
        "which norm: a review of the paper calls it clipping by norm; its released code takes the largest channel"
    )

    def check(self, *arrays: np.ndarray) -> None:
        if arrays[0].ndim < 3:
            raise bad_argument("v.ndim", arrays[0].ndim, "at least 3: [..., channels, height, width]")

    def apply(self, v: Any) -> Any:
        if self.form in ("hard", "soft"):
            return self._by_pixel(v)
        if self.form == "value":
            return np.minimum(np.maximum(v, -self.threshold), self.threshold)
        if self.form == "soft_value":
            return self.threshold * v / (np.abs(v) + self.threshold)
        if self.form == "sigmoid":
            return self.threshold * (sigmoid(v) - 0.5)
        return v / np.max(np.abs(v)) * self.threshold

    def _by_pixel(self, v: Any) -> Any:
        """The vector of each pixel, scaled."""
        if self.measure == "euclidean":
            size = np.sqrt(np.sum(v * v, axis=-3, keepdims=True))
        else:
            size = np.max(np.abs(v), axis=-3, keepdims=True)
        if self.form == "soft":
            return v * (self.threshold / (size + self.threshold))
        return v * np.minimum(1.0, self.threshold / size)
