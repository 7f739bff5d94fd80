"""docs/gradients.md has the title of every rule's source, what was read of it, and every rule in a table of its section."""

from __future__ import annotations

from tests.docs.gradient_sources import BEGIN, END, PAGE, grouped, table


def test_the_table_is_up_to_date() -> None:
    written = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()
    assert written == table(), "run python -m tests.docs.gradient_sources"


def test_every_rule_is_in_a_table_of_papers_and_verdicts() -> None:
    sections = PAGE.read_text(encoding="utf-8").partition("## Balance between losses and tasks")[2]
    rows = "\n".join(line for line in sections.splitlines() if line.startswith("| "))
    names = [name for _, each in grouped().values() for name in each]
    assert [name for name in names if f"`{name}`" not in rows] == []


def test_a_source_that_nobody_read_is_said_so() -> None:
    read = {title: says for (title, _), (says, _) in grouped().items()}
    assert read[
        "FULLER: Unified Multi-modality Multi-task 3D Object Detection via Multi-level Gradient Calibration"
    ] == {"study"}
    assert all(says for says in read.values())
