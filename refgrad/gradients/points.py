"""Density control of Gaussian points: which are cloned, split, pruned and made faint, and where errors of renderings meet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.function_arguments import Labels, gated
from refgrad.gradients.solved import Conditions, Solved
from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Citation, Positive, Range, Whole

_KERBL = Citation(
    "Kerbl et al. 2023",
    "3D Gaussian Splatting for Real-Time Radiance Field Rendering",
    "ACM Transactions on Graphics 42(4)",
    read="study",
    source="a study of Surrey-UP-Lab/GS-LPM 0e8314a and nerfstudio-project/gsplat 90d7b4b",
)
_YANG = Citation(
    "Yang et al. 2024",
    "Localized Gaussian Point Management",
    "arXiv:2406.04251",
    read="study",
    source="a study of Surrey-UP-Lab/GS-LPM 0e8314a",
)


class GaussianGradientNorm(Transform):
    """The mean norm of a point's gradient on the screen over the views in which it is visible; 0 where it is in none.

    ``gradients`` [view, point, 2], of normalized coordinates, which are scaled by half the width and height; ``visible`` [view,
    point] of 0 and 1. Gives [point]. Source: Kerbl et al. 2023.
    """

    width: Positive = 4.0
    height: Positive = 2.0
    views: Annotated[int, Whole(1)] = 1
    citation = _KERBL
    shapes: ClassVar[Mapping[str, str]] = {"gradients": "view point 2", "visible": "view point below:2"}
    lengths: ClassVar[Mapping[str, int]] = {"view": 4, "point": 5, "2": 2}
    unspecified = "a loss that is a mean over several views: gradients are multiplied by their number, as in gsplat"

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "gradients", 3, "[view, point, 2]")
        check_same(arrays[0], "gradients", (*arrays[0].shape[:2], 2), "two coordinates")
        check_same(arrays[1], "visible", arrays[0].shape[:2], "[view, point]")

    def apply(self, gradients: Any, visible: Any) -> Any:
        scaled = gradients * (np.array([self.width, self.height]) / 2 * self.views)
        norm = np.sqrt(np.sum(scaled * scaled, axis=-1))
        return np.sum(np.where(visible == 1, norm, 0.0), axis=0) / np.maximum(np.sum(visible, axis=0), 1)


class DensityControl(Transform):
    """Which Gaussian points are cloned, split and pruned.

    ``gradient`` [point], its mean norm; ``scale`` [point, 3]; ``opacity`` [point]. Of a high gradient small points are cloned and
    others split; faint and very large points are pruned. Gives by name 1 and 0 [point]. Source: Kerbl et al. 2023.
    """

    threshold: Positive = 2e-4
    extent: Positive = 1.0
    small: Positive = 0.01
    large: Positive = 0.1
    faint: Positive = 0.005
    citation = _KERBL
    shapes: ClassVar[Mapping[str, str]] = {"gradient": "point+", "scale": "point 3+", "opacity": "point+"}
    lengths: ClassVar[Mapping[str, int]] = {"point": 9, "3": 3}
    unspecified = "a gradient that is the threshold: high, as in the authors' code; gsplat takes larger ones alone"

    def check(self, *arrays: np.ndarray) -> None:
        gradient, scale, opacity = arrays
        check_axes(gradient, "gradient", 1, "[point]")
        check_same(scale, "scale", (len(gradient), 3), "[point, 3]")
        check_same(opacity, "opacity", gradient.shape, "the shape of gradient")

    def apply(self, gradient: Any, scale: Any, opacity: Any) -> Any:
        one, longest = np.ones_like(gradient), np.max(scale, axis=1)
        high, small = gradient >= self.threshold, longest <= self.small * self.extent
        pruned = (opacity < self.faint) | (longest > self.large * self.extent)
        found = {"clone": high & small, "split": high & ~small, "prune": pruned}
        return {name: np.where(mask, one, 0.0) for name, mask in found.items()}


class GaussianSplit(Transform):
    """Two smaller points in place of each: their places are drawn from it, their scales are its own over a factor.

    ``position``, ``scale`` [point, 3]; ``rotation`` [point, 4], quaternions w, x, y, z of any norm; ``noise`` [2, point, 3],
    normal numbers. Gives ``(position, scale)`` [2, point, 3]. Source: Kerbl et al. 2023.
    """

    shrink: Positive = 1.6
    citation = _KERBL
    shapes: ClassVar[Mapping[str, str]] = {
        "position": "point 3",
        "scale": "point 3+",
        "rotation": "point 4",
        "noise": "2 point 3",
    }
    lengths: ClassVar[Mapping[str, int]] = {"point": 4, "2": 2, "3": 3, "4": 4}
    unspecified = "a quaternion of zeros: 0 / 0"

    def check(self, *arrays: np.ndarray) -> None:
        position, scale, rotation, noise = arrays
        check_axes(position, "position", 2, "[point, 3]")
        check_same(position, "position", (len(position), 3), "three coordinates")
        check_same(scale, "scale", position.shape, "the shape of position")
        check_same(rotation, "rotation", (len(position), 4), "quaternions")
        check_same(noise, "noise", (2, *position.shape), "[2, point, 3]")

    def apply(self, position: Any, scale: Any, rotation: Any, noise: Any) -> Any:
        unit = rotation / np.sqrt(np.sum(rotation * rotation, axis=1, keepdims=True))
        w, axis, drawn = unit[:, :1], unit[:, 1:], scale * noise
        turned = drawn + 2 * _cross(axis, w * drawn + _cross(axis, drawn))
        return position + turned, (scale + 0 * noise) / self.shrink


class OpacityReset(Transform):
    """Opacities that are made faint, so that points must earn them again.

    ``opacity`` [point]. Source: Kerbl et al. 2023.
    """

    faint: Positive = 0.01
    citation = _KERBL
    shapes: ClassVar[Mapping[str, str]] = {"opacity": "point+"}
    lengths: ClassVar[Mapping[str, int]] = {"point": 6}
    unspecified = "nothing: a fainter point stays as it is"

    def apply(self, opacity: Any) -> Any:
        return np.minimum(opacity, self.faint)


class ConeOpacityReset(Transform):
    """Opacities of the opaque points between a camera and a zone of errors, which are made faint.

    ``points`` [point, 3], ``opacity`` [point]; ``camera`` [3]; ``center``, ``half`` [3], the zone's middle and half sides. In
    front are points in the cone from the camera around the zone's middle, of radius r, the least half side, at its distance h,
    that are no farther than h, and than h - r where h > r. Those are made faint whose opacity exceeds the k-th largest of the
    points within the zone, k = floor(share times their number). Gives [point]. Source: Yang et al. 2024, arXiv:2406.04251.
    """

    share: Annotated[float, Range(0.0, 1.0, open_low=False, open_high=False)] = 0.7
    faint: Positive = 0.01
    citation = _YANG
    shapes: ClassVar[Mapping[str, str]] = {
        "points": "point 3",
        "opacity": "point+",
        "camera": "3",
        "center": "3",
        "half": "3+",
    }
    lengths: ClassVar[Mapping[str, int]] = {"point": 24, "3": 3}
    unspecified = (
        "a zone of too few points, k = 0: nothing is changed; a point that is fainter already: raised, as in the authors' code; "
        "a point on the zone's faces: outside"
    )

    def check(self, *arrays: np.ndarray) -> None:
        points, opacity, *vectors = arrays
        check_axes(points, "points", 2, "[point, 3]")
        check_same(points, "points", (len(points), 3), "three coordinates")
        check_same(opacity, "opacity", points.shape[:1], "one a point")
        for name, array in zip(("camera", "center", "half"), vectors, strict=True):
            check_same(array, name, (3,), "three coordinates")

    def apply(self, points: Any, opacity: Any, camera: Any, center: Any, half: Any) -> Any:
        inside = np.max(np.where(np.abs(points - center) < half, 0.0, np.ones_like(points)), axis=1) == 0
        count = math.floor(self.share * int(np.sum(inside)))
        if count == 0:
            return 1.0 * opacity
        least = -np.sort(-opacity[inside])[count - 1]
        axis, ray, radius = center - camera, points - camera, np.min(half)
        height, distance = np.linalg.norm(axis), np.linalg.norm(ray, axis=1)
        reach = np.where(height > radius, height - radius, height)
        within = np.sum(ray * axis, axis=1) * np.sqrt(height * height + radius * radius) >= height * height * distance
        changed = within & (distance <= reach) & (opacity > least)
        return np.where(changed, np.full_like(opacity, self.faint), opacity)


class ClosestPoints(Transform):
    """Where two lines are nearest to each other, of each pair of rays of two cameras.

    ``origin_a``, ``direction_a``, ``origin_b``, ``direction_b`` [pair, 3]; directions of any length. With n = d_a x d_b, t_a =
    ((o_b - o_a) x d_b) . n / |n|**2, and t_b with d_a. Gives both points [pair, 3]. Source: Yang et al. 2024, arXiv:2406.04251.
    """

    citation = _YANG
    shapes: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("origin_a", "direction_a", "origin_b", "direction_b"), "pair 3"
    )
    lengths: ClassVar[Mapping[str, int]] = {"pair": 4, "3": 3}
    unspecified = "lines that are parallel: 0 / 0"

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "origin_a", 2, "[pair, 3]")
        for name, array in zip(self.shapes, arrays, strict=True):
            check_same(array, name, (len(arrays[0]), 3), "[pair, 3]")

    def apply(self, origin_a: Any, direction_a: Any, origin_b: Any, direction_b: Any) -> Any:
        normal, between = _cross(direction_a, direction_b), origin_b - origin_a
        square = np.sum(normal * normal, axis=1, keepdims=True)
        along_a = np.sum(_cross(between, direction_b) * normal, axis=1, keepdims=True) / square
        along_b = np.sum(_cross(between, direction_a) * normal, axis=1, keepdims=True) / square
        return origin_a + along_a * direction_a, origin_b + along_b * direction_b


class RenderingErrorMap(Transform):
    """Where a rendering differs from its photograph, brightness apart, and which of its pixels differ most.

    ``rendered``, ``photograph`` [channel, pixel]. Each image is divided by its mean and a number; the absolute differences are
    added over channels. Gives ``(error, mask)`` [pixel], 1 above the quantile. Source: Yang et al. 2024, arXiv:2406.04251.
    """

    eps: Positive = 0.01
    percent: Annotated[float, Range(0.0, 100.0, open_low=False, open_high=False)] = 40.0
    citation = _YANG
    shapes: ClassVar[Mapping[str, str]] = {"rendered": "channel pixel+", "photograph": "channel pixel+"}
    lengths: ClassVar[Mapping[str, int]] = {"channel": 3, "pixel": 8}
    unspecified = (
        "the quantile between two pixels: linear, as torch.quantile; boxes around pixels of the mask: `error_boxes`"
    )

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "rendered", 2, "[channel, pixel]")
        check_count(arrays[0].T, "rendered.T", 1, "one pixel")
        check_same(arrays[1], "photograph", arrays[0].shape, "the shape of rendered")

    def apply(self, rendered: Any, photograph: Any) -> Any:
        ours, theirs = (image / (np.mean(image) + self.eps) for image in (rendered, photograph))
        error = np.sum(np.abs(ours - theirs), axis=0)
        bound = np.percentile(error, self.percent, axis=0, method="linear")
        return error, np.where(error > bound, np.ones_like(error), 0.0)


class ErrorBoxes(Solved):
    """The boxes around groups of patches of an image of which more than a share is errors (`error_boxes`).

    Patches that meet at a side or a corner are one group (of 8 neighbours each).

    ``error`` [row, column], one where a number is above ``bound``. Gives [patch, 4], as many rows as the image has patches: the
    first row and column of each box, and those after the last; -1 in rows that are left. Judged by the boxes that are tight
    around groups, in any order. In the source a patch is 16 pixels long, and ``share`` 0.85. Source: Yang et al. 2024,
    arXiv:2406.04251.
    """

    patch: Annotated[int, Whole(1, 2**20)] = 2
    share: Annotated[float, Range(0.0, 1.0, open_low=False, open_high=False)] = 0.5
    bound: Positive = 1.0
    citation = _YANG
    shapes: ClassVar[Mapping[str, str]] = {"error": "row column+"}
    lengths: ClassVar[Mapping[str, int]] = {"row": 9, "column": 8}
    longest: ClassVar[Mapping[str, int]] = {"row": 129, "column": 129}
    unspecified = (
        "the order of boxes: any; here by the first patch of each group, row by row; which patches are connected: those at a "
        "side or a corner, 8 neighbours, as scipy.ndimage.label with a structure of ones"
    )

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "error", 2, "[row, column]")

    def apply(self, error: Any) -> Any:
        patches = math.prod(-(-length // self.patch) for length in error.shape)
        boxes = np.full((patches, 4), -1.0)
        found = error_boxes((np.asarray(error) > self.bound).astype(np.int64), self.patch, self.share)
        boxes[: len(found)] = found
        return boxes

    def condition(self, error: Any, boxes: Any, unit: float) -> Conditions:
        own = self.apply(error)
        apart = [rows[np.lexsort(rows.T[::-1])] for rows in (boxes, own)]
        return {"a box beside the tight ones": (np.max(np.abs(apart[0] - apart[1]), initial=0.0), 0.0)}


@gated(mask=Labels(0, 1, axes=2), patch=Whole(1, 2**31), share=Range(0.0, 1.0, open_low=False, open_high=False))
def error_boxes(mask: np.ndarray, patch: int = 16, share: float = 0.85) -> np.ndarray:
    """The boxes around errors: of groups of square patches of which more than a share is masked.

    Patches that meet at a side or a corner are one group. A patch that the image's edge cuts counts by the pixels that it has.
    Every pixel of a patch that is kept is in a box, and no side of a box can move in without losing such a pixel.

    Args:
        mask: [row, column], 1 where `RenderingErrorMap` has errors, and 0.
        patch: how many pixels long a side of a patch is.
        share: how much of a patch is masked at least, itself not enough.

    Returns:
        int64 [box, 4]: the first row and column, and those after the last, by the group's first patch, row by row.

    >>> error_boxes(np.kron([[1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]], np.ones((2, 2), int)), patch=2).tolist()
    [[0, 0, 4, 4], [6, 0, 8, 2]]
    """
    from scipy.ndimage import find_objects, label

    rows, columns = (np.arange(0, length, patch) for length in mask.shape)
    if mask.size == 0:
        return np.zeros((0, 4), np.int64)
    marked = np.add.reduceat(np.add.reduceat(mask.astype(np.int64), rows, axis=0), columns, axis=1)
    high, wide = (np.minimum(patch, length - at) for at, length in zip((rows, columns), mask.shape, strict=True))
    groups, _ = label(marked > share * np.outer(high, wide), structure=np.ones((3, 3)))
    found = [
        (patch * r.start, patch * c.start, min(patch * r.stop, mask.shape[0]), min(patch * c.stop, mask.shape[1]))
        for r, c in find_objects(groups)
    ]
    return np.array(found, np.int64).reshape(-1, 4)


def _cross(a: Any, b: Any) -> Any:
    """The cross product of rows of three."""
    following, last = [1, 2, 0], [2, 0, 1]
    return a[..., following] * b[..., last] - a[..., last] * b[..., following]
