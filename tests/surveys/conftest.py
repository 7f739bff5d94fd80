"""One survey of the fakes for all tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import refgrad
from refgrad.surveys.run import Survey
from tests.literal import literal_bodies as literal_bodies

TABLE = "tests.surveys.fakes:FAKES"


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
        table=TABLE,
        jobs=2,
        explain=3,
        log=log,
        progress=lambda done, total, now, cell: told.append((done, total, cell)),
    )
