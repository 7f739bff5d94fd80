"""With --json one document stands on standard output, whatever happens, and it is what the published schema says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import refgrad
from refgrad.cli import main
from refgrad.oracle.acceptance.findings import FAULTS
from refgrad.report import document
from tests.kinds.candidates import EXAMPLES

jsonschema = pytest.importorskip("jsonschema")
SCHEMA = json.loads(document.schema())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

ADAMW = "refgrad.examples.numpy_adamw:adamw"
WRONG = "refgrad.examples.numpy_adamw:adamw_eps_inside"
FEW = ("--steps", "2", "--no-shrink", "--no-explain", "--no-isolate", "--json")

#: candidates that do to the program what a document must survive
CANDIDATES = """
import os
import sys

import refgrad
from refgrad.examples.numpy_adamw import adamw


def exits(p, g, m, v, t):
    sys.exit(0)


def own_error(p, g, m, v, t):
    raise refgrad.errors.ArgumentError("mine")


def interrupts(p, g, m, v, t):
    raise KeyboardInterrupt


def sleeps(p, g, m, v, t):
    import time

    time.sleep(30)


def drops_stdout(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay):
    sys.stdout = None
    return adamw(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay)


def shuts_stdout(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay):
    sys.stdout.close()
    return adamw(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay)


def closes_descriptor(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay):
    try:
        os.close(1)
    except OSError:
        pass
    return adamw(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay)


def prints(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay):
    print("step", t)
    os.write(1, b"from C")
    return adamw(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay)


def not_a_candidate():
    return None
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("document") / "candidates.py"
    path.write_text(CANDIDATES)
    return path


def asked(*words: str) -> tuple[int, dict[str, Any], str]:
    """The exit code, the document, and what stands on standard error."""
    result = CliRunner().invoke(main, list(words))
    found = json.loads(result.stdout, parse_constant=pytest.fail)
    VALIDATOR.validate(found)
    return result.exit_code, found, result.stderr


def test_the_schema_is_one_and_is_printed() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(CliRunner().invoke(main, ["schema"]).stdout) == SCHEMA
    assert set(SCHEMA["$defs"]["fault"]["properties"]["kind"]["enum"]) == set(FAULTS)


def test_the_schema_refuses_what_is_no_document() -> None:
    for wrong in ({}, [], {"schema": "refgrad-verdict-1"}, {"schema": document.ERROR, "exit_code": 0}):
        assert not VALIDATOR.is_valid(wrong)


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize(
    ("name", "code", "outcome", "fault"),
    [
        ("own_error", 1, "does not conform", "raised"),
        ("exits", 1, "does not conform", "crashed"),
        ("interrupts", 1, "does not conform", "crashed"),
        ("sleeps", 1, "does not conform", "hung"),
        ("drops_stdout", 0, "conforms", None),
        ("shuts_stdout", 0, "conforms", None),
        ("prints", 0, "conforms", None),
    ],
)
def test_a_candidate_does_not_reach_the_document(
    file: Path, name: str, code: int, outcome: str, fault: str | None
) -> None:
    got, found, err = asked("verify", f"{file}:{name}", "--as", "AdamW", *FEW, "--time-limit", "1")
    assert (got, found["exit_code"], found["outcome"]) == (code, code, outcome)
    assert [each["kind"] for each in found["faults"]] == ([fault] if fault else [])
    assert ("step 1" in err) == (name == "prints")


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=1)
@pytest.mark.parametrize("name", ["prints", "closes_descriptor", "drops_stdout"])
def test_a_process_prints_the_document_alone(file: Path, name: str) -> None:
    words = [sys.executable, "-m", "refgrad", "verify", f"{file}:{name}", "--as", "AdamW", *FEW]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    VALIDATOR.validate(found)
    assert found["outcome"] == "conforms"
    assert ("from C" in done.stderr) == (name == "prints")


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("verify", "nowhere:step", "--as", "AdamW"), 2, "CandidateError"),
        (("verify", "nowhere", "--as", "AdamW"), 64, "UsageError"),
        (("verify", "{file}:missing", "--as", "AdamW"), 2, "CandidateError"),
        (("verify", "{file}:not_a_candidate", "--as", "AdamW"), 2, "CandidateError"),
        (("verify", ADAMW, "--as", "AdamV"), 64, "ArgumentError"),
        (("verify", ADAMW, "--as", "AdamW", "lr=-1"), 64, "ArgumentError"),
        (("verify", ADAMW, "--as", "AdamW", "--steps", "none"), 64, "BadParameter"),
        (("verify", ADAMW, "--as", "AdamW", "--nothing"), 64, "NoSuchOption"),
        (("verify", ADAMW), 64, "MissingParameter"),
        (("verify",), 64, "MissingParameter"),
        (("identify", ADAMW, "--kind", "none"), 64, "ArgumentError"),
        (("identify", "nowhere:step"), 2, "CandidateError"),
    ],
)
def test_there_is_a_document_where_there_is_no_verdict(
    file: Path, words: tuple[str, ...], code: int, error: str
) -> None:
    got, found, err = asked(*(word.replace("{file}", str(file)) for word in words), "--no-isolate", "--json")
    assert (got, found["exit_code"], found["schema"]) == (code, code, document.ERROR)
    assert found["error"] == error
    assert found["message"]
    assert found["message"] in err


@pytest.mark.parametrize(
    ("raised", "code", "outcome"),
    [
        (RuntimeError("lost"), 70, "refgrad failed"),
        (SystemExit(0), 70, "refgrad failed"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_there_is_a_document_where_refgrad_fails(
    monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int, outcome: str
) -> None:
    def verify(*args: Any, **keywords: Any) -> None:
        raise raised

    monkeypatch.setattr(refgrad, "verify", verify, raising=False)
    got, found, _ = asked("verify", ADAMW, "--as", "AdamW", "--json")
    assert (got, found["exit_code"], found["outcome"]) == (code, code, outcome)


def test_no_document_is_printed_that_nobody_asked_for() -> None:
    result = CliRunner().invoke(main, ["verify", "nowhere:step", "--as", "AdamW", "--no-isolate"])
    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize("kind", EXAMPLES)
def test_verdicts_of_every_kind_are_documents(kind: str) -> None:
    example = EXAMPLES[kind]
    for candidate in (example.right, example.wrong, *example.misbehaving.values()):
        verdict = refgrad.verify(candidate, example.rule, steps=2, shrink=candidate is example.wrong, explain=False)
        VALIDATOR.validate(json.loads(verdict.to_json()))


@pytest.mark.slow
def test_laws_and_explanations_are_of_the_document() -> None:
    pytest.importorskip("hypothesis")
    target = "refgrad.estimators:ArcTan"
    code, found, _ = asked("verify", target, "--as", "ArcTan", "--set", "alpha=4", "--json", "--no-isolate")
    assert code == 1
    assert found["first"]
    assert found["departures"]
    assert found["counterexample"]
    code, found, _ = asked("verify", target, "--as", "ArcTan", "--laws", "--json", "--no-isolate")
    assert (code, found["exit_code"]) == (0, 0)
    assert found["laws"]


def test_what_identify_finds_is_a_document() -> None:
    code, found, _ = asked("identify", "refgrad.estimators:ArcTan", "--as", "ArcTan", "--json", "--no-isolate")
    assert (code, found["outcome"]) == (0, "identified")
    code, found, _ = asked("identify", WRONG, "--as", "SGD", "--steps", "2", "--json", "--no-isolate")
    assert code in (1, 2)
