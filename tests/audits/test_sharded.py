"""Arrays in pieces: every stretch of them is read as of one array, whatever the boxes are; gaps and overlaps are named."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refgrad.audits.sharded import joined, section, whole
from refgrad.audits.stored import Contents, Piece, RecordError, Sharded, Stored
from tests.depth import examples


def stored(array: np.ndarray) -> Stored:
    flat = np.ascontiguousarray(array).reshape(-1)
    return Stored(array.shape, array.dtype, lambda start, stop: flat[start:stop], "x")


@st.composite
def boxes(draw) -> tuple[np.ndarray, list[Piece]]:
    """An array, and boxes that it is cut into on every axis."""
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=0, max_size=3)))
    array = np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape)
    cuts = [sorted({0, n, *draw(st.lists(st.integers(0, n), max_size=2))}) for n in shape]
    pieces = []
    for spans in itertools.product(*(itertools.pairwise(cut) for cut in cuts)):
        own = array[tuple(slice(*span) for span in spans)]
        pieces.append(Piece(tuple(span[0] for span in spans), stored(own)))
    return array, draw(st.permutations(pieces))


@given(boxes())
@examples(60)
def test_every_stretch(given):
    array, pieces = given
    found, flat = whole(array.shape, pieces, "w"), array.reshape(-1)
    for start, stop in itertools.combinations_with_replacement(range(array.size + 1), 2):
        assert found.read(start, stop).tobytes() == flat[start:stop].tobytes()


@given(boxes(), st.integers(0, 100))
@examples(30)
def test_gaps_and_overlaps(given, which):
    array, pieces = given
    piece = pieces[which % len(pieces)]
    with pytest.raises(RecordError, match=r"of its .* elements are in no shard"):
        whole(array.shape, [each for each in pieces if each is not piece], "w")
    with pytest.raises(RecordError, match="have elements in common"):
        whole(array.shape, [*pieces, piece], "w")


def test_beyond():
    for piece in (
        Piece((2,), stored(np.zeros(3))),
        Piece((-1,), stored(np.zeros(3))),
        Piece((0, 0), stored(np.zeros((2, 2)))),
    ):
        with pytest.raises(RecordError, match="reaches beyond its shape"):
            whole((4,), [piece], "w")
    with pytest.raises(RecordError, match="dtypes float32, float64"):
        whole((2,), [Piece((0,), stored(np.zeros(1, np.float32))), Piece((1,), stored(np.zeros(1)))], "w")


def test_joined():
    parts = [stored(np.arange(n, dtype=np.float32)) for n in (3, 0, 2)]
    found = joined(parts, "w")
    assert section(found, 1, 5).read(1, 4).tolist() == [2.0, 0.0, 1.0]
    assert found.dtype == np.float32
    assert joined([stored(np.zeros(0, np.float64))], "w").read().dtype == np.float64


def sharded(place: str, array: np.ndarray, offset: int) -> Sharded:
    own = stored(array)
    return Sharded((4,), own.dtype, own.part, place, (Piece((offset,), own),))


def test_ranks():
    """Files of two ranks together: what both have as a whole is the same, or it is an error that names both."""
    files = [
        Contents({"w": sharded(f"{i}", np.zeros(2), 2 * i), "n": stored(np.ones(1))}, files=((f"{i}", 0, 0),))
        for i in (0, 1)
    ]
    both = files[0] + files[1]
    assert isinstance(both.arrays["w"], Sharded)
    assert len(both.arrays["w"].pieces) == 2
    other = Contents({"w": sharded("2", np.zeros(2), 2), "n": stored(np.zeros(1))}, files=(("2", 0, 0),))
    with pytest.raises(RecordError, match="are not the same"):
        files[0] + other
    with pytest.raises(RecordError, match="legal: shards of one array"):
        sharded("0", np.zeros(2), 0) + sharded("1", np.zeros(2, np.float32), 2)
    with pytest.raises(RecordError, match="legal: files of one model"):
        files[0] + Contents(files[1].arrays, optimizers=({"state": {}, "param_groups": []},), files=(("1", 0, 0),))
