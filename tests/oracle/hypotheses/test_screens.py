"""What hypotheses are tried on shows what is wrong with the whole run."""

from __future__ import annotations

from typing import Any

import numpy as np

from refgrad.optimizers import SGD
from refgrad.oracle.acceptance.findings import Count
from refgrad.oracle.engine.request import Request
from refgrad.oracle.engine.run import Claim
from refgrad.oracle.hypotheses.changes import NONE
from refgrad.oracle.hypotheses.screens import MORE, RARE, not_rare, screen_of, telling_screen
from refgrad.oracle.hypotheses.stack import _chosen
from refgrad.oracle.inputs.cases import Inputs

RANDOM = np.random.default_rng(3)
P, *G = (RANDOM.standard_normal((40, 40)).astype(np.float32) for _ in range(3))
#: an element that is looked at only where all are
LAST = next(i for i in range(P.size) if i not in _chosen(P.size, 0, MORE[0]))


def wrong_at_one(p: Any, g: Any) -> Any:
    new = p - np.float32(0.1) * g
    new.reshape(-1)[LAST] += 1
    return new


def test_more_elements_are_looked_at_until_what_is_wrong_shows() -> None:
    claim = Claim.of(Request.of(wrong_at_one, SGD(lr=0.1), inputs=Inputs([P], [[g] for g in G])))
    record = claim.driven(claim.cases())
    assert LAST not in _chosen(P.size, 0, screen_of(claim, record).elements)  # type: ignore[attr-defined]
    few, enough = (telling_screen(claim, record, wrong).counts(NONE) for wrong in (lambda: False, lambda: True))
    assert few is not None
    assert enough is not None
    assert (few["p"].outside, enough["p"].outside) == (0, len(G))


def test_what_is_wrong_at_few_elements_alone_is_not_searched_for_among_more() -> None:
    right = Count(inside=10 * RARE)
    assert not not_rare({"m": right, "p": Count(inside=10 * RARE - 9, outside=9)})
    assert not_rare({"m": right, "p": Count(inside=10 * RARE - 10, outside=10)})
    assert not not_rare({})
