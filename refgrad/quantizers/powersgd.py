"""PowerSGD: gradients of matrices as two thin factors, by one step of subspace iteration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from ctypes import addressof, c_char
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.arrays import as_array
from refgrad.arithmetic.dtypes import working
from refgrad.arithmetic.operations.op import Value
from refgrad.errors import bad_argument
from refgrad.quantizers.base import Quantized, Quantizer
from refgrad.quantizers.gradients import as_columns
from refgrad.quantizers.parts import Part, numbers
from refgrad.rule import Choice, Citation, Whole, by

#: elements of a product, below which what NumPy does around it takes longer than the product
FEW = 1 << 14
#: bytes of a line of the cache
LINE = 64
#: columns of the factors of any matrix, also of one that has fewer dimensions
RANKS = 1024
_view: Any = c_char.from_buffer


def orthogonalize(p: np.ndarray) -> np.ndarray:
    """The columns made orthonormal in order (modified Gram-Schmidt); a column that vanishes stays zero.

    A column counts as vanished when what is left of it is below the rounding errors of what was taken away,
    ``eps * rows * its first norm``.
    """
    p = p.copy()
    first = np.sqrt((p * p).sum(axis=0))
    for i in range(p.shape[1]):
        norm = np.sqrt((p[:, i] * p[:, i]).sum())
        vanished = norm <= np.finfo(p.dtype).eps * p.shape[0] * first[i]
        p[:, i] = 0 if vanished else p[:, i] / norm
        p[:, i + 1 :] -= np.outer(p[:, i], p[:, i] @ p[:, i + 1 :])
    return p


@np.errstate(all="ignore")
def _product(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """P Q^T, in memory that begins with a line of the cache.

    BLAS stores as much as a line at a time. Where each of its stores meets two lines, which NumPy's own memory leaves to chance,
    the product takes half as long again.
    """
    dtype = np.result_type(p, q)
    count = len(p) * len(q)
    room = np.empty(count + LINE // dtype.itemsize, dtype)
    begin = -addressof(_view(room)) % LINE // dtype.itemsize
    return np.matmul(p, q.T, room[begin : begin + count].reshape(len(p), len(q)))


@dataclass(frozen=True)
class Round:
    """What one round of PowerSGD leaves: the aggregated gradient, each worker's error, and the factors."""

    gradient: np.ndarray
    errors: list[np.ndarray]
    p: np.ndarray
    q: np.ndarray


