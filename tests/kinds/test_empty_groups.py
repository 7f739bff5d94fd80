"""Groups of zeros whose parts are others than the rule's: named by what they have there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.kinds import empty_groups
from refgrad.quantizers import MX, NF4, Affine, Cast, Quantizer
from refgrad.quantizers.gguf import Q4_0, Q6_K


def with_scale(rule: Quantizer, value: float) -> Any:
    """A candidate that is right but for the scales of groups of zeros."""

    def quantize(x: np.ndarray) -> dict[str, np.ndarray]:
        parts = dict(rule.quantize(x).arrays)
        rows = empty_groups.groups_of(rule, x)
        if rows is not None and rows.size:
            scale = np.array(parts[rule.parts[0]])
            empty = ~rows.any(axis=1)
            scale.reshape(len(empty), -1)[empty] = value
            parts[rule.parts[0]] = scale
        return parts

    return quantize


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "value", "name"),
    [
        (Q6_K(), np.nan, "a group of zeros has scale nan"),
        (Q4_0(), 1.0, "a group of zeros has scale 1"),
        (MX(), 127, "a group of zeros has scale 127"),
        (NF4(), 1.0, "a group of zeros has absmax 1"),
    ],
    ids=str,
)
def test_what_they_have_is_told(rule: Quantizer, value: float, name: str) -> None:
    verdict = refgrad.verify(with_scale(rule, value), rule)
    assert verdict.explanation is not None
    assert (verdict.explanation.name, verdict.explanation.sure) == (name, "fact")


@pytest.mark.parametrize("rule", [Q6_K(), MX(), Affine(granularity="channel", axis=1)], ids=str)
def test_only_what_was_told_is_undone(rule: Quantizer) -> None:
    x = np.zeros((4, 256), np.float32)
    x[::2, 1:] = 1.0
    own = dict(rule.quantize(x).arrays)
    wrong = with_scale(rule, 3.0)(x)
    found = dict(empty_groups.told(rule, [(x, wrong)]))
    assert found == {rule.parts[0]: 3.0}
    mended = empty_groups.exchanged(rule, x, wrong, found)
    assert all(np.array_equal(mended[n], own[n], equal_nan=True) for n in own)
    assert not np.array_equal(empty_groups.exchanged(rule, x, own, found)[rule.parts[0]], own[rule.parts[0]])
    other = {**wrong, rule.parts[0]: np.where(wrong[rule.parts[0]] == 3, 5, wrong[rule.parts[0]])}
    assert np.array_equal(empty_groups.exchanged(rule, x, other, found)[rule.parts[0]], other[rule.parts[0]])


def test_nothing_is_told_where_all_is_right() -> None:
    x = np.zeros((2, 256), np.float32)
    assert dict(empty_groups.told(Q6_K(), [(x, dict(Q6_K().quantize(x).arrays))])) == {}
    assert empty_groups.groups_of(Cast(), x) is None
