"""What fits, and what comes first."""

from __future__ import annotations

import dataclasses

from refgrad.optimizers import SGD
from refgrad.oracle.acceptance.findings import Count
from refgrad.oracle.hypotheses.changes import NONE, Change
from refgrad.oracle.hypotheses.scored import Scored, decided

FIELD = Change("a=b", "a is b", rule={"a": "b"})
CLAIMED = {"scale": Count(50, 50), "codes": Count(10, 90)}


def test_nothing_outside_and_all_decided_fits() -> None:
    assert Scored(FIELD, {"scale": Count(100), "codes": Count(99, 0, 1)}, CLAIMED).fits
    assert not Scored(FIELD, {"scale": Count(99, 1), "codes": Count(100)}, CLAIMED).fits
    assert not Scored(FIELD, {}, {}).fits


def test_what_is_left_unjudged_is_no_agreement() -> None:
    unjudged = Scored(FIELD, {"codes": Count(100)}, CLAIMED)
    assert not unjudged.fits
    assert unjudged.unexplained("scale") == 100
    assert unjudged.wrong == 0.5
    partly = Scored(FIELD, {"scale": Count(40), "codes": Count(100)}, CLAIMED)
    assert not partly.fits
    assert Scored(FIELD, {"codes": Count(100)}).fits  # nothing was claimed


def test_what_is_left_undecided_is_no_agreement_unless_the_claim_leaves_it_too() -> None:
    blurred = {"scale": Count(10, 0, 90), "codes": Count(100)}
    assert not Scored(FIELD, blurred, CLAIMED).fits
    assert not Scored(FIELD, blurred).fits
    assert Scored(FIELD, blurred, {"scale": Count(5, 0, 95), "codes": Count(0, 100)}).fits


def test_a_part_that_is_wrong_is_ranked_by_its_own_elements() -> None:
    """A screen that stops at the first wrong case has counted less than of the claim."""
    early = Scored(FIELD, {"scale": Count(9, 1), "codes": Count(10)}, CLAIMED)
    assert early.wrong == 0.05
    assert early.rank < Scored(FIELD, {"scale": Count(5, 5), "codes": Count(10)}, CLAIMED).rank


def test_the_order_of_what_fits() -> None:
    right = {"p": Count(100)}
    order = [
        NONE,
        FIELD,
        dataclasses.replace(FIELD, kind="value"),
        dataclasses.replace(FIELD, kind="mutant"),
        dataclasses.replace(FIELD, parts=2),
        Change("SGD", "", "rule", of=SGD()),
        dataclasses.replace(FIELD, policy={"subnormals": "flush"}),
    ]
    ranks = [Scored(change, right, right).rank for change in order]
    assert ranks == sorted(ranks)
    assert Scored(FIELD, {"p": Count(99, 1)}, right).rank > ranks[-1]


def test_how_much_counts_decide() -> None:
    assert decided({"p": Count(50, 0, 50), "m": Count(10), "none": Count()}) == 1.5
