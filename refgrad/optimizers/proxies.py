"""Interventions of "Small-scale proxies": z-loss, qk-layernorm, parameter scaling, and how sensitive a loss is to lr.

Two more are options of rules: a smaller `eps`, and `AdamW(decay="independent")`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from refgrad.errors import bad_argument
from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Citation, NonNegative, Positive

_WORTSMAN = Citation(
    "Wortsman et al. 2024",
    "Small-scale proxies for large-scale Transformer training instabilities",
    "arXiv:2309.14322, section 3",
    read="study",
    source="a reading note that quotes the publication",
)


class ZLoss(Transform):
    """``coefficient`` times the mean over tokens of (log Z)**2, Z the sum of the exponentials of a token's logits.

    ``logits``: [tokens, classes]. Gives the loss, a float, and its gradient by the logits. Source: Wortsman et al. 2024,
    arXiv:2309.14322, after Chowdhery et al. 2022.
    """

    coefficient: NonNegative = 1e-4
    citation = _WORTSMAN
    shapes: ClassVar[Mapping[str, str]] = {"logits": "n d"}
    unspecified = "tokens that the loss ignores: all tokens count here"

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "logits", 2, "[tokens, classes]")
        check_count(arrays[0], "logits", 1, "one row a token")
        if arrays[0].shape[1] < 1:
            raise bad_argument("logits.shape", arrays[0].shape, "at least one class")

    def apply(self, logits: Any) -> Any:
        top = np.max(logits, axis=1, keepdims=True)
        shares = np.exp(logits - top)
        total = np.sum(shares, axis=1, keepdims=True)
        log_z = top + np.log(total)
        gradient = 2 * self.coefficient * log_z * (shares / total) / len(logits)
        return self.coefficient * np.mean(log_z * log_z), gradient


class QKLayerNorm(Transform):
    """Attention logits of normalised queries and keys, LN(q) LN(k)^T / sqrt(d), and their gradients.

    ``q`` [..., queries, d], ``k`` [..., keys, d], ``g`` [..., queries, keys] the loss's gradient by the logits. LN has no
    gain and no bias: (x - mean) / sqrt(var + eps) over the last axis, var with divisor d. Gives the logits, and the
    gradients by q and k. Source: Wortsman et al. 2024, arXiv:2309.14322, after Dehghani et al. 2023.
    """

    eps: NonNegative = 1e-6
    citation = _WORTSMAN
    shapes: ClassVar[Mapping[str, str]] = {"q": "n d", "k": "m d", "g": "n m"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 4, "m": 3, "d": 5}
    unspecified = "gains; whether a head or all heads together are normalised: the last axis is, whatever it holds"

    def check(self, *arrays: np.ndarray) -> None:
        q, k, g = arrays
        if q.ndim < 2 or q.shape[-1] < 1:
            raise bad_argument("q.shape", q.shape, "[..., queries, d] with d of at least 1")
        check_same(k, "k", (*q.shape[:-2], k.shape[-2] if k.ndim > 1 else 0, q.shape[-1]), "the batch and d of q")
        check_same(g, "g", (*q.shape[:-1], k.shape[-2]), "[..., queries, keys]")

    def apply(self, q: Any, k: Any, g: Any) -> Any:
        scale = 1 / math.sqrt(q.shape[-1])
        (q_hat, q_root), (k_hat, k_root) = self._normalised(q), self._normalised(k)
        logits = scale * (q_hat @ np.swapaxes(k_hat, -1, -2))
        g_q = _through(scale * (g @ k_hat), q_hat, q_root)
        g_k = _through(scale * (np.swapaxes(g, -1, -2) @ q_hat), k_hat, k_root)
        return logits, g_q, g_k

    def _normalised(self, x: Any) -> tuple[Any, Any]:
        centred = x - np.mean(x, axis=-1, keepdims=True)
        root = np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + self.eps)
        return centred / root, root


def _through(g: Any, x_hat: Any, root: Any) -> Any:
    """A gradient by normalised numbers as one by the numbers before."""
    along = np.mean(g * x_hat, axis=-1, keepdims=True)
    return (g - np.mean(g, axis=-1, keepdims=True) - x_hat * along) / root


class ParameterScaledRate(Transform):
    """The learning rate of a tensor: lr times its root mean square, at least ``floor``. Gives a float.

    Source: Wortsman et al. 2024, arXiv:2309.14322, after Shazeer & Stern 2018.
    """

    lr: Positive = 1e-2
    floor: Positive = 1e-3
    citation = _WORTSMAN
    shapes: ClassVar[Mapping[str, str]] = {"p": "n d"}
    unspecified = "the floor: that of Adafactor"

    def apply(self, p: Any) -> Any:
        return self.lr * np.maximum(self.floor, np.sqrt(np.sum(p * p) / max(p.size, 1)))


class RateSensitivity(Transform):
    """How much is lost by a wrong learning rate: the mean of min(loss, first loss) less the best loss.

    ``losses``: final losses at learning rates evenly spaced by their logarithms; ``first``: the loss at the start, one
    number. Gives a float. Source: Wortsman et al. 2024, arXiv:2309.14322, section 2.
    """

    citation = _WORTSMAN
    shapes: ClassVar[Mapping[str, str]] = {"losses": "n+", "first": "+"}
    about_nan = True
    unspecified = "a loss that is NaN, after divergence: the first loss counts"

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "losses", 1, "one loss a learning rate")
        check_count(arrays[0], "losses", 1, "one loss a learning rate")
        check_same(arrays[1], "first", (), "one number")

    def apply(self, losses: Any, first: Any) -> Any:
        kept = np.fmin(losses, first)
        return np.mean(kept) - np.min(kept)
