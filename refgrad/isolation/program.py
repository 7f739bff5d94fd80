"""The program that was started (`__main__`): how another process loads it, without what it does once it is started.

There it has another name, as in a process that `multiprocessing` spawns, so that what stands under
``if __name__ == "__main__":`` does not run.
"""

from __future__ import annotations

import ast
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, ModuleType

from refgrad.errors import CandidateError

#: what Python calls the program, and what it is called where it is loaded again: as by `multiprocessing`
STARTED, LOADED = "__main__", "__mp_main__"
#: what to do about a program that would ask again
GUARD = f"if __name__ == {STARTED!r}:"
#: why what stands in a program is not made elsewhere
WITHOUT_FILE = (
    f"the candidate stands in {STARTED}, which has no file here, as in a notebook; "
    "put it into a file of its own, and name it"
)
WITHOUT_GUARD = (
    f"the program that was started asks for this as it is loaded, and loading it in another process would ask once more; "
    f"put that under `{GUARD}`"
)


class _Loading:
    """How many files this process loads, on whichever thread: a program may ask on another one, and wait for it."""

    count = 0


def place_of(module: ModuleType) -> tuple[str, str]:
    """By what another process finds the program.

    Args:
        module: the program's module.

    Returns:
        The name that it is loaded under, and its file; an empty file where it has none, as a notebook.
    """
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or not Path(file).is_file():
        return STARTED, ""
    own = getattr(getattr(module, "__spec__", None), "name", None)
    if isinstance(own, str) and own != STARTED:  # `python -m package.module`, which is imported by that name
        return own, file
    return LOADED, str(Path(file).resolve())


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """While a file is loaded by which a candidate is made: `check_not_loading` then raises."""
    _Loading.count += 1
    try:
        yield
    finally:
        _Loading.count -= 1


def check_not_loading() -> None:
    """Refuse to make a candidate in another process while this one loads the file of a candidate, which would go on for ever.

    Raises:
        CandidateError: it does.
    """
    if _Loading.count:
        raise CandidateError(WITHOUT_GUARD)


def asks_as_it_is_loaded(module: ModuleType, frame: FrameType | None = None) -> bool:
    """True if what runs now was called by a statement of the program that runs whenever the program is loaded.

    Args:
        module: the program's module.
        frame: what runs now; by default the caller.
    """
    frame = sys._getframe(1) if frame is None else frame
    while frame is not None:
        if frame.f_globals is vars(module) and frame.f_code.co_name == "<module>":
            return not _guarded(module, frame.f_lineno)
        frame = frame.f_back
    return False


def _guarded(module: ModuleType, line: int) -> bool:
    """True if a line of a program stands under a condition on the name that it was started by."""
    try:
        tree = ast.parse(Path(str(module.__file__)).read_bytes())
    except (OSError, ValueError, SyntaxError):  # it is not what was started any more
        return False
    for each in tree.body:
        if isinstance(each, ast.If) and each.lineno <= line <= (each.end_lineno or line):
            return any(isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(each.test))
    return False
