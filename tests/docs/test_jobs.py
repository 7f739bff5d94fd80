"""The page of three jobs: its files, commands and pictures are those that run, and the pictures say what is found today."""

from __future__ import annotations

import importlib.util
import shutil

import pytest

from refgrad.oracle.engine.verdict_text import headline
from refgrad.report.picture import words
from tests.docs.jobs import BUILD, FOLDER, JOBS, PLOTTED, judged

PAGE = (FOLDER.parent / "three-jobs.md").read_text(encoding="utf-8")
#: what takes seconds is found anew at depth suite, what takes longer at depth thorough
DEEP = {"fused": pytest.mark.thorough, "lion": pytest.mark.thorough}


@pytest.mark.parametrize("name", sorted(p.name for p in FOLDER.iterdir() if p.suffix in (".c", ".py")))
def test_a_file_is_shown_as_it_is(name: str) -> None:
    kind = {"c": "c", "py": "py"}[name.rpartition(".")[2]]
    assert f"```{kind}\n{(FOLDER / name).read_text(encoding='utf-8')}```" in PAGE
    assert f"[{name}](jobs/{name})" in PAGE


@pytest.mark.parametrize("name", sorted(JOBS))
def test_a_picture_stands_below_its_command(name: str) -> None:
    job, drawn = JOBS[name], (FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    below = PAGE.partition(f"    {job.command}\n")[2]
    assert f"](jobs/{name}.svg)" in below
    assert " ".join(["$", *job.command.split()]) in " ".join(words(drawn))


def test_every_picture_is_shown_and_what_is_built_is_said() -> None:
    assert {p.stem for p in FOLDER.glob("*.svg")} == {*JOBS, f"{PLOTTED}-steps"}
    assert f"](jobs/{PLOTTED}-steps.svg)" in PAGE
    assert f"    {BUILD}\n" in PAGE


@pytest.mark.sample(suite=1)
@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(name, marks=DEEP.get(name, ())) for name in sorted(JOBS)])
def test_a_picture_says_what_is_found(name: str) -> None:
    job = JOBS[name]
    if job.build and shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    if name == "lion" and importlib.util.find_spec("optax") is None:
        pytest.skip("needs optax")
    verdict = judged(job, shrink=False)
    shown = " ".join(words((FOLDER / f"{name}.svg").read_text(encoding="utf-8")))
    assert verdict.explanation is not None
    # the first part of what explains it: how much else was searched for depends on the machine
    for told in (headline(verdict), verdict.explanation.sentence.partition(" (")[0]):
        assert " ".join(told.split()) in shown, f"python -m tests.docs.jobs {name}"
