"""The examples of the pages run, and what they hand over conforms where the page says so."""

from __future__ import annotations

import dataclasses
import importlib
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import refgrad
from refgrad.cli import main

ROOT = Path(__file__).parents[2]
#: pages, and parts of them by the framework that they name: each part runs by itself, its examples one after the other
PARTS = [
    ("README.md", ""),
    ("docs/arrays.md", "torch"),
    ("docs/audit.md", "torch"),
    ("docs/candidates.md", ""),
    ("docs/candidates.md", "torch"),
    ("docs/candidates.md", "optax"),
    ("docs/cuda.md", ""),
    ("docs/enclosure.md", ""),
    ("docs/estimators.md", ""),
    ("docs/estimators.md", "torch"),
    ("docs/golden.md", ""),
    ("docs/laws.md", ""),
    ("docs/isolation.md", ""),
    ("docs/low-precision.md", ""),
    ("docs/own-rule.md", ""),
    ("docs/paper.md", ""),
    ("docs/paper.md", "optax"),
    ("docs/formula.md", ""),
    ("docs/gradients.md", ""),
    ("docs/situations.md", ""),
    ("docs/strength.md", ""),
    ("docs/submissions.md", ""),
    ("docs/tolerances.md", ""),
    ("docs/transforms.md", ""),
    ("docs/verdict.md", ""),
    ("docs/verify-your-kernel.md", ""),
    ("docs/which-rule.md", ""),
    ("docs/which-rule.md", "torch"),
]
LONG = [("docs/candidates.md", f) for f in ("torch", "optax")] + [
    ("docs/isolation.md", ""),
    ("docs/laws.md", ""),
    ("docs/submissions.md", ""),
    ("docs/verify-your-kernel.md", ""),
]
RUN = [pytest.param(*part, marks=pytest.mark.slow) if part in LONG else part for part in PARTS]
#: what is no program by itself: the first line of it, and where it stands in the code
EXCERPTS = {"class ClippedSTE(Binarizer):": "refgrad/estimators/straight_through.py"}
#: pages whose examples say below each line what it prints
PRINTED = ("docs/verify-your-kernel.md", "docs/submissions.md")
FRAMEWORKS = ("torch", "optax")


def examples(page: str) -> list[str]:
    """The examples in Python of a page."""
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def framework(example: str) -> str:
    """The framework that an example names; "" if it names none."""
    return next((name for name in FRAMEWORKS if re.search(rf"\b{name}\b", example)), "")


def part(page: str, chosen: str) -> list[str]:
    """The programs of a page that name a framework, or none."""
    return [e for e in examples(page) if framework(e) == chosen and e.partition("\n")[0] not in EXCERPTS]


def run(page: str, chosen: str) -> dict[str, Any]:
    """What the names of a part stand for after it ran."""
    names: dict[str, Any] = {"MyAdamW": refgrad.optimizers.AdamW}  # README's reader has one; all else is imported
    if chosen:
        names[chosen] = importlib.import_module(chosen)
    for example in part(page, chosen):
        exec(compile(example, page, "exec", dont_inherit=True), names)  # the page is ours
    return names


def test_every_example_is_in_a_part() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    found = {(p.relative_to(ROOT).as_posix(), framework(e)) for p in pages for e in examples(str(p.relative_to(ROOT)))}
    assert found == set(PARTS)


@pytest.mark.sample(quick=2)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnknownMarkWarning")
@pytest.mark.parametrize(("page", "chosen"), RUN)
def test_examples_run(page: str, chosen: str, capsys: pytest.CaptureFixture[str]) -> None:
    if chosen:
        pytest.importorskip(chosen)
    if page == "docs/verify-your-kernel.md" and shutil.which("cc") is None:
        pytest.skip("builds a library with a C compiler, which is not here")
    assert part(page, chosen)
    names = run(page, chosen)
    said = capsys.readouterr().out
    if (page, chosen) == ("docs/candidates.md", ""):
        assert said.startswith("CONFORMS: my_adamw is AdamW(lr=0.01)\n")
        wrong = refgrad.verify(names["Sgd"](), refgrad.optimizers.AdamW(), explain=False, shrink=False)
        assert not wrong.conforms
    if (page, chosen) == ("docs/candidates.md", "torch"):
        assert "policy precision=storage" in said
        assert refgrad.verify(names["mine"], refgrad.optimizers.AdamW()).conforms
    if page == "README.md":
        names["test_my_adamw"]()
    if page in PRINTED:
        assert said.splitlines() == re.findall(r"^# (.*)", "\n".join(part(page, chosen)), re.MULTILINE)
    if page == "docs/estimators.md" and chosen:
        assert said.startswith("DOES NOT CONFORM: Mine")
        assert "edge=exclusive" in said


def test_every_field_of_a_verdict_is_told() -> None:
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "docs/verdict.md").read_text(encoding="utf-8"), re.MULTILINE)
    told = set(re.findall(r"`(\w+)`", " ".join(rows)))
    fields = {f.name for f in dataclasses.fields(refgrad.Verdict)} | {"schema", "exit_code"}
    assert told == fields


@pytest.mark.parametrize("first", EXCERPTS)
def test_excerpts_stand_in_the_code(first: str) -> None:
    """Line by line, in their order, but for annotations; the code may have more between."""
    (excerpt,) = {e for page, _ in PARTS for e in examples(page) if e.startswith(first)}
    text = (ROOT / EXCERPTS[first]).read_text(encoding="utf-8")
    code = iter(re.sub(r": Any| -> Any|  # type: .*", "", text).splitlines())
    lost = [line for line in excerpt.splitlines() if line and line not in code]
    assert lost == []


def test_options_of_commands_on_the_pages_are_options() -> None:
    """A line of the pages that begins with the command's name has no option that the command does not take."""
    unknown = []
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for line in re.findall(r"^(?: {4}|\$ )?refgrad ([a-z].*)", page.read_text(encoding="utf-8"), re.MULTILINE):
            command: Any = main
            for word in line.split():
                command = getattr(command, "commands", {}).get(word, command)
            known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {"--help"}
            unknown += [(page.name, line, word) for word in re.findall(r"(?<= )--[a-z-]+", line) if word not in known]
    assert not unknown
