"""What crosses the pipe of an isolated candidate is what was sent, and nothing else is taken for it."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from refgrad.candidates.protocol import Observation
from refgrad.isolation import messages
from refgrad.isolation.dtypes import DTYPES, MessageError
from refgrad.isolation.layouts import laid_out, seen_in, text_of
from refgrad.isolation.recipe import made, named
from refgrad.isolation.shared import LEAST, Region
from refgrad.optimizers import SGD, Lookahead


def test_values_cross_as_they_are() -> None:
    arrays = [np.arange(6, dtype=np.float16).reshape(2, 3), np.array(True), np.zeros((0, 3), np.int8)]
    arrays += [np.asarray([1.5, -0.0, np.nan], name) for name in DTYPES if "float" in name]
    value = {"a": arrays, "b": (1, -2.5, float("inf"), None, True, "text"), 3: frozenset({"x", "y"})}
    buffers: list[bytes] = []
    encoded = json.loads(json.dumps(messages.encode(value, buffers)))
    found = messages.decode(encoded, [bytearray(b) for b in buffers])
    assert found["b"] == value["b"]
    assert found[3] == value[3]
    for mine, other in zip(found["a"], arrays, strict=True):
        assert (mine.dtype, mine.shape, mine.tobytes()) == (other.dtype, other.shape, other.tobytes())
        assert mine.flags.writeable
    seen = Observation([arrays[0]], [{"t": 1.0}])
    back = messages.decode(messages.encode(seen, buffers), [bytearray(b) for b in buffers])
    assert back.state == [{"t": 1.0}]


def test_rules_cross_to_the_child_alone() -> None:
    buffers: list[bytes] = []
    rule = Lookahead(inner=SGD(lr=0.5))
    encoded, given = messages.encode(rule, buffers), [bytearray(b) for b in buffers]
    assert messages.decode(encoded, given, trusted=True) == rule
    with pytest.raises(MessageError, match="a rule from a child"):
        messages.decode(encoded, given)


WRONG_VALUES: list[Any] = [
    {"array": ["float32", [2], 5]},
    {"array": ["object", [1], 0]},
    {"array": ["float32", [-1, 3], 0]},
    {"float": "x"},
    {"dict": [1]},
    {"a": 1, "b": 2},
    {},
    1.5,
]
LENGTHS = messages.LENGTHS.pack
SHORT, GONE = b'{"buffers":[2],"shared":false}', b'{"buffers":[2],"shared":true}'
WRONG_BYTES = [b"x" * 16, LENGTHS(2, 0) + b"{}", LENGTHS(len(SHORT), 1) + SHORT, LENGTHS(len(GONE), 0) + GONE]


@pytest.mark.parametrize("wrong", WRONG_VALUES)
def test_what_nobody_encoded_is_refused(wrong: Any) -> None:
    with pytest.raises(MessageError):
        messages.decode(wrong, [bytearray(8)])


def pipe(data: bytes) -> Callable[[int], bytearray]:
    """What takes so many bytes of some."""
    stream = io.BytesIO(data)
    return lambda count: bytearray(stream.read(count))


@pytest.mark.parametrize("wrong", WRONG_BYTES)
def test_bytes_that_are_no_message_are_refused(wrong: bytes) -> None:
    with pytest.raises(MessageError):
        messages.read(pipe(wrong), Region(-1))


def test_what_is_seen_crosses_as_its_bytes() -> None:
    columns, narrow = np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.zeros((0, 3), DTYPES["bfloat16"])
    seen = Observation([columns, narrow, np.array(3, np.int8)], [{"m": columns, "t": -0.1}, {}, {"k": np.float32(1)}])
    layout, data = laid_out(seen)
    found = seen_in(text_of(layout), bytearray(data))
    for mine, other in zip(found.params, seen.params, strict=True):
        assert (mine.dtype, mine.shape, mine.tolist()) == (other.dtype, other.shape, other.tolist())
    assert (found.state[0]["m"] == columns).all()
    assert found.state[0]["t"] == -0.1
    assert isinstance(found.state[0]["t"], float)
    assert found.state[1] == {}
    assert found.state[2]["k"].dtype == np.float32
    for wrong in (np.arange(2, dtype=">f4"), np.array([None]), np.zeros(1, "M8[s]")):
        with pytest.raises(MessageError, match="an array of dtype"):
            laid_out(Observation([wrong], [{}]))


@pytest.mark.parametrize(
    "text",
    [None, "", "3", '[[["object", [1]]], []]', '[[["float32", [-1]]], []]', '[[["float32", [2]]], []]', "[[], [3]]"],
)
def test_layouts_that_nobody_wrote_are_refused(text: Any) -> None:
    with pytest.raises(MessageError):
        seen_in(text, bytearray(4))


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="this system has no memory without a name")
def test_large_arrays_go_through_shared_memory_and_are_copied() -> None:
    region, large, small = Region.new(), [b"ab" * LEAST, b"", b"c"], [b"abc"]
    data = messages.packed({"n": 1}, large, region)
    assert len(data) < LEAST
    region.rewind()
    header, found = messages.read(pipe(data), region)
    os.pwrite(region.descriptor, b"x" * LEAST, 0)  # what is written later is no part of what was read
    assert header["shared"]
    assert list(map(bytes, found)) == large
    assert not messages.read(pipe(messages.packed({}, small, region)), region)[0]["shared"]
    with pytest.raises(MessageError, match="other lengths"):
        messages.read(pipe(data), region, 100)
    region.rewind()
    os.ftruncate(region.descriptor, 3)
    with pytest.raises(MessageError, match="less shared memory"):
        messages.read(pipe(data), region)
    region.close()


def test_recipes_cross_to_the_child_alone() -> None:
    recipe = named(json.JSONDecoder)
    assert recipe is not None
    buffers: list[bytes] = []
    encoded = messages.encode(recipe, buffers)
    assert made(messages.decode(encoded, [], trusted=True)) is json.JSONDecoder
    with pytest.raises(MessageError, match="a recipe from a child"):
        messages.decode(encoded, [])
