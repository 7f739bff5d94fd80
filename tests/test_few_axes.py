"""Every rule on arrays of no axis, of one, and of no elements: a result of their shape, or an error that says what is legal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from refgrad.errors import ArgumentError
from refgrad.optimizers.transform import Transform, axes_named, below
from refgrad.rule import Rule, rules
from tests.bits import kinds
from tests.bits.inputs import Source

TRANSFORMS = [n for n, cls in rules(Transform).items() if cls.kind == "transform" and getattr(cls, "shapes", {})]
SHAPES = ((), (1,), (7,), (0,), (0, 8), (8, 0), (4, 4, 0))


def calls(rule: Any, shape: tuple[int, ...], source: Source) -> Iterator[Any]:
    """What is asked of a rule of each kind, one call after the other; a call gives what is shaped like ``x``, or nothing."""
    x = source.signed(shape, np.float32)
    if rule.kind in ("optimizer", "8-bit-optimizer"):
        taken = kinds.extra_inputs(rule, x, source) if rule.kind == "optimizer" else {}
        state = rule.init(x)
        yield lambda: rule.step(x, x.copy(), state, **taken)[0]
    elif rule.kind == "estimator":
        taken = kinds.parameters(rule, shape, np.float32, source)
        yield lambda: rule.both(x, x, backend="numpy", **taken)["y"]
    elif rule.kind == "quantizer":
        quantized = None

        def quantize() -> Any:
            nonlocal quantized
            quantized = rule.quantize(np.abs(x) if rule.nonnegative else x)

        yield quantize
        if quantized is not None:
            yield lambda: rule.dequantize(quantized)
    elif rule.kind == "mask":
        taken = kinds.mask_inputs(rule, shape, np.float32, source)
        yield lambda: rule.mask(x, **taken)
    elif rule.kind == "mask-update":
        given = {"w": x, "mask": x > 0, **kinds.mask_inputs(rule, shape, np.float32, source)}
        yield lambda: rule.after(given, next(iter(rule.steps())))
    elif rule.kind == "transform":
        yield lambda: [rule(*(x for _ in rule.shapes))]  # of shapes of its own


@pytest.mark.sample(quick=30, suite=150)
@pytest.mark.parametrize("name", [n for n, cls in rules().items() if cls.kind != "scaling"])
def test_few_axes_and_no_elements(name: str) -> None:
    rule: Rule = rules()[name]()
    refused = []
    for shape in SHAPES:
        for call in calls(rule, shape, Source(name)):
            try:
                with np.errstate(all="ignore"):
                    found = call()
            except ArgumentError as error:
                refused.append(str(error))
            else:
                assert not isinstance(found, np.ndarray) or found.shape == shape
    assert all(" is " in text and "legal" in text for text in refused)


@pytest.mark.sample(quick=30)
@pytest.mark.parametrize("name", TRANSFORMS)
def test_functions_of_arrays_of_which_an_axis_has_no_elements(name: str) -> None:
    """Each axis alone, and all together: a result, or an error that says what is legal."""
    rule: Any = rules()[name]()
    axes = sorted({axis for text in rule.shapes.values() for axis in axes_named(text)})
    refused = []
    for gone in (*([axis] for axis in axes), axes):
        # whole numbers below the length of an axis without elements are there none: 0 stands for them
        lengths = {**rule.lengths, **dict.fromkeys(gone, 0)}
        some = rule.drawn(
            {**lengths, **{axis: max(length, 1) for axis, length in lengths.items()}}, np.random.default_rng(0)
        )
        named = zip(some.items(), rule.shapes.values(), strict=True)
        given = [found[tuple(slice(lengths[axis]) for axis in axes_named(text))] for (_, found), text in named]
        try:
            rule(*given)
        except ArgumentError as error:
            refused.append(str(error))
    assert all(" is " in text and "legal" in text for text in refused)


LABELLED = [name for name, cls in rules(Transform).items() if any(map(below, cls.shapes.values()))]


@pytest.mark.parametrize("name", LABELLED)
def test_a_label_that_its_axis_has_not_is_refused(name: str) -> None:
    rule = rules(Transform)[name]()
    given = rule.drawn(rule.lengths, np.random.default_rng(0))
    for labels, text in rule.shapes.items():
        if below(text) and given[labels].size:
            for wrong in (-1, 10**6):
                changed = {**given, labels: np.full_like(given[labels], wrong)}
                with pytest.raises(ArgumentError):
                    rule(*changed.values())
