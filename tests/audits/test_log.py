"""An audit that is killed goes on with its log, and says the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.audits import audit as module
from refgrad.audits import judging
from refgrad.errors import ArgumentError
from refgrad.optimizers import AdamW
from tests.audits.steps import Step


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(judging, "CHUNK", 64)
    step = Step()
    step.new["first.weight"] = step.p["first.weight"]
    step.new["second.weight"], step.new_state["second.weight"] = step.p["second.weight"], step.state["second.weight"]
    return step.write(tmp_path)


def test_killed_at_every_chunk_it_says_the_same(
    paths: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule, log, judged = AdamW(lr=0.01), tmp_path / "log.jsonl", judging.judged
    whole, calls = refgrad.audit(rule, **paths).to_dict(), 0

    def killed(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls % 3 == 0:
            raise KeyboardInterrupt
        return judged(*args)

    monkeypatch.setattr(module, "judged", killed)
    for _ in range(20):
        try:
            found = refgrad.audit(rule, **paths, log=log)
            break
        except KeyboardInterrupt:
            with log.open("ab") as file:  # a line that was torn
                file.write(b'{"of": "64 first.w')
    assert found.to_dict() == whole
    assert 9 <= calls <= 20
    before, lines = calls, log.read_text().splitlines()
    assert refgrad.audit(rule, **paths, log=log).to_dict() == whole
    assert calls == before, "all was in the log"
    assert all(json.loads(line) for line in lines)


def test_a_log_that_ends_at_any_byte_is_gone_on_with(paths: dict[str, Any], tmp_path: Path) -> None:
    """Whatever a process that was killed had written, the report is the same, and so is the log in the end."""
    rule, log = AdamW(lr=0.01), tmp_path / "log.jsonl"
    whole = refgrad.audit(rule, **paths, log=log).to_dict()
    written = log.read_bytes()
    first = written.index(b"\n") + 1  # before its end there is no log yet
    for cut in [first, *range(first + 1, len(written), max(1, len(written) // 12)), len(written) - 1]:
        log.write_bytes(written[:cut])
        assert refgrad.audit(rule, **paths, log=log).to_dict() == whole
        assert sorted(filter(_is_whole, log.read_bytes().splitlines())) == sorted(written.splitlines())


def _is_whole(line: bytes) -> bool:
    try:
        return bool(json.loads(line))
    except ValueError:
        return False


def test_a_log_of_something_else_is_left_alone(paths: dict[str, Any], tmp_path: Path) -> None:
    log, other = tmp_path / "log.jsonl", tmp_path / "notes.txt"
    refgrad.audit(AdamW(lr=0.01), **paths, log=log, explain=False)
    kept = log.read_bytes()
    with pytest.raises(ArgumentError, match="that of another audit"):
        refgrad.audit(AdamW(lr=0.02), **paths, log=log, explain=False)
    np.savez(tmp_path / "more.npz", x=np.zeros(1))
    other.write_text("my notes\n")
    with pytest.raises(ArgumentError, match="no log of an audit"):
        refgrad.audit(AdamW(lr=0.01), **paths, log=other)
    assert (log.read_bytes(), other.read_text()) == (kept, "my notes\n")
    with pytest.raises(ArgumentError, match="can be read and written"):
        refgrad.audit(AdamW(lr=0.01), **paths, log=tmp_path / "none" / "log")


@pytest.mark.parametrize("change", [{"counts": 3}, {"nan": "x"}, {"worst": {"p": 1.0}}, {"first": {"p": {}}}, None])
def test_a_log_that_was_changed_by_hand_is_refused(change: Any, paths: dict[str, Any], tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    refgrad.audit(AdamW(lr=0.01), **paths, log=log, explain=False)
    first, *rest = log.read_text().splitlines()
    lines = [json.loads(line) for line in rest]
    for each in lines:
        each["is"] = {**each["is"], **change} if change else {"nan": 0}
    log.write_text("\n".join([first, *map(json.dumps, lines), ""]))
    with pytest.raises(ArgumentError, match="log has a line that no audit wrote"):
        refgrad.audit(AdamW(lr=0.01), **paths, log=log, explain=False)
