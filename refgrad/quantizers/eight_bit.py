"""Optimizers whose state is kept in 8 bits: any update rule, wrapped. And what goes with them in the paper.

Source: Dettmers et al. 2022, arXiv:2110.02861, sections 2 and 2.3, and bitsandbytes for what the paper leaves open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refgrad.errors import bad_argument
from refgrad.optimizers.base import Optimizer
from refgrad.quantizers.base import Quantized
from refgrad.quantizers.blockwise import Blockwise
from refgrad.rule import Range, Whole

#: slots that are never negative: they are kept by the map without a sign
NONNEGATIVE = frozenset({"v", "v_max", "s", "s_max", "u"})

#: blocks of optimizer states in the paper
BLOCK_SIZE = 2048


@dataclass(frozen=True)
class EightBit:
    """An update rule whose state slots are quantized between steps, by blocks, to 8 bits.

    A step dequantizes the slots, takes the rule's own step in the working dtype, and quantizes the new slots. The new
    parameter comes of the slots before they are quantized again, as in the paper. A parameter of fewer elements than
    ``min_8bit_size`` keeps its slots as they are. Numbers that a rule keeps on the host stay numbers.

    >>> import numpy as np
    >>> from refgrad.optimizers import Adam
    >>> rule = EightBit(Adam(lr=0.1), min_8bit_size=1)
    >>> p, state = rule.step(np.zeros(4), np.ones(4), rule.init(np.zeros(4)))
    >>> state["m"].codes.dtype, p.round(3)
    (dtype('uint8'), array([-0.1, -0.1, -0.1, -0.1]))
    """

    rule: Optimizer
    signed: Blockwise = field(default_factory=lambda: Blockwise(block_size=BLOCK_SIZE))
    unsigned: Blockwise = field(default_factory=lambda: Blockwise(map="dynamic_unsigned", block_size=BLOCK_SIZE))
    min_8bit_size: int = 4096

    def __post_init__(self) -> None:
        Whole(0).check("EightBit.min_8bit_size", self.min_8bit_size)
        if not isinstance(self.rule, Optimizer):
            raise bad_argument("EightBit.rule", self.rule, "an update rule, such as refgrad.optimizers.Adam()")

    def quantizer(self, slot: str) -> Blockwise:
        """The quantizer of a slot."""
        return self.unsigned if slot in NONNEGATIVE else self.signed

    def init(self, p: np.ndarray) -> dict[str, Any]:
        """The state before the first step of one parameter."""
        return self._kept(p, self.rule.init(p))

    def step(self, p: np.ndarray, g: np.ndarray, state: Mapping[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
        """One step of one parameter; nothing that is handed in is changed."""
        p, new = self.rule.step(p, g, self.opened(state))
        return p, self._kept(p, new)

    def opened(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """The state with its slots as arrays."""
        return {
            n: self.quantizer(n).dequantize(value) if isinstance(value, Quantized) else value
            for n, value in state.items()
        }

    def _kept(self, p: np.ndarray, state: Mapping[str, Any]) -> dict[str, Any]:
        if p.size < self.min_8bit_size:
            return dict(state)
        slots = {n for n, slot in self.rule.slots().items() if not slot.host}
        return {n: self.quantizer(n).quantize(value) if n in slots else value for n, value in state.items()}


@dataclass(frozen=True)
class PercentileClipping:
    """Gradients scaled down to a percentile of the norms of the last 100, this one among them.

    The percentile is an order statistic: of n norms in order, that with index ``floor(n * percentile / 100)``, counted
    from 0, or the last. The history is a tuple that the caller keeps.
    """

    percentile: float = 5.0
    length: int = 100

    def __post_init__(self) -> None:
        Range(0.0, 100.0, False, False).check("PercentileClipping.percentile", self.percentile)
        Whole(1).check("PercentileClipping.length", self.length)

    def __call__(self, g: np.ndarray, history: tuple[float, ...] = ()) -> tuple[np.ndarray, tuple[float, ...]]:
        """The gradient, scaled if it has to be, and the history with its norm (in float64)."""
        norm = float(np.sqrt(np.sum(np.square(g.astype(np.float64)))))
        history = (*history, norm)[-self.length :]
        limit = sorted(history)[min(int(len(history) * self.percentile / 100), len(history) - 1)]
        if not norm > limit:
            return g, history
        return (g * np.asarray(limit / norm, g.dtype)).astype(g.dtype), history


def stable_embedding(
    weight: np.ndarray, indices: np.ndarray, gain: np.ndarray, bias: np.ndarray, eps: float = 1e-5
) -> np.ndarray:
    """Rows of an embedding, each normalized: (w - mean) / sqrt(variance + eps) * gain + bias.

    Args:
        weight: ``(words, width)``; the paper draws it by Xavier's uniform rule, and keeps its optimizer state in 32 bits.
        indices: integers of any shape.
        gain, bias: ``(width,)``.
        eps: added to the variance, of which the divisor is the width.

    Returns:
        ``(*indices.shape, width)``, computed in float64 and rounded once to the dtype of ``weight``. Position embeddings
        are added after this, by the caller. Source: arXiv:2110.02861, 2.3.

    Raises:
        ArgumentError: an index is outside the words.
    """
    indices = np.asarray(indices)
    if indices.dtype.kind not in "iu" or (indices.size and not (0 <= indices.min() and indices.max() < len(weight))):
        raise bad_argument("indices", indices.ravel()[:3], f"integers from 0 to {len(weight) - 1}")
    rows = weight[indices].astype(np.float64)
    centred = rows - rows.mean(axis=-1, keepdims=True)
    variance = np.mean(centred * centred, axis=-1, keepdims=True)
    return (centred / np.sqrt(variance + eps) * gain + bias).astype(weight.dtype)


def xavier_limit(words: int, width: int) -> float:
    """The uniform rule of Glorot & Bengio 2010 that a stable embedding is drawn by: from minus to plus this."""
    return float(np.sqrt(6.0 / (words + width)))
