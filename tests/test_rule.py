"""The registry: names that one rule alone has, whatever classes others define."""

from __future__ import annotations

import importlib
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad import optimizers as o
from refgrad.errors import ArgumentError, TraceError
from refgrad.oracle.engine.reproduce import called
from refgrad.report import catalogue, rules_page
from refgrad.report.listing import listing
from refgrad.rule import (
    REGISTRY,
    ROOMS,
    Citation,
    NonNegative,
    Rule,
    Slot,
    State,
    find,
    qualified_name,
    rules,
    short_name,
    zeros_like_param,
)
from refgrad.rule_text import build_rule
from refgrad.surveys.cell import blank
from refgrad.surveys.implementations import Implementation
from refgrad.surveys.run import survey
from refgrad.testing import check_laws, known_laws

CITATION = Citation("Somebody 2024", "A rule of somebody's own", "nowhere")


@pytest.fixture(autouse=True)
def _registry() -> Any:
    """Each test's own rules leave with it."""
    rules()  # a module that a test would load is not loaded anew for the next
    before = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(before)


def defined(name: str, module: str, **members: Any) -> type[o.Optimizer]:
    """An optimizer with a citation that somebody defines in a module: gradient ascent, unlike any of refgrad's."""

    def update(self: Any, p: Any, g: Any, t: Any) -> tuple[Any, ...]:
        return (p + self.lr * g,)

    annotations = {"lr": NonNegative, "momentum": NonNegative}
    body = {
        "lr": 0.1,
        "momentum": 0.0,
        "update": update,
        "citation": CITATION,
        "__module__": module,
        "__doc__": "Ascent.",
    }
    return type(name, (o.Optimizer,), {**body, "__annotations__": annotations, **members})  # type: ignore[return-value]


def test_own_rules_are_known_by_room_and_name() -> None:
    assert qualified_name(o.SGD) == "refgrad.optimizers:SGD"
    assert find("SGD") is find("refgrad.optimizers:SGD") is REGISTRY["refgrad.optimizers:SGD"] is o.SGD
    assert find("NF4") is find("refgrad.quantizers:NF4")
    assert all(find(name) is cls is find(qualified_name(cls)) for name, cls in rules().items())


def test_rules_of_others_are_found_by_qualified_and_by_unique_plain_names() -> None:
    mine = defined("Ascent", "mine.optim")
    assert qualified_name(mine) == "mine.optim:Ascent"
    assert find("mine.optim:Ascent") is find("Ascent") is mine
    assert short_name(mine) == "Ascent"
    theirs = defined("Ascent", "theirs.optim")
    with pytest.raises(
        ArgumentError, match=r"2 rules are called 'Ascent'; legal: mine\.optim:Ascent, theirs\.optim:Ascent"
    ):
        find("Ascent")
    assert (find("mine.optim:Ascent"), find("theirs.optim:Ascent")) == (mine, theirs)
    assert (short_name(mine), str(theirs(lr=0.5))) == ("mine.optim:Ascent", "theirs.optim:Ascent(lr=0.5)")


