"""Kernels against the literal body, on the inputs of the digests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.bits import digests

#: the kinds of rules whose results can be asked of a backend; the digests of large arrays look at kernels of quantizers
COMPILED = ("optimizer", "estimator")


def differing(keys: Sequence[str]) -> Iterator[str]:
    """The rules and variants whose kernels give other bits, in float32."""
    for key in keys:
        literal, kernel = (digests.entry(key, backend, ("float32",)) for backend in ("numpy", "numba"))
        if literal != kernel:
            yield f"{key}: the bits of kernels differ"
