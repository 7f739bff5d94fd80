"""Vector quantization: each row ``x[i, ...]`` is a vector that is replaced by its nearest code."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from refgrad.arithmetic.primitives import tree_sum
from refgrad.arithmetic.top_k import keys, top_k
from refgrad.axes import ELEMENT
from refgrad.errors import bad_argument
from refgrad.estimators.base import Parameter, Parameters
from refgrad.estimators.choosing import Arrays, Choosing, Selection, Shown
from refgrad.rule import Choice, Citation, Whole, by
from refgrad.sparsity.base import Mask


class NearestCode(Mask):
    """Of ``codes`` codes the nearest to each vector, the first of equally near ones; rows are pairs of vector and code.

    Score: minus the sum of squares of w - q.
    """

    codes: Annotated[int, Whole(1)] = 1

    def scores(self, w: Any, q: Any) -> Any:  # type: ignore[override]
        return -tree_sum((w - q) * (w - q), over="row")

    def select(self, scores: np.ndarray, prefer: np.ndarray | None = None) -> np.ndarray:
        """The largest score of each vector."""
        ranked = keys(scores, self.nan_rank).reshape(-1, self.codes)
        first = None if prefer is None else prefer.reshape(-1, self.codes)
        return top_k(ranked, 1, self.ties, first).reshape(scores.shape)


class VectorQuantization(Choosing):
    """The nearest code forward, the gradient of the identity backward.

    q = the row of ``codebook`` with the least |x - q|^2, the first of equal ones; y = q; dx = g. The codebook learns from a
    loss of its own: `codebook_gradient`, and `commitment_gradient` for x. Shapes: x (vectors, ...), codebook (codes, ...).
    Source: van den Oord et al. 2017 (VQ-VAE), arXiv:1711.00937, equations 1 to 3.
    """

    written: Annotated[
        str,
        Choice(
            code=by("the value is the code itself", "published: equation 2"),
            detached="the value is x + (q - x), whose two roundings may differ from q (the usual code with detach)",
        ),
    ] = "code"

    citation = Citation(
        "van den Oord et al. 2017",
        "Neural Discrete Representation Learning",
        "arXiv:1711.00937, equations 1 to 3",
        read="package",
        source="lucidrains/vector-quantize-pytorch 0d7d1aa, vector_quantize_pytorch.py",
    )
    unspecified = "ties between equally near codes: the first is taken"
    parameters = Parameters(q=Parameter(ELEMENT, learned=False))
    chosen = ("q",)
    tables = ("codebook",)

    def forward(self, x: Any, q: Any) -> Any:  # type: ignore[override]
        return q if self.written == "code" else x + (q - x)

    def backward(self, cotangent: Any, x: Any, q: Any) -> Any:  # type: ignore[override]
        return cotangent

    def selections(self, given: Arrays) -> dict[str, Selection]:
        """The nearest code of each vector."""
        codes = _codes(given)
        vectors = given["x"].reshape(len(given["x"]), -1)
        pairs = {"w": np.repeat(vectors, len(codes), axis=0), "q": np.tile(codes, (len(vectors), 1))}
        return {"q": Selection(NearestCode(codes=len(codes)), pairs)}

    def held(self, name: str, mask: np.ndarray, given: Arrays) -> np.ndarray:
        """The codes that were chosen."""
        codes = _codes(given)
        return codes[np.argmax(self._by_vector(mask, len(codes)), axis=1)].reshape(given["x"].shape)

    def shown(self, name: str, given: Arrays, seen: Arrays) -> Shown:
        """The code that the value is nearest to: it is that code, or differs from it by roundings."""
        codes = _codes(given).astype(np.float64)
        y = seen["y"].reshape(len(seen["y"]), -1).astype(np.float64)
        distance = np.abs(y[:, None, :] - codes[None]).max(axis=2)
        one = np.arange(len(codes)) == np.argmin(distance, axis=1)[:, None]
        mask = np.repeat(one.reshape(-1, 1), codes.shape[1], axis=1)
        return Shown(mask, np.zeros(mask.shape, bool))

    @staticmethod
    def _by_vector(mask: np.ndarray, count: int) -> np.ndarray:
        return mask.reshape(-1, count, mask.shape[1])[:, :, 0]

    @staticmethod
    def codebook_gradient(x: np.ndarray, codebook: np.ndarray, index: np.ndarray) -> np.ndarray:
        """The gradient of the mean of (sg(x) - q)^2 over all entries with respect to the codebook, in float64.

        ``index`` says which code each vector has.
        """
        x, codebook = np.asarray(x, np.float64), np.asarray(codebook, np.float64)
        found = np.zeros_like(codebook)
        np.add.at(found, index, 2.0 * (codebook[index] - x) / x.size)
        return found

    @staticmethod
    def commitment_gradient(x: np.ndarray, q: np.ndarray, beta: float = 0.25) -> np.ndarray:
        """The gradient of beta times the mean of (x - sg(q))^2 with respect to x, in float64."""
        x, q = np.asarray(x, np.float64), np.asarray(q, np.float64)
        return 2.0 * beta * (x - q) / x.size


def _codes(given: Arrays) -> np.ndarray:
    """The codebook as a matrix; `ArgumentError` if its rows are no vectors like those of x."""
    x, codes = given["x"], given["codebook"]
    if not x.ndim:
        raise bad_argument("x.ndim", 0, "at least 1: its rows are the vectors")
    if codes.ndim != x.ndim or not len(codes) or codes.shape[1:] != x.shape[1:]:
        raise bad_argument("codebook.shape", codes.shape, f"(codes, {', '.join(map(str, x.shape[1:]))})")
    return codes.reshape(len(codes), -1)
