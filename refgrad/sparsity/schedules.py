"""Sparsity and decay as functions of the step: pure, on whole numbers of steps or epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping

from refgrad.arithmetic.function_arguments import AT_LEAST_ONE, COUNT, NOT_NEGATIVE, REAL, UNIT, Several, gated
from refgrad.errors import bad_argument
from refgrad.legal import Flag, Whole
from refgrad.rule import Choice, by

#: which step a gradual schedule looks at
PROGRESS = Choice(
    step=by("progress is (t - begin) / (end - begin)", "published", "TensorFlow", "sparseml", "torch: ao"),
    next_step=by("progress is (t + 1 - begin) / (end - begin), so that the target is reached at end - 1", "jaxpruner"),
)
#: at which steps masks are made anew
PHASE = Choice(
    relative=by("where freq divides t - begin", "published", "TensorFlow"),
    absolute=by("where freq divides t", "jaxpruner"),
)
DECAY = Choice(
    linear="max(1 - rate t, 0)",
    exponential="exp(-rate t): never zero but by underflow",
)


#: steps, of which there may be some before the first
_STEP = Whole(-(2**53), 2**53)
_PATTERN = Several(AT_LEAST_ONE, least=2, most=2, kind=tuple)
_FRAMES = Whole(0, 64)


@gated(t=_STEP, begin=_STEP, end=_STEP, final=REAL, initial=REAL, power=NOT_NEGATIVE, progress=PROGRESS)
def cubic(
    t: int, *, begin: int, end: int, final: float, initial: float = 0.0, power: float = 3.0, progress: str = "step"
) -> float:
    """The sparsity of gradual pruning: final + (initial - final) (1 - progress)^3, constant before and after.

    Args:
        t: the step.
        begin: the first step of the ramp.
        end: its last one.
        final: the sparsity at the end.
        initial: the sparsity at the beginning.
        power: 3 in the paper.
        progress: a member of `PROGRESS`.

    Source: Zhu & Gupta 2017, arXiv:1710.01878, equation 1.
    """
    if end <= begin:
        raise bad_argument("end", end, f"a step after begin={begin}")
    done = t - begin + (1 if progress == "next_step" else 0)
    left = 1.0 - min(max(done / (end - begin), 0.0), 1.0)
    return final + (initial - final) * left**power


@gated(t=_STEP, begin=_STEP, end=_STEP, freq=AT_LEAST_ONE, phase=PHASE)
def is_mask_step(t: int, *, begin: int, end: int, freq: int, phase: str = "relative") -> bool:
    """True if the mask is made anew at a step; ``end`` is included, and below zero there is none."""
    inside = t >= begin and (end < 0 or t <= end)
    return inside and (t - begin if phase == "relative" else t) % freq == 0


@gated(t=NOT_NEGATIVE, rate=NOT_NEGATIVE, form=DECAY)
def decay(t: int, rate: float, form: str = "linear") -> float:
    """The factor beta of pruned weights after ``t`` steps, from 1 towards 0; ``form`` is a member of `DECAY`."""
    return max(1.0 - rate * t, 0.0) if form == "linear" else math.exp(-rate * t)


@gated(n=AT_LEAST_ONE, m=AT_LEAST_ONE)
def stepwise(n: int, m: int) -> list[tuple[int, int]]:
    """SDGF-Stepwise: (m - 1):m, then m/2:m, m/4:m, ... down to n:m; as (kept, of).

    Where m / n is no power of two the last pattern is the nearest above n:m (3:8 is never reached: 7:8, 4:8).
    """
    _check_pattern(n, m)
    frames = int(math.log2(m / n)) + 1
    return [(m - 1, m)] + [(int(m / 2**i), m) for i in range(1, frames)]


@gated(n=AT_LEAST_ONE, m=AT_LEAST_ONE, frames=_FRAMES)
def geometric(n: int, m: int, frames: int = 4) -> list[tuple[int, int]]:
    """SDGF-Geometric: n 2^i : m 2^i with i falling to 0, so that the density stays and the blocks shrink."""
    _check_pattern(n, m)
    return [(n << i, m << i) for i in range(frames - 1, -1, -1)]


@gated(n=AT_LEAST_ONE, m=AT_LEAST_ONE, frames=_FRAMES)
def densify(n: int, m: int, frames: int = 4) -> list[tuple[int, int]]:
    """The authors' schedule of that name: n : m 2^i with i falling to 0, so that ever more is kept of ever smaller blocks."""
    _check_pattern(n, m)
    return [(n, m << i) for i in range(frames - 1, -1, -1)]


