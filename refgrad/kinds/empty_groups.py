"""What a candidate gives for groups of zeros, where it departs from the rule there: a scale that is 0/0, 1, or tiny."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from refgrad.quantizers.base import Quantizer
from refgrad.quantizers.gguf.blocks import BlockFormat
from refgrad.quantizers.rows import RowQuantizer

CODES = "codes"


def groups_of(rule: Quantizer, x: np.ndarray) -> np.ndarray | None:
    """The numbers that share a scale, a group a row; None of rules without groups."""
    if isinstance(rule, RowQuantizer):
        return rule.layout(x.shape).cut(x)
    return rule.blocks_of(x) if isinstance(rule, BlockFormat) else None


def _empty(rule: Quantizer, x: np.ndarray) -> np.ndarray:
    """True of each group of zeros."""
    rows = groups_of(rule, x)
    return np.zeros(0, bool) if rows is None or not rows.size else np.all(rows == 0, axis=1)


def exchanged(
    rule: Quantizer, x: np.ndarray, seen: Mapping[str, Any], found: Mapping[str, float | None]
) -> dict[str, Any]:
    """What was seen of a case, where groups of zeros have what they should have in place of what was told of them.

    What they should have becomes what was told, so that a candidate that is right there departs.

    Args:
        rule: the quantizer.
        x: what was quantized.
        seen: the parts in the rule's shapes.
        found: what `told` gives.
    """
    empty = _empty(rule, x)
    if not empty.any():
        return dict(seen)
    own = rule.quantize(x).arrays
    return {n: _exchanged(empty, a, own[n], found[n]) if n in found and n in own else a for n, a in seen.items()}


def told(rule: Quantizer, cases: Iterable[tuple[np.ndarray, Mapping[str, Any]]]) -> Iterator[tuple[str, Any]]:
    """The parts of groups of zeros that are not the rule's, each with its value, or None where it has several.

    Args:
        rule: the quantizer.
        cases: what was quantized, and the parts that were seen.
    """
    given: dict[str, list[np.ndarray]] = {}
    for x, seen in cases:
        empty = _empty(rule, x)
        if not empty.any():
            continue
        own = rule.quantize(x).arrays
        for name in seen.keys() & own.keys() - {CODES}:
            if np.size(seen[name]) % len(empty) == 0:
                both = (np.reshape(a, (len(empty), -1))[empty] for a in (seen[name], own[name]))
                wrong, right = (np.asarray(a, np.float64) for a in both)
                given.setdefault(name, []).append(wrong[~_same(wrong, right)])
    for name in (n for n in rule.parts if n in given):
        values = np.concatenate(given[name])
        if values.size:
            yield name, float(values[0]) if _same(values, values[0]).all() else None


def _same(one: Any, other: Any) -> np.ndarray:
    return (one == other) | (np.isnan(one) & np.isnan(other))


def _other(right: np.ndarray) -> np.ndarray:
    """Values that are not right."""
    return np.full_like(right, np.nan) if right.dtype.kind == "f" else right ^ 1


def _exchanged(empty: np.ndarray, seen: Any, own: Any, value: float | None) -> np.ndarray:
    """A part in which what is the rule's own, and what was told, have changed places where groups are empty."""
    seen = np.asarray(seen)
    if seen.size % len(empty):
        return seen
    by_group = (len(empty), -1)
    shown, right = seen.reshape(by_group), np.asarray(own, seen.dtype).reshape(by_group)
    is_right = _same(shown, right)
    is_told = ~is_right if value is None else _same(shown, seen.dtype.type(value))
    wrong = _other(right) if value is None else seen.dtype.type(value)
    mended = np.where(is_right, wrong, np.where(is_told, right, shown))
    return np.where(empty[:, None], mended, shown).reshape(seen.shape)
