"""Which groups are wrong, of what shares a scale: those of zeros, those led by a negative number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad.kinds.table import kind_of
from refgrad.optimizers import SGD
from refgrad.oracle.hypotheses import wrong_groups
from refgrad.quantizers import Q8_0
from refgrad.rule import Rule
from tests.oracle.hypotheses.test_departures import claim_of


def told(candidate: Any, rule: Rule) -> list[str]:
    claim = claim_of(candidate, rule)
    record = claim.driven(kind_of(rule).completed(rule, claim.cases()))
    return [each.name for each in wrong_groups.explain(claim, record, claim.judge(record))]


def departing(where: Any) -> Any:
    """The rule, with twice the scale in some blocks."""

    def candidate(x: Any) -> Any:
        parts = dict(Q8_0().quantize(x).arrays)
        rows = x.astype(np.float32).reshape(-1, 32)
        scale = np.where(where(rows), parts["scale"] * 2 + 1, parts["scale"]).astype(np.float16)
        return {"scale": scale, "codes": parts["codes"]}

    return candidate


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (lambda rows: (rows == 0).all(axis=1), "in groups of zeros"),
        (
            lambda rows: rows[np.arange(len(rows)), np.abs(rows).argmax(axis=1)] < 0,
            "in groups whose largest magnitude is that of a negative number",
        ),
    ],
    ids=["zeros", "negative"],
)
def test_what_groups_that_are_wrong_have_in_common(where: Any, name: str) -> None:
    assert told(departing(where), Q8_0()) == [name]


def test_nothing_is_told_where_others_are_wrong_too_or_there_are_no_groups() -> None:
    assert told(departing(lambda rows: np.arange(len(rows)) % 3 == 0), Q8_0()) == []
    assert told(SGD(lr=0.5), SGD()) == []
