"""Two checkpoints without gradients: what is impossible is wrong, what can be said is said, and nothing is called right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.audits import consecutive
from tests.audits.steps import Step


def without_gradients(step: Step, folder: Path) -> Any:
    paths = step.write(folder)
    return refgrad.audit(step.rule, before=paths["before"], after=paths["after"])


def test_nothing_is_called_right(tmp_path: Path) -> None:
    found = without_gradients(Step(), tmp_path)
    assert (found.outcome, found.exit_code, found.faults) == ("could not be judged", 2, ())
    assert found.findings[0] == "the count of steps goes up by one"
    assert any("needs its gradients" in each for each in found.findings)
    assert any(each.startswith("beta2 is at most 0.99") for each in found.findings)
    assert "without gradients" in str(found).splitlines()[0]


def test_what_does_not_move_is_told(tmp_path: Path) -> None:
    step = Step()
    step.new["scale"] = step.p["scale"]
    assert any(
        "did not move, though" in each and "scale" in each for each in without_gradients(step, tmp_path).findings
    )


def test_checkpoints_that_are_not_consecutive(tmp_path: Path) -> None:
    step = Step()
    for state in step.new_state.values():
        state["t"] = 8
    assert "changes by 4, not by one" in without_gradients(step, tmp_path).findings[0]


def test_a_count_that_goes_down_is_impossible(tmp_path: Path) -> None:
    paths = Step().write(tmp_path)
    found = refgrad.audit(Step().rule, before=paths["after"], after=paths["before"])
    assert found.exit_code == 1
    assert found.faults[0].startswith("the count of steps goes down from 5 to 4 (of first.weight, first.bias,")
    assert "needs its gradients" not in str(found)


@pytest.mark.parametrize(
    ("slot", "value", "told"),
    [
        ("v", -1e-3, "negative"),
        ("v", 0.0, "faster than it decays"),
        ("m", 1e4, "no gradients give"),
        ("m", np.nan, "m is NaN"),
    ],
)
def test_what_no_step_gives(slot: str, value: float, told: str, tmp_path: Path) -> None:
    step = Step()
    step.new_state["first.bias"][slot][3] = value
    found = without_gradients(step, tmp_path)
    assert found.exit_code == 1
    assert any(each.startswith("'first.bias': ") and told in each for each in found.faults), found.faults


def test_the_bound_of_moments_is_reached_and_not_crossed(tmp_path: Path) -> None:
    """Gradients that grow by beta1 over beta2 each step come nearest to the bound."""
    rule = refgrad.optimizers.AdamW(beta1=0.9, beta2=0.95)
    state, p = rule.init(np.zeros(1)), np.zeros(1)
    for t in range(1, 60):
        p, state = rule.step(
            p, np.asarray([(0.95 / 0.9) ** t]) ** 0.5 if t < 3 else np.asarray([(0.9 / 0.95) ** -t]), state
        )
    step = Step(rule, 2, np.float64, {"w": (1,)})
    step.state["w"], step.new_state["w"] = {**state, "v": state["v"] * 0.9, "t": 58}, {**state, "t": 59}
    found = without_gradients(step, tmp_path)
    assert found.faults == (), found.faults
    step.new_state["w"]["m"] = step.new_state["w"]["m"] * 1.05
    assert without_gradients(step, tmp_path).exit_code == 1


def test_a_parameter_that_is_no_number_or_has_another_shape_is_impossible(tmp_path: Path) -> None:
    step = Step()
    step.new["first.bias"][:2] = np.nan
    step.new["second.weight"] = step.new["second.weight"][:3]
    found = without_gradients(step, tmp_path)
    assert found.exit_code == 1
    assert "'first.bias': it is NaN after, and was a number (2 elements)" in found.faults
    assert "'second.weight': it has shape (24, 9) before and (3, 9) after" in found.faults


def test_counts_that_change_by_several_numbers_are_told(tmp_path: Path) -> None:
    step = Step()
    step.new_state["scale"]["t"] = 9
    assert without_gradients(step, tmp_path).findings[0] == (
        "counts of steps change by 1, 5: tensors are not at one step"
    )


def test_checkpoints_without_a_state_say_what_did_not_move_and_no_more(tmp_path: Path) -> None:
    names = {f"w{number}": (2,) for number in range(8)}
    step = Step(refgrad.optimizers.SGD(), shapes=names)
    step.state = step.new_state = {}
    step.new = {**step.p, "w7": step.new["w7"]}
    found = without_gradients(step, tmp_path)
    assert found.exit_code == 2
    assert found.findings[:2] == (
        "nothing says how many steps lie between the checkpoints",
        "did not move, and have no state: w0, w1, w2, w3, w4, w5 and 1 others",
    )


def test_averages_without_a_second_moment_say_nothing_of_it(tmp_path: Path) -> None:
    step = Step()
    for states in (step.state, step.new_state):
        for state in states.values():
            del state["v"]
    found = without_gradients(step, tmp_path)
    assert found.faults == ()
    assert not any("beta2" in each for each in found.findings)


@pytest.mark.parametrize(
    ("beta1", "beta2", "t", "bound"),
    [
        (0.9, 1.0, 5, np.inf),  # a second moment that stands still bounds nothing
        (0.9, 0.0, 5, np.inf),
        (0.99, 0.5, None, np.inf),  # it grows with every step
        (0.5, 0.25, 3, 0.25 / 0.75 * 3),  # each step adds as much
        (0.0, 0.5, None, 2.0),
    ],
)
def test_the_bound_of_moments_by_their_decays(beta1: float, beta2: float, t: int | None, bound: float) -> None:
    assert consecutive._bound(beta1, beta2, t) == pytest.approx(bound)
