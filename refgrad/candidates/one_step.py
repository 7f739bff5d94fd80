"""One step of a run, and all that is looked at around it, where the candidate is: in refgrad's process or in one of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from refgrad.candidates.protocol import CandidateFault, Observation, Run

#: the name of the gradients among what a step is handed; the rest are extra inputs
GRADIENT = "gradient"
#: what the gradient's memory is overwritten with, to see whether the candidate still uses it
OTHER = 7.0
#: how arrays that are handed out lie in memory: row by row, or as they are
Order = Literal["C", "K"]


@dataclass(frozen=True, eq=False)
class StepRequest:
    """A step that a candidate is asked for.

    Attributes:
        given: the gradients and the extra inputs by name, one array a leaf (None of a leaf that has no gradient), or a number.
        order: of the copies that are handed out.
        probed: True to overwrite what was handed out after the step, and to look again.
        wait: seconds after which that is done, so that what the candidate writes late is seen.
    """

    given: Mapping[str, Any]
    order: Order
    probed: bool
    wait: float = 0.0


@dataclass(frozen=True, eq=False)
class Taken:
    """What came of a step.

    Attributes:
        seen: parameters and state after it, copied.
        changed: the name and the leaf of each array that the candidate wrote into.
        kept: False if parameters or state changed when what was handed out was overwritten.
    """

    seen: Observation
    changed: tuple[tuple[str, int], ...] = ()
    kept: bool = True


def take(run: Run, asked: StepRequest) -> Taken:
    """A step with copies, what was seen after it, and whether the candidate keeps to its own memory."""
    handed: dict[str, Any] = {
        n: v if isinstance(v, float) else [a if a is None else np.array(a, order=asked.order, copy=True) for a in v]
        for n, v in asked.given.items()
    }
    extras = {n: v for n, v in handed.items() if n != GRADIENT}
    if extras:
        run.step(handed[GRADIENT], extras)
    else:
        run.step(handed[GRADIENT])
    seen = kept(run.observe())  # which may be computed lazily
    if asked.wait:
        time.sleep(asked.wait)
    lent = [(n, i, a) for n, v in handed.items() if not isinstance(v, float) for i, a in enumerate(v) if a is not None]
    changed = tuple((n, i) for n, i, a in lent if a.tobytes() != np.ascontiguousarray(asked.given[n][i]).tobytes())
    if not asked.probed:
        return Taken(seen, changed)
    for _, _, array in lent:
        array[...] = np.asarray(OTHER).astype(array.dtype)
    return Taken(seen, changed, same(seen, run.observe()))


def kept(seen: Observation) -> Observation:
    """What was seen, copied."""
    params = [np.array(a, order="C", copy=True) for a in seen.params]
    state = [{n: v if isinstance(v, float) else np.array(v, copy=True) for n, v in s.items()} for s in seen.state]
    if state and len(state) != len(params):
        raise CandidateFault(
            "structure", f"the candidate shows {len(params)} parameters and {len(state)} states of them"
        )
    return Observation(params, state or [{} for _ in params])


def same(first: Observation, second: Observation) -> bool:
    """True if two observations have the same bits."""
    pairs: list[tuple[Any, Any]] = list(zip(first.params, second.params, strict=True))
    states: Sequence[Mapping[str, Any]] = second.state or [{}] * len(first.state)
    for a, b in zip(first.state, states, strict=True):
        pairs += [(a[n], b[n]) for n in a if n in b]
    return all(np.asarray(x).tobytes() == np.ascontiguousarray(y).tobytes() for x, y in pairs)
