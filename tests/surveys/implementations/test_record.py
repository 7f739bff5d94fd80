"""What is known of one implementation without its package."""

from __future__ import annotations

import ast

import pytest

from refgrad.optimizers import SGD
from refgrad.surveys.cell import reproduction
from refgrad.surveys.implementations import Implementation, cards, known, with_cuda


@pytest.mark.parametrize(
    ("package", "target", "requires", "missing"),
    [
        ("numpy", "numpy.linalg:norm", (), ()),
        ("fakes", "tests.surveys.fakes:right", (), ()),  # in no distribution, but it can be imported
        ("no-such-package", "no_such_module:thing", (), ("no-such-package",)),
        ("numpy", "numpy.linalg:norm", ("no_such_backend", "numpy"), ("no_such_backend",)),
        ("no-such-package", "no_such_module:thing", ("no_such_backend",), ("no-such-package", "no_such_backend")),
    ],
)
def test_what_is_missing_is_named(
    package: str, target: str, requires: tuple[str, ...], missing: tuple[str, ...]
) -> None:
    row = Implementation(package=package, target=target, claim=SGD(), requires=requires)
    assert row.missing() == missing
    assert (row.version() is None) == (package in missing)


def test_a_key_has_all_that_tells_implementations_apart() -> None:
    rows = [
        Implementation(package=package, target=target, claim=claim, form=form, options=options)
        for package in ("a", "b")
        for target in ("m:f", "m:g")
        for claim in (SGD(), SGD(lr=0.5))
        for form in ("", "fused")
        for options in ({}, {"foreach": False})
    ]
    assert len({row.key for row in rows}) == len(rows) == 32


@pytest.mark.parametrize("row", [row for row in known() if row.through or row.inputs], ids=lambda row: row.key)
def test_the_lines_that_give_a_verdict_again_import_what_they_name(row: Implementation) -> None:
    """So that a reader who pastes them has a verdict and no NameError; all that they name there is there."""
    lines = ast.parse(reproduction(row, row.claim, row.policy, row.candidate_text(), repr(row.target)))
    imported = {
        each.name for node in ast.walk(lines) if isinstance(node, ast.Import | ast.ImportFrom) for each in node.names
    }
    named = {node.id for node in ast.walk(lines) if isinstance(node, ast.Name)}
    assert imported == named - {"print", "float"}
    assert not row.through or callable(row.driver())


@pytest.mark.parametrize("name", sorted({row.inputs for row in known()} - {""}))
def test_inputs_of_a_row_are_the_same_each_time_and_its_rule_takes_them(name: str) -> None:
    row = next(row for row in known() if row.inputs == name)
    first, second = row.own_inputs(), row.own_inputs()
    assert first.arrays
    for one, other in zip(first.arrays, second.arrays, strict=True):
        assert {n: a.tobytes() for n, a in one.items()} == {n: a.tobytes() for n, a in other.items()}
        assert row.claim.primary in one


def test_a_column_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each form of torch's and optax's optimizers once more, on a card; where there is none, that is what is missing."""
    there = [row for row in with_cuda() if row.device]
    assert [row for row in with_cuda() if not row.device] == [*known()]
    assert len({row.key for row in with_cuda()}) == len(with_cuda())
    columns = {"torch (for-loop, cuda)", "torch (foreach, cuda)", "torch (fused, cuda)", "torch (cuda)", "optax (cuda)"}
    assert {row.column for row in there} == columns
    row = next(row for row in there if row.column == "torch (fused, cuda)")
    assert "device='cuda'" in reproduction(row, row.claim, {}, row.candidate_text())
    for found, missing in ((True, False), (False, True)):
        monkeypatch.setattr(cards, "has_card", lambda found=found: found)
        assert (cards.CARD in row.missing()) == missing
