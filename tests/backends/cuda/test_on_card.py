"""The script for a card, tried with kernels emulated: every part runs, and nothing differs."""

from __future__ import annotations

import json

import pytest

from tests.backends.cuda.conftest import needs_compiler


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("part", ["bits", "rules", "survey", "speed"])
def test_a_part_of_the_script_runs_without_a_card(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("cupy", reason="CuPy is not installed (tox -e cuda has it)")
    if part == "survey":
        pytest.importorskip("torch", reason="torch is not installed")
    from tests.backends.cuda import on_card

    on_card.main(["--emulated", "--part", part, "--seconds", "100"])
    found = json.loads(capsys.readouterr().out)
    assert found["card"].startswith("none")
    if part == "bits":
        assert all(not row["different"] and not row["rules"] for row in found["bits"].values())
    elif part == "rules":
        assert not found["rules"]["different"]
        assert not found["rules"]["raised"]
    elif part == "survey":
        assert found["survey"]["AdamW for"] == {"cpu": "conforms", "memory": "conforms"}
    else:
        assert found["speed"]["AdamW"]["seconds"] > 0
