"""All rules under their kinds, and those that somebody asks for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from refgrad import installed_rules
from refgrad.errors import ArgumentError
from refgrad.report.listing import WIDTH, listing
from refgrad.rule import rules


def names(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "]


def test_every_rule_is_listed_once_under_its_kind_within_the_width() -> None:
    lines = listing()
    assert sorted(names(lines)) == sorted(rules())
    assert max(map(len, lines)) <= WIDTH
    assert [line for line in lines if line and line[0] != " "] == sorted({cls.kind for cls in rules().values()})


def test_a_kind_alone() -> None:
    assert names(listing(kind="mask")) == [name for name, cls in rules().items() if cls.kind == "mask"]


def test_words_are_looked_for_in_names_and_sources() -> None:
    assert names(listing(("LION",))) == ["CautiousLion", "Lion"]
    assert "AdamW" in names(listing(("arXiv:1711.05101",)))
    assert "Affine" in names(listing(("int8",)))  # no name or source has it: what is said of the rules is searched


def test_a_package_has_what_the_survey_knows_of_it() -> None:
    found = names(listing(package="optax"))
    assert {"Lion", "AdaBelief"} <= set(found)
    assert "Muon" not in names(listing(package="bitsandbytes"))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"kind": "optimiser"}, "no --kind 'optimiser'; did you mean 'optimizer'"),
        ({"package": "torchh"}, "did you mean 'torch'"),
        ({"words": ("lion", "nobody")}, "no rule has all of 'lion nobody'"),
    ],
)
def test_what_is_not_there_is_one_clear_error(asked: dict[str, object], told: str) -> None:
    with pytest.raises(ArgumentError) as error:
        listing(**asked)  # type: ignore[arg-type]
    assert told in str(error.value)
    assert "legal:" in str(error.value)


def test_a_narrow_terminal_wraps() -> None:
    assert max(map(len, listing(kind="mask", width=100))) <= 100
    assert len(listing(kind="mask", width=60)) > len(listing(kind="mask", width=200))


def test_rules_of_installed_packages_come_last_with_their_place_and_are_not_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = SimpleNamespace(name="mine-opt", version="1.2")
    found = [
        SimpleNamespace(name="MyLion", value="nowhere:MyLion", dist=known),
        SimpleNamespace(name="Other", value="elsewhere:Other", dist=None),
    ]
    monkeypatch.setattr(installed_rules, "entries", lambda: found)
    lines = listing()
    assert lines[-4:] == [
        "",
        "of installed packages",
        "  MyLion  nowhere:MyLion, of mine-opt 1.2",
        "  Other   elsewhere:Other, of unknown",
    ]
    assert listing(("mine-opt",)) == ["of installed packages", "  MyLion  nowhere:MyLion, of mine-opt 1.2"]
    assert not any("MyLion" in line for line in listing(kind="mask"))
