"""Names of state and hyperparameters: what counts before what."""

from __future__ import annotations

import pytest

from refgrad.candidates.names import known_as, slot_names
from refgrad.errors import CandidateError


@pytest.mark.parametrize(
    ("stated", "present", "expected"),
    [
        ({}, ["m", "v"], {"m": "m", "v": "v"}),
        ({}, ["exp_avg", "exp_avg_sq", "step"], {"m": "exp_avg", "v": "exp_avg_sq"}),
        ({}, ["exp_avg"], {"m": "exp_avg"}),
        ({"m": "v"}, ["v"], {"m": "v"}),  # and so it is not v
        ({"m": "exp_avg_sq"}, ["exp_avg_sq", "nu"], {"m": "exp_avg_sq", "v": "nu"}),
        ({"m": "v", "v": "m"}, ["m", "v"], {"m": "v", "v": "m"}),
    ],
)
def test_a_name_that_was_stated_stands_for_its_slot_alone(
    stated: dict[str, str], present: list[str], expected: dict[str, str]
) -> None:
    assert slot_names(["m", "v"], stated, present, "f") == expected


def test_a_name_that_was_stated_must_be_there() -> None:
    with pytest.raises(CandidateError, match=r"state_names\['m'\] is 'mu'.* it has: nu"):
        slot_names(["m"], {"m": "mu"}, ["nu"], "f")


def test_the_rules_own_name_counts_before_all_others() -> None:
    table = {"alpha": ("decay", "rho")}
    assert known_as("alpha", table, ["rho", "decay", "alpha"]) == "alpha"
    assert known_as("alpha", table, ["rho", "decay"]) == "decay"
    assert known_as("alpha", table, ["momentum"]) is None
