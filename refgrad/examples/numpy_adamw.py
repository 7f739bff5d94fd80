"""AdamW in a few lines of NumPy, right and wrong: what to hand to `refgrad.verify`."""

from __future__ import annotations

import numpy as np

State = tuple[np.ndarray, np.ndarray, np.ndarray]


def adamw(
    p: np.ndarray,
    g: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    t: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
) -> State:
    """One step of AdamW. Loshchilov & Hutter 2019, arXiv:1711.05101, Algorithm 2."""
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return p - lr * (m_hat / (np.sqrt(v_hat) + eps) + weight_decay * p), m, v


def adamw_eps_inside(
    p: np.ndarray,
    g: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    t: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
) -> State:
    """The same with eps under the root: wrong wherever the gradient is not much larger than the square root of eps."""
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return p - lr * (m_hat / np.sqrt(v_hat + eps) + weight_decay * p), m, v
