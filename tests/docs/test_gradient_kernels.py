"""docs/gradients.md says which rules of the room have kernels."""

from __future__ import annotations

from tests.docs.gradient_kernels import BEGIN, END, PAGE, grouped, table


def test_the_table_is_up_to_date() -> None:
    written = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()
    assert written == table(), "run python -m tests.docs.gradient_kernels"


def test_every_rule_of_the_room_is_in_it_once() -> None:
    names = [name for each in grouped().values() for name in each]
    assert len(names) == len(set(names)) > 140
