"""What a program is told of a rule by name: of every rule whose kind is asked so."""

from __future__ import annotations

import pytest

from refgrad.candidates import program_names
from refgrad.rule import rules

SOME = [cls for cls in rules().values() if cls.kind in program_names.KINDS]


@pytest.mark.sample(quick=20)
@pytest.mark.parametrize("cls", SOME, ids=lambda cls: cls.__name__)
def test_every_rule_says_what_a_program_may_take(cls: type) -> None:
    rule = cls()
    names = program_names.takeable(rule)
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() for name in names)
    assert program_names.names_of(cls)[0] == cls.__name__
    if rule.kind in program_names.GIVES:
        takes = [name for name in names if name not in getattr(rule, "parts", ())]
        needed, legal = program_names.GIVES[rule.kind](rule, takes)
        assert set(needed) <= set(legal)
        assert program_names.wrong_names(rule, takes, legal) == ""
