"""The table of implementations: legal, complete beside the docs, and each what it is said to be where it is installed."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import refgrad
from refgrad.errors import CandidateError
from refgrad.optimizers import AMSGrad
from refgrad.oracle.engine.reproduce import called
from refgrad.rule import rules
from refgrad.surveys.cell import expected
from refgrad.surveys.implementations import Implementation, drivers, inputs, known
from refgrad.surveys.run import Survey
from tests.depth import at_depth

os.environ.setdefault("KERAS_BACKEND", "torch")  # where Keras is installed; its other backends are the survey's
ROWS = known()
DOCS = Path(__file__).parents[3] / "docs" / "checked-against.md"
#: the columns of the table in the docs -> the package
COLUMNS = {
    "torch": "torch",
    "optax": "optax",
    "pytorch-optimizer": "pytorch-optimizer",
    "torch-optimizer": "torch-optimizer",
}
#: what the docs say was checked, but only by a test of its own, and why
BY_THEMSELVES = {
    "Muon": "its iteration is put into float32 by patching the package",
    "SOAP": "its matrices are kept in lists, which a class of the test reads",
    "GaLore": "its basis is kept in an object, which a class of the test reads",
    "PSGDKron": "kron_torch draws its probes itself: tests/optimizers/test_kron.py",
    "Stored": "it is judged in bfloat16",
}


def test_every_rule_exists_and_its_hyperparameters_are_legal() -> None:
    for row in ROWS:
        assert rules()[type(row.claim).__name__] is type(row.claim)
        assert row.rule.kind == row.claim.kind  # built of the variant's values, which are checked when it is
        assert eval(called(row.rule), {"refgrad": refgrad}) == row.rule


def test_every_row_has_a_key_of_its_own() -> None:
    assert [key for key, count in Counter(row.key for row in ROWS).items() if count > 1] == []


def test_no_two_rows_are_called_alike() -> None:
    """A survey prints what it is called, of which package and backend, and as what it is judged."""
    names = Counter((row.column, row.called, str(row.claim), row.environment.get("KERAS_BACKEND")) for row in ROWS)
    assert [name for name, count in names.items() if count > 1] == []


def test_the_kept_survey_found_what_the_table_expects() -> None:
    cells = {cell.key: cell for cell in Survey.read(DOCS.with_name("survey.json")).cells}
    found = {row.key: (cells[row.key].outcome, cells[row.key].variant) for row in ROWS}
    wrong = [row.key for row in ROWS if found[row.key] != expected(row)]
    assert wrong == []


def test_what_drives_and_feeds_them_exists() -> None:
    for row in ROWS:
        assert not row.through or callable(row.driver())
        assert not row.inputs or callable(getattr(inputs, row.inputs))
        refgrad.Policy.of(dict(row.policy))


class Gradient:
    """A gradient that can be copied as torch's can."""

    def __init__(self, value: float) -> None:
        self.value = value

    def clone(self) -> Gradient:
        return Gradient(self.value)


class Writing:
    """An optimizer that writes into its gradients; torch's protocol without torch."""

    def __init__(self, params: list[Any]) -> None:
        self.param_groups = [{"params": params}]

    def step(self) -> None:
        for p in self.param_groups[0]["params"]:
            p.grad.value = 0.0


def test_what_steps_on_copies_leaves_the_gradients_alone() -> None:
    for wrapped, left in ((Writing, 0.0), (drivers.on_copies(f"{__name__}:Writing"), 1.0)):
        given = Gradient(1.0)
        wrapped([SimpleNamespace(grad=given)]).step()
        assert given.value == left


@pytest.mark.slow
def test_nothing_is_imported_to_know_them() -> None:
    import subprocess
    import sys

    lines = "import sys; from refgrad.surveys.implementations import known; [r.missing() for r in known()]; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    assert not {"torch", "jax", "keras", "optax"} & set(done.stdout.split())


def documented() -> list[tuple[str, str]]:
    """Each rule of the docs' first table with each column that says something of it."""
    first = DOCS.read_text(encoding="utf-8").partition("## Over time")[0]
    table = [line for line in first.splitlines() if line.startswith("| ")]
    header = [cell.strip() for cell in table[0].strip("|").split("|")]
    found = []
    for line in table[1:]:
        rule, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        found += [(rule, header[i]) for i, cell in enumerate(cells, 1) if cell not in ("–", "")]
    return found


def test_whatever_the_docs_say_was_checked_is_in_the_table() -> None:
    """A missing one is added as a row of a module in refgrad/surveys/implementations."""
    held = {(type(row.claim).__name__, row.package) for row in ROWS}
    others = {rule for rule, package in held if package not in COLUMNS.values()}
    missing = [
        (rule, column)
        for rule, column in documented()
        if rule not in BY_THEMSELVES
        and ((rule, COLUMNS[column]) not in held if column in COLUMNS else rule not in others)
    ]
    assert len(documented()) > 60
    assert missing == []


def named(row: Implementation) -> str:
    return re.sub(r"\s+", " ", f"{row.column}-{row.called}-{row.rule}")


#: whether something is missing, by what a row needs
LACKING: dict[tuple[str, str, tuple[str, ...]], bool] = {}


def runs_here(row: Implementation) -> bool:
    """Whether its package is there, and what its process has to be started with."""
    here = all(os.environ.get(name) == value for name, value in row.environment.items())
    needs = row.package, row.target.partition(":")[0], row.requires
    if needs not in LACKING:  # many rows are of one package, and it takes long to look it up
        LACKING[needs] = bool(row.missing())
    return here and not LACKING[needs]


def candidate(row: Implementation) -> Any:
    try:
        return row.candidate()
    except CandidateError as error:  # installed, but it cannot be imported beside what else is
        pytest.skip(str(error))


#: how many steps a row is judged on at most; by itself it says how many the survey takes, ten by default
STEPS = at_depth(quick=5, suite=5, thorough=10)
#: the rows of what is installed; JAX compiles a program for each shape, so that optax's take long
RUNNING = [
    pytest.param(row, marks=pytest.mark.thorough if row.package == "optax" else ()) for row in ROWS if runs_here(row)
]


@pytest.mark.sample(quick=4, suite=10)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", RUNNING, ids=named)
def test_it_is_what_the_table_says(row: Implementation) -> None:
    given = getattr(inputs, row.inputs)() if row.inputs else None
    how = {"options": row.options, "policy": row.policy, "inputs": given, "steps": min(row.steps, STEPS)}
    verdict = refgrad.verify(candidate(row), row.rule, shrink=False, explain=False, **how)
    if row.mutates:
        assert {fault.kind for fault in verdict.faults} == {"mutated"}
        verdict = refgrad.verify(drivers.on_copies(row.target), row.rule, shrink=False, explain=False, **how)
    if not row.explained:
        assert not verdict.conforms
        return
    verdict.raise_if_wrong()
    state = [slot for slot in getattr(row.rule, "slots", dict)().values() if not slot.scalar]
    kept_in_parts = type(row.claim).__name__ == "LBFGS"  # torch keeps its last step as a direction and a length
    if row.package == "torch" and row.claim.kind == "optimizer" and state and not kept_in_parts:
        assert verdict.mode == "step-locked"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_torchs_amsgrad_is_its_own() -> None:
    """Its row says so; it is asked for whatever rows a depth takes."""
    claim = AMSGrad(decay="before", weight_decay=0.1)
    rows = [row for row in ROWS if row.package == "torch" and row.claim == claim and runs_here(row)]
    if not rows:
        pytest.skip("torch is not installed")
    test_it_is_what_the_table_says(rows[0])
