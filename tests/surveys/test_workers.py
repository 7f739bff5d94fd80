"""Which process judges which rows. What happens to the processes is in the tests of the survey."""

from __future__ import annotations

import subprocess
import sys
import tempfile

import pytest

from refgrad.optimizers import SGD
from refgrad.surveys.cell import CRASHED, HUNG
from refgrad.surveys.implementations import Implementation
from refgrad.surveys.workers import MOST, _Worker, batches


def rows(package: str, count: int, **environment: str) -> list[Implementation]:
    return [
        Implementation(package=package, target=f"{package}:f{i}", claim=SGD(), environment=environment)
        for i in range(count)
    ]


def test_a_process_has_one_package_and_one_environment_and_no_more_rows_than_it_may() -> None:
    given = [*rows("a", 2 * MOST + 1), *rows("b", 3), *rows("b", 2, THREADS="1"), *rows("c", 1)]
    mixed = [row for offset in range(5) for row in given[offset::5]]
    found = batches(mixed)
    assert sorted(map(id, (row for batch in found for row in batch))) == sorted(map(id, given))
    assert all(len({(row.package, tuple(row.environment.items())) for row in batch}) == 1 for batch in found)
    assert [len(batch) for batch in found] == [MOST, MOST, 3, 2, 1, 1]


def test_rows_keep_their_order() -> None:
    given = rows("a", MOST + 2)
    assert [row.target for batch in batches(given) for row in batch] == [row.target for row in given]
    assert batches([]) == []


@pytest.mark.parametrize(
    ("lines", "outcome", "message"),
    [
        ("import time; time.sleep(60)", HUNG, "no answer within the time limit; its process was ended"),
        ("import sys; sys.exit('last words')", CRASHED, "its process ended with exit code 1; last words"),
    ],
)
def test_a_process_that_says_nothing_hangs_or_has_ended(lines: str, outcome: str, message: str) -> None:
    with tempfile.TemporaryFile("w+", encoding="utf-8") as noise:
        worker = _Worker.__new__(_Worker)  # with a process of its own
        worker.process = subprocess.Popen([sys.executable, "-c", lines], stderr=noise)
        worker._noise, worker.silent = noise, outcome == CRASHED
        assert worker.end() == (outcome, message)
        assert worker.process.wait(timeout=10) != 0
