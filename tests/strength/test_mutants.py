"""Mutants are rejected; one that survives has a known reason."""

from __future__ import annotations

import zlib

import pytest

from refgrad.kinds.record import Wanted
from refgrad.kinds.table import kind_of
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.engine.run import tally_of
from refgrad.oracle.hypotheses.changes import NONE
from refgrad.oracle.hypotheses.equivalence import distinct
from refgrad.oracle.mutants import mutations
from refgrad.rule import find, rules
from refgrad.strength.exercised import with_decays
from refgrad.strength.mutants import measure_mutants
from refgrad.strength.optimizer_inputs import EDGE, corner, problems
from refgrad.strength.programs import programs_of
from refgrad.strength.programs.optimizer import MUTANT_STEPS, rejected_steps, run
from refgrad.strength.survivor_reasons import reason

#: of the mutants of each optimizer, one in so many is judged here; all of them by ``python -m refgrad.strength``
ONE_IN = 80
OPTIMIZERS = list(rules(Optimizer).values())
#: thousands of mutants, which take minutes to be told apart: those of steps within steps, and of pairs within pairs
MANY = {"LBFGS", "Mechanic"}


@pytest.mark.sample(quick=2, suite=10)
@pytest.mark.parametrize("cls", [c for c in OPTIMIZERS if c.__name__ not in MANY], ids=lambda c: c.__name__)
def test_mutants_of_optimizers_are_rejected(cls: type[Optimizer]) -> None:
    """A fixed sample, on few numbers first; a survivor has a reason."""
    rule, name = with_decays(cls), cls.__name__
    plans = list(dict.fromkeys(rule.plan((EDGE, EDGE), t) for t in (1, MUTANT_STEPS)))
    every = [m for m in mutations(plans) if not m.precision]
    sample = [m for m in every if zlib.crc32(f"{name} {m.name}".encode()) % ONE_IN == 0]
    found = measure_mutants(programs_of(rule), distinct(rule, sample, 2))
    assert [s.name for s in found.survivors if reason(name, s.name) is None] == []


@pytest.mark.slow
def test_every_mutant_of_an_optimizer_is_rejected() -> None:
    found = measure_mutants(programs_of(with_decays(find("SGD"))))  # type: ignore[type-abstract]
    assert found.made > 50
    assert found.rejected["refgrad"]["all"] == found.made
    assert found.survivors == ()


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize("name", ["MX", "Coherence", "Diff2Restart", "SpikedRate", "TrActLinear", "ZeroNaNs"])
def test_every_mutant_of_a_rule_without_state_is_rejected(name: str) -> None:
    found = measure_mutants(programs_of(find(name)()))
    assert found.made
    assert found.survivors == ()
    # the other judges are shown the same; the reference itself is none of them
    assert found.rejected["numpy.testing.assert_allclose"]["all"] > 0


@pytest.mark.sample(quick=1, suite=5)
@pytest.mark.parametrize("name", ["SGD", "AF4", "OBD", "RigL", "ProxQuant", "Coherence", "SpikedRate", "EightBit"])
def test_a_mutant_that_changes_nothing_survives(name: str) -> None:
    """The measurement does not call everything wrong: the rule as it stands, passed off as a mutant, survives."""
    found = measure_mutants(programs_of(find(name)()), [NoMutation()])
    assert [s.name for s in found.survivors] == ["nothing"]
    assert all(numbers["all"] == 0 for numbers in found.rejected.values())
    assert found.survivors[0].share < 1 or name in ("RigL", "OBD")


class NoMutation:
    """A mutation that leaves everything as it is."""

    name = sentence = "nothing"
    model = precision = False
    place = None

    def apply(self, plan):
        return plan


@pytest.mark.parametrize("name", ["SGD", "Lion", "AdamW", "LAMB"])
def test_the_rule_run_from_its_graph_conforms(name: str) -> None:
    rule = with_decays(find(name))
    for inputs in problems(rule, 4, 0):
        record = run(rule, NONE, corner(inputs))
        assert tally_of(kind_of(rule), record, record.rules, Wanted()).first is None


def test_the_other_judges_pass_the_reference_itself() -> None:
    rule = find("AdamW")()
    (inputs, *_) = problems(rule, 3, 0)
    assert list(rejected_steps(run(rule, NONE, inputs))) == [set()] * 3