@gated(patterns=Several(_PATTERN, least=1), epochs=COUNT, dense=COUNT, finetune=COUNT)
def frames(
    patterns: list[tuple[int, int]], epochs: int, dense: int = 0, finetune: int = 0
) -> Mapping[int, tuple[int, int]]:
    """The first epoch of each pattern: dense + int(i (epochs - dense - finetune) / their number)."""
    length = (epochs - dense - finetune) / len(patterns)
    if not length > 0:
        raise bad_argument("epochs", epochs, f"more than dense + finetune = {dense + finetune}")
    return {dense + int(i * length): pattern for i, pattern in enumerate(patterns)}


@gated(i=COUNT, steps=AT_LEAST_ONE, density=UNIT)
def exponential_density(i: int, steps: int, density: float) -> float:
    """The density after step ``i`` of ``steps``, counted from 1: density^(i / steps) (SynFlow, FORCE)."""
    _check_step(i, steps)
    return density ** (i / steps)


@gated(i=COUNT, steps=AT_LEAST_ONE, density=UNIT)
def linear_density(i: int, steps: int, density: float) -> float:
    """The density after step ``i`` of ``steps``, counted from 1: 1 - (i / steps) (1 - density) (FORCE)."""
    _check_step(i, steps)
    return 1.0 - i * (1.0 - density) / steps


@gated(step=COUNT, total=COUNT, warmup=COUNT, final=UNIT, initial=UNIT, cooldown=COUNT)
def movement_density(
    step: int, *, total: int, warmup: int, final: float, initial: float = 1.0, cooldown: int = 0
) -> float:
    """The density of movement pruning: ``initial`` up to ``warmup``, ``final`` in the last ``cooldown`` steps, cubic between.

    Source: Sanh et al. 2020, arXiv:2005.07683, equation 8, and its code.
    """
    if total <= warmup + cooldown:
        raise bad_argument("total", total, f"more than warmup + cooldown = {warmup + cooldown}")
    if step <= warmup:
        return initial
    if step > total - cooldown:
        return final
    left = 1.0 - (step - warmup) / (total - warmup - cooldown)
    return final + (initial - final) * left**3


@gated(
    densities=Several(Several(NOT_NEGATIVE, least=2, most=2, kind=tuple)),
    masked_backward=Flag("the gradient of the weights is sparse too"),
)
def training_cost(densities: list[tuple[float, float]], *, masked_backward: bool = False) -> float:
    """Floating-point operations of training relative to dense training, by the share of time spent at each density.

    Forward and input gradients cost the density, the gradient of the weights is dense (it is for straight-through masks);
    with ``masked_backward`` it costs the density too. A mask with values between 0 and 1 is dense: density 1.

    Args:
        densities: pairs of (share of the steps, density of the weights).
    """
    shares = sum(share for share, _ in densities)
    if not math.isclose(shares, 1.0, rel_tol=0.0, abs_tol=2.0**-40):
        raise bad_argument("densities", shares, "shares that add up to 1")
    return sum(s * (2.0 * d + (d if masked_backward else 1.0)) / 3.0 for s, d in densities)


def _check_pattern(n: int, m: int) -> None:
    if n >= m:
        raise bad_argument("n", n, f"a whole number from 1 to below m={m}")


def _check_step(i: int, steps: int) -> None:
    if i > steps:
        raise bad_argument("i", i, f"a step from 0 to {steps}")
