"""docs/where-rules-run.md says what runs each rule, and why some rules do not run from their graphs."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.quantizers import MX, NF4
from refgrad.rule import rules
from tests.docs import outside_the_graph
from tests.docs.where_rules_run import FROM_GRAPH, NUMBERS, NUMPY, PAGE, PASSES, Entry, entries, page, seen


@pytest.fixture(scope="module")
def found() -> dict[str, list[Entry]]:
    """The entry points of each rule."""
    return {name: entries(cls()) for name, cls in rules().items()}


@pytest.mark.slow
def test_the_page_is_up_to_date() -> None:
    assert page() == PAGE.read_text(encoding="utf-8"), "run python -m tests.docs.where_rules_run"


@pytest.mark.slow
def test_what_does_not_run_from_its_graph_has_a_reason(found: dict[str, list[Entry]]) -> None:
    known = rules()
    outside = {(name, e.name) for name, each in found.items() for e in each if e.runs not in (*FROM_GRAPH, NUMBERS)}
    without = {pair for pair in outside if not outside_the_graph.reason(known[pair[0]], pair[1])}
    assert not without, f"{sorted(without)}: say why in tests/docs/outside_the_graph.py, or give them a graph"


@pytest.mark.slow
def test_every_reason_is_needed(found: dict[str, list[Entry]]) -> None:
    known = rules()
    given = {
        next((c.__name__, e.name) for c in known[name].__mro__ if (c.__name__, e.name) in outside_the_graph.REASONS)
        for name, each in found.items()
        for e in each
        if outside_the_graph.reason(known[name], e.name) and e.runs not in FROM_GRAPH
    }
    assert given == set(outside_the_graph.REASONS)


def test_what_runs_a_call_is_seen() -> None:
    x = np.ones((2, 64), np.float32)
    assert seen(lambda: MX().quantize(x)) == PASSES
    assert seen(lambda: NF4(search="grid").quantize(x)) == NUMPY
    assert seen(lambda: x + x) == NUMPY
