"""Trees are matched leaf by leaf: by key, by place, and with an error where they differ."""

from __future__ import annotations

from typing import Any

import pytest

from refgrad.errors import ArgumentError
from refgrad.trees import matching

REFERENCE = {"w": 1, "b": [2, 3]}


def test_leaves_of_a_dict_are_matched_by_key() -> None:
    assert matching(REFERENCE, {"b": [20, 30], "w": 10}, "g") == [10, 20, 30]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"w": 10}, r"g is a dict; legal: a dict with keys .*b.*w"),
        ({"w": 10, "b": [20, 30], "c": 40}, r"g is a dict"),
        ({"w": 10, "c": [20, 30]}, r"g is a dict"),
        ([10, [20, 30]], r"g is a list"),
        ({"w": 10, "b": [20]}, r"g\['b'\] is a list; legal: a sequence of 2"),
        ({"w": [10], "b": [20, 30]}, r"g\['w'\] is a list; legal: an array"),
    ],
    ids=str,
)
def test_another_structure_is_refused(other: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        matching(REFERENCE, other, "g")
