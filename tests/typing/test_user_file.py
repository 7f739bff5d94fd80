"""A user's own file, type-checked as strictly as mypy can, and run."""

from __future__ import annotations

import importlib.resources
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import refgrad
from tests.typing import user_file

FILE = Path(user_file.__file__)
CONFIG = (FILE.parent / "mypy.ini").read_text()
#: lines that a checker must not let pass
WRONG = {
    'Heavy(lr="fast")': 'Argument "lr" to "Heavy" has incompatible type "str"; expected "float"',
    "Heavy(rate=0.1)": 'Unexpected keyword argument "rate" for "Heavy"',
    "Heavy().stepp": '"Heavy" has no attribute "stepp"',
    "refgrad.verify(heavy, Heavy()).conform": '"Verdict" has no attribute "conform"',
    "refgrad.Inputs.of(p=[1.0], f=[[1.0]])": 'Missing positional argument "g"',
    "refgrad.identify(heavy).best.title": 'Item "None" of "Explanation | None" has no attribute "title"',
}
needs_mypy = pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")


def checked(folder: Path, **texts: str) -> list[str]:
    """What mypy says of files, a line an error."""
    (folder / "mypy.ini").write_text(CONFIG)
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    files = [f"{name}.py" for name in texts]
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--cache-dir", "cache", *files]
    root = Path(refgrad.__file__).parents[1]
    paths = {} if "site-packages" in root.parts else {"MYPYPATH": str(root)}  # mypy refuses those: it knows them
    done = subprocess.run(command, cwd=folder, env={**os.environ, **paths}, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.thorough
@needs_mypy
def test_mypy_finds_nothing_in_it_and_something_in_wrong_lines(tmp_path: Path) -> None:
    text = FILE.read_text()
    wrong = text.partition("if __name__")[0] + "\n".join(WRONG) + "\n"
    *found, summary = checked(tmp_path, right=text, wrong=wrong)
    for (line, message), said in zip(WRONG.items(), found, strict=True):
        assert said.startswith("wrong.py:"), said
        assert message in said, (line, said)
    assert summary == f"Found {len(WRONG)} errors in 1 file (checked 2 source files)"


def test_the_marker_of_types_is_shipped() -> None:
    assert importlib.resources.files("refgrad").joinpath("py.typed").is_file()


@pytest.mark.slow
def test_it_runs() -> None:
    rule = user_file.Heavy()
    p, t = user_file.steps(rule)
    assert t == 2
    np.testing.assert_allclose(p, 1.0 - 0.1 * (0.5 + 0.95), rtol=1e-6)
    assert user_file.rates(rule) == 0.1 * 0.5 + 0.5
    assert user_file.asked(user_file.Heavy(lr=0.25))
    assert user_file.Heavy not in user_file.known()
