"""What crosses the pipe of an isolated candidate is what was sent, and nothing else is taken for it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from refgrad.candidates.protocol import Observation
from refgrad.isolation import messages
from refgrad.isolation.messages import MessageError
from refgrad.optimizers import SGD, Lookahead


def test_values_cross_as_they_are() -> None:
    arrays = [np.arange(6, dtype=np.float16).reshape(2, 3), np.array(True), np.zeros((0, 3), np.int8)]
    arrays += [np.asarray([1.5, -0.0, np.nan], name) for name in messages.DTYPES if "float" in name]
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
WRONG_BYTES = [b"x" * 16, LENGTHS(2, 0) + b"{}", LENGTHS(15, 1) + b'{"buffers":[2]}']


@pytest.mark.parametrize("wrong", WRONG_VALUES)
def test_what_nobody_encoded_is_refused(wrong: Any) -> None:
    with pytest.raises(MessageError):
        messages.decode(wrong, [bytearray(8)])


@pytest.mark.parametrize("wrong", WRONG_BYTES)
def test_bytes_that_are_no_message_are_refused(wrong: bytes) -> None:
    rest = bytearray(wrong)

    def take(count: int) -> bytearray:
        found = rest[:count]
        del rest[:count]
        return found

    with pytest.raises(MessageError):
        messages.read(take)
