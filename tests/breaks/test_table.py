"""The records of faults say what they should, and each can still be put into the code."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.breaks import table, trial
from tests.breaks.__main__ import outcomes, summary
from tests.breaks.table import Break, Tried

BREAKS = table.breaks()


@pytest.mark.parametrize("fault", BREAKS.values(), ids=list(BREAKS))
def test_a_fault_is_one_line_that_is_there_once(fault: Break) -> None:
    text = (table.ROOT / fault.file).read_text(encoding="utf-8")
    wrong = fault.applied(text)
    assert wrong != text
    assert "\n" not in fault.old + fault.new
    ast.parse(wrong)


@pytest.mark.parametrize("fault", BREAKS.values(), ids=list(BREAKS))
def test_a_record_is_complete(fault: Break) -> None:
    assert fault.wrong.endswith(".")
    assert fault.tests
    for given in (*fault.tests, *([fault.today] if fault.today not in ("", table.NONE) else [])):
        assert (table.ROOT / given.partition("::")[0]).exists() or given.startswith("pytest ended"), given


def test_there_are_many_in_every_room() -> None:
    rooms = Counter(fault.room for fault in BREAKS.values())
    assert sum(rooms.values()) >= 60
    assert min(rooms.values()) >= 4, rooms
    assert rooms["oracle"] >= len(BREAKS) / 4
    assert len({(f.file, f.old, f.new) for f in BREAKS.values()}) == len(BREAKS)


def test_what_caught_a_fault_is_written_beside_it() -> None:
    first, second = list(BREAKS)[:2]
    text = table.recorded(table.FILE.read_text(encoding="utf-8"), {first: "tests/x.py::test_y", second: table.NONE})
    again = table.recorded(text, {first: "tests/x.py::test_z"})
    assert text.count('today = "tests/x.py::test_y"') == again.count('today = "tests/x.py::test_z"') == 1
    assert [line for line in again.splitlines() if not line.startswith("today")] == [
        line for line in table.FILE.read_text(encoding="utf-8").splitlines() if not line.startswith("today")
    ]


FAULT = Break("a", "a room", "code_.py", "a + b", "a - b", "The sum is a difference.", ("test_code.py",))
#: pytest without a plugin that is not in the tree
ALONE = ("-p", "no:refgrad")
TEST = "from code_ import add\n\n\ndef test_add():\n    assert add({0}, {0}) == 2 * {0}\n"


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize(
    ("arguments", "number", "outcome", "by"),
    [
        ("test_code.py", 2, "caught", "test_code.py::test_add"),
        ("test_code.py", 0, "survived", ""),
        ("nowhere.py", 2, "broken off", "nowhere.py"),
    ],
)
def test_a_fault_is_caught_by_the_test_that_fails(
    arguments: str, number: int, outcome: str, by: str, tmp_path: Path
) -> None:
    (tmp_path / "code_.py").write_text("def add(a, b):\n    return a + b\n")
    (tmp_path / "test_code.py").write_text(TEST.format(number))
    found = trial.tried(FAULT, tmp_path, [arguments, *ALONE], 120.0)
    assert (found.outcome, by in found.by) == (outcome, True), found
    assert (tmp_path / "code_.py").read_text() == "def add(a, b):\n    return a + b\n"


@pytest.mark.slow
def test_a_trial_that_does_not_end_is_broken_off(tmp_path: Path) -> None:
    (tmp_path / "code_.py").write_text("# a + b\n")
    (tmp_path / "test_code.py").write_text("import time\n\ndef test_a():\n    time.sleep(60)\n")
    assert trial.tried(FAULT, tmp_path, ["test_code.py", *ALONE], 3.0).outcome == "broken off"


def test_the_old_text_must_be_there_once() -> None:
    with pytest.raises(ValueError, match="0 times"):
        FAULT.applied("nothing of it")
    with pytest.raises(ValueError, match="2 times"):
        FAULT.applied("a + b + a + b")


def test_results_that_were_torn_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "results.jsonl"
    lines = ['{"id": "a", "outcome": "survived"}', '{"id": "a", "outcome": "caught", "by": "x"}', '{"id": "b", "outc']
    file.write_text("\n".join(lines))
    found = outcomes(file)
    assert found == {"a": Tried("a", "caught", "x")}
    assert summary(list(found.values())) == 0
    assert summary([Tried("b", "survived")]) == 1
    assert "1 faults: 0 caught, 1 not" in capsys.readouterr().out


@pytest.mark.skipif(not (table.ROOT / ".git").exists(), reason="the tree is not a checkout")
def test_the_copy_has_what_is_not_committed() -> None:
    with trial.copied() as tree:
        assert (tree / "refgrad" / "rule.py").read_bytes() == (table.ROOT / "refgrad" / "rule.py").read_bytes()
        assert (tree / "tests" / "breaks" / "table.toml").exists()
        assert not (tree / "build").exists()
