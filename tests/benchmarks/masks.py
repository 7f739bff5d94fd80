"""2:4 masks beside torch's, interleaved in one run, as medians: ``python -m tests.benchmarks.masks [elements]``."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

from refgrad.rule import rules
from refgrad.sparsity import NOfM
from refgrad.sparsity.base import Mask
from refgrad.sparsity.compressed import prune
from refgrad.tracing import literal
from tests.benchmarks.side_by_side import interleaved

SIZE = 1 << 24
COLUMNS = 4096


def weights(size: int, dtype: str = "float32") -> np.ndarray:
    """A matrix of normal numbers with 4096 columns."""
    return np.random.default_rng(0).standard_normal((size // COLUMNS, COLUMNS), np.float32).astype(dtype)


def ours(size: int, threads: int | None = None) -> Callable[[], object]:
    """The mask of a matrix by a kernel."""
    w = weights(size)
    return lambda: NOfM().mask(w, backend="numba", threads=threads)


def torch_top_k(size: int) -> Callable[[], object]:
    """The mask by torch.topk over groups of four and a scatter, on all threads that torch takes."""
    import torch

    w = torch.from_numpy(weights(size))

    def mask() -> object:
        groups = w.abs().view(-1, 4)
        index = groups.topk(2, dim=1).indices
        return torch.zeros_like(groups, dtype=torch.bool).scatter_(1, index, True).view(w.shape)

    return mask


def jax_top_k(size: int) -> Callable[[], object]:
    """The mask by the two largest of each group of four, compiled by JAX."""
    import jax
    import jax.numpy as jnp

    w = jnp.asarray(weights(size))

    @jax.jit
    def mask(w: jax.Array) -> jax.Array:
        groups = jnp.abs(w).reshape(-1, 4)
        index = jax.lax.top_k(groups, 2)[1]
        return (index[:, :, None] == jnp.arange(4)).any(1).reshape(w.shape)

    return lambda: jax.block_until_ready(mask(w))


def compressed(size: int) -> Callable[[], object]:
    """Values and metadata of a half-precision matrix, in one pass."""
    w = weights(size, "float16")
    return lambda: prune(w)


def torch_compressed(size: int) -> Callable[[], object]:
    """The same from torch: the mask by topk, then its reference conversion."""
    import torch
    from torch.sparse._semi_structured_conversions import sparse_semi_structured_from_dense_cutlass as convert

    w = torch.from_numpy(weights(size, "float16"))

    def pack() -> object:
        groups = w.abs().view(-1, 4)
        index = groups.topk(2, dim=1).indices
        mask = torch.zeros_like(groups, dtype=torch.bool).scatter_(1, index, True).view(w.shape)
        return convert(w * mask)

    return pack


def scoring(name: str, size: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """The scores of a mask as `score` computes them, and by its body as it stands."""
    rule, shape = rules(Mask)[name](), (size // COLUMNS, COLUMNS)
    random = np.random.default_rng(0)
    given = {each: np.abs(random.standard_normal(shape, np.float32)) for each in rule.takes()}
    w = given.pop("w")
    return lambda: rule.score(w, **given), lambda: literal(rule, rule.prepare(w, given), {})["scores"]


def scores(size: int) -> None:
    """Print the table of scores."""
    print("\n| scores | refgrad, milliseconds | the body as it stands, milliseconds | body / refgrad |")
    print("|---|---|---|---|")
    for name in rules(Mask):
        first, second = interleaved(*scoring(name, size), 0.5)
        print(f"| {name} | {first * 1e3:.2f} | {second * 1e3:.2f} | {second / first:.2f} |", flush=True)


def main() -> None:
    """Print the tables."""
    size = int(float(sys.argv[1])) if len(sys.argv) > 1 else SIZE
    print(f"{size} elements in rows of {COLUMNS}")
    pairs = {
        "2:4 mask, float32": (ours(size), torch_top_k(size)),
        "2:4 mask, float32, one thread": (ours(size, 1), torch_top_k(size)),
        "2:4 mask and compression, float16": (compressed(size), torch_compressed(size)),
    }
    print("| what | refgrad, milliseconds | torch, milliseconds | torch / refgrad |")
    print("|---|---|---|---|")
    for what, (mine, theirs) in pairs.items():
        first, second = interleaved(mine, theirs, 4.0)
        print(f"| {what} | {first * 1e3:.1f} | {second * 1e3:.1f} | {second / first:.1f} |", flush=True)
    scores(min(size, 1 << 20))


if __name__ == "__main__":
    main()
