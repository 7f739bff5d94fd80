"""What the files of a release say of each other: the version is written once, and repeated rightly elsewhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from refgrad.version import VERSION
from tests import coverage

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
#: extras that bring frameworks and what tests need
APART = {"all", "test", "docs", "torch", "jax", "cuda", "gpu", "cuda12", "gpu12"}


def test_the_version_is_that_of_the_last_change_and_of_the_citation() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.search(r"^## (\d+\.\d+\.\d+)", changes, re.MULTILINE)[1] == VERSION  # type: ignore[index]
    cited = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {VERSION}\n" in cited
    assert PROJECT["dynamic"] == ["version"]


def test_all_is_every_extra_that_is_no_framework() -> None:
    extras = PROJECT["optional-dependencies"]
    (everything,) = extras["all"]
    named = set(everything.removeprefix("refgrad[").removesuffix("]").split(","))
    assert named == set(extras) - APART


@pytest.mark.parametrize(
    ("gpu", "compiler", "cupy"), [("gpu", "cuda", "cupy-cuda13x"), ("gpu12", "cuda12", "cupy-cuda12x")]
)
def test_a_gpu_extra_is_its_compiler_and_its_cupy(gpu: str, compiler: str, cupy: str) -> None:
    extras = PROJECT["optional-dependencies"]
    own, other = extras[gpu]
    assert own == f"refgrad[{compiler}]"
    assert other.partition(">")[0] == cupy
    (needed,) = extras[compiler]
    assert needed.startswith("nvidia-cuda-nvrtc")
    assert needed.partition(">")[0].endswith("-cu12") == gpu.endswith("12")


def test_every_python_that_is_claimed_has_an_environment() -> None:
    claimed = {c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)}
    tox = (ROOT / "tox.ini").read_text("utf-8")
    (numbers,) = re.findall(r"\[testenv:py\{([\d,]+)\}\]", tox)
    assert {f"3.{n[1:]}" for n in numbers.split(",")} == claimed
    assert PROJECT["requires-python"] == f">={min(claimed, key=lambda v: int(v[2:]))}"


def test_the_lock_has_a_hash_for_each_file_and_names_no_place() -> None:
    text = (ROOT / ".ci" / "lock.txt").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==\S+ \\", line) for line in lines[::2])
    assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}", line) for line in lines[1::2])
    named = {line.partition("==")[0].replace("_", "-") for line in lines[::2]}
    extras = [line for name in ("test", "jax") for line in PROJECT["optional-dependencies"][name]]
    needed = {re.split(r"[>=]", line)[0].replace("_", "-") for line in [*PROJECT["dependencies"], *extras]}
    assert needed <= named


def test_what_is_left_out_of_coverage_has_a_reason() -> None:
    lines = [
        f"{path.name}: {line.strip()}"
        for path in (ROOT / "refgrad").rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if "pragma: no" in line
    ]
    assert [line for line in lines if not re.search(r"# pragma: no (cover|branch) - \w+", line)] == []
    assert all((ROOT / gate).is_file() for gate in coverage.GATES)


def test_files_are_left_out_of_coverage_for_a_package_that_the_suite_lacks_alone() -> None:
    needs = re.compile(r"^ *(?:import|from) (?:cupy|keras)\b", re.MULTILINE)
    files = {path for path in (ROOT / "refgrad").rglob("*.py") if needs.search(path.read_text("utf-8"))}
    left_out = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["coverage"]["report"]["omit"]
    assert {ROOT / name for name in left_out} == files
    assert not set(left_out) & set(coverage.GATES)


def test_a_branch_of_a_gate_that_is_not_run_is_told() -> None:
    whole, first = {"missing_lines": [], "missing_branches": []}, coverage.GATES[0]
    missing = {first: {"missing_lines": [7], "missing_branches": [[3, -1]]}}
    found = {"files": {**dict.fromkeys(coverage.GATES, whole), **missing}}
    assert list(coverage.not_run(found)) == [f"{first}:7", f"{first}:3 to -1"]
    assert len(list(coverage.not_run({"files": {}}))) == len(coverage.GATES)
