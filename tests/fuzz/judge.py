"""What became of one call: a right value, a clear error, or a finding.

Right is the literal body's value for the same numbers as plain arrays. A clear error is one of refgrad's own that names an
argument; after it nothing that was handed in is other than before. Whatever else happens is a finding of a class of `CLASSES`.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from refgrad.arithmetic.dtypes import native
from refgrad.errors import RefgradError
from tests.fuzz import values
from tests.fuzz.subjects import LONG, Subject
from tests.fuzz.values import NUMBERS, Change

#: classes of findings, with what each is
CLASSES: Mapping[str, str] = {
    "bare exception": "an error that is none of refgrad's own",
    "wrong value": "a result that is not the literal body's for the same numbers",
    "accepted": "a wrong kind of value was taken for something",
    "half-written": "an error came after something had been written",
    "impure": "something was written that the call does not write",
    "unnamed": "an error that names no argument",
    "hang": "no answer in time",
}
RIGHT, REFUSED = "right", "refused"
#: what is at a place that there is not
NOTHING = object()
#: by how much longer than it may compute a call may wait for a processor
WAITS = 15
#: how the names of folders begin that calls are made in
FOLDER = "refgrad-calls-"


class Hung(BaseException):
    """A call took too long."""


@dataclass(frozen=True)
class Outcome:
    """What became of a call: `RIGHT`, `REFUSED`, or a class of `CLASSES`, with what is told of it."""

    kind: str
    text: str = ""


@contextmanager
def in_time(seconds: float) -> Iterator[None]:
    """`Hung` is raised in what takes longer; on the main thread of a system that has alarms.

    On a busy machine what takes so long may still not have had so much of a processor: it is then asked again, until it has had
    it, or has waited `WAITS` times as long.
    """
    begin: float | None = None  # asked for at the first alarm alone: to ask takes longer than most calls
    left = WAITS

    def ring(number: int, frame: Any) -> None:
        nonlocal begin, left
        left -= 1
        now = time.process_time()
        begin = now if begin is None else begin
        if now - begin >= seconds or not left:
            raise Hung
        signal.setitimer(signal.ITIMER_REAL, seconds)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def in_folder() -> Iterator[None]:
    """In an empty folder, which goes with all that is written there: a text that was drawn may be taken for a file's name.

    Within another such one it is the same folder, emptied at the end: making one takes longer than most calls.
    """
    if Path.cwd().name.startswith(FOLDER):
        try:
            yield
        finally:
            for each in list(os.scandir()):
                shutil.rmtree(each.path) if each.is_dir(follow_symlinks=False) else os.unlink(each.path)
        return
    with tempfile.TemporaryDirectory(prefix=FOLDER) as folder, chdir(folder):
        yield


def judged(subject: Subject, arguments: dict[str, Any], changes: list[Change]) -> Outcome:
    """What becomes of a call.

    Args:
        subject: the call.
        arguments: what it is called with: the subject's, changed.
        changes: what was changed.
    """
    before = _copied(arguments)
    try:
        with warnings.catch_warnings(), in_folder(), in_time(LONG):
            warnings.simplefilter("ignore")
            found = subject.call(dict(arguments))
    except RefgradError as error:
        if not _same(arguments, before):
            return Outcome("half-written", str(error)[:200])
        return _clear(str(error), subject, arguments)
    except Hung:
        return Outcome("hang", f"more than {LONG} s")
    except Exception as error:
        return Outcome("bare exception", f"{type(error).__name__}: {str(error)[:200]}")
    written = subject.written
    for name, value in arguments.items():
        if name not in written and not _same(value, before[name]):
            return Outcome("impure", name)
    wrong = [c for c in changes if not taken(subject, c, before) and not in_every_tree(subject, c, before)]
    if wrong:
        return Outcome("accepted", str(wrong[0]))
    if subject.meaning is None:
        return Outcome(RIGHT)
    return _compared(found, subject, before)


def _clear(text: str, subject: Subject, arguments: Mapping[str, Any]) -> Outcome:
    """Whether an error names an argument."""
    names = {
        "called",
        *arguments,
        *(part for path in (*subject.arrays, *subject.numbers) for part in path),
        *subject.arguments,
    }
    if any(re.search(rf"\b{re.escape(name)}\b", text, re.IGNORECASE) for name in names):
        return Outcome(REFUSED)
    return Outcome("unnamed", text[:200])


def _compared(found: Any, subject: Subject, before: dict[str, Any]) -> Outcome:
    """Whether a result is the literal body's for what was handed in."""
    assert subject.meaning is not None
    try:
        with warnings.catch_warnings(), in_time(LONG):
            warnings.simplefilter("ignore")
            expected = subject.meaning(plain(before))
    except Hung:
        return Outcome("hang", "of the literal body")
    except Exception as error:
        return Outcome(
            "wrong value", f"a result where the literal body raises {type(error).__name__}: {str(error)[:150]}"
        )
    if _same(plain(found), plain(expected)):
        return Outcome(RIGHT)
    return Outcome("wrong value", f"{str(found)[:150]} for {str(expected)[:150]}")


