"""A survey of fakes: whatever they do, each is one cell."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import refgrad
from refgrad.errors import ArgumentError
from refgrad.rule import rules
from refgrad.surveys.attempts import judge
from refgrad.surveys.cell import OUTCOMES, Cell
from refgrad.surveys.implementations import known
from refgrad.surveys.run import Survey
from tests.surveys.conftest import TABLE


def cell(found: Survey, name: str, column: str = "fakes") -> Cell:
    (one,) = [c for c in found.cells if c.called == name and c.column == column]
    return one


@pytest.mark.slow
def test_each_is_one_cell(found: Survey) -> None:
    outcomes = {(c.column, c.called): c.outcome for c in found.cells}
    assert outcomes == {
        ("fakes", "right"): "conforms",
        ("fakes", "talkative"): "conforms",
        ("fakes", "undamped"): "named variant",
        ("fakes", "odd"): "differs",
        ("fakes", "raising"): "crashed",
        ("fakes", "unknown"): "not judged",
        ("others", "inside"): "named variant",
        ("breaking", "exiting"): "crashed",
        ("breaking", "segfaulting"): "crashed",
        ("breaking", "right"): "conforms",
    }
    assert found.missing == ("no-such-package", "no_such_backend")
    assert sum(found.counts.values()) == len(found.cells)
    assert list(found.counts) == list(OUTCOMES)


@pytest.mark.slow
def test_cells_say_why(found: Survey) -> None:
    assert cell(found, "undamped").variant == "first_step=undamped"
    assert "without dampening" in cell(found, "undamped").sentence
    assert "root" in cell(found, "inside", "others").sentence
    assert "out of order" in cell(found, "raising").message
    assert "exit code 7; going down" in cell(found, "exiting", "breaking").message
    assert "SIGSEGV" in cell(found, "segfaulting", "breaking").message
    assert "unknown" in cell(found, "unknown").message
    odd = cell(found, "odd")
    assert "DOES NOT CONFORM" in odd.report
    assert sum(odd.errors["p"].outside) == odd.attempts[0].outside > 0
    assert [a.what for a in cell(found, "undamped").attempts] == ["as claimed", "as first_step=undamped"]


@pytest.mark.slow
def test_every_rule_of_the_table_has_a_row_and_of_refgrads_table_every_rule(found: Survey) -> None:
    assert {r.name for r in found.rules} == {"AdamW", "SGD"} == set(found.covered)
    assert set(rules()) <= {r.name for r in refgrad.survey(packages=[]).rules}


def test_progress_counts_up_to_all(found: Survey, told: list[Any]) -> None:
    finished = [(done, total) for done, total, one in told if one is not None]
    assert finished == [(i, len(found.cells)) for i in range(1, len(found.cells) + 1)]


def test_json_and_back(found: Survey, tmp_path: Path) -> None:
    path = tmp_path / "survey.json"
    path.write_text(found.to_json())
    assert Survey.read(path) == found
    assert json.loads(found.to_json())["schema"] == "refgrad-survey-1"
    path.write_text('{"schema": "another"}')
    with pytest.raises(ArgumentError, match="is no survey"):
        Survey.read(path)


@pytest.mark.slow
def test_the_line_that_reproduces_a_verdict_does(found: Survey) -> None:
    lines = cell(found, "undamped").reproduce
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("CONFORMS")


@pytest.mark.slow
def test_what_a_copy_of_the_gradient_hides_is_reproduced_too() -> None:
    pytest.importorskip("torch")
    (row,) = (row for row in known() if row.mutates)
    judged = judge(row, 0.0, 60.0)
    assert (judged.outcome, judged.conditions) == ("conforms", ("gradient=copied",))
    done = subprocess.run([sys.executable, "-c", judged.reproduce], capture_output=True, text=True, check=True)
    first, _, rest = done.stdout.partition("\nCONFORMS")
    assert first.startswith("DOES NOT CONFORM")
    assert "mutated: the gradient" in first
    assert rest


@pytest.mark.slow
def test_a_survey_goes_on_where_it_was_interrupted(found: Survey, log: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.jsonl"
    lines = log.read_text().splitlines()
    kept = [line for line in lines[:1] + lines[1:] if '"called": "right"' not in line]
    torn.write_text("\n".join(kept) + '\n{"key": "torn')
    judged: list[Cell] = []
    again = refgrad.survey(
        table=TABLE,
        jobs=1,
        log=torn,
        resume=True,
        progress=lambda done, total, now, one: judged.append(one) if one is not None else None,
    )
    assert [c.called for c in judged] == ["right", "right"]
    assert [(c.key, c.outcome) for c in again.cells] == [(c.key, c.outcome) for c in found.cells]


@pytest.mark.slow
def test_a_candidate_that_hangs_is_given_up() -> None:
    found = refgrad.survey(table="tests.surveys.fakes:HANGING", jobs=1, time_limit=5, explain=0)
    assert [c.outcome for c in found.cells] == ["hung", "conforms"]


@pytest.mark.slow
def test_a_candidate_that_ends_its_process_does_not_end_the_survey() -> None:
    found = refgrad.survey(table="tests.surveys.fakes:CRASHING", jobs=1, explain=0)
    assert [(c.called, c.outcome) for c in found.cells] == [("exiting", "crashed"), ("right", "conforms")]
    assert {rule.name for rule in found.rules} == {
        cell.claim.partition("(")[0] for cell in found.cells
    }  # and no others


def test_no_more_processes_are_begun_than_there_is_work() -> None:
    assert refgrad.survey(packages=[], rules=[], jobs=10**400).cells == ()


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="did you mean 'torch'"):
        refgrad.survey(["troch"])
    with pytest.raises(ArgumentError, match="did you mean 'AdamW'"):
        refgrad.survey(rules=["AdamWW"])
    with pytest.raises(ArgumentError, match="several names"):
        refgrad.survey("torch")
    with pytest.raises(ArgumentError, match="jobs"):
        refgrad.survey(jobs=0)
    with pytest.raises(ArgumentError, match="without a log"):
        refgrad.survey(rules=["SGD"], packages=["gguf"], resume=True)
    other = tmp_path / "notes.txt"
    other.write_text("dear diary\n")
    with pytest.raises(ArgumentError, match="not the log of a survey"):
        refgrad.survey(rules=["SGD"], packages=["gguf"], log=other)
    assert other.read_text() == "dear diary\n"


@pytest.mark.slow
def test_an_interrupted_command_keeps_what_it_has_and_goes_on(tmp_path: Path) -> None:
    log, table = tmp_path / "log.jsonl", "tests.surveys.fakes:INTERRUPTED"
    line = [sys.executable, "-m", "refgrad", "survey", "--table", table, "--jobs", "1"]
    started = subprocess.Popen(
        [*line, "--log", str(log)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # a shell has its background jobs ignore the signal, and what they start inherits that
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    assert started.stderr is not None
    assert "conforms" in started.stderr.readline()  # the first cell; the second would take an hour
    started.send_signal(signal.SIGINT)
    started.communicate()
    assert started.returncode == 130
    judged: list[Cell] = []
    refgrad.survey(
        table=table,
        jobs=1,
        time_limit=2,
        explain=0,
        log=log,
        resume=True,
        progress=lambda done, total, now, one: judged.append(one) if one is not None else None,
    )
    assert [c.outcome for c in judged] == ["hung", "differs"]
