"""No right program is rejected, of any kind of rule; the same measurement sees other judges reject some."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.errors import ArgumentError
from refgrad.kinds.record import Record
from refgrad.oracle.hypotheses.changes import NONE
from refgrad.rule import find
from refgrad.strength.exercised import exercised
from refgrad.strength.legal_programs import measure_random, measure_rewrites
from refgrad.strength.programs import programs_of
from refgrad.strength.programs.optimizer import OptimizerPrograms, Trajectory, run
from refgrad.strength.rounding_styles import Style
from tests.strength.hand_written import of_rule


@pytest.mark.sample(suite=1)
@pytest.mark.slow
@pytest.mark.parametrize("name", ["Lion", "LAMB"])
def test_no_program_of_an_optimizer_is_rejected(name: str) -> None:
    cls = find(name)
    random, hand = measure_random(programs_of(exercised(cls())), 1), measure_rewrites(of_rule(cls))
    assert random.outside == 0
    assert random.values > 500_000
    assert random.rejected["refgrad"]["all"] == hand.rejected["refgrad"]["all"] == 0
    assert hand.programs["all"] > 0
    assert max(random.share.values()) > 0.5
    # the other judges see the same arrays, and some of them object: what they are shown is no copy of the reference
    assert random.rejected["numpy.testing.assert_allclose"]["all"] > 0


#: rules of each kind that has no state, but for those of which every one is tried in tests/estimators and tests/sparsity
WITHOUT_STATE = (
    "AF4",
    "MX",
    "N2UQWeights",
    "ScaledFloat",
    "TWN",
    "Coherence",
    "EightBit",
    "GhostBatchNorm",
    "M3",
    "QKLayerNorm",
    "RegimeAdaptation",
    "TrActLinear",
)


@pytest.mark.sample(quick=2, suite=8)
@pytest.mark.parametrize("name", WITHOUT_STATE)
def test_no_program_of_a_rule_without_state_is_rejected(name: str) -> None:
    found = measure_random(programs_of(find(name)()), 1)
    assert found.outside == 0
    assert found.undecided < found.values / 2
    assert found.programs["all"] > 5
    assert found.share["results"] > 0 or name == "MX"  # of which all is exact but for decisions


class Impostor(OptimizerPrograms):
    """Programs that are said to be right and are those of another learning rate."""

    def legal(self, case: Trajectory, random: np.random.Generator, style: Style) -> Record:
        record = run(self.rule.replace(lr=2 * self.rule.lr), NONE, case.inputs)
        record.rules = [self.rule]
        return record


@pytest.mark.slow
def test_wrong_programs_are_counted() -> None:
    """The measurement is no rubber stamp."""
    found = measure_random(Impostor(find("Lion")()), 1)
    assert found.outside > found.values / 8
    assert found.rejected["refgrad"]["all"] > 0


def test_rewrites_are_of_optimizers() -> None:
    rule = find("Magnitude")()
    with pytest.raises(ArgumentError, match="legal: rewrites of optimizers"):
        measure_rewrites([(rule, rule)])
