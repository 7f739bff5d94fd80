"""What a candidate without state is: variants, numbers and faults are named, and what is unknown is said to be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.errors import ArgumentError
from refgrad.estimators import ArcTan, ClippedSTE
from refgrad.oracle.explanation import IDENTIFIED, UNKNOWN
from refgrad.quantizers import Affine
from refgrad.sparsity import Magnitude
from tests.oracle import quantizer_programs as programs


def sign(x: Any) -> Any:
    return np.where(x >= 0, 1, -1).astype(x.dtype)


def clipped(strict: bool = False, factor: float = 1.0, root: bool = False) -> Any:
    def backward(cotangent: Any, x: Any) -> Any:
        inside = np.abs(x) < 1 if strict else np.abs(x) <= 1
        g = np.sign(cotangent) * np.sqrt(np.abs(cotangent)) if root else cotangent
        return (g * inside * factor).astype(x.dtype)

    return sign, backward


def pruned(w: Any, sparsity: float) -> Any:
    mask = np.ones(w.size, bool)
    mask[np.argsort(np.abs(w).ravel(), kind="stable")[: round(w.size * sparsity)]] = False
    return mask.reshape(w.shape)


@pytest.mark.parametrize(
    ("candidate", "claim", "options", "title"),
    [
        (clipped(), ClippedSTE(), {}, "ClippedSTE"),
        (clipped(strict=True), ClippedSTE(), {}, "ClippedSTE(edge='exclusive')"),
        (clipped(factor=2.0), ClippedSTE(), {}, "ClippedSTE with twice x_grad"),
        (ArcTan(alpha=3.7), ArcTan(), {}, "ArcTan(alpha=3.7)"),
        (
            (programs.affine, programs.affine_back),
            Affine(),
            {"before": True},
            "Affine(zero_point_added='before')",
        ),
        (lambda w: pruned(w, 0.7), Magnitude(), {}, "Magnitude(sparsity=0.7)"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_what_it_is(candidate: Any, claim: Any, options: dict[str, Any], title: str) -> None:
    found = refgrad.identify(candidate, claim, options=options)
    assert found.outcome == IDENTIFIED, str(found)
    assert found.best is not None
    assert found.best.title == title
    assert found.best.outside == 0
    assert found.best.total > 1000
    if title != str(claim).removesuffix("()"):
        assert found.itself is not None
        assert found.itself.outside > 0


def test_a_number_has_its_interval() -> None:
    found = refgrad.identify(ArcTan(alpha=3.7), ArcTan())
    assert found.best is not None
    (told,) = found.best.recovered
    assert told.name == "alpha"
    assert told.low <= 3.7 <= told.high
    assert told.high - told.low < 1e-5 * 3.7


def test_nothing_that_is_known() -> None:
    found = refgrad.identify(clipped(root=True), ClippedSTE())
    assert found.outcome == UNKNOWN
    assert found.nearest
    assert "nothing that I know" in str(found)


def test_a_kind_that_is_none() -> None:
    with pytest.raises(ArgumentError, match="'estimator'"):
        refgrad.identify(ArcTan(), "estimators")
