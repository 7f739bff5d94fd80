"""A candidate that stands in the program that was started is made in a process of its own, and the program is not run again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from refgrad.errors import CandidateError
from refgrad.isolation import program

#: what a candidate does to its process, and one that is right
CANDIDATES = """
import os
import threading
import refgrad
from refgrad.optimizers import SGD

print("loaded as", __name__, flush=True)

def ends(p, g, lr):
    os._exit(3)

def right(p, g, lr):
    return p - p.dtype.type(lr) * g

def ask(*candidates):
    for each in candidates:
        verdict = refgrad.verify(each, SGD(), steps=2, isolate=True, shrink=False, explain=False)
        print(verdict.candidate, verdict.outcome, verdict.isolation, [fault.kind for fault in verdict.faults], sep="; ")
"""
GUARDED = f"{CANDIDATES}\nif __name__ == '__main__':\n    ask(ends, right)\n    print('alive')\n"
#: the same questions where a look at the program does not tell that they are asked whenever it is loaded
ON_A_THREAD = f"{CANDIDATES}\nrun = threading.Thread(target=ask, args=(right,))\nrun.start()\nrun.join()\n"


def _said(*arguments: str, folder: Path, given: str | None = None) -> list[str]:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
        input=given,
        capture_output=True,
        text=True,
        timeout=240,
    )
    return [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("loaded as __main__")]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["file", "-m"])
def test_what_ends_its_process_does_not_end_the_program(how: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(GUARDED)
    said = _said(*(("program.py",) if how == "file" else ("-m", "program")), folder=tmp_path)
    prefix = "" if how == "file" else "program."
    assert said == [
        f"{prefix}ends; does not conform; in a process of its own; ['crashed']",
        f"{prefix}right; conforms; in a process of its own; []",
        "alive",
    ]


@pytest.mark.slow
def test_a_program_without_a_guard_or_a_file_is_not_loaded_again(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(f"{CANDIDATES}\nask(right)\n")
    assert _said("program.py", folder=tmp_path) == [f"right; conforms; not isolated: {program.WITHOUT_GUARD}; []"]
    assert _said("-", folder=tmp_path, given=GUARDED.replace("ends, right", "right")) == [
        f"right; conforms; not isolated: {program.WITHOUT_FILE}; []",
        "alive",
    ]


@pytest.mark.slow
def test_a_program_that_asks_as_it_is_loaded_in_another_process_does_not_start_processes_without_end(
    tmp_path: Path,
) -> None:
    (tmp_path / "program.py").write_text(ON_A_THREAD)
    assert _said("program.py", folder=tmp_path) == ["right; conforms; in a process of its own; []"]
    (tmp_path / "program.py").write_text(ON_A_THREAD.replace("run.join()", "run.join()\nask('program:right')"))


def test_what_runs_whenever_a_program_is_loaded_is_told_by_the_line_that_called(tmp_path: Path) -> None:
    text = "if 1:\n    asked()\nif __name__ == '__main__':\n    asked()\ndef run():\n    asked()\n"
    module, answers = ModuleType(program.STARTED), []
    place = tmp_path / "program.py"
    place.write_text(text)
    module.__file__ = str(place)
    vars(module).update(asked=lambda: answers.append(program.asks_as_it_is_loaded(module)), __name__=program.STARTED)
    exec(compile(text, str(place), "exec"), vars(module))
    module.run()
    assert answers == [True, False, False]
    place.write_text("if")
    exec(compile("asked()", str(place), "exec"), vars(module))
    assert answers.pop() is True


def test_a_program_is_found_by_its_file_or_by_the_name_that_it_was_started_by(tmp_path: Path) -> None:
    module = ModuleType(program.STARTED)
    assert program.place_of(module) == (program.STARTED, "")
    module.__file__ = str(tmp_path / "program")
    assert program.place_of(module) == (program.STARTED, "")
    Path(module.__file__).touch()
    assert program.place_of(module) == (program.LOADED, str((tmp_path / "program").resolve()))
    module.__spec__ = type("Spec", (), {"name": "package.module"})()
    assert program.place_of(module) == ("package.module", module.__file__)


def test_no_process_is_started_while_a_program_is_loaded() -> None:
    program.check_not_loading()
    with program.loading(), pytest.raises(CandidateError, match="put that under"):
        program.check_not_loading()
