"""What crosses the pipe between a host and its child: a JSON header and the bytes of arrays.

Numbers, text, sequences and dicts stand in the header, floats as hex; an array is its dtype, its shape and one of the buffers
that follow, or stand in shared memory where they are large. What comes from a child is only ever read as these; a rule, which
the host sends, is pickled, and refused the other way, as is a recipe.
"""

from __future__ import annotations

import functools
import json
import pickle
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from refgrad.candidates.mask_function import MaskSeen
from refgrad.candidates.protocol import Observation
from refgrad.isolation.dtypes import DTYPES, NAMES, MessageError
from refgrad.isolation.recipe import Recipe, made
from refgrad.isolation.shared import Region
from refgrad.rule import Rule

#: methods of which an answer says at once whether a thing has them
METHODS = ("start", "start_groups", "observe", "rule_for", "save_and_load", "scale_rates", "set_count")
#: attributes that it says at once: strings, several, that stay as they are
WORDS = ("settings", "read", "extras_taken", "abilities", "of_groups", "unexercised")

#: the lengths of the header and of all buffers together, before them
LENGTHS = struct.Struct("=QQ")
#: bytes of a header that is kept
KEPT = 1 << 14
#: bytes of a header, and of all buffers, that are read at most
MOST_HEADER, MOST_BUFFERS = 1 << 26, 1 << 33


def encode(value: Any, buffers: list[bytes]) -> Any:
    """A value as what JSON holds; the bytes of arrays are added to the buffers.

    Raises:
        MessageError: it is none of what crosses.
    """
    if value is None or type(value) in (bool, str):
        return value
    if isinstance(value, np.generic) or (not isinstance(value, np.ndarray) and hasattr(value, "__array__")):
        value = np.asarray(value)
    if isinstance(value, np.ndarray):
        array = np.asarray(value)
        if array.dtype not in NAMES:
            raise MessageError(f"an array of dtype {array.dtype}")
        buffers.append(array.tobytes())
        return {"array": [NAMES[array.dtype], list(array.shape), len(buffers) - 1]}
    for kind, make in _WRITERS:
        if isinstance(value, kind):
            return make(value, buffers)
    raise MessageError(f"a value of type {type(value).__name__}")


def _pickled(rule: Rule, buffers: list[bytes]) -> Any:
    try:
        buffers.append(pickle.dumps(rule))
    except Exception as error:  # such as a class within a function
        raise MessageError(f"{rule}, which cannot be pickled ({error})") from None
    return {"rule": len(buffers) - 1}


_WRITERS: tuple[tuple[Any, Callable[[Any, list[bytes]], Any]], ...] = (
    (int, lambda v, _: int(v)),
    (float, lambda v, _: {"float": float(v).hex()}),
    (str, lambda v, _: str(v)),
    (tuple, lambda v, b: {"tuple": [encode(each, b) for each in v]}),
    (list, lambda v, b: {"list": [encode(each, b) for each in v]}),
    (Mapping, lambda v, b: {"dict": [[encode(k, b), encode(each, b)] for k, each in v.items()]}),
    (set | frozenset, lambda v, b: {"set": [encode(each, b) for each in sorted(v)]}),
    (Observation, lambda v, b: {"observation": [encode(list(v.params), b), encode(list(v.state), b)]}),
    (MaskSeen, lambda v, b: {"mask": [encode(v.mask, b), encode(v.scores, b)]}),
    (Rule, _pickled),
    (Recipe, lambda v, b: {"recipe": [encode(each, b) for each in (v.place, v.file, v.attribute, v.arguments)]}),
)


