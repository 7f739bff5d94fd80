"""The stages of a search: their order, what ends them, and what is told."""

from __future__ import annotations

import math

from refgrad.optimizers import AdamW
from refgrad.oracle.acceptance.findings import Count, Counts
from refgrad.oracle.hypotheses.changes import Change
from refgrad.oracle.hypotheses.recovered import Recovered
from refgrad.oracle.hypotheses.search import Search
from tests.oracle.hypotheses.fakes import RIGHT, WRONG, FakeScreen, Line


def found(search: Search) -> list[str]:
    return [s.change.name for s in search.ranked if s.fits]


def test_the_claim_itself_ends_it() -> None:
    screen = FakeScreen({"": {"y": RIGHT}})
    assert found(Search(screen).run(alternatives=False)) == [""]
    assert set(screen.asked) == {"", "sign=turned", "doubled=True", "scalars=float32"}


def test_own_numbers_come_before_other_rules_and_mutants() -> None:
    screen = FakeScreen(rule=AdamW(), outputs=("p",))
    Search(screen).run()
    other = next(i for i, name in enumerate(screen.asked) if name.startswith("Adam"))
    assert screen.asked.index("lr=0.002") < other
    assert screen.recovering[0] == ""  # the claim's own numbers are solved for first


def test_an_explanation_ends_it_unless_alternatives_are_asked_for() -> None:
    told = {"sign=turned": {"y": RIGHT}}
    few, all_ = FakeScreen(told), FakeScreen(told)
    assert found(Search(few).run(alternatives=False)) == ["sign=turned"]
    assert found(Search(all_).run(alternatives=True)) == ["sign=turned"]
    assert "slope=4" not in few.asked
    assert "slope=4" in all_.asked


def test_what_leaves_an_output_unjudged_explains_nothing() -> None:
    told = {"sign=turned": {"codes": RIGHT}, "doubled=True": {"codes": RIGHT, "scale": RIGHT}}
    screen = FakeScreen(told, outputs=("codes", "scale"))
    assert found(Search(screen).run()) == ["doubled=True"]


def test_two_faults_in_two_outputs_are_put_together() -> None:
    told = {
        "sign=turned": {"m": RIGHT, "p": WRONG},
        "slope=4": {"m": WRONG, "p": RIGHT},
        "sign=turned, slope=4": {"m": RIGHT, "p": RIGHT},
    }
    assert set(found(Search(FakeScreen(told, outputs=("m", "p"))).run())) == {"sign=turned, slope=4"}


def test_a_number_that_is_told_is_a_hypothesis() -> None:
    value = Recovered("slope", "y", 2.0, 3.5, 3.4, 3.6, True)
    screen = FakeScreen({"slope=3.5": {"y": RIGHT}}, values=[value])
    (best, *_) = [s for s in Search(screen).run().ranked if s.fits]
    assert best.change.rule == {"slope": 3.5}
    assert best.change.recovered == (value,)


def test_a_number_that_may_be_anything_comes_after_mutants() -> None:
    """A mutant is what it is; a number that goes to a limit is a name for the same."""
    screen = FakeScreen(
        {"slope=3.5": {"y": RIGHT}}, values=[Recovered("slope", "y", 2.0, 3.5, 1e-9, 1e9, determined=False)]
    )
    search = Search(screen)
    search.plain()
    search.own_values()
    assert not found(search)
    search.weak_values()
    assert found(search) == ["slope=3.5"]


def test_a_value_that_was_found_by_a_factor_gets_its_interval() -> None:
    value = Recovered("slope", "y", 2.0, 4.0, 3.9, 4.1, True)
    search = Search(FakeScreen({"slope=4": {"y": RIGHT}}, values=[value])).run()
    assert search.ranked[0].change.recovered == (value,)
    assert search.ranked[0].change.sentence == "slope is 4: slope is twice that of the claim"


def test_without_a_claim_other_rules_are_left_to_others() -> None:
    screen = FakeScreen(rule=AdamW(), outputs=("p",))
    Search(screen, claimed=False).run()
    assert not [name for name in screen.asked if name.startswith("Adam")]


def test_no_time_is_enough_for_the_claim() -> None:
    screen = FakeScreen()
    search = Search(screen, seconds=0.0).run()
    assert screen.asked == [""]
    assert search.stopped
    assert not Search(FakeScreen()).run().stopped


def test_no_stage_takes_more_than_half_of_the_time() -> None:
    """Each judgement takes a second of a clock that does not run by itself."""
    now = [0.0]

    class Slow(FakeScreen):
        def counts(self, change: Change):  # type: ignore[no-untyped-def]
            now[0] += 1.0
            return super().counts(change)

    screen = Slow(rule=AdamW(), outputs=("p",))
    search = Search(screen, seconds=40.0, clock=lambda: now[0]).run()
    assert search.stopped
    assert any(name.startswith("policy") for name in screen.asked)
    assert any(name.startswith("lr=") for name in screen.asked)
    assert now[0] < 45.0
    assert search.seconds == 40.0
    assert not math.isfinite(Search(FakeScreen()).seconds)


def test_what_cannot_be_judged_is_left_out() -> None:
    search = Search(FakeScreen({"sign=turned": None})).run()
    assert "sign=turned" not in {s.change.name for s in search.ranked}
    assert Search(FakeScreen({"": None}, rule=Line())).run().ranked


def test_a_hypothesis_that_fails_costs_itself_and_not_the_search() -> None:
    """Whatever a screen raises of one change, the others are tried, and what failed is told."""

    class Broken:
        def counts(self, change: Change) -> Counts | None:
            if change.name == "bad":
                raise KeyError("of its own")
            return {"p": Count(inside=4)}

    search = Search(Broken())  # type: ignore[arg-type]
    found = search.score([Change("bad", "bad"), Change("good", "good")])
    assert [s.change.name for s in found] == ["good"]
    assert search.failures == ["a hypothesis could not be tried: KeyError: 'of its own'"]