def taken(subject: Subject, change: Change, before: Mapping[str, Any]) -> bool:
    """True if a changed argument may be taken for something; an error is right too.

    Args:
        subject: the call.
        change: what was changed.
        before: the arguments.
    """
    last = change.path[-1]
    if change.family == "number":
        legal = subject.legal.get(last, ())
        return change.name in legal or values.ALIKE.get(change.name) in legal
    if change.family == "missing":
        return last in subject.optional
    if change.family != "refused" or change.name in subject.also.get(last, ()):
        return True
    if change.name == "none":
        return last in subject.optional
    if change.name in ("float", "int"):
        return last in subject.numbers_too
    return change.name in subject.kinds_too


def in_every_tree(subject: Subject, change: Change, before: Mapping[str, Any]) -> bool:
    """True if a change took a leaf away that no tree has any more, so that all of them still have one structure.

    What the trees are in the end counts, and not which changes there were: one tree may have been made the other.

    Args:
        subject: the call.
        change: one of the changes.
        before: the arguments, all changes made.
    """
    empty = change.family == "missing" or (change.family, change.name) == ("refused", "empty dict")
    if not empty or change.path[0] not in subject.trees:
        return False
    found = [_at(before, (name, *change.path[1:])) for name in subject.trees]
    return all(each is NOTHING for each in found) or all(type(each) is dict and not each for each in found)


def _at(tree: Any, path: values.Path) -> Any:
    """What is at a place of dicts; `NOTHING` where there is none."""
    for name in path:
        tree = tree.get(name, NOTHING) if type(tree) is dict else NOTHING
    return tree


def plain(value: Any) -> Any:
    """The same numbers as NumPy's own arrays, contiguous and in the machine's order; containers as dicts and lists.

    Args:
        value: arrays in containers, or anything else.
    """
    if isinstance(value, np.generic):
        return np.asarray(value)
    if isinstance(value, np.ndarray):
        own = value.view(np.ndarray)
        return np.array(own, native(own.dtype), order="C", copy=True)
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(plain(each) for each in value) if type(value) in (list, tuple) else value
    return value


def _copied(value: Any) -> Any:
    """Arguments as they are now, for comparison and for the literal body."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if type(value) is dict:
        return {name: _copied(each) for name, each in value.items()}
    return [_copied(each) for each in value] if type(value) is list else value


def _same(a: Any, b: Any) -> bool:
    """True if containers hold the same bits; every NaN is every other."""
    if a is b and not isinstance(a, np.ndarray):  # also what cannot be compared, or holds itself
        return True
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        a, b = np.asarray(a).view(np.ndarray), np.asarray(b).view(np.ndarray)
        if native(a.dtype) != native(b.dtype) or a.shape != b.shape:
            return False
        if a.dtype.kind == "O":
            return all(map(_same, a.ravel().tolist(), b.ravel().tolist()))
        a, b = a.astype(native(a.dtype)), b.astype(native(a.dtype))
        return a.tobytes() == b.tobytes() or _same_numbers(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[name], b[name]) for name in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (a != a and b != b)
    try:
        return a is b or bool(a == b)
    except Exception:  # of things that cannot be compared
        return False


def _same_numbers(a: np.ndarray, b: np.ndarray) -> bool:
    if a.dtype.kind in "OUSMVmb" and a.dtype.names is not None:
        return False
    try:
        nan = np.isnan(a) & np.isnan(b)
    except TypeError:
        return False
    with np.errstate(all="ignore"):
        zeros = np.zeros_like(a)
    return np.where(nan, zeros, a).tobytes() == np.where(nan, zeros, b).tobytes()


#: the names of numbers, so that a record of a call can be checked before it is made again
KNOWN = frozenset(NUMBERS)
