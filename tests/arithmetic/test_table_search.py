"""Places of floats among thresholds, by their bits: those of NumPy's search."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.arithmetic import table_search
from refgrad.arithmetic.steps import Nearest
from refgrad.arithmetic.table_search import MANY, Search
from refgrad.quantizers import NF4, Blockwise

TABLES = {
    "8 bits": Blockwise().nearest,
    "4 bits": NF4().nearest,
    "close together": Nearest(tuple((1.0 + np.arange(200) * 2.0**-20).tolist())),
    "one side": Nearest((1e-30, 2.0, 3e30)),
}


def floats(thresholds: np.ndarray) -> np.ndarray:
    """Numbers of every exponent, special ones, the thresholds, and what is beside these."""
    random, kind = np.random.default_rng(0), thresholds.dtype
    bits = random.integers(0, 1 << 8 * kind.itemsize, 4 * MANY, np.dtype(f"u{kind.itemsize}"))
    beside = [np.nextafter(thresholds, kind.type(end)) for end in (-np.inf, np.inf)]
    special = np.asarray([0.0, -0.0, np.inf, -np.inf], kind)
    usual = random.standard_normal(MANY).astype(kind)
    found = np.concatenate([bits.view(kind), thresholds, *beside, special, usual])
    return found[~np.isnan(found)]


def wrong(search: Search, x: np.ndarray) -> int:
    """How many places are others than NumPy's."""
    return int(np.count_nonzero(search(x) != np.searchsorted(search.thresholds, x, side="left")))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", TABLES)
def test_places_are_those_of_a_search_by_halves(name: str, dtype: type) -> None:
    search = Search(TABLES[name].thresholds(dtype))
    x = floats(search.thresholds)
    assert wrong(search, x) == 0
    assert wrong(search, x[: MANY // 2]) == 0
    assert search(x[: 2 * MANY].reshape(2, -1).T).shape == (MANY, 2)


def test_nan_is_nearest_to_zero() -> None:
    x = np.full(MANY, np.nan)
    x[::2] = 1.0
    values = TABLES["8 bits"](x)
    assert set(values[1::2]) == {0.0}
    assert set(values[::2]) == {1.0}


@pytest.mark.parametrize("planted", ["a comparison too few", "another side"])
def test_a_fault_is_seen(planted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    search = Search(TABLES["8 bits"].thresholds(np.float64))
    search(np.zeros(MANY))
    if planted == "a comparison too few":
        monkeypatch.setattr(search, "_steps", search._steps - 1)
    else:
        monkeypatch.setattr(search, "_padded", np.append(np.nextafter(search.thresholds, -np.inf), np.inf))
    assert search._steps < table_search.MOST_STEPS
    assert wrong(search, floats(search.thresholds)) > 0