class PowerSGD(Quantizer):
    """A matrix M of n by m about P Q^T, P (n by r) orthonormal: P = orthogonalize(M Q), Q = M^T P.

    Other shapes are seen as ``(first axis, rest)``. Parts: ``p``, ``q``. The start Q is an argument (that of the step before, in
    training), else standard normal from NumPy's default generator with the seed. Matrix products are NumPy's: their
    bits are not part of the meaning, and results are to be judged by their residuals. M that is zero, or of a lower rank,
    gives zero columns of P. Source: Vogels et al. 2019, arXiv:1905.13727, algorithms 1 and 2.
    """

    device_module = "refgrad.quantizers.body_on_device"
    #: on a device its products add along refgrad's tree
    bits_are_its_own: ClassVar[bool] = True

    rank: Annotated[int, Whole(1)] = 2
    seed: Annotated[int, Whole(0, 2**32 - 1)] = 0
    error: Annotated[
        str,
        Choice(
            local=by("a worker's error is its matrix less P times its own Q", "authors"),
            aggregate=by("a worker's error is its matrix less P times the mean of all Q", "torch: powerSGD_hook"),
        ),
    ] = "local"
    parts = ("p", "q")
    silent = True

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "columns": "the matrix that it starts from has columns in an order of their own",
        "idempotent": "what is left of its rank is rounded anew",
        "rows": "sums over rows are rounded in their order",
        "scale": "eps is added where vectors are made orthogonal",
    }
    citation = Citation(
        "Vogels et al. 2019",
        "PowerSGD: Practical Low-Rank Gradient Compression",
        "arXiv:1905.13727",
        read="authors' code",
        source="epfml/powersgd f07be92, powersgd/powersgd.py; torch 2.13.0 powerSGD_hook",
    )
    unspecified = (
        "how columns are made orthonormal (Gram-Schmidt in torch's hook), which changes signs and order of "
        "rounding only; columns of zero: they stay zero; the start of Q"
    )

    def start(self, columns: int, dtype: np.dtype) -> np.ndarray:
        """The first Q for matrices of that many columns."""
        return np.random.default_rng(self.seed).standard_normal((columns, self.rank)).astype(dtype)

    def encode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Both factors, from the seed's start."""
        matrix = as_columns(x)
        self.check_rank(*matrix.shape)
        return self.factors([matrix], self.start(matrix.shape[1], x.dtype))[0]

    def quantize(self, x: np.ndarray, start: np.ndarray | None = None) -> Quantized:
        """As `Quantizer.quantize`, from a start Q of shape ``(columns, rank)``."""
        if start is None:
            return super().quantize(x)
        x = as_array(x, "x")
        matrix = as_columns(x.astype(working(x.dtype)))
        self.check_rank(*matrix.shape)
        self.check_start(start, matrix.shape[1])
        return Quantized(self.factors([matrix], start.astype(matrix.dtype))[0], x.shape, x.dtype)

    def kept_parts(self, shape: tuple[int, ...]) -> Mapping[str, Part]:
        """Factors of a matrix ``(first axis, rest)``."""
        rows, columns = shape[0] if shape else 1, math.prod(shape[1:])
        self.check_rank(rows, columns)
        return {"p": numbers("p", (rows, self.rank)), "q": numbers("q", (columns, self.rank))}

    def decode(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """P Q^T."""
        p, q = arrays["p"], arrays["q"]
        # `dot` warns of nothing, and so takes less time than the other, where there are few
        return p.dot(q.T) if len(p) * len(q) < FEW or isinstance(p, Value) else _product(p, q)

    def factors(self, matrices: Sequence[np.ndarray], start: np.ndarray) -> list[dict[str, np.ndarray]]:
        """Each worker's factors: P from the mean of all products, each its own Q."""
        p = orthogonalize(sum(m @ start for m in matrices) / matrices[0].dtype.type(len(matrices)))
        return [{"p": p, "q": m.T @ p} for m in matrices]

    def round(self, gradients: Sequence[np.ndarray], errors: Sequence[np.ndarray], start: np.ndarray) -> Round:
        """One step of all workers with error feedback.

        Args:
            gradients: one matrix a worker, of one shape and float dtype.
            errors: what each worker was left with the last time; zeros at first.
            start: the Q of the last round, shape ``(columns, rank)``.
        """
        if len(gradients) != len(errors) or not gradients:
            raise bad_argument("errors", f"{len(errors)} arrays", f"{len(gradients)}, one a worker, at least one")
        matrices = [g + e for g, e in zip(gradients, errors, strict=True)]
        if any(m.ndim != 2 or m.shape != matrices[0].shape for m in matrices):
            raise bad_argument("gradients", [m.shape for m in matrices], "matrices of one shape")
        self.check_start(start, matrices[0].shape[1])
        factors = self.factors(matrices, start)
        p, own = factors[0]["p"], [f["q"] for f in factors]
        q = sum(own) / p.dtype.type(len(own))
        taken = own if self.error == "local" else [q] * len(own)
        left = [m - p @ each.T for m, each in zip(matrices, taken, strict=True)]
        return Round(p @ q.T, left, p, q)

    def check_rank(self, rows: int, columns: int) -> None:
        """`ArgumentError` if there are far more columns of the factors than a matrix of this shape has dimensions."""
        most = max(rows, columns, RANKS)
        if self.rank > most:
            raise bad_argument(
                "PowerSGD.rank", self.rank, f"a whole number from 1 to {most} of a matrix of {rows} by {columns}"
            )

    def check_start(self, start: np.ndarray, columns: int) -> None:
        """`ArgumentError` if a start has another shape than (columns, rank)."""
        if start.shape != (columns, self.rank):
            raise bad_argument("start.shape", start.shape, f"{(columns, self.rank)}")
