"""Maps in another size: torch's interpolation, the equation in fractions, properties and verdicts."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from refgrad.errors import ArgumentError
from refgrad.gradients import BilinearResize
from tests.gradients.judged import verdict

SIZES = [(1, 1), (2, 3), (3, 4), (5, 7), (6, 8), (9, 2)]


def place(i: int, before: int, after: int, places: str) -> Fraction:
    if places == "corners":
        return Fraction(i * (before - 1), max(after - 1, 1))
    where = (
        Fraction(i * before, after) if places == "edges" else Fraction((2 * i + 1) * before, 2 * after) - Fraction(1, 2)
    )
    return min(max(where, Fraction(0)), Fraction(before - 1))


def tent(where: Fraction, pixel: int) -> Fraction:
    """How much of a pixel there is at a place: one at it, zero from the next on."""
    return max(Fraction(1) - abs(where - pixel), Fraction(0))


@pytest.mark.parametrize("places", ["centres", "corners", "edges"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_resized_map_is_a_sum_of_tents(size: tuple[int, int], places: str) -> None:
    maps = np.random.default_rng(size).integers(-9, 10, (3, 4)) / 8
    found = BilinearResize(height=size[0], width=size[1], places=places)(maps)
    for y, x in product(range(size[0]), range(size[1])):
        row, column = place(y, 3, size[0], places), place(x, 4, size[1], places)
        wanted = sum(tent(row, i) * tent(column, j) * Fraction(maps[i, j]) for i, j in product(range(3), range(4)))
        assert found[y, x] == pytest.approx(float(wanted), rel=1e-14, abs=1e-15)


@pytest.mark.parametrize("places", ["centres", "corners"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_resized_map_is_torchs(size: tuple[int, int], places: str) -> None:
    torch = pytest.importorskip("torch")
    maps = np.random.default_rng(1).standard_normal((3, 4))
    wanted = torch.nn.functional.interpolate(
        torch.tensor(maps)[None, None], size, mode="bilinear", align_corners=places == "corners"
    )
    found = BilinearResize(height=size[0], width=size[1], places=places)(maps)
    np.testing.assert_allclose(found, wanted[0, 0].numpy(), rtol=1e-13, atol=1e-14)


def test_the_same_size_is_the_same_map_and_a_plane_stays_one() -> None:
    maps = np.random.default_rng(2).standard_normal((5, 7))
    np.testing.assert_allclose(BilinearResize()(maps), maps, rtol=1e-15)
    plane = np.add.outer(np.arange(3.0), 2 * np.arange(4.0))
    wider = BilinearResize(height=5, width=7, places="corners")(plane)
    np.testing.assert_allclose(np.diff(wider, axis=0), 0.5, rtol=1e-14)
    np.testing.assert_allclose(np.diff(wider, axis=1), 1.0, rtol=1e-14)
    with pytest.raises(ArgumentError, match="a pixel at least"):
        BilinearResize()(np.ones((0, 3)))


def resized(maps: np.ndarray, wrong: str = "") -> np.ndarray:
    """By matrices of tents, in float64."""

    def tents(before: int, after: int) -> np.ndarray:
        where = (np.arange(after) + 0.5) * before / after - 0.5
        if wrong == "corners":
            where = np.arange(after) * (before - 1) / (after - 1)
        where = np.clip(where, 0, before - 1)
        if wrong == "nearest":
            where = np.rint(where)
        return np.maximum(1 - np.abs(where[:, None] - np.arange(before)), 0)

    return (tents(maps.shape[0], 5) @ maps @ tents(maps.shape[1], 7).T).astype(maps.dtype)


def test_verdicts() -> None:
    assert verdict(resized, BilinearResize()).conforms
    for wrong in ("corners", "nearest"):
        assert not verdict(lambda maps, wrong=wrong: resized(maps, wrong), BilinearResize()).conforms, wrong
