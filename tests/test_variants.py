"""Every named behaviour of every rule is a rule: it is built, shown, used, and traced where its parent is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from refgrad.errors import ArgumentError
from refgrad.kinds.table import kind_of
from refgrad.oracle.acceptance.quantized_parts import has_graph
from refgrad.quantizers.base import Quantizer
from refgrad.report import catalogue
from refgrad.rule import Choice, Flag, Rule, rules
from refgrad.sparsity.base import Mask

#: variants without the graph that their parent has, and why
UNTRACED = {
    "nested=True": "the largest magnitudes of blocks are quantized in blocks of their own, which is no body on rows"
}

EVERY_RULE = pytest.mark.parametrize("cls", rules().values(), ids=lambda c: c.__name__)


def named(rule: Rule) -> Iterator[str]:
    """What the variants of a rule should be called."""
    for name, legal in rule.legal().items():
        values: list[Any] = list(legal.sentences) if isinstance(legal, Choice) else []
        values = [True, False] if isinstance(legal, Flag) else values
        yield from (f"{name}={value}" for value in values if value != getattr(rule, name))


def traced(rule: Rule) -> bool:
    """Whether a rule has a graph; those of optimizers and estimators are traced as they are shown."""
    if isinstance(rule, Quantizer):
        return has_graph(rule)
    if isinstance(rule, Mask):
        arrays = {n: np.ones(rule.example_shape(), np.float32) for n in rule.takes()}
        return kind_of(rule).graph(rule, arrays) is not None
    return True


@EVERY_RULE
def test_every_named_behaviour_is_a_variant(cls: type[Rule]) -> None:
    assert [name for name, _ in cls().variants()] == list(named(cls()))


@pytest.mark.sample(suite=150)
@EVERY_RULE
def test_every_variant_is_shown_and_traced_as_its_parent(cls: type[Rule]) -> None:
    parent = cls()
    for name, variant in parent.variants():
        field, _, value = name.partition("=")
        assert str(getattr(variant, field)) == value
        assert catalogue.page(variant, 10).startswith(str(variant))
        assert traced(variant) == (traced(parent) and name not in UNTRACED), name


def test_what_a_behaviour_asks_of_others_is_asked_for() -> None:
    for cls in rules().values():
        for (field, value), asked in cls.needs.items():
            with pytest.raises(ArgumentError):
                cls(**{field: value})
            assert cls(**{field: value}, **asked).replace() is not None


def test_what_others_exclude_is_no_variant() -> None:
    from refgrad.quantizers import Affine

    names = [name for name, _ in Affine(range="divergence", symmetric=True).variants()]
    assert "symmetric=False" not in names
    assert "range=min_max" in names
