"""What is told of a rule: its update, and when that holds."""

from __future__ import annotations

import pytest

from refgrad.optimizers import AdamW, Lookahead, RAdam
from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.elsewhere import sentences
from refgrad.report.catalogue import itself_elsewhere, page, update
from refgrad.rule import Rule, find, rules
from refgrad.surveys.implementations import known

LONG = "2 / (1 - beta2) - 1 - (2 t) beta2^t / (1 - beta2^t) > 4"


@pytest.mark.parametrize(
    ("rule", "step", "guards"),
    [
        (RAdam(), 1, [f"as long as not {LONG}"]),
        (RAdam(), 10, [f"as long as {LONG}"]),
        (Lookahead(k=5), 4, ["as long as not mod(t, k) == 0"]),
        (Lookahead(k=5), 5, ["as long as mod(t, k) == 0"]),
        (AdamW(), 1, []),
    ],
    ids=str,
)
def test_formulas_end_with_the_conditions_on_the_step(rule: Optimizer, step: int, guards: list[str]) -> None:
    told = update(rule, step)
    assert [line for line in told if line.startswith("as long as")] == guards == told[len(told) - len(guards) :]
    assert any(line.startswith("p' = ") for line in told)


@pytest.mark.parametrize("cls", rules().values(), ids=lambda c: c.__name__)
def test_a_framework_is_said_once_what_its_rule_is(cls: type[Rule]) -> None:
    own = [line.partition(" is ")[0] for line in itself_elsewhere(cls)]
    others = [line.partition(" is ")[0].partition("(")[0] for line in sentences(cls.__name__)]
    assert len({*own, *others}) == len(own) + len(set(others))
    rows = {row.target.replace(":", ".") for row in known() if type(row.claim) is cls and not row.variant}
    assert set(own) <= rows


@pytest.mark.parametrize(
    ("name", "titles"),
    [
        ("Magnitude", {"Takes": ["w"], "Gives": ["mask"]}),
        ("Affine", {"Takes": ["x"], "Gives": ["scale", "zero_point", "codes"]}),
        ("LogisticDescent", {"Takes": ["theta", "z"]}),
    ],
)
def test_what_a_rule_without_a_formula_takes_and_gives(name: str, titles: dict[str, list[str]]) -> None:
    sections = {part.partition("\n")[0]: part.splitlines()[1:] for part in page(find(name)(), 1).split("\n\n")}
    for title, names in titles.items():
        assert [line.split()[0] for line in sections[title]] == names
