"""Programs disagree with the rules of the room as docs/departures.md says: lines that show it give what they gave."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from tests.gradients.disagreements import ALL, BEGIN, END, PAGE, Disagreement, table


@pytest.mark.parametrize("each", ALL, ids=lambda each: each.program)
def test_a_program_gives_what_it_gave(each: Disagreement) -> None:
    if missing := each.missing():
        pytest.skip(f"{', '.join(missing)}: not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = each.run(each.line)
    np.testing.assert_allclose(
        found, each.gave, rtol=each.room, atol=each.room * np.nanmax(np.abs(each.gave), initial=0.0)
    )


@pytest.mark.parametrize("each", [e for e in ALL if e.rule], ids=lambda each: each.program)
def test_a_rule_of_that_behaviour_gives_the_same(each: Disagreement) -> None:
    np.testing.assert_allclose(
        each.of_rule(each.rule), each.gave, rtol=each.room, atol=each.room * np.max(np.abs(each.gave))
    )


@pytest.mark.parametrize("each", [e for e in ALL if e.instead], ids=lambda each: each.program)
def test_the_rule_itself_gives_something_else(each: Disagreement) -> None:
    own = each.of_rule(each.instead)
    apart = np.abs(own - each.gave) > 1e-3 * np.nanmax(np.abs(own))
    assert np.any(apart | (np.isnan(own) != np.isnan(each.gave)))


def test_the_table_is_up_to_date() -> None:
    written = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()
    assert written == table(), "run python -m tests.gradients.disagreements"
