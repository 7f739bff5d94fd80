"""docs/candidates.md says what happens: its examples run, and what they hand over conforms where it should."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "candidates.md"


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def test_every_example_runs_after_the_ones_before_it(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("optax")
    names: dict[str, Any] = {}
    for block in blocks():
        exec(compile(block, str(PAGE), "exec"), names)  # the page is ours
    assert capsys.readouterr().out.startswith("CONFORMS: my_adamw is AdamW(lr=0.01)\n")
    verify, rules = names["refgrad"].verify, names["refgrad"].optimizers
    assert verify(names["mine"], rules.AdamW()).conforms
    assert not verify(names["Sgd"](), rules.AdamW()).conforms
