"""BiPer's value and gradient against torch eager, interleaved: ``python -m tests.benchmarks.estimators``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refgrad.estimators import BiPer
from tests.benchmarks.side_by_side import interleaved

SIZES = (10_000, 100_000, 1_000_000, 4_000_000)
FREQUENCY = 20.0


def inputs(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights as small as a network's, and a cotangent."""
    random = np.random.default_rng(0)
    weights, cotangent = (random.standard_normal(size, np.float32) for _ in range(2))
    return weights * np.float32(0.1), cotangent


def ours(size: int) -> Callable[[], object]:
    """Value and gradient by one kernel."""
    x, g = inputs(size)
    rule = BiPer(frequency=FREQUENCY, sign_at_zero="zero")
    return lambda: rule.both(g, x, backend="numba", threads=2)


def torch_eager(size: int) -> Callable[[], object]:
    """The authors' form: an autograd function of torch's operations, on two threads."""
    import torch

    torch.set_num_threads(2)

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, w: Any) -> Any:
            ctx.save_for_backward(w)
            return torch.sign(torch.sin(FREQUENCY * w))

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (w,) = ctx.saved_tensors
            return g * (FREQUENCY * torch.cos(FREQUENCY * w))

    x, g = (torch.from_numpy(a) for a in inputs(size))
    x.requires_grad_()
    return lambda: torch.autograd.grad(Function.apply(x), x, g)


def jax_jitted(size: int) -> Callable[[], object]:
    """The same as a custom derivative of JAX, compiled."""
    import jax
    import jax.numpy as jnp

    @jax.custom_vjp
    def forward(w: Any) -> Any:
        return jnp.sign(jnp.sin(FREQUENCY * w))

    forward.defvjp(lambda w: (forward(w), w), lambda w, g: (g * (FREQUENCY * jnp.cos(FREQUENCY * w)),))

    @jax.jit
    def both(w: Any, g: Any) -> Any:
        value, back = jax.vjp(forward, w)
        return value, back(g)

    x, g = (jnp.asarray(a) for a in inputs(size))
    return lambda: jax.block_until_ready(both(x, g))


def main() -> None:
    """Print the table."""
    print("| elements | refgrad, microseconds | torch eager / refgrad |")
    print("|---|---|---|")
    for size in SIZES:
        mine, other = interleaved(ours(size), torch_eager(size))
        print(f"| {size:.0e} | {mine * 1e6:.0f} | {other / mine:.2f} |", flush=True)


if __name__ == "__main__":
    main()
