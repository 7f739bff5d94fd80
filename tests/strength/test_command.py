"""``python -m refgrad.strength``: figures are kept in a file, measured once, and shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from refgrad.strength import figures_file
from refgrad.strength.command import main, measured
from refgrad.strength.figures_file import Unit

RULE = """
from refgrad.optimizers import Lion

class Mine(Lion):
    pass
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    command = [sys.executable, "-m", "refgrad.strength", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_users_rule_is_measured_into_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(RULE)
    own = figures_file.OWN_FIGURES.read_bytes() if figures_file.OWN_FIGURES.exists() else None
    arguments = ("mine.py:Mine", "--values", "1", "--processes", "1", "--part", "programs", "--json", "mine.json")
    found = run(tmp_path, *arguments)
    assert found.returncode == 0, found.stderr
    assert "1/1 mine.py:Mine programs" in found.stdout
    assert "Mine(weight_decay=0.1) (optimizer)" in found.stdout
    kept = json.loads((tmp_path / "mine.json").read_text())
    assert kept["mine.py:Mine"]["random"]["outside"] == 0
    # what is known is not measured again, and refgrad's own figures are left alone
    assert "programs:" not in run(tmp_path, *arguments).stdout
    assert own is None or figures_file.OWN_FIGURES.read_bytes() == own


def test_a_rule_that_there_is_not_is_an_error() -> None:
    found = CliRunner().invoke(main, ["AdamV"])
    assert found.exit_code == 64
    assert "did you mean 'Adam'" in found.output


def test_a_rule_that_fails_is_reported() -> None:
    done = measured(Unit("GPTQ", "programs", 1))
    assert done.figures is None
    assert done.error.startswith("ArgumentError: GPTQ() has no graph")


@pytest.mark.skipif(
    not figures_file.OWN_FIGURES.exists(), reason="the figures are in the repository, not in the package"
)
def test_tables_alone_change_nothing_where_the_page_is_up_to_date() -> None:
    files = [figures_file.OWN_FIGURES.with_suffix(end) for end in (".json", ".md", ".svg")]
    before = [file.read_bytes() for file in files]
    assert CliRunner().invoke(main, ["--tables"]).exit_code == 0
    assert [file.read_bytes() for file in files] == before
