"""How sparse each layer is, so that all together are as sparse as asked: pure functions of shapes, sparsity and weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

import numpy as np

from refgrad.arithmetic.function_arguments import AT_LEAST_ONE, COUNT, UNIT, Floats, Several, gated
from refgrad.arithmetic.top_k import keys, top_k
from refgrad.errors import bad_argument
from refgrad.legal import Flag, Range
from refgrad.sparsity import counts

Shape = tuple[int, ...]

_SHAPES = Several(Several(AT_LEAST_ONE, least=1, kind=tuple))
_DENSE = Several(COUNT)
#: of so large ones no float holds what they make of a layer
_POWER = Range(0.0, 100.0, open_low=False, open_high=False)


@gated(shapes=_SHAPES, sparsity=UNIT, dense=_DENSE)
def uniform(shapes: Sequence[Shape], sparsity: float, dense: Sequence[int] = ()) -> list[float]:
    """The same sparsity for every layer but those in ``dense`` (by index), which stay dense."""
    return [0.0 if i in dense else sparsity for i in range(len(shapes))]


@gated(
    shapes=_SHAPES,
    sparsity=UNIT,
    kernel=Flag("over all dimensions"),
    power=_POWER,
    dense=_DENSE,
)
def erdos_renyi(
    shapes: Sequence[Shape], sparsity: float, *, kernel: bool = True, power: float = 1.0, dense: Sequence[int] = ()
) -> list[float]:
    """Erdos-Renyi, or Erdos-Renyi-kernel, sparsity of each layer.

    The density of a layer is eps (sum of its dimensions / their product)^power, over all dimensions (ERK) or, with
    ``kernel=False``, the last two (ER: (inputs + outputs) / (inputs outputs)). eps is such that the layers together keep as
    many as at the uniform sparsity, each layer's zeros rounded down; a layer whose density would exceed one is dense, and
    eps is found anew. Layers in ``dense`` are dense from the start.

    Source: Mocanu et al. 2018, arXiv:1707.04780 (ER); Evci et al. 2020, arXiv:1911.11134, section 3 (ERK), and its code.
    """
    sizes = [math.prod(s) for s in shapes]
    for i, size in enumerate(sizes):
        AT_LEAST_ONE.check(f"the product of shapes[{i}]", size)
    raw = [_raw(s if kernel else s[-2:], power) for s in shapes]
    full = set(dense)
    while True:
        open_ = [i for i in range(len(shapes)) if i not in full]
        if not open_:
            return [0.0] * len(shapes)
        zeros = [counts.rounded(sparsity * size, "floor") for size in sizes]
        keep = sum(sizes[i] - zeros[i] for i in open_) - sum(zeros[i] for i in full)
        total = sum(raw[i] * sizes[i] for i in open_)
        if not total:
            raise bad_argument("power", power, "one of which no layer's density vanishes")
        eps = keep / total
        most = max(raw[i] for i in open_)
        if most * eps <= 1.0:
            return [0.0 if i in full else 1.0 - eps * raw[i] for i in range(len(shapes))]
        full |= {i for i in open_ if raw[i] == most}


@gated(w=Floats())
def lamp_scores(w: np.ndarray) -> np.ndarray:
    """LAMP: each weight's square over the sum of the squares of all weights that are at least as large.

    In float64; weights are ordered by magnitude, equal ones by index, and those later in the order are in the sum: a suffix
    sum, so that the largest weight scores exactly 1. A layer of zeros scores 0 (the authors' code: NaN).
    Source: Lee et al. 2021, arXiv:2010.07611, equation 1.
    """
    flat = np.abs(w.astype(np.float64)).reshape(-1)
    order = np.argsort(flat, kind="stable")
    # by the largest: squares then neither overflow nor all vanish
    scale = flat.max(initial=0.0)
    squares = np.square(flat[order] / scale) if scale > 0 else np.zeros_like(flat)
    rest = np.cumsum(squares[::-1])[::-1]
    scores = np.empty_like(flat)
    scores[order] = np.divide(squares, rest, out=np.zeros_like(squares), where=rest > 0)
    return scores.reshape(w.shape)


@gated(ws=Several(Floats(least=1), least=1), sparsity=UNIT, rounding=get_args(counts.Rounding)[1])
def lamp(ws: Sequence[np.ndarray], sparsity: float, rounding: str = "half_even") -> list[float]:
    """The sparsity of each layer under one ranking of all LAMP scores."""
    scores = [lamp_scores(w).reshape(-1) for w in ws]
    everything = np.concatenate(scores)
    kept = top_k(keys(everything)[None], counts.kept(everything.size, sparsity, rounding, "pruned"))[0]
    parts = np.split(kept, np.cumsum([s.size for s in scores])[:-1])
    return [1.0 - float(np.count_nonzero(part)) / part.size for part in parts]


def _raw(shape: Shape, power: float) -> float:
    return float((sum(shape) / math.prod(shape)) ** power)