def decode(value: Any, buffers: list[bytearray], trusted: bool = False) -> Any:
    """The value that was encoded; a rule only if the sender is trusted.

    Raises:
        MessageError: nobody encoded that.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    try:
        ((kind, held),) = value.items()
        return _READERS[kind](held, buffers, trusted)
    except MessageError:
        raise
    except Exception as error:  # whatever it was, it is no message
        raise MessageError(f"{type(error).__name__}: {error}") from None


def _array(held: Any, buffers: list[bytearray]) -> np.ndarray:
    name, shape, index = held
    return np.frombuffer(buffers[index], DTYPES[name]).reshape([int(n) for n in shape])


def _rule(held: Any, buffers: list[bytearray], trusted: bool) -> Any:
    if not trusted:
        raise MessageError("a rule from a child")
    return _unpickled(bytes(buffers[held]))


@functools.lru_cache(maxsize=64)
def _unpickled(data: bytes) -> Rule:
    """A rule; the same for the same bytes, so that what follows from it is worked out once."""
    rule: Rule = pickle.loads(data)
    return rule


def forget() -> None:
    """Keep no rule of before."""
    for each in (_unpickled, _written, _parsed):
        each.cache_clear()


def _recipe(held: Any, buffers: list[bytearray], trusted: bool) -> Any:
    if not trusted:
        raise MessageError("a recipe from a child")
    place, file, attribute, arguments = _several(held, buffers, trusted)
    recipe = Recipe(place, file, attribute, arguments, lambda: made(recipe))
    return recipe


def _several(held: Any, buffers: list[bytearray], trusted: bool) -> list[Any]:
    return [decode(each, buffers, trusted) for each in held]


_READERS: Mapping[str, Callable[[Any, list[bytearray], bool], Any]] = {
    "array": lambda held, buffers, _: _array(held, buffers),
    "float": lambda held, *_: float.fromhex(held),
    "rule": _rule,
    "recipe": _recipe,
    "tuple": lambda *given: tuple(_several(*given)),
    "list": _several,
    "dict": lambda held, *rest: {decode(k, *rest): decode(v, *rest) for k, v in held},
    "set": lambda *given: frozenset(_several(*given)),
    "observation": lambda *given: Observation(*_several(*given)),
    "mask": lambda *given: MaskSeen(*_several(*given)),
}


def arrays_in(value: Any) -> Iterator[np.ndarray]:
    """The arrays of nested arguments, in order."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from arrays_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from arrays_in(each)


def packed(message: Mapping[str, Any], buffers: list[bytes], region: Region) -> bytes:
    """A message as bytes: its lengths, the header, and the buffers, unless these were put into shared memory."""
    lengths = [len(b) for b in buffers]
    shared = region.takes(sum(lengths))
    if shared:
        region.put(buffers)
        buffers = []
    told = {**message, "buffers": tuple(lengths), "shared": shared}
    try:
        header = _written(tuple(told.items()))
    except TypeError:  # it holds lists or dicts
        header = json.dumps(told).encode()
    return b"".join([LENGTHS.pack(len(header), sum(map(len, buffers))), header, *buffers])


@functools.lru_cache(maxsize=16)
def _written(items: tuple[tuple[str, Any], ...]) -> bytes:
    """A header: those of a run's steps are the same one after another."""
    return json.dumps(dict(items)).encode()


@functools.lru_cache(maxsize=16)
def _parsed(header: bytes) -> Any:
    """What a header says; it is not changed by whoever reads it."""
    return json.loads(header)


def read(
    take: Callable[[int], bytearray], region: Region, most: int = MOST_BUFFERS
) -> tuple[dict[str, Any], list[bytearray]]:
    """The next message and its buffers.

    Args:
        take: gives so many bytes of the pipe.
        region: the memory that the sender shares.
        most: bytes that all buffers may have together.

    Raises:
        MessageError: the bytes are no message.
    """
    size, rest = LENGTHS.unpack(take(LENGTHS.size))
    if size > MOST_HEADER or rest > most:
        raise MessageError(f"a message of {size} and {rest} bytes")
    try:
        said = bytes(take(size))
        header = _parsed(said) if size < KEPT else json.loads(said)
        lengths, shared = header["buffers"], header["shared"]
        fits = all(type(n) is int and n >= 0 for n in lengths) and (shared is True or sum(lengths) == rest)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MessageError(f"{type(error).__name__}: {error}") from None
    if not fits or sum(lengths) > most:
        raise MessageError("buffers of other lengths than the header says")
    if shared is not True:
        return header, [take(n) for n in lengths]
    try:
        return header, region.get(lengths)
    except (ValueError, OSError) as error:
        raise MessageError(str(error)) from None
