"""XNOR-Net++'s learned scale of a binary convolution's output: a tensor that is the product of smaller ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from refgrad.arithmetic.primitives import tree_sum
from refgrad.axes import COLUMN, ELEMENT, ROW
from refgrad.errors import bad_argument
from refgrad.estimators.base import Estimator, Parameter, Parameters
from refgrad.rule import Citation

SOURCE = Citation(
    "Bulat and Tzimiropoulos 2019",
    "XNOR-Net++: Improved Binary Neural Networks",
    "arXiv:1909.13863",
    read="study",
    source="derived here: the gradients are those of the forward form",
)


class XNORPlusPlusDense(Estimator):
    """The output of a binary convolution times a learned number for each of its entries: y = x gamma.

    Shapes: x and gamma (channels, height, width). Source: Bulat and Tzimiropoulos 2019, arXiv:1909.13863, case 2.
    """

    citation = SOURCE
    unspecified = "nothing: a product and its derivatives; how scales are initialized is the caller's"
    parameters = Parameters(gamma=Parameter(ELEMENT))

    def forward(self, x: Any, gamma: Any) -> Any:  # type: ignore[override]
        return x * gamma

    def backward(self, cotangent: Any, x: Any, gamma: Any) -> Any:  # type: ignore[override]
        return cotangent * gamma, cotangent * x


class XNORPlusPlusChannel(Estimator):
    """The output of a binary convolution times a learned number a channel: y = x alpha.

    Shapes: x (channels, ...), alpha one a channel. Source: Bulat and Tzimiropoulos 2019, arXiv:1909.13863, case 1; ReCU and
    BiPer scale their outputs so.
    """

    citation = SOURCE
    unspecified = "nothing: a product and its derivatives; how scales are initialized is the caller's"
    parameters = Parameters(alpha=Parameter(ROW))

    def forward(self, x: Any, alpha: Any) -> Any:  # type: ignore[override]
        return x * alpha

    def backward(self, cotangent: Any, x: Any, alpha: Any) -> Any:  # type: ignore[override]
        return cotangent * alpha, tree_sum(cotangent * x, over="row")


class XNORPlusPlus(Estimator):
    """The output of a binary convolution times the outer product of learned scales: y = x (alpha beta).

    ``alpha`` has a number a channel, ``beta`` one a position (case 3); case 4, beta the outer product of a number a row and one a
    column of the image, is this rule with `outer`, whose gradients `outer_gradient` gives.
    Shapes: x (channels, height, width). Source: Bulat and Tzimiropoulos 2019, arXiv:1909.13863, cases 3 and 4.
    """

    citation = SOURCE
    unspecified = "nothing: a product and its derivatives; how scales are initialized is the caller's"
    parameters = Parameters(alpha=Parameter(ROW), beta=Parameter(COLUMN))

    def forward(self, x: Any, alpha: Any, beta: Any) -> Any:  # type: ignore[override]
        return x * (alpha * beta)

    def backward(self, cotangent: Any, x: Any, alpha: Any, beta: Any) -> Any:  # type: ignore[override]
        g = cotangent * x
        return cotangent * (alpha * beta), tree_sum(g * beta, over="row"), tree_sum(g * alpha, over="column")

    @staticmethod
    def outer(down: np.ndarray, across: np.ndarray) -> np.ndarray:
        """The scale of each position, (1, height, width), from one a row and one a column."""
        return np.multiply.outer(down, across)[None]

    @staticmethod
    def outer_gradient(beta_grad: np.ndarray, down: np.ndarray, across: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The gradients of `outer`'s arguments from that of beta."""
        if beta_grad.shape != (1, down.size, across.size):
            raise bad_argument("beta_grad.shape", beta_grad.shape, f"{(1, down.size, across.size)}")
        return (beta_grad[0] * across).sum(axis=1), (beta_grad[0] * down[:, None]).sum(axis=0)
