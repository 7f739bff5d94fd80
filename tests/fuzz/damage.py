"""`python -m tests.fuzz files [--seed N] [--files N]`: files that refgrad reads, with bytes changed, cut, doubled and exchanged.

Compiled kernels, logs of surveys, surveys, golden files, checkpoints and recorded steps: each damaged file is read, or is refused
by one of refgrad's own errors, and nothing else happens.
"""

from __future__ import annotations

import io
import json
import os
import random
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import refgrad
from refgrad.audits import formats, safetensors_file
from refgrad.backends import kernel_cache
from refgrad.backends.source import KernelSource
from refgrad.errors import RefgradError
from refgrad.optimizers import AdamW
from refgrad.surveys.cell import DIFFERS, Cell
from refgrad.surveys.log import SCHEMA, Log
from refgrad.version import VERSION
from tests.fuzz import seeds
from tests.fuzz.judge import in_time
from tests.golden import fuzz as golden

READ, REFUSED = "read", "refused"
#: seconds that no file takes
LONG = 20
SOURCE = KernelSource("def kernel(n, x_at):\n    pass\n", ("x",), 0, np.dtype(np.float32))
#: bytes that a member of a few numbers unpacks to at most, in a file that is not damaged
UNPACKED = 1024
#: what NumPy's reader of checkpoints raises
UNREADABLE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, KeyError, NotImplementedError, SyntaxError)
UNREADABLE += (TypeError, RuntimeError, AttributeError, MemoryError, OverflowError, IndexError)


@contextmanager
def _cache(folder: Path) -> Iterator[None]:
    with (
        mock.patch.dict(os.environ, {"REFGRAD_CACHE_DIR": str(folder)}),
        mock.patch.object(kernel_cache, "_makers", return_value="a processor"),
    ):
        yield


def kernel(folder: Path, change: Callable[[bytes], bytes]) -> str:
    """A compiled kernel: code that is not just what was written is not used."""
    with _cache(folder):
        code = b"machine code" * 20
        kernel_cache.write(SOURCE, code)
        path = kernel_cache.path_of(SOURCE)
        assert path is not None
        path.write_bytes(change(path.read_bytes()))
        found = kernel_cache.read(SOURCE)
        assert found in (None, code), found
        assert not path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return REFUSED if found is None else READ


def _cell() -> Cell:
    words = dict.fromkeys(("rule", "kind", "claim", "package", "column", "called", "version"), "x")
    return Cell(key="x", **words, outcome=DIFFERS, message="", note="", reproduce="", seconds=0.0)


def log(folder: Path, change: Callable[[bytes], bytes]) -> str:
    """The log of a survey: what is no cell is left out, and the log is gone on with."""
    place = folder / "log.jsonl"
    lines = [{"schema": SCHEMA, "refgrad": VERSION}, _cell().to_dict(), {**_cell().to_dict(), "key": "y"}]
    place.write_bytes(change("".join(json.dumps(line) + "\n" for line in lines).encode()))
    with Log.open(place, resume=True) as opened:
        opened.add(_cell())
        kept = len(opened.cells)
    assert len(place.read_text(encoding="utf-8").splitlines()) == kept + 2
    return READ


def survey(folder: Path, change: Callable[[bytes], bytes]) -> str:
    """A survey in JSON."""
    found = refgrad.Survey("2020-01-01", 1.0, {}, {}, (), (), (_cell(),))
    place = folder / "survey.json"
    place.write_bytes(change(found.to_json().encode()))
    refgrad.Survey.read(place)
    return READ


def golden_file(folder: Path, change: Callable[[bytes], bytes]) -> str:
    """A golden case: its document, and its arrays."""
    document, arrays = ((golden.FOLDER / f"BatchScaledRate.{end}").read_bytes() for end in ("json", "safetensors"))
    return golden.outcome(change(document), change(arrays))


def checkpoint(folder: Path, change: Callable[[bytes], bytes]) -> str:
    """Parameters and state as NumPy saves them: what can be loaded is stepped, or refused before anything is written."""
    rule, p = AdamW(), np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    state, file = rule.init(p), io.BytesIO()
    np.savez(file, p=p, **state)
    try:
        with np.load(io.BytesIO(change(file.getvalue())), allow_pickle=False) as found:
            read = {name: found[name] for name in found.files}
    except UNREADABLE:
        return "not loaded"
    given: Any = read.pop("p", None)
    before = {name: value.tobytes() for name, value in read.items()}
    try:
        rule.step_(given, np.ones_like(p), read)
    except RefgradError:
        assert before == {name: value.tobytes() for name, value in read.items()}
        raise
    return READ


def _record(folder: Path, change: Callable[[bytes], bytes], name: str, write: Callable[[Path, Any], None]) -> str:
    """A file of a recorded step: what is read of it is no longer than the file."""
    place, arrays = folder / name, {"w": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4), "b": np.arange(3.0)}
    write(place, arrays)
    place.write_bytes(change(place.read_bytes()))
    for stored in formats.read(place, "before").arrays.values():
        assert stored.size * stored.dtype.itemsize <= max(place.stat().st_size, 64 * UNPACKED)
        stored.read()
    return READ


RECORDS: Mapping[str, Callable[[Path, Any], None]] = {
    "a.safetensors": lambda place, arrays: safetensors_file.write(str(place), arrays, {"format": "np"}),
    "a.npz": lambda place, arrays: np.savez(place, **arrays),
    "packed.npz": lambda place, arrays: np.savez_compressed(place, **arrays),
    "a.npy": lambda place, arrays: np.save(place, arrays["w"]),
}
KINDS: Mapping[str, Callable[[Path, Callable[[bytes], bytes]], str]] = {
    "kernel": kernel,
    "log": log,
    "survey": survey,
    "golden": golden_file,
    "checkpoint": checkpoint,
    **{
        f"record {name}": lambda folder, change, name=name, write=write: _record(folder, change, name, write)
        for name, write in RECORDS.items()
    },
}


def outcome(kind: str, seed: int, folder: Path) -> str:
    """What becomes of a damaged file: "read", "refused", or whatever its kind says besides; anything else is raised.

    Args:
        kind: a name of `KINDS`.
        seed: what is damaged, and how.
        folder: where files are written.
    """
    draw = random.Random(seed)
    try:
        with in_time(LONG):
            return KINDS[kind](folder, lambda data: golden.mutated(data, draw) if draw.random() < 0.9 else data)
    except RefgradError:
        return REFUSED


def main(arguments: Sequence[str]) -> int:
    """0 if every file was read or refused, 1 if something else happened.

    Args:
        arguments: the command line.
    """
    with tempfile.TemporaryDirectory() as folder:
        return seeds.main(
            arguments, "files", str(__doc__), "files", KINDS, lambda kind, seed: outcome(kind, seed, Path(folder))
        )
