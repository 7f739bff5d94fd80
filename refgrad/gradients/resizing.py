"""Maps brought to the size of an image: between neighbouring places, in proportion to how near they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arguments import check_enlarged
from refgrad.optimizers.transform import Transform, check_axes, check_same
from refgrad.rule import Choice, Citation, Whole, by


class BilinearResize(Transform):
    """A map in another size: each place takes its four neighbours, in proportion to how near it is to each along both axes.

    ``maps`` [height, width]. Gives [``height``, ``width``]. Source: the usual step between a layer's map and the image, as in
    Selvaraju et al. 2017, arXiv:1610.02391.
    """

    height: Annotated[int, Whole(1)] = 5
    width: Annotated[int, Whole(1)] = 7
    places: Annotated[
        str,
        Choice(
            centres=by(
                "the middle of pixel i is at (i + 1/2) in / out - 1/2, and no farther out than the first and the last",
                "torch: align_corners=False",
            ),
            corners=by(
                "the first and the last pixels' middles stay: i (in - 1) / (out - 1)", "torch: align_corners=True"
            ),
            edges="the upper left edge of pixel i is at i in / out: what asymmetric resizing has",
        ),
    ] = "centres"
    citation = Citation(
        "Selvaraju et al. 2017",
        "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization",
        "ICCV, arXiv:1610.02391",
        read="package",
        source="torch 2.13.0, torch.nn.functional.interpolate(mode='bilinear'), as torchcam and captum call it (the publication "
        'says "bilinear" alone)',
    )
    shapes: ClassVar[Mapping[str, str]] = {"maps": "row column"}
    lengths: ClassVar[Mapping[str, int]] = {"row": 3, "column": 4}
    unspecified = "a smoothing before a map is made smaller: none, as in torch without antialias"

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "maps", 2, "[height, width]")
        rows, columns = arrays[0].shape
        check_same(arrays[0], "maps", (max(rows, 1), max(columns, 1)), "a pixel at least")
        check_enlarged({"height": self.height, "width": self.width}, self.height * self.width, arrays[0].size)

    def apply(self, maps: Any) -> Any:
        upper, lower, down = self._neighbours(maps.shape[0], self.height)
        left, right, along = self._neighbours(maps.shape[1], self.width)
        between = (1.0 - down)[:, None] * maps[upper] + down[:, None] * maps[lower]
        return (1.0 - along) * between[:, left] + along * between[:, right]

    def _neighbours(self, before: int, after: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Both neighbours of each place, and how far it is from the first to the second."""
        at = np.arange(after)
        if self.places == "corners":
            where = at * ((before - 1) / max(after - 1, 1))
        elif self.places == "centres":
            where = (at + 0.5) * (before / after) - 0.5
        else:
            where = at * (before / after)
        where = np.clip(where, 0.0, before - 1.0)
        first = np.floor(where).astype(np.int64)
        return first, np.minimum(first + 1, before - 1), where - first
