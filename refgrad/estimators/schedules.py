"""How estimators' numbers move with the epoch: pure functions, as the papers and their authors' code have them."""

from __future__ import annotations

import math

from refgrad.arithmetic.function_arguments import NOT_NEGATIVE, POSITIVE, REAL, gated
from refgrad.errors import bad_argument


@gated(epoch=NOT_NEGATIVE, epochs=POSITIVE, t_min=POSITIVE, t_max=POSITIVE)
def ede(epoch: int, epochs: int, t_min: float = 0.1, t_max: float = 10.0) -> tuple[float, float]:
    """``(t, k)`` of IR-Net's error decay estimator at an epoch counted from 0.

    t = 10^(log10 t_min + epoch/epochs (log10 t_max - log10 t_min)), k = max(1/t, 1). Source: Qin et al. 2020,
    arXiv:1909.10788 One of the authors' scripts has t_min = 1e-3.

    >>> ede(200, 400)
    (1.0, 1.0)
    """
    _check(epoch, epochs)
    t = 10.0 ** (math.log10(t_min) + epoch / epochs * (math.log10(t_max) - math.log10(t_min)))
    return t, max(1.0 / t, 1.0)


@gated(epoch=NOT_NEGATIVE, epochs=POSITIVE, t_min=POSITIVE, t_max=POSITIVE)
def rbnn(epoch: int, epochs: int, t_min: float = 0.01, t_max: float = 10.0) -> tuple[float, float]:
    """``(t, k)`` of RBNN for weights: as `ede` with its own first value; activations have max(t, 1) and 1.

    Source: Lin et al. 2020, arXiv:2009.13055, and the authors' code.
    """
    return ede(epoch, epochs, t_min, t_max)


@gated(epoch=NOT_NEGATIVE, epochs=POSITIVE, o_end=REAL)
def reste(epoch: int, epochs: int, o_end: float = 3.0) -> float:
    """``o`` of ReSTE at an epoch counted from 0: 1 + (1 - cos(pi/2 epoch/epochs)) (o_end - 1).

    Source: the authors' code of Wu et al. 2023, arXiv:2308.06689. ``o_end`` itself is never reached.

    >>> round(reste(500, 1000), 7)
    1.5857864
    """
    _check(epoch, epochs)
    return 1.0 + (1.0 - math.cos(math.pi / 2 * epoch / epochs)) * (o_end - 1.0)


@gated(epoch=NOT_NEGATIVE, epochs=POSITIVE, tau_min=REAL, tau_max=REAL)
def recu(epoch: int, epochs: int, tau_min: float = 0.85, tau_max: float = 0.99) -> float:
    """``tau`` of ReCU at an epoch counted from 0, from ``tau_min`` at the first: a e^(epoch/epochs) + b, which never reaches
    ``tau_max``: a = (tau_max - tau_min)/(e - 1), b = tau_min - a.

    Source: the authors' code of Xu et al. 2021, arXiv:2103.12369. BiPer's code has the same form for its regularization.

    >>> round(recu(300, 600), 7)
    0.9028557
    """
    _check(epoch, epochs)
    a = (tau_max - tau_min) / (math.e - 1.0)
    return a * math.exp(epoch / epochs) + (tau_min - a)


@gated(epoch=NOT_NEGATIVE, epochs=POSITIVE, tau_min=REAL, tau_max=REAL)
def biper(epoch: int, epochs: int, tau_min: float = 0.037, tau_max: float = 0.037) -> float:
    """The strength of BiPer's regularization at an epoch, as `recu`; the authors' scripts have both ends equal.

    Source: the authors' code of Vargas et al. 2024, arXiv:2404.01278: 0.037 in the first stage, 0.0468 in the second.
    """
    return recu(epoch, epochs, tau_min, tau_max)


def _check(epoch: float, epochs: float) -> None:
    if epoch >= epochs:
        raise bad_argument("epoch", epoch, f"a number from 0, below epochs, which is {epochs}")
