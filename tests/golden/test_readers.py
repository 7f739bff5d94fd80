"""Golden files read by programs in other languages, right and wrong ones, as docs/golden.md has them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from refgrad.golden import reading
from tests.golden.fuzz import FOLDER

pytest.importorskip("safetensors")

SUBJECTS = Path(__file__).parents[2] / "docs" / "subjects"
#: the outputs of each case of every rule as its files have them, and all numbers beyond the high ends, through golden.h
EVERY = Path(__file__).with_name("every_file.c")


def built(source: Path | str, folder: Path, *options: str) -> str:
    """A program in C, built; skipped where there is no compiler."""
    if shutil.which("cc") is None:
        pytest.skip("cc is not installed")
    made = str(folder / "reader")
    words = ["cc", "-O2", "-ffp-contract=off", f"-I{SUBJECTS}", *options, str(SUBJECTS / source)]
    subprocess.run([*words, "-lm", "-o", made], check=True)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("-DEPS_INSIDE",)], ids=["right", "wrong"])
def test_a_reader_in_c_tells_right_from_wrong(options: tuple[str, ...], tmp_path: Path) -> None:
    made = built("read_golden.c", tmp_path, *options)
    file, outside = reading.read(FOLDER, "AdamW"), 0
    cases = [n for n, case in enumerate(file.document["cases"]) if not case["variant"] and case["dtype"] == "float32"]
    assert any("NaN" in file.document["cases"][n]["family"] for n in cases)
    for number in cases:
        words = [made, str(FOLDER / "AdamW"), str(number)]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        assert said.startswith(file.document["cases"][number]["id"])
        found, of = re.findall(r"\d+", said.partition(":")[2])
        outside += int(found)
        assert int(of) > 0
    assert (outside > 0) is bool(options)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("Affine", "OtherVariant (another named behaviour): signed=False"),
        ("ClippedSTE", "OtherVariant (another named behaviour): sign_at_zero=minus"),
        ("Magnitude", "OtherVariant (another named behaviour): rounding=floor_plus_one"),
    ],
    ids=["quantizer", "estimator", "mask"],
)
def test_a_reader_in_javascript_tells_right_from_wrong_and_names_it(name: str, named: str) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    source = str(SUBJECTS / "read_golden.js")
    for mode in ("right", "wrong"):
        said = subprocess.run(
            ["node", source, str(FOLDER), name, mode], capture_output=True, text=True, check=True
        ).stdout
        outside = [int(n) for n in re.findall(r": (\d+) outside", said)]
        assert len(outside) >= 3
        assert (sum(outside) > 0) is (mode == "wrong"), said
        assert (named in said) is (mode == "wrong")


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("-DEXCHANGED",)], ids=["right", "wrong"])
def test_a_program_on_golden_h_tells_right_from_wrong_and_names_it(options: tuple[str, ...], tmp_path: Path) -> None:
    """Of all cases of the rule itself, in both dtypes, with NaN and other settings among them."""
    run = subprocess.run([built("lion_golden.c", tmp_path, *options), str(FOLDER)], capture_output=True, text=True)
    cases = [case for case in reading.read(FOLDER, "Lion").document["cases"] if not case["variant"]]
    assert [line.partition(" ")[0] for line in run.stdout.splitlines() if line[0] != " "] == [c["id"] for c in cases]
    assert {case["dtype"] for case in cases} == {"float32", "bfloat16"}
    assert run.returncode == len(options), run.stdout
    assert ("DecaysExchanged (one decay stands for another)" in run.stdout) is bool(options)


@pytest.mark.slow
def test_golden_h_reads_every_file_of_the_repository(tmp_path: Path) -> None:
    """What the files themselves have is inside, element by element, and most of what is moved beyond it is not."""
    names = sorted(path.stem for path in FOLDER.glob("*.safetensors"))
    run = subprocess.run([built(EVERY, tmp_path), str(FOLDER), *names], capture_output=True, text=True, check=True)
    cases, outputs, numbers, outside, moved = map(int, re.findall(r"\d+", run.stdout.splitlines()[-1]))
    assert cases == sum(len(reading.read(FOLDER, name).document["cases"]) for name in names)
    assert outside == 0, run.stdout
    assert numbers > outputs > cases
    assert moved > numbers // 2
