"""What the fuzzer of calls says: of a few hundred calls, of calls that go wrong, and of its own log."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refgrad.errors import ArgumentError
from refgrad.optimizers import SGD
from refgrad.rule import rules
from tests.depth import at_depth
from tests.fuzz import calls, judge, subjects, values
from tests.fuzz.functions import FUNCTIONS
from tests.fuzz.subjects import Drawn, Subject
from tests.fuzz.values import Change

DRAWN = Drawn((4, 8), "float32", "signed", 1)


def test_no_call_is_a_finding() -> None:
    counts = calls.one_round(seed=0, number=0, examples=at_depth(quick=40, suite=150, thorough=2000))
    assert counts.found == []
    assert min(counts.by_kind[kind] for kind in (judge.RIGHT, judge.REFUSED)) > 20


@pytest.mark.slow
def test_every_rule_and_function_has_a_call_that_is_right() -> None:
    """So that what is changed in it is what is wrong; of each kind of rules the first one, whose others are called as it is."""
    of_kinds = {cls.kind: name for name, cls in reversed(rules().items())}
    records = [
        (name, 0, method, DRAWN, [])
        for name in of_kinds.values()
        for method in subjects.methods(subjects.variants(name)[0])
    ]
    records += [(name, 0, "", DRAWN, []) for name in FUNCTIONS if name not in calls.SLOW]
    outcomes = {calls.written(record): calls.outcome(record) for record in records}
    assert {o.kind for o in outcomes.values() if o is not None} == {judge.RIGHT}, outcomes


def _subject(call: Any, written: tuple[str, ...] = (), meaning: Any = lambda given: given["x"] * 2) -> Subject:
    return Subject("f", {"x": np.ones(3), "y": np.ones(3)}, call, meaning, [("x",), ("y",)], written=written)


def _raise(error: BaseException) -> Any:
    raise error


def _write_and_raise(given: dict[str, Any]) -> Any:
    given["x"][0] = 7.0
    raise ArgumentError("x is wrong")


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda given: given["x"] * 2, "right"),
        (lambda given: given["x"] * 3, "wrong value"),
        (lambda given: (given["x"] * 2).astype(np.float32), "wrong value"),
        (lambda given: _raise(ArgumentError("x is 3; legal: 4")), "refused"),
        (lambda given: _raise(ArgumentError("something is wrong")), "unnamed"),
        (lambda given: _raise(ValueError("x is 3")), "bare exception"),
        (_write_and_raise, "half-written"),
        (lambda given: given["y"].fill(3.0), "impure"),
    ],
    ids=range(8),
)
def test_what_becomes_of_a_call_is_told(call: Any, kind: str) -> None:
    subject = _subject(call)
    assert judge.judged(subject, subject.arguments, []).kind == kind


def test_a_call_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "LONG", 0.05)

    def ever(given: dict[str, Any]) -> Any:
        while True:
            pass

    subject = _subject(ever)
    assert judge.judged(subject, subject.arguments, []).kind == "hang"


def test_a_wrong_kind_that_is_taken_is_a_finding() -> None:
    subject = _subject(lambda given: np.asarray(given["x"], float) * 2)
    change = Change(("x",), "refused", "whole")
    values.applied(change, subject.arguments)
    assert judge.judged(subject, subject.arguments, [change]).kind == "accepted"


def test_what_every_tree_lacks_is_lacking_in_none() -> None:
    """A tree of no leaves is a tree where gradients have none either, and a wrong kind of value beside arrays."""
    for method in ("step", "step_"):
        for names, kind in ((("p", "g"), judge.RIGHT), (("p",), judge.REFUSED), (("g",), judge.REFUSED)):
            changes = [Change((name,), "refused", "empty dict") for name in names]
            outcome = calls.outcome(("SGD", 0, method, DRAWN, changes))
            assert outcome is not None
            assert outcome.kind == kind, (method, names)


def test_changes_leave_the_same_numbers_or_another_kind() -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    for name, change in values.PRESENTED.items():
        assert np.asarray(change(x)).astype(np.float32).tobytes() == x.tobytes(), name
    assert {type(change(x)) for change in values.REFUSED.values()} - {np.ndarray, np.ma.MaskedArray}


def test_a_record_is_read_as_it_was_written() -> None:
    record = ("AdamW", 2, "step", DRAWN, [Change(("state", "m"), "presented", "matrix")])
    assert calls.read(calls.written(record)) == record


def test_rounds_are_the_same_each_time_and_logs_are_summed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, again = (calls.one_round(seed=5, number=1, examples=4) for _ in range(2))
    assert (first.by_kind, first.by_place) == (again.by_kind, again.by_place)
    line = {"schema": calls.SCHEMA, "commit": "c", "seed": 5, "round": 1, "seconds": 2.0, "found": []}
    line |= {"counts": Counter(calls=4, right=3, hang=1), "places": {"hang: f": 1}}
    for name, each in (("a", line), ("b", {**line, "seed": 6}), ("c", line)):
        (tmp_path / name).write_text(json.dumps(each) + "\ntorn {", encoding="utf-8")
    assert calls.sum_main([str(tmp_path / name) for name in "abc"]) == 1
    told = capsys.readouterr().out
    assert "8 calls in 2 rounds" in told  # the third log repeats the first
    assert "2 hang: f" in told


def test_a_run_goes_on_where_its_log_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[int] = []

    def one_round(seed: int, number: int, **more: Any) -> calls.Counts:
        rounds.append(number)
        counts = calls.Counts()
        counts.add(("AdamW", 0, "step", DRAWN, []), judge.Outcome(judge.RIGHT))
        return counts

    now = iter(range(100))
    monkeypatch.setattr(calls, "one_round", one_round)
    monkeypatch.setattr(calls, "commit", lambda: "c")
    monkeypatch.setattr(calls.time, "monotonic", lambda: float(next(now)))
    monkeypatch.setattr(calls.resource, "setrlimit", lambda *_: None)
    arguments = ["--seed", "3", "--minutes", "0.05", "--log", str(tmp_path / "log")]
    assert calls.main(arguments) == 0
    done = list(rounds)
    assert done == list(range(len(done))) != []
    assert calls.main(arguments) == 0
    assert rounds[len(done)] == len(done)
    assert [line["round"] for line in calls.lines(tmp_path / "log")] == rounds


def test_the_subject_of_a_step_is_the_literal_body() -> None:
    subject = subjects.optimizer(SGD(lr=0.5), "step", DRAWN)
    assert subject.meaning is not None
    p, _ = subject.meaning(judge.plain(subject.arguments))
    assert p.tobytes() == (subject.arguments["p"] - np.float32(0.5) * subject.arguments["g"]).tobytes()


def test_a_call_that_writes_a_file_leaves_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    text = values.NUMBERS["text"]()
    subject = _subject(lambda given: Path(text).write_text("x", encoding="utf-8") * given["x"] * 2)
    assert judge.judged(subject, subject.arguments, []).kind == judge.RIGHT
    assert Path.cwd() == tmp_path
    assert list(tmp_path.iterdir()) == []
