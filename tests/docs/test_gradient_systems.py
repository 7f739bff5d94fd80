"""docs/gradient-systems.md has a row of each system, with all rules of the room of gradients, and is in step with its tables."""

from __future__ import annotations

from refgrad.optimizers.transform import Transform
from refgrad.rule import rules
from tests.docs.gradient_systems import PAGE, SYSTEMS, page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tests.docs.gradient_systems"


def test_every_rule_of_the_room_is_of_a_system() -> None:
    own = {name for name, cls in rules(Transform).items() if cls.__module__.startswith("refgrad.gradients.")}
    assert own - {name for names in SYSTEMS.values() for name in names} == set()


def test_every_system_says_what_it_was_checked_against_and_its_verdicts() -> None:
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if cells[0] in SYSTEMS:
            assert len(cells) == 5, line
            assert all(cells), line
