"""Pickles of which nothing is executed: names that are known become records without behaviour, all others are refused.

A pickle can do no more than call what it names. Here a name leads to one of a few functions of this module, whatever the file
says, so that the classes and functions of that name are never looked up, imported or called.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from typing import Any

from refgrad.audits.stored import RecordError


class Record:
    """An object of a file: the name of its class, what it was made from, and its fields.

    Attributes:
        args: what it was made from.
        state: its fields by name, or what stands for them.
    """

    def __init__(self, *args: Any) -> None:
        self.args = args
        self.state: Any = {}

    def __new__(cls, *args: Any) -> Record:
        found = super().__new__(cls)
        found.args, found.state = args, {}
        return found

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def field(self, name: str) -> Any:
        """A field, or None if it has none of that name."""
        return self.state.get(name) if isinstance(self.state, Mapping) else None


class _Value:
    """What stands for an object that is made from one value: that value. It has no fields, so that no file can set any."""

    __slots__ = ()

    def __call__(self, *args: Any) -> Any:
        return args[0] if len(args) == 1 else args


value = _Value()


#: what a name leads to: from its module and its own name; None if it is refused
Known = Callable[[str, str], Any]


def read(path: str, data: bytes, known: Known, legal: str) -> Any:
    """What a pickle holds.

    Args:
        path: of the file, for errors.
        data: the bytes.
        known: gives `Record`, `value`, or a plain value for a name.
        legal: what the file should be.

    Raises:
        RecordError: it is no pickle, or has a name that is not known.
    """
    try:
        return _Unpickler(path, data, known, legal).load()
    except RecordError:
        raise
    except Exception as error:  # a pickle that is broken raises anything
        told = str(error)[:200] or type(error).__name__
        raise RecordError(f"{path}: no {legal}, or one that was cut: {told}") from None


# The one in Python, whose memory is a dict: that in C takes as much as a broken file says.
class _Unpickler(pickle._Unpickler):
    def __init__(self, path: str, data: bytes, known: Known, legal: str) -> None:
        super().__init__(io.BytesIO(data))
        self._path, self._known, self._legal = path, known, legal

    def find_class(self, module: str, name: str) -> Any:
        found = self._known(module, name)
        if found is None:
            raise RecordError(
                f"{self._path}: refused: it names {f'{module}.{name}'[:120]}, and loading it could run code; legal: {self._legal}"
            )
        return found

    def get_extension(self, code: int) -> Any:
        raise RecordError(f"{self._path}: refused: it names code {code} of a registry; legal: {self._legal}")

    def persistent_load(self, pid: Any) -> Any:
        raise RecordError(f"{self._path}: refused: it names what lies outside of it; legal: {self._legal}")
