"""What is wrong where a length is an exact multiple of a width, as of vectors and blocks, is seen, of every kind."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.examples import formulas as gallery
from refgrad.oracle.inputs.sizes import WIDTHS
from tests.kinds.candidates import EXAMPLES

Array = np.ndarray
FEW = {"steps": 2, "time_limit": 60.0, "shrink": False, "explain": False}
#: kinds whose arrays may have any shape
SHAPED = ["optimizer", "transform", "quantizer", "estimator", "mask", "mask-update"]
#: formulas, and an axis of each of their first arrays
AXES = [("rmsnorm", 0), ("rmsnorm", 1), ("cross_entropy_of_labels", 0), ("cross_entropy_of_labels", 1)]


def wrong_at(function: Callable[..., Any], at: Callable[[Array], bool]) -> Callable[..., Any]:
    """The same with the last element of the first result changed, of some arrays."""

    @functools.wraps(function)
    def changed(*given: Any, **more: Any) -> Any:
        first = next(a for a in (*given, *more.values()) if isinstance(a, np.ndarray))
        wrong = first.size > 0 and at(first)  # before it is written over
        found = function(*given, **more)
        return spoilt(found) if wrong else found

    return changed


def spoilt(result: Any) -> Any:
    if isinstance(result, tuple):
        return (spoilt(result[0]), *result[1:])
    if isinstance(result, dict):
        return {n: spoilt(a) if n == "codes" or "codes" not in result else a for n, a in result.items()}
    changed = np.array(result)
    last = changed.reshape(-1)[-1:]
    last[...] = ~last if last.dtype.kind in "bu" else last * 2 + 1
    return changed


@pytest.mark.sample(quick=3, suite=15)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", SHAPED)
def test_what_is_wrong_at_multiples_of_a_width_alone_is_seen(kind: str, width: int) -> None:
    candidate, at = EXAMPLES[kind].right, lambda a: a.size % width == 0
    wrong = (wrong_at(candidate[0], at), *candidate[1:]) if isinstance(candidate, tuple) else wrong_at(candidate, at)
    assert refgrad.verify(wrong, EXAMPLES[kind].rule, **FEW).outcome == "does not conform"


@pytest.mark.sample(quick=2, suite=8)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("name", "axis"), AXES)
def test_what_is_wrong_where_an_axis_of_a_formula_is_a_multiple_is_seen(name: str, axis: int, width: int) -> None:
    rule = getattr(gallery, name)()
    wrong = wrong_at(lambda *arrays: rule(*arrays), lambda a: a.shape[axis] % width == 0)
    assert refgrad.verify(wrong, rule, **FEW).outcome == "does not conform"


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize("label", [0, 100, 127, 128, 255, 256])
def test_what_is_wrong_of_one_label_is_seen(label: int) -> None:
    rule = gallery.cross_entropy_of_labels()

    def ignoring(logits: Array, labels: Array) -> Any:
        return rule(logits, np.where(labels == label, 0 if label else logits.shape[-1] - 1, labels))

    assert refgrad.verify(ignoring, rule, **FEW).outcome == "does not conform"
