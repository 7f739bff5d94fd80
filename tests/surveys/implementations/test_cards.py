"""Whether there is a card is asked of its driver."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from refgrad.surveys.implementations import cards


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    cards.has_card.cache_clear()
    yield
    cards.has_card.cache_clear()


@pytest.mark.parametrize(("answer", "count", "found"), [(0, 1, True), (0, 0, False), (100, 1, False)])
def test_a_driver_is_asked_how_many_there_are(
    answer: int, count: int, found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counted(place: Any) -> int:
        place._obj.value = count
        return 0

    driver = SimpleNamespace(cuInit=lambda flags: answer, cuDeviceGetCount=counted)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    assert cards.has_card() is found


def test_without_a_driver_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert not cards.has_card()
