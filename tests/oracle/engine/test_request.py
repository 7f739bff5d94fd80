"""What a caller asks for is checked before anything is driven."""

from __future__ import annotations

from typing import Any

import pytest

from refgrad.errors import ArgumentError
from refgrad.optimizers import SGD
from refgrad.oracle.engine.request import EXPLAIN_SECONDS, Request


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"seed": -1}, "seed is -1; legal: a whole number from 0 on"),
        ({"seed": "x"}, "seed is 'x'; legal: a whole number from 0 on"),
        ({"seed": True}, "seed is True; legal: a whole number from 0 on"),
        ({"options": 3}, "options is 3; legal: values by name"),
        ({"explain": -1}, "explain is -1; legal: true, false, or seconds"),
    ],
    ids=["negative", "no number", "a truth", "options", "explain"],
)
def test_what_is_not_legal_is_named(asked: dict[str, Any], text: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        Request.of(SGD(), SGD(), **asked)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(("explain", "seconds"), [(True, EXPLAIN_SECONDS), (False, 0.0), (2, 2.0)])
def test_the_search_is_switched_or_timed(explain: bool | float, seconds: float) -> None:
    assert Request.of(SGD(), SGD(), explain=explain).explain == seconds


def test_a_seed_is_any_whole_number_from_zero() -> None:
    assert Request.of(SGD(), SGD(), seed=3).seed == 3