def test_the_module_of_a_qualified_name_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (Path(__file__).parent / "typing" / "user_file.py").read_text()
    (tmp_path / "rule_of_somebody.py").write_text(source)
    (tmp_path / "broken_rule.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = find("rule_of_somebody:Heavy")
    assert found is sys.modules["rule_of_somebody"].Heavy
    assert build_rule("rule_of_somebody:Heavy(lr=0.5)", ["mass=0.25"]) == found(lr=0.5, mass=0.25)
    wrapped = build_rule("Lookahead", ["inner=rule_of_somebody:Heavy(lr=0.5)", "inner_mass=0.25"])
    assert wrapped == o.Lookahead(inner=found(lr=0.5, mass=0.25))
    for name, message in [
        ("rule_of_somebody:Hevy", "has no rule 'Hevy'; did you mean 'rule_of_somebody:Heavy'"),
        ("broken_rule:Any", "importing 'broken_rule' raised ZeroDivisionError: division by zero"),
        ("no_such_module:Any", "importing 'no_such_module' raised ModuleNotFoundError"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            find(name)


def test_texts_in_quotes_are_no_qualified_names() -> None:
    with pytest.raises(ArgumentError, match="'a:b'"):
        build_rule("Lookahead(sync='a:b')", [])


def test_two_own_rules_of_one_name_are_an_error_at_once() -> None:
    for module in ("refgrad.optimizers.other", "refgrad.quantizers.other"):
        with pytest.raises(
            TypeError, match=f"two rules of refgrad are called 'SGD', in refgrad.optimizers.sgd and in {module}"
        ):
            defined("SGD", module)
    assert find("SGD") is o.SGD
    again = defined("SGD", "refgrad.optimizers.sgd")  # the module imported anew
    assert find("SGD") is again


def test_a_rule_that_is_defined_again_takes_its_own_place() -> None:
    first, second = defined("Ascent", "__main__"), defined("Ascent", "__main__")
    assert first is not second
    assert find("Ascent") is second


NAMES = ["SGD", "AdamW", "Adam", "Lion", "Momentum", "Affine", "Magnitude", "ClippedSTE"]


@pytest.fixture
def shadows() -> dict[str, type[o.Optimizer]]:
    """Somebody's own classes, called as refgrad's are."""
    return {name: defined(name, "somebody.optim") for name in NAMES}


def pages() -> list[str]:
    return [
        *rules_page.pages().values(),
        *listing(),
        *(catalogue.page(rules()[n](), 10) for n in NAMES if n in rules()),
    ]


def test_a_class_called_as_an_own_rule_shadows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    listed, shown = rules(), pages()
    laws = {
        n: [(law.name, law.sentence) for law in known_laws(cls()).values()] for n, cls in rules(o.Optimizer).items()
    }
    classes = {name: defined(name, "somebody.optim") for name in NAMES}
    assert rules() == listed
    assert pages() == shown
    for name, cls in rules(o.Optimizer).items():
        assert [(law.name, law.sentence) for law in known_laws(cls()).values()] == laws[name], name
    for name in set(NAMES) & set(listed):
        assert find(name) is listed[name] is build_rule(name, []).__class__
        assert find(f"somebody.optim:{name}") is classes[name]


def test_the_limit_of_an_own_rule_is_an_own_rule(shadows: dict[str, type[o.Optimizer]]) -> None:
    limited = next(cls for cls in rules(o.Optimizer).values() if any(limit.rule in shadows for limit in cls.limits))
    names = [law for law in known_laws(limited()) if law.startswith("limit")]
    reports = check_laws(limited, limited(), laws=names, examples=5)
    assert reports
    assert not any(report.broken for report in reports), reports


def test_verdicts_tell_the_two_apart(shadows: dict[str, type[o.Optimizer]]) -> None:
    mine = shadows["SGD"]
    as_own = refgrad.verify(mine, o.SGD(), steps=2, explain=False, shrink=False)
    assert as_own.outcome == "does not conform"
    assert as_own.rule == "SGD()"
    as_mine = refgrad.verify(mine(lr=0.5), mine(lr=0.5), steps=2)
    assert as_mine.conforms
    assert (as_mine.rule, as_mine.candidate) == ("somebody.optim:SGD(lr=0.5)", "somebody.optim.SGD(lr=0.5)")
    assert called(mine(lr=0.5)) == "somebody.optim.SGD(lr=0.5)"
    assert called(o.SGD(lr=0.5)) == "refgrad.optimizers.SGD(lr=0.5)"


@pytest.mark.slow
def test_identify_names_the_one_that_was_claimed(shadows: dict[str, type[o.Optimizer]]) -> None:
    for claim, name in ((o.SGD(), "SGD"), (shadows["SGD"](), "somebody.optim:SGD")):
        found = refgrad.identify(claim, claim, steps=2, time_limit=5.0)
        assert found.best is not None
        assert (found.outcome, found.claim, found.rules, found.best.rule) == ("identified", f"{name}()", (name,), name)


def unplaced() -> list[Implementation]:
    """Rows of a package that is not installed: of refgrad's SGD, and of somebody's."""
    mine = find("somebody.optim:SGD") if "somebody.optim:SGD" in REGISTRY else defined("SGD", "somebody.optim")
    return [Implementation(package="no-such-package", target="nowhere:x", claim=claim) for claim in (o.SGD(), mine())]


def test_a_survey_tells_the_two_apart(shadows: dict[str, type[o.Optimizer]]) -> None:
    found = survey(table="tests.test_rule:unplaced")
    assert {rule.name for rule in found.rules} == {"SGD", "somebody.optim:SGD"}
    rows = unplaced()
    assert [blank(row, "not judged").rule for row in rows] == ["SGD", "somebody.optim:SGD"]
    assert len({row.key for row in rows}) == 2
    with pytest.raises(ArgumentError, match="no rule is called 'Lionn'; did you mean 'Lion'"):
        survey(rules=["Lionn"], table="tests.test_rule:unplaced")


def test_rules_of_two_classes_are_not_equal_whatever_their_numbers() -> None:
    one, other = defined("One", "mine.optim"), defined("Other", "mine.optim")
    assert one(lr=0.5) == one(lr=0.5)
    assert one(lr=0.5) != one(lr=0.25)
    assert one(lr=0.5) != other(lr=0.5)
    assert len({one(lr=0.5), one(lr=0.5), other(lr=0.5)}) == 2


def test_a_slot_is_there_only_when_its_hyperparameter_says_so() -> None:
    state = State(always=zeros_like_param, m=Slot(when="momentum"))
    rule = defined("Gated", "mine.optim", state=state)
    assert list(rule().slots()) == ["always"]
    assert list(rule(momentum=0.5).slots()) == ["always", "m"]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_offers_every_rule_that_it_holds(room: str) -> None:
    module = importlib.import_module(f"refgrad.{room}")
    held = {name: cls for name, cls in rules().items() if cls.__module__.startswith(f"refgrad.{room}.")}
    assert held
    assert sorted(set(held) - set(module.__all__)) == []
    assert all(getattr(module, name) is cls for name, cls in held.items())
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert len(set(module.__all__)) == len(module.__all__)


@pytest.mark.sample(quick=4, suite=60)
@pytest.mark.parametrize("name", sorted(rules()))
def test_a_notebook_shows_a_rule(name: str) -> None:
    rule = rules()[name]()
    page = ET.fromstring(rule._repr_html_())
    text = "".join(page.itertext())
    assert page[0].text == str(rule)
    assert str(rule.citation) in text
    cells = [cell.text for cell in page.iter("td")]
    assert set(rule.legal()) <= set(cells)
    assert ("Formula" in text) == (rule.kind in ("optimizer", "estimator"))
    assert all(line in text for line in rule.formula_lines())


def test_a_notebook_shows_what_a_behaviour_means_and_a_rule_without_a_citation() -> None:
    class Mine(Rule):
        """A rule of one's own."""

    assert "Source" not in Mine()._repr_html_()
    assert refgrad.optimizers.AdamW.legal()["eps_placement"].sentences["inside"] in (
        refgrad.optimizers.AdamW(eps_placement="inside")._repr_html_()
    )


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: o.SGD(momentun=0.9), "SGD has no 'momentun'; did you mean 'momentum'?; legal: lr, "),
        (lambda: o.SGD(0.1), "SGD takes hyperparameters by name, not 0.1; legal: lr, "),
    ],
    ids=["a name", "a position"],
)
def test_what_a_rule_has_not_is_refused_where_it_is_made(make: Any, text: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        make()
    assert str(caught.value).startswith(text)


def test_a_hyperparameter_needs_a_type_that_says_what_is_legal() -> None:
    class Untyped(o.Optimizer):
        lr: float = 0.1
        state = State()

        def update(self, p: Any, g: Any, t: Any) -> Any:
            return (p - self.lr * g,)

    with pytest.raises(ArgumentError, match=r"^the type of Untyped\.lr is <class 'float'>; legal: .*NonNegative"):
        Untyped()


@pytest.mark.parametrize("results", [1, 2], ids=["alone", "too many"])
def test_an_update_returns_the_parameter_and_its_state(results: int) -> None:
    class Returns(o.Optimizer):
        state = State()

        def update(self, p: Any, g: Any, t: Any) -> Any:
            return p - g if results == 1 else (p - g, g)

    p = np.ones(3, np.float32)
    with pytest.raises(TraceError, match=r"^Returns\.update returns .*; legal: `return \(p,\)`, with the comma$"):
        Returns().step(p, p, Returns().init(p))


def test_a_rule_within_a_rule_is_a_rule_of_its_kind() -> None:
    with pytest.raises(ArgumentError, match=r"inner is .*legal: a rule such as AdamW"):
        o.Lookahead(inner=o.SGD)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"inner is .*legal: a rule of the kind optimizer; this one's is quantizer"):
        o.Lookahead(inner=refgrad.quantizers.NF4())  # type: ignore[arg-type]
    assert o.Lookahead(inner=o.SGD(lr=0.25)).range_of("inner_lr") == o.SGD().range_of("lr")
    assert o.Lookahead().range_of("k") == o.Lookahead.legal()["k"]


def test_a_rule_takes_no_function_by_position() -> None:
    with pytest.raises(TypeError, match="SGD takes hyperparameters by name"):
        o.SGD(lambda: None)  # type: ignore[misc]


def test_variants_leave_out_what_is_excluded() -> None:
    rule = o.SGD()
    changed = dict(rule.variants())
    assert changed["nesterov=True"].nesterov is True
    assert all(variant != rule for variant in changed.values())
    assert len({rule, *changed.values()}) == 1 + len(changed)
    assert repr(o.Lookahead(inner=o.SGD(lr=0.25))).startswith("Lookahead(")


@pytest.mark.parametrize("number", [2**53 + 1, 10**400])
def test_whole_numbers_are_numbers_of_float64(number: int) -> None:
    assert o.Shampoo(interval=2**53).interval == 2**53
    with pytest.raises(ArgumentError, match=r"Shampoo\.interval is .*; legal: a whole number from 1 to 2\*\*53"):
        o.Shampoo(interval=number)
