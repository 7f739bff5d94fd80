"""Golden files read by programs in other languages, right and wrong ones, as docs/golden.md has them."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from refgrad.golden import reading
from tests import depth
from tests.golden.fuzz import FOLDER

pytest.importorskip("safetensors")

SUBJECTS = Path(__file__).parents[2] / "docs" / "subjects"
#: what a compiler is told to have a program stop where it reads or computes what is undefined
SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
#: the outputs of each case of every rule as its files have them, and all numbers beyond the high ends, through golden.h
EVERY = Path(__file__).with_name("every_file.c")
#: the same of files that are damaged in memory
DAMAGED = Path(__file__).with_name("damaged_files.c")


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


@functools.cache
def sanitized(source: Path) -> str:
    """A program in C that stops where something undefined happens; skipped where no compiler can build one."""
    if shutil.which("cc") is None:
        pytest.skip("cc is not installed")
    folder = Path(tempfile.mkdtemp())
    (folder / "none.c").write_text("int main(void) { return 0; }")
    if subprocess.run(["cc", *SANITIZED, "none.c", "-o", "none"], cwd=folder, capture_output=True).returncode:
        pytest.skip("cc has no sanitizers here")
    return built(source, folder, *SANITIZED, f"-I{EVERY.parent}")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """A sanitized program, of whose memory nothing is said once it has ended."""
    surroundings = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    return subprocess.run(words, capture_output=True, text=True, env=surroundings)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["QuadraticRates", "SignDescent"])
def test_golden_h_refuses_every_file_that_is_cut_off(name: str) -> None:
    """At every byte; after the last bracket, what is missing is the end of the line alone."""
    step = depth.at_depth(quick=401, suite=97, thorough=1)
    made = run(sanitized(DAMAGED), str(FOLDER), name, "cut", str(step))
    assert made.returncode == 0, made.stderr
    read, refused = map(int, re.findall(r"\d+", made.stdout))
    assert read <= 2
    sizes = [(FOLDER / each).stat().st_size for each in (f"{name}.json", "manifest.json", f"{name}.safetensors")]
    assert read + refused == sum(-(-size // step) for size in sizes)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["Lion", *(pytest.param(n, marks=pytest.mark.thorough) for n in ("ClippedSTE", "Affine", "ZeroNaNs", "TopK"))],
)
def test_golden_h_reads_or_refuses_damaged_files_and_nothing_else_happens(name: str) -> None:
    count = depth.at_depth(quick=30, suite=200, thorough=20_000)
    made = run(sanitized(DAMAGED), str(FOLDER), name, "1", str(count))
    assert made.returncode == 0, made.stderr
    read, refused = map(int, re.findall(r"\d+", made.stdout))
    assert read + refused == count
    assert min(read, refused) > count // 10


#: documents that are none, and what is said of each
NONE = {
    "{": "a name is missing at: the end",
    '{"a': "a string without an end",
    '{"a\\': "a string without an end",
    '{"a"': "no JSON at: the end",
    '{"cases":[1,': "no JSON at: the end",
    "[" * 200_000: "too deeply nested",
    '{"a":' * 200_000: "too deeply nested",
    '{"cases":7}': "it is of another kind of JSON than it ought to be: cases",
    "{}": "it is missing: cases",
    "": "no JSON at: the end",
}


@pytest.mark.slow
@pytest.mark.parametrize("text", NONE, ids=lambda text: text[:12])
def test_golden_h_says_what_is_missing(text: str, tmp_path: Path) -> None:
    (tmp_path / "None.json").write_text(text)
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "None.safetensors").write_bytes(b"")
    made = run(sanitized(EVERY), str(tmp_path), "None")
    assert made.returncode == 2, made.stderr
    assert made.stderr.startswith("golden: ")
    assert NONE[text] in made.stderr


@pytest.mark.slow
def test_golden_h_takes_no_decimal_for_a_hex_float(tmp_path: Path) -> None:
    """A whole number, true and false are numbers of a case; a text is one with 0x, an infinity or NaN alone."""
    source = tmp_path / "number.c"
    source.write_text(
        '#include "golden.h"\nint main(int argc, char **argv) { char *at = argv[argc - 1]; '
        'return printf("%a", golden_number(golden_parse(&at, 0), "n")), 0; }'
    )
    made = built(source, tmp_path)
    for number, said in {'"0x1.8p+1"': "0x1.8p+1", "3": "0x1.8p+1", "true": "0x1p+0", '"-inf"': "-inf"}.items():
        assert run(made, f'{{"n":{number}}}').stdout == said
    for number in ('"abc"', '"1.5"', '"even"', "[]", "null", '"0x1p+0 "', "1.5.2"):
        assert run(made, f'{{"n":{number}}}').returncode == 2, number


#: judges the first case of a file, whose results have the names that are its arguments: those of the first output for each
NAMED = """
#include "golden.h"
int main(int argc, char **argv) {
    golden_file file = golden_open(argv[1], argv[2]);
    const golden_json *output = golden_need(golden_case(&file, 0), "outputs", '[')->child;
    for (; output; output = output->next) {
        size_t n;
        double *x = golden_tensor(&file, 0, "set", golden_word(output, "name"), &n);
        golden_result results[] = {{argc > 3 ? argv[3] : NULL, x, n / 2 / golden_whole(golden_get(output, "ways"), "ways")}, {0}};
        printf("%s %zu ", golden_word(output, "name"), golden_judged(&file, 0, output, results));
        printf("%zu\\n", golden_outside(&file, 0, output, results));
    }
    return 0;
}
"""


def test_golden_h_says_what_is_judged_and_ends_at_names_that_there_are_not(tmp_path: Path) -> None:
    source = tmp_path / "named.c"
    source.write_text(NAMED)
    made, first = built(source, tmp_path), reading.read(FOLDER, "Lion").document["cases"][0]["outputs"]
    assert [each["name"] for each in first] == ["m", "p"]
    assert run(made, str(FOLDER), "Lion", "m").stdout == "m 24 0\np 0 0\n"
    assert run(made, str(FOLDER), "Lion").stdout == "m 0 0\np 0 0\n"
    misnamed = run(made, str(FOLDER), "Lion", "momentum")
    assert (misnamed.returncode, misnamed.stdout) == (2, "")
    assert misnamed.stderr == "golden: no case has an output that is called as this result is: momentum\n"


@pytest.mark.parametrize(
    ("rule", "result", "old", "new", "says"),
    [
        (
            "Lion",
            "m",
            '"name":"m","truth"',
            '"name":"q","truth"',
            "no case has an output that is called as this result is: m",
        ),
        ("APoT", "y", '"given":["codes"]', '"given":["q"]', "it is given an output that the case does not have: q"),
    ],
    ids=["name", "given"],
)
def test_golden_h_tells_names_of_outputs_that_are_damaged(
    rule: str, result: str, old: str, new: str, says: str, tmp_path: Path
) -> None:
    for end in ("json", "safetensors"):
        data = (FOLDER / f"{rule}.{end}").read_bytes()
        (tmp_path / f"{rule}.{end}").write_bytes(data.replace(old.encode(), new.encode()))
    shutil.copy(FOLDER / "manifest.json", tmp_path)
    source = tmp_path / "named.c"
    source.write_text(NAMED)
    found = run(built(source, tmp_path), str(tmp_path), rule, result)
    assert found.returncode == 2
    assert found.stderr.startswith(f"golden: {says}")


@pytest.mark.slow
def test_the_reader_of_adamw_refuses_what_is_cut_off(tmp_path: Path) -> None:
    made, step = sanitized(SUBJECTS / "read_golden.c"), depth.at_depth(quick=23, suite=11, thorough=1)
    whole = {end: (FOLDER / f"AdamW.{end}").read_bytes() for end in ("json", "safetensors")}
    first = whole["json"].index(b"\n", whole["json"].index(b'"cases":[') + 20)
    outcomes = set()
    for end, most in {"json": first, "safetensors": len(whole["safetensors"])}.items():
        for size in range(0, most, max(1, most * step // 230)):
            for each, data in whole.items():
                (tmp_path / f"AdamW.{each}").write_bytes(data[:size] if each == end else data)
            found = run(made, str(tmp_path / "AdamW"), "0")
            outcomes.add(found.returncode)
            assert found.returncode in (0, 2), found.stderr
    assert outcomes == {0, 2}  # the arrays of the first case may stand before the end
