"""Steps of an optax transformation written by one around it, within a jitted step too."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.experimental import io_callback

from refgrad.audits.record_files import write
from refgrad.errors import bad_argument


class RecordState(NamedTuple):
    """How many updates were made, and the state of the transformation that is recorded."""

    count: Any
    inner: Any


def record(transform: Any, folder: str, steps: int) -> optax.GradientTransformationExtraArgs:
    """See `refgrad.audits.recorder.record`; what stands after a step is the parameters with the updates applied."""
    inner = optax.with_extra_args_support(transform)

    def init(params: Any) -> RecordState:
        return RecordState(jnp.zeros([], jnp.int32), inner.init(params))

    def update(grads: Any, state: RecordState, params: Any = None, **extra: Any) -> tuple[Any, RecordState]:
        if params is None:
            raise bad_argument("params", None, "the parameters, in `update(grads, state, params)`, which are recorded")
        updates, new = inner.update(grads, state.inner, params, **extra)
        moments = ((params, state.inner), (optax.apply_updates(params, updates), new), grads)

        def written(count: Any) -> Any:
            io_callback(lambda n, told: _write(folder, int(n) + 1, told), None, count, moments)
            return count + 1

        count = jax.lax.cond(state.count < steps, written, lambda count: count, state.count)
        return updates, RecordState(count, new)

    return optax.GradientTransformationExtraArgs(init, update)


def _write(folder: str, step: int, moments: Any) -> None:
    before, after, grads = moments
    write(folder, step, "before", {**_named(before[0], ""), **_named(before[1], "state")})
    write(folder, step, "grads", _named(grads, ""))
    write(folder, step, "after", {**_named(after[0], ""), **_named(after[1], "state")})


def _named(tree: Any, prefix: str) -> dict[str, np.ndarray]:
    """The arrays of a tree by their paths."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {prefix + (jax.tree_util.keystr(path) or "p"): np.asarray(leaf) for path, leaf in leaves}
