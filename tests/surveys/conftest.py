"""One survey of the fakes for all tests; of three of them, which one process judges, at depth quick."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import refgrad
from refgrad.surveys.run import Survey
from tests.depth import at_depth
from tests.literal import literal_bodies as literal_bodies

TABLE, FEW = "tests.surveys.fakes:FAKES", "tests.surveys.fakes:FEW"


@pytest.fixture(scope="session")
def told() -> list[tuple[int, int, Any]]:
    """What the progress of the survey was told."""
    return []


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("survey") / "fakes.jsonl"


@pytest.fixture(scope="session")
def found(told: list[Any], log: Path) -> Survey:
    return refgrad.survey(
        table=at_depth(quick=FEW, suite=TABLE, thorough=TABLE),
        jobs=at_depth(quick=1, suite=2, thorough=2),
        explain=at_depth(quick=0, suite=3, thorough=3),
        log=log,
        progress=lambda done, total, now, cell: told.append((done, total, cell)),
    )
