"""The table of versions: how many turns a row has, what is left out, and what a ratio says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import versions
from tests.benchmarks.versions import LONGEST, ROWS, TURNS, Row, measured, ratios, rows, text

ROW: Row = ("quantize", "NF4", (1, 1024))


class Fixed:
    """A version whose calls take as long as is said, and a little longer at each turn."""

    def __init__(self, seconds: float | None) -> None:
        self.value, self.asked = seconds, 0

    def seconds(self, row: Row) -> tuple[float, float] | None:
        self.asked += 1
        return None if self.value is None else (self.value * (1 + self.asked / 1e3), self.value)


def of(*seconds: float | None) -> Any:
    return [Fixed(each) for each in seconds]


def test_short_calls_have_all_turns_and_long_ones_fewer() -> None:
    for seconds, count in [(1e-5, TURNS), (0.2 * LONGEST, TURNS), (0.99 * LONGEST, 5)]:
        found = measured(ROW, of(seconds, seconds / 2))
        assert [len(turns or ()) for turns in found] == [count, count]  # type: ignore[union-attr]


def test_what_takes_longer_is_left_out_before_earlier_versions_run_it() -> None:
    three = of(5.0, 5.0, 1.5)
    found = measured(ROW, three)
    assert isinstance(found, float)
    assert [each.asked for each in three] == [0, 0, 1]
    assert text(ROW, found) == "| quantize, NF4 | 1 x 1024 | left out, 1.5 s a call |"


def test_a_ratio_above_one_says_that_this_version_is_faster() -> None:
    found = measured(ROW, of(3e-6, None, 2e-6))
    assert not isinstance(found, float)
    first, missing = ratios(found)
    assert first == pytest.approx((1.5, 1.5), rel=1e-2)
    assert missing is None
    assert text(ROW, found) == f"| quantize, NF4 | 1 x 1024 | 3.0 |  | 2.0 | 1.50, 1.50 |  | {TURNS} |"


@pytest.mark.parametrize(("later", "runs", "median"), [(0.5, 2, 0.5), (2.0, 1, 1.25)])
def test_a_slower_row_is_run_again_in_more_processes(
    later: float, runs: int, median: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Row] = []

    def again(row: Row, folders: Any) -> versions.Turns:
        asked.append(row)
        return [[(later, later)] * 9, [(1.0, 1.0)] * 9]

    monkeypatch.setattr(versions, "again", again)
    found = versions._with_more(ROW, [[(0.5, 1.0)] * 9, [(1.0, 1.0)] * 9], [])
    assert asked == [ROW] * runs
    assert not isinstance(found, float)
    assert [len(turns or ()) for turns in found] == [9 + 9 * runs] * 2
    assert [pair and pair[0] for pair in ratios(found)] == [median]


def test_a_file_is_gone_on_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    class Process(Fixed):
        def __init__(self, folder: Path) -> None:
            super().__init__(1e-6)

        def end(self) -> None:
            pass

    file, ran = tmp_path / "rows.md", []

    def counted(row: Row, three: Any) -> Any:
        ran.append(row)
        return measured(row, three)

    monkeypatch.setattr(versions, "Version", Process)
    monkeypatch.setattr(versions, "measured", counted)
    monkeypatch.setattr("sys.argv", ["versions", str(tmp_path), "NF4", "--into", str(file)])
    versions.main()
    lines = file.read_text().splitlines()
    assert len(lines) == 2 + 6
    assert capsys.readouterr().out.splitlines() == lines
    file.write_text("\n".join(lines[:-2]) + "\n")
    ran.clear()
    versions.main()
    assert ran == [("quantize", "NF4", (1024, 1024)), ("dequantize", "NF4", (1024, 1024))]
    assert len(file.read_text().splitlines()) == 2 + 6


def test_all_stands_for_every_quantizer_and_what_is_run_by_itself() -> None:
    assert rows([]) == ROWS
    every = rows(["all"])
    assert every[-len(ROWS) :] == ROWS
    assert len(set(every)) == len(every)
    assert ("dequantize", "PowerSGD", (100, 1024)) in every
