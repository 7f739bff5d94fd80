"""Lengths that know their names: the numbers that they give are Python's own, and their expressions say what they are of."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from refgrad.arithmetic.length_numbers import Length
from refgrad.arithmetic.scalar_math import FLOAT64, Scope, evaluate, name
from refgrad.errors import TraceError


def length(value: int, text: str = "n") -> Length:
    return Length(value, name(text), Scope())


NUMBERS: list[Callable[[Any], Any]] = [
    lambda n: n + 1,
    lambda n: 3 - n,
    lambda n: n * n - n,
    lambda n: -n,
    lambda n: n / 3,
    lambda n: 2.5 / n,
    lambda n: n**-0.5,
    lambda n: n**2 / 7,
    lambda n: n // 4 + n % 4,
    lambda n: 0.1 * n,
    lambda n: np.sqrt(n) + np.sqrt(n + 1) / 2,
    lambda n: np.maximum(n - 30, 1) * 1.5,
    lambda n: (n + 1) ** 0.5 - np.float64(0.3) * n,
]


@pytest.mark.parametrize("number", NUMBERS)
def test_arithmetic_gives_pythons_numbers_and_what_they_are_of(number: Callable[[Any], Any]) -> None:
    for value in (1, 2, 29, 4096):
        found = number(length(value))
        plain = int(found) if isinstance(found, Length) else found.value
        assert float(plain) == float(number(value))
        for other in (7, 1000):
            assert evaluate(found.expr, {"n": float(other)}, FLOAT64) == float(number(other))


def test_whole_numbers_of_lengths_are_indices() -> None:
    n = length(5)
    assert np.arange(10)[n - 2 : n].tolist() == [3, 4]
    assert np.zeros((n, 2 * n)).shape == (5, 10)
    assert hash(n) == hash(5)
    assert np.arange(n).dtype == np.arange(5).dtype
    assert [*range(n)] == np.arange(n).tolist()
    assert (n * 1).expr == (n + 0).expr == (0 + n).expr == n.expr


@pytest.mark.parametrize("compare", [operator.lt, operator.ge, operator.eq, operator.ne])
def test_a_comparison_of_a_body_is_a_guard_and_one_of_numpys_is_none(compare: Callable[[Any, Any], bool]) -> None:
    n = length(5)
    np.broadcast_to(np.zeros(1), (n,))
    assert n.scope.guards == []
    assert compare(n, 4) == compare(5, 4)
    assert compare(n / 2, 4) == compare(2.5, 4)
    assert len(n.scope.guards) == 2
    assert n / 2
    assert len(n.scope.guards) == 3


@pytest.mark.parametrize("number", [np.log, np.exp2, lambda n: int(n / 2), lambda n: n // 0.5, lambda n: np.log(n / 2)])
def test_what_libraries_round_otherwise_and_what_loses_the_length_is_refused(number: Callable[[Any], Any]) -> None:
    with pytest.raises(TraceError, match="length"):
        number(length(5))
