"""TrAct: the gradient of a first layer's weights that makes its activations, not its weights, descend."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.errors import bad_argument
from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Choice, Citation, Positive, Whole, by

_TRACT = Citation(
    "Petersen, Borgelt & Ermon 2024",
    "TrAct: Making First-layer Pre-Activations Trainable",
    "arXiv:2410.23970",
    read="authors' code",
    source="Felix-Petersen/tract 8c04529; torch-tract 1.0.0",
)

Form = Annotated[
    str,
    Choice(
        inputs=by("G^T X (X^T X / b + damping I)^-1: a system as large as an input", "authors: where b >= n"),
        batch="G^T (X X^T / b + damping I)^-1 X: a system as large as the batch, the same number",
    ),
]


def _ridge(x: Any, g: Any, damping: float, form: str) -> Any:
    """The solution in one of its two forms; rows of ``x`` and ``g`` are examples."""
    b, n = x.shape
    if form == "inputs":
        return np.linalg.solve(x.T @ x / b + damping * np.eye(n, dtype=x.dtype), x.T @ g).T
    return (np.linalg.solve(x @ x.T / b + damping * np.eye(b, dtype=x.dtype), g)).T @ x


class TrActLinear(Transform):
    """The gradient of a linear first layer's weights by ridge regression of the activations' gradients on the inputs.

    ``x``: the inputs, [b, n]; ``g``: the loss's gradient by the layer's outputs, [b, o]. Gives [o, n]; the gradients of
    the bias and of the inputs stay what they are. Source: Petersen, Borgelt & Ermon 2024, arXiv:2410.23970.
    """

    damping: Positive = 0.1
    form: Form = "inputs"
    citation = _TRACT
    shapes: ClassVar[Mapping[str, str]] = {"x": "n d", "g": "n o"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 6, "d": 4, "o": 3}
    unspecified = (
        "how the system is solved: by elimination here; the authors' inv_type=cholesky_inverse inverts another matrix"
    )

    def check(self, *arrays: np.ndarray) -> None:
        x, g = arrays
        check_axes(x, "x", 2, "[batch, inputs]")
        check_axes(g, "g", 2, "[batch, outputs]")
        check_count(x, "x", 1, "one row an example")
        check_same(g, "g", (x.shape[0], g.shape[1]), "as many rows as x")

    def apply(self, x: Any, g: Any) -> Any:
        return _ridge(x, g, self.damping, self.form)


class TrActConvolution(Transform):
    """The same for a convolution: its inputs are the patches that the kernel sees, b the number of patches of the batch.

    ``x``: [batch, channels, height, width]; ``g``: [batch, outputs, out_height, out_width]. Gives the weights' gradient,
    [outputs, channels, kernel_height, kernel_width]. Source: Petersen, Borgelt & Ermon 2024, arXiv:2410.23970.
    """

    damping: Positive = 0.1
    form: Form = "inputs"
    kernel: Annotated[int, Whole(1)] = 3
    stride: Annotated[int, Whole(1)] = 1
    padding: Annotated[int, Whole(0)] = 0
    citation = _TRACT
    shapes: ClassVar[Mapping[str, str]] = {"x": "n c h w", "g": "n o h_out w_out"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 2, "c": 2, "h": 4, "w": 5, "o": 3, "h_out": 2, "w_out": 3}
    unspecified = TrActLinear.unspecified

    def check(self, *arrays: np.ndarray) -> None:
        x, g = arrays
        check_axes(x, "x", 4, "[batch, channels, height, width]")
        check_axes(g, "g", 4, "[batch, outputs, out_height, out_width]")
        sizes = [(n + 2 * self.padding - self.kernel) // self.stride + 1 for n in x.shape[2:]]
        if min(sizes) < 1 or x.shape[0] < 1:
            raise bad_argument("x.shape", x.shape, f"images in which a kernel of {self.kernel} fits at least once")
        check_same(g, "g", (x.shape[0], g.shape[1], *sizes), "what the convolution gives")

    def apply(self, x: Any, g: Any) -> Any:
        slopes = g.transpose(0, 2, 3, 1).reshape(g.shape[0] * math.prod(g.shape[2:]), g.shape[1])
        weights = _ridge(self.patches(x), slopes, self.damping, self.form)
        return weights.reshape(g.shape[1], x.shape[1], self.kernel, self.kernel)

    def patches(self, x: Any) -> Any:
        """One row a position of the kernel, over batch, height, width: the channels' values that it sees there."""
        pad = (self.padding, self.padding)
        padded = np.pad(x, ((0, 0), (0, 0), pad, pad))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (self.kernel, self.kernel), axis=(2, 3))
        seen = windows[:, :, :: self.stride, :: self.stride]
        places = seen.transpose(0, 2, 3, 1, 4, 5)
        return places.reshape(math.prod(places.shape[:3]), x.shape[1] * self.kernel**2)
