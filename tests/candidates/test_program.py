"""Programs and shared libraries as candidates: right and wrong ones in several languages, and those that break the protocol."""

from __future__ import annotations

import functools
import gc
import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import refgrad
from refgrad.candidates import program, program_arrays, program_process, shared_library
from refgrad.candidates.protocol import CandidateFault
from refgrad.cli import judging, main, programs
from refgrad.errors import ArgumentError, CandidateError
from refgrad.estimators import ClippedSTE
from refgrad.isolation import host, hosting
from refgrad.isolation.recipe import Recipe
from refgrad.optimizers import AdamW, NAdam, PolyakSGD
from refgrad.quantizers import Affine
from refgrad.sparsity import LotteryTicket, Magnitude

SUBJECTS = Path(__file__).parents[2] / "docs" / "subjects"
SIGNATURE = "p*,g,m*,v*,n,t,lr,beta1,beta2,eps,weight_decay"
#: a subject's file, the tool that it is built with, what makes it wrong, and the word that a verdict on it has
BUILT = {
    "adamw.c": ("cc", ["-O2", "-ffp-contract=off"], ["-lm"], "-DEPS_INSIDE", "eps_placement=inside"),
    "adamw.cpp": ("c++", ["-std=c++17", "-O2"], [], "-DNO_CORRECTION", "bias"),
    "adamw.rs": ("rustc", ["-O"], [], "--cfg=sum", "m"),
    "adamw.js": ("node", [], [], "coupled", "weight_decay"),
}
#: what Chromium is called where it is installed
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SAYS = '{"refgrad":1,"rules":["AdamW"],"dtypes":["float32"],"takes":["p","g"],"gives":["p"]}'


@functools.cache
def command(file: str, wrong: bool = False) -> tuple[str, ...]:
    """What starts a subject, built if it has to be; skipped where its tool is not installed."""
    tool, options, libraries, fault, _ = BUILT[file]
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    source = str(SUBJECTS / file)
    if tool == "node":
        return (tool, source, *([fault] if wrong else []))
    made = Path(tempfile.mkdtemp()) / "subject"
    subprocess.run([tool, *options, *([fault] if wrong else []), source, *libraries, "-o", made], check=True)
    return (str(made),)


@functools.cache
def library(*options: str) -> str:
    """The shared library, built."""
    if shutil.which("cc") is None:
        pytest.skip("cc is not installed")
    made = Path(tempfile.mkdtemp()) / "libadamw.so"
    source = str(SUBJECTS / "libadamw.c")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", *options, source, "-lm", "-o", made], check=True)
    return str(made)


def judged(function: Any, **keywords: Any) -> Any:
    """The verdict on a function, in this process."""
    return refgrad.verify(function, AdamW(weight_decay=0.1), steps=2, shrink=False, **keywords)


def few() -> Any:
    """Two steps of a few numbers."""
    random = np.random.default_rng(0)
    return refgrad.Inputs.of(random.standard_normal(9), random.standard_normal((2, 9)) * 1e-7)


@pytest.mark.thorough
@pytest.mark.parametrize("file", BUILT)
def test_a_program_in_each_language_conforms_and_a_wrong_one_is_named(file: str) -> None:
    right = judged(program.function(command(file), AdamW()), explain=False)
    assert right.conforms, str(right)
    assert set(right.counts) == {"p", "m", "v"}
    wrong = judged(program.function(command(file, wrong=True), AdamW()))
    assert not wrong.conforms
    assert wrong.departures, str(wrong)
    assert BUILT[file][-1] in str(wrong.departures[0])


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [False, True], ids=["right", "wrong"])
def test_a_program_in_c_is_judged(wrong: bool) -> None:
    asked = program.function(command("adamw.c", wrong), AdamW())
    verdict = judged(asked, inputs=few(), explain=False)
    assert verdict.total.outside == (9 * 2 if wrong else 0), str(verdict)


def page(wrong: bool) -> Any:
    """The page that runs in a browser; skipped where there is none, or nothing that drives one."""
    pytest.importorskip("playwright.sync_api", reason="playwright, which drives the browser, is not installed")
    if not any(map(shutil.which, BROWSERS)):
        pytest.skip("no Chromium is installed")
    words = [sys.executable, str(SUBJECTS / "browser.py"), "adamw.html", *(["wrong"] if wrong else [])]
    return program.function(words, AdamW())


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [False, True], ids=["right", "wrong"])
def test_a_page_in_a_browser_is_judged(wrong: bool) -> None:
    verdict = judged(page(wrong), inputs=few(), explain=False)
    assert verdict.total.outside == (9 * 2 if wrong else 0), str(verdict)


@pytest.mark.thorough
def test_a_page_in_a_browser_conforms_and_a_wrong_one_is_named() -> None:
    right = judged(page(False), explain=False)
    assert right.conforms, str(right)
    assert set(right.counts) == {"p", "m", "v"}
    wrong = judged(page(True))
    assert not wrong.conforms
    assert "eps_placement=inside" in str(wrong.departures[0])


#: rules of the kinds without steps, and what the subject is instead where it is wrong
STATELESS = (
    (Affine(symmetric=True), "ties=away"),
    (ClippedSTE(), "edge=exclusive"),
    (Magnitude(), "measure=signed"),
)


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [False, pytest.param(True, marks=pytest.mark.thorough)], ids=["right", "wrong"])
@pytest.mark.parametrize(("rule", "named"), STATELESS, ids=["quantizer", "estimator", "mask"])
def test_a_quantizer_an_estimator_and_a_mask_are_judged(rule: Any, named: str, wrong: bool) -> None:
    words = [sys.executable, "-S", str(SUBJECTS / "stateless.py"), *(["wrong"] if wrong else [])]
    asked = program.function(words, rule)
    verdict = refgrad.verify(asked, rule, shrink=False, explain=wrong)
    assert verdict.conforms is not wrong, str(verdict)
    assert not wrong or named in str(verdict.departures[0])


#: a program and a library in C that misbehave in their second step; MISDEED is what they do, GREETING what the program says first
MISBEHAVING = r"""
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void dies(void) { abort(); }
static void hangs(void) { for (;;) pause(); }
static void floods(void) { for (;;) puts("x"); }
static void hoards(void) { /* exits with the number of GiB that it was given */
    int chunks = 0;
    while (chunks < 16 * 99 && malloc(1 << 26)) chunks++;
    _exit(chunks / 16);
}
static void babbles(void) { puts("nonsense"); fflush(stdout); }

void adamw(float *p, const float *g, float *m, float *v, int n, int t,
           double lr, double beta1, double beta2, double eps, double weight_decay) {
    for (int i = 0; i < n; i++) p[i] = m[i] = v[i] = 1e30f * t; /* nonsense */
    MISDEED();
}

int main(void) {
    while (getchar() != '\n');
    puts(GREETING), fflush(stdout);
    while (getchar() != '\n');
    MISDEED();
    return 0;
}
"""
#: what it does -> the fault of the program's verdict, and that of the library's; "" where its numbers are wrong alone
MISDEEDS = {
    "dies": ("crashed", "crashed"),
    "hangs": ("hung", "hung"),
    "floods": ("structure", "hung"),
    "hoards": ("crashed", "crashed"),
    "babbles": ("structure", ""),
}


@functools.cache
def misbehaving(misdeed: str, shared: bool) -> str:
    """A program or a library that misbehaves, built."""
    if shutil.which("cc") is None:
        pytest.skip("cc is not installed")
    folder = Path(tempfile.mkdtemp())
    (folder / "subject.c").write_text(MISBEHAVING)
    words = [f"-DMISDEED={misdeed}", "-DGREETING=" + json.dumps(SAYS), "-o", "subject"]
    subprocess.run(["cc", *(["-shared", "-fPIC"] if shared else []), *words, "subject.c"], cwd=folder, check=True)
    return str(folder / "subject")


@pytest.mark.sample(suite=4)
@pytest.mark.slow
@pytest.mark.skipif(not hosting.possible(), reason="there is no isolation here")
@pytest.mark.parametrize("shared", [False, True], ids=["program", "library"])
@pytest.mark.parametrize("misdeed", MISDEEDS)
def test_what_misbehaves_is_judged_within_limits_of_time_and_memory(misdeed: str, shared: bool) -> None:
    made, fault = misbehaving(misdeed, shared), MISDEEDS[misdeed][shared]
    if shared:
        given: dict[str, Any] = {"path": made, "symbol": "adamw", "signature": SIGNATURE}
        recipe = Recipe(shared_library.__name__, "", "function", given, lambda: None)
    else:
        given = {"command": [made], "rule": AdamW(), "group": False}
        recipe = Recipe(program.__name__, "", "function", given, lambda: None)
    verdict = refgrad.verify(
        recipe, AdamW(), inputs=few(), isolate="fresh", time_limit=1.0, shrink=False, explain=False
    )
    assert [each.kind for each in verdict.faults] == ([fault] if fault else []), str(verdict)
    assert verdict.exit_code == 1
    if misdeed == "hoards":
        most = int(re.search(r"exit code (\d+)", verdict.faults[0].message)[1])  # type: ignore[index]
        assert most <= host.MEMORY >> 30


#: a program that answers as an expression of Python says, of the number of the question
ANSWERING = """
import json, sys
print({says!r}, flush=True)
for n, line in enumerate(sys.stdin, 1):
    asked = json.loads(line)
    print(json.dumps({{"id": n, {answer}}}), flush=True)
"""


def answering(says: dict[str, Any], answer: str) -> list[str]:
    """A subject that says what it is, and gives each question one answer."""
    return python(ANSWERING.format(says=json.dumps(says), answer=answer))


def judge(words: list[str], *options: str) -> Any:
    """The command judge on a subject, and what it says as JSON."""
    command, *arguments = words
    given = [word for each in arguments for word in ("--arg", each)]
    return CliRunner().invoke(main, ["judge", command, *given, *options, "--json"])


def test_a_program_that_refuses_all_is_not_judged() -> None:
    """Of a kind with state and of one without; it is neither wrong nor right."""
    found = judge(answering(json.loads(SAYS), '"refused": "no"'), "--as", "AdamW", "--steps", "2")
    assert found.exit_code == 2, found.output
    verdict = json.loads(found.stdout)
    assert (verdict["outcome"], verdict["faults"]) == ("could not be judged", [])
    assert re.match(r"it takes no ordinary cases, at step 1: python[\d.]* refused: no$", verdict["unexercised"][0])
    says = {**json.loads(SAYS), "rules": ["Magnitude"], "takes": ["w"], "gives": ["mask"]}
    verdict = refgrad.verify(program.function(answering(says, '"refused": "no"'), Magnitude()), Magnitude())
    assert (verdict.exit_code, verdict.faults) == (2, ())
    assert "it takes no ordinary case: " in verdict.unexercised[0]


def test_a_program_that_refuses_some_is_judged_on_the_others() -> None:
    says = {**json.loads(SAYS), "rules": ["double"], "takes": ["x"], "gives": ["y"]}
    large = "max(map(abs, map(float.fromhex, asked['arrays']['x']['data'])), default=0) > 100"
    right = (
        f'**({{"refused": "large"}} if {large} else {{"arrays": {{"y": {{"shape": asked["arrays"]["x"]["shape"], '
        '"data": [2 * float.fromhex(v) for v in asked["arrays"]["x"]["data"]]}}})'
    )

    @refgrad.formula(x="feature")
    def double(x):  # type: ignore[no-untyped-def]
        return x + x

    verdict = refgrad.verify(program.function(answering(says, right), double()), double())
    assert verdict.conforms, str(verdict)
    assert any(re.match(r"ordinary cases: .* \(python[\d.]* refused: large\)$", each) for each in verdict.unexercised)


#: a mask that refuses all questions but the first few
REFUSING = (
    "**({{'refused': 'not this'}} if n > {most} else {{'arrays': {{'mask': {{'dtype': 'bool', "
    "'shape': asked['arrays']['w']['shape'], 'data': [1] * len(asked['arrays']['w']['data'])}}}}}})"
)


@pytest.mark.parametrize(
    ("most", "restrictions", "judged"),
    [(1, [], False), (5, [], False), (8, [], True), (1, ["not this"], True), (1, ["not that"], False)],
    ids=["one", "few", "most", "one, as it said", "one, and not as it said"],
)
def test_what_refuses_most_ordinary_cases_is_not_judged_unless_it_said_so(
    most: int, restrictions: list[str], judged: bool
) -> None:
    """All that is right of the rest is no promise for what is refused, unless that stands beside its name."""
    says = {**json.loads(SAYS), "rules": ["Magnitude"], "takes": ["w", "sparsity"], "gives": ["mask"]}
    rule = Magnitude(sparsity=0.0)
    words = answering({**says, "restrictions": restrictions}, REFUSING.format(most=most))
    verdict = refgrad.verify(program.function(words, rule), rule, shrink=False, explain=False)
    assert verdict.exit_code == (0 if judged else 2), str(verdict)
    assert not verdict.faults
    first = verdict.unexercised[0]
    assert (
        first.startswith(f"it takes {most} of 11 ordinary cases and refused {11 - most}, more than 50%") is not judged
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("said", "options", "message"),
    [
        ({}, ["--dtype", "float64"], r"dtype is 'float64'; legal: float32, which .* says that it has"),
        ({"dtypes": ["float64", "float16"]}, [], "dtype is 'float32'; legal: float64, float16, which"),
        ({}, ["--dtype", "float33"], "dtype is 'float33'; legal: a float dtype"),
    ],
    ids=["other", "by default", "none"],
)
def test_a_dtype_that_a_program_does_not_have_is_bad_input(
    said: dict[str, Any], options: list[str], message: str
) -> None:
    found = judge(answering({**json.loads(SAYS), **said}, '"refused": "no"'), "--as", "AdamW", *options)
    assert found.exit_code == 64
    assert re.search(message, found.stderr)
    assert len(found.stderr.splitlines()) == 1


@pytest.mark.parametrize("options", [[], ["--dtype", "float32"]], ids=["none named", "named"])
def test_the_only_dtype_of_a_program_is_taken_where_none_is_named(options: list[str]) -> None:
    says = {**json.loads(SAYS), "name": "mine", "dtypes": ["float64"]}
    found = judge(answering(says, '"refused": "no"'), "--as", "AdamW", *options)
    assert found.exit_code == (64 if options else 2), found.output
    if not options:
        verdict = json.loads(found.stdout)
        assert verdict["dtype"] == "float64"
        said = "float32: mine has float64 alone, in which it was judged, since no --dtype was named"
        assert verdict["unexercised"][0] == said


#: a formula, and a rule, as somebody writes them in a file
OF_A_FILE = """
import numpy as np
import refgrad
from refgrad.optimizers import Optimizer
from refgrad.rule import Citation, NonNegative


@refgrad.formula(x="batch feature", weight="feature", wrt="x weight")
def halved_rows(x, weight, *, factor: refgrad.Positive = 0.5):
    return x * weight * factor, x - weight


class HalfStep(Optimizer):
    lr: NonNegative = 0.5
    citation = Citation("You 2026", "Half a step", "equation 1")

    def update(self, p, g, t):
        return (p - self.lr * g,)
"""
#: how programs in Python for tests compute: arrays of a question as NumPy's, and the answer
COMPUTING = """
import json, sys
import numpy as np
print({says!r}, flush=True)
for n, line in enumerate(sys.stdin, 1):
    asked = json.loads(line)
    a = {{k: np.float32([float.fromhex(v) for v in x["data"]]).reshape(x["shape"]) for k, x in asked["arrays"].items()}}
    s = {{k: np.float32(float.fromhex(v)) for k, v in asked["numbers"].items()}}
    with np.errstate(all="ignore"):
        found = {results}
    told = {{k: {{"shape": list(x.shape), "data": [float(v).hex() for v in x.ravel()]}} for k, x in found.items()}}
    print(json.dumps({{"id": n, "arrays": told}}), flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [False, True], ids=["right", "wrong"])
@pytest.mark.parametrize("name", ["halved_rows", "HalfStep"])
def test_a_formula_and_a_rule_of_a_file_are_judged(name: str, wrong: bool, tmp_path: Path) -> None:
    file = tmp_path / f"rules_of_{name}_{wrong}.py"  # a module of one name is imported once
    file.write_text(OF_A_FILE)
    factor = "0.25" if wrong else "s['factor']"
    results = {
        "halved_rows": (
            ["x", "weight", "factor"],
            f"{{'result[0]': a['x'] * a['weight'] * np.float32({factor}), 'result[1]': a['x'] - a['weight']}}",
        ),
        "HalfStep": (["p", "g", "lr"], "{'p': a['p'] - " + ("np.float32(0.25)" if wrong else "s['lr']") + " * a['g']}"),
    }
    takes, found = results[name]
    gives = ["p"] if name == "HalfStep" else ["result[0]", "result[1]"]
    says = {**json.loads(SAYS), "rules": [name], "takes": takes, "gives": gives}
    words = [sys.executable, "-c", f"input()\n{COMPUTING.format(says=json.dumps(says), results=found)}"]
    told = judge(words, "--as", f"{file}:{name}", "--steps", "3", "--no-shrink", "--no-explain")
    assert told.exit_code == int(wrong), told.output
    verdict = json.loads(told.stdout)
    assert verdict["counts"]
    assert "another setting" in verdict["situations"] or wrong


def test_a_kind_that_programs_are_not_asked_to_be_is_refused() -> None:
    with pytest.raises(
        CandidateError, match="of kind mask-update; programs are asked to be of kind optimizer, quantizer"
    ):
        program.function(python(""), LotteryTicket())


def test_what_takes_more_than_there_is_is_refused() -> None:
    says = '{"refgrad":1,"rules":["Magnitude"],"dtypes":["float32"],"takes":["w","gradients"],"gives":["mask"]}'
    with pytest.raises(CandidateError, match=r"takes 'gradients', which Magnitude\(\) does not have.*; legal: w, "):
        program.function(python(f"print('{says}', flush=True); input()"), Magnitude())


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("-DNO_DECAY",)], ids=["right", "wrong"])
def test_a_shared_library_is_judged(options: tuple[str, ...]) -> None:
    asked = shared_library.function(library(*options), "adamw", SIGNATURE)
    verdict = judged(asked, inputs=few(), explain=False)
    assert bool(verdict.total.outside) is bool(options), str(verdict)


@pytest.mark.slow
def test_the_line_that_gives_a_verdict_again_is_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    made: Any = refgrad.verify(AdamW(), AdamW(), steps=1, seed=5)
    monkeypatch.setattr(refgrad, "verify", lambda *a, **k: made)
    words = ["a program", "--as", "AdamW", "lr=0.1", "--arg", "it's", "--steps", "3", "--no-shrink", "--json"]
    found = CliRunner().invoke(programs.judge, [*words, "--secret-seed"], standalone_mode=False)
    line = json.loads(found.output)["reproduce"]
    assert shlex.split(line) == [
        *("refgrad", "judge", "a program", "--as", "AdamW", "lr=0.1", "--arg", "it's", "--steps", "3", "--seed", "5")
    ]
    words = ["./lib.so:f", "--as", "AdamW", "--signature", "p*,g,n", "--no-isolate", "--dtype", "float64", "--json"]
    found = CliRunner().invoke(judging.verify, words, standalone_mode=False)
    assert json.loads(found.output)["reproduce"] == (
        "refgrad verify ./lib.so:f --as AdamW --dtype float64 --seed 5 --no-isolate --signature 'p*,g,n'"
    )


@pytest.mark.thorough
def test_a_program_that_hangs_is_ended_in_a_process_of_its_own() -> None:
    given = {"command": python(f"print('{SAYS}', flush=True); import time; time.sleep(600)"), "rule": AdamW()}
    recipe = Recipe(program.__name__, "", "function", given, lambda: None)
    verdict = refgrad.verify(recipe, AdamW(), steps=1, time_limit=1.0, isolate="fresh")
    assert [f.kind for f in verdict.faults] == ["hung"]


def python(code: str) -> list[str]:
    """A subject in Python: what follows a first line of input that is read."""
    return [sys.executable, "-S", "-c", f"input()\n{code}"]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("print('nonsense')", r"wrote b'nonsense'; legal: a JSON object in a line of UTF-8 for each line[^;]*$"),
        (f"print('\\ufeff{SAYS}')", r"wrote b'\\xef\\xbb\\xbf"),
        (f"print('{SAYS}'[:-1] + ',\"takes\":[\"p\"]}}')", "wrote 'takes' twice in one object; legal"),
        ('print(\'{"refused":"no"}\')', "refuses to be AdamW: no"),
        ("print('[1]')", r"wrote b'\[1\]'; legal: a JSON object"),
        ("print('{\"refgrad\":2}')", "speaks version 2"),
        (f"print('{SAYS}'.replace('AdamW', 'Lion'))", "is no AdamW; it says: Lion"),
        (f"print('{SAYS}'.replace('[\"p\"]', '[]'))", "said gives"),
        ("import os; os.abort()", "SIGABRT"),
        ("raise SystemExit(3)", "exit code 3"),
    ],
    ids=[
        "no JSON",
        "mark of byte order",
        "twice",
        "refusal",
        "no object",
        "version",
        "other rule",
        "gives nothing",
        "dies",
        "ends",
    ],
)
def test_what_is_no_greeting_is_no_candidate(code: str, says: str) -> None:
    with pytest.raises(CandidateError, match=says):
        program.function(python(code), AdamW())


def test_a_program_that_drips_in_place_of_a_greeting_is_told_by_its_name_in_time() -> None:
    code = "import os, time\nwhile True: os.write(1, b' '); time.sleep(0.01)"
    with pytest.raises(CandidateError, match=r"python[\d.]* hung: no answer to hello within 0\.2 s"):
        program.function(python(code), AdamW(), 0.2)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("'{}'", "structure"),
        ('\'{"id":true,"arrays":{}}\'', "structure"),
        ('\'{"id":1,"arrays":{"p":{"shape":[2],"data":["abc","1.5"]}}}\'', "structure"),
        ('\'{"id":1,"arrays":{}}\'', "structure"),
        ('\'{"id":1,"arrays":{"p":{"shape":[3],"data":[1]}}}\'', "structure"),
        ('\'{"id":1,"arrays":{"p":{"shape":[1],"data":["x"]}}}\'', "structure"),
        ('\'{"id":1,"arrays":{"p":{"shape":[-1],"base64":"!"}}}\'', "structure"),
        ("'[' * 100000", "structure"),
        ('\'{"id":1,"refused":""}\'', "structure"),
        ('\'{"id":1,"refused":3}\'', "structure"),
        ('\'{"id":1,"refused":"no","arrays":{}}\'', "structure"),
        ('\'{"id":1,"id":1,"refused":"no"}\'', "structure"),
        ('\'{"id":1,"refused":"no"}\'', "refused"),
    ],
    ids=[
        "nothing",
        "no number of a question",
        "no hex floats",
        "no arrays",
        "other shape",
        "no number",
        "no base64",
        "nested",
        "refused without a word",
        "refused with a number",
        "arrays, and refused",
        "twice",
        "refused",
    ],
)
def test_what_is_no_answer_is_a_fault(answer: str, kind: str) -> None:
    asked = program.function(python(f"print('{SAYS}', flush=True); input(); print({answer})"), AdamW())
    with pytest.raises(CandidateFault) as caught:
        asked(p=np.ones(2, np.float32), g=np.ones(2, np.float32))
    assert caught.value.kind == kind


@pytest.mark.parametrize(("system", "bound"), [("linux", True), ("darwin", False), ("win32", False)])
def test_a_program_is_bound_to_its_parent_by_a_call_of_linux_alone(
    monkeypatch: pytest.MonkeyPatch, system: str, bound: bool
) -> None:
    def started(command: Any, **keywords: Any) -> Any:
        raise OSError(0, f"bound: {keywords['preexec_fn'] is not None}")

    monkeypatch.setattr(program_process.subprocess, "Popen", started)
    monkeypatch.setattr(sys, "platform", system)
    with pytest.raises(CandidateError, match=f"cannot be started: bound: {bound}"):
        program.function(["a program"], AdamW())


@pytest.mark.parametrize(("possible", "isolate"), [(True, hosting.FRESH), (False, True)], ids=["posix", "elsewhere"])
def test_the_command_asks_for_a_fresh_process_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, possible: bool, isolate: Any
) -> None:
    asked: list[Any] = []

    def verify(*thing: Any, **keywords: Any) -> Any:
        asked.append(keywords["isolate"])
        raise CandidateError("seen")

    monkeypatch.setattr(refgrad, "verify", verify)
    monkeypatch.setattr(hosting, "possible", lambda: possible)
    CliRunner().invoke(programs.judge, ["a program", "--as", "AdamW"], standalone_mode=False)
    assert asked == [isolate]


@pytest.mark.parametrize("dtype", program_arrays.WHOLE)
def test_codes_of_every_width_are_taken(dtype: str) -> None:
    answer = {"id": 1, "arrays": {"p": {"shape": [2], "dtype": dtype, "data": [0, 1]}}}
    asked = program.function(python(f"print('{SAYS}', flush=True); input(); print('{json.dumps(answer)}')"), AdamW())
    found = asked(p=np.ones(2, np.float32), g=np.ones(2, np.float32))["p"]
    assert found.dtype == np.dtype(dtype)
    assert found.tolist() == [0, 1]


@pytest.mark.parametrize("code", ["for line in sys.stdin: pass", "import time; time.sleep(600)"], ids=["ends", "stays"])
def test_a_program_that_nobody_asks_any_more_is_ended(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program_process, "GRACE", 0.1)
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def kept(*words: Any, **keywords: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*words, **keywords))
        return started[-1]

    monkeypatch.setattr(program_process.subprocess, "Popen", kept)
    asked = program.function(python(f"import sys; print('{SAYS}', flush=True)\n{code}"), AdamW())
    del asked
    gc.collect()
    assert started[0].returncode is not None


def test_a_program_that_dies_between_is_a_crash_of_that_name() -> None:
    says = SAYS.replace("{", '{"name":"mine",', 1)
    asked = program.function(python(f"print('{says}', flush=True); input(); raise SystemExit(4)"), AdamW())
    with pytest.raises(CandidateFault, match=r"^mine: .*exit code 4") as caught:
        asked(p=np.ones(2, np.float32), g=np.ones(2, np.float32))
    assert caught.value.kind == "crashed"


def test_a_line_without_an_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program_process, "LONGEST", 1000)
    with pytest.raises(CandidateError, match="more than 1000 bytes"):
        program.function(python("print('x' * 5000)"), AdamW())


@pytest.mark.slow
def test_the_command_says_what_is_wrong_with_a_program() -> None:
    words = [sys.executable, "--arg", "-c", "--arg", "input(); print('nonsense')", "--as", "AdamW"]
    found = CliRunner().invoke(programs.judge, words, standalone_mode=False)
    assert isinstance(found.exception, CandidateError)
    assert "wrote b'nonsense" in str(found.exception)


def test_a_mask_of_other_numbers_than_0_and_1_is_refused() -> None:
    said = {"refgrad": 1, "rules": ["Magnitude"], "dtypes": ["float32"], "takes": ["w"], "gives": ["mask"]}
    answers = (
        "import json, sys; n = 0\nfor line in sys.stdin:\n a = json.loads(line)['arrays']['w']; n += 1\n"
        " print(json.dumps({'id': n, 'arrays': {'mask': {'shape': a['shape'], 'data': [2] * len(a['data'])}}}), flush=True)"
    )
    asked = program.function(python(f"print({json.dumps(said)!r}, flush=True)\n{answers}"), Magnitude())
    verdict = refgrad.verify(asked, Magnitude(), explain=False, shrink=False)
    assert "values besides 0 and 1" in str(verdict)


@pytest.mark.parametrize(
    ("signature", "wrong"),
    [
        ("", "'' is no name"),
        ("g,n", r"p\* is missing"),
        ("p", r"p must be p\*, since it is written"),
        ("p,g", r"p must be p\*, since it is written"),
        ("p*,m*", "g is missing"),
        ("p*,p*,g", "p stands there twice"),
        ("p*,g,lr:quad", "'quad' of lr is none of the types int32, int64, float, double"),
        ("p*,g:float", "g is an array, which has no type of its own"),
        ("p*,m*:float,g", r"m\* is an array, which has no type of its own"),
        ("p*,g,m,v*", r"m must be m\*, since AdamW\(\) writes it"),
        ("p*,g,exp_avg", r"exp_avg must be exp_avg\*, since AdamW\(\) writes it"),
        ("p*,g*", r"g\* must be g, since it is an array that is read alone"),
        ("p*,g,n*", r"n\* must be n, since it is a whole number"),
        ("p*,g,step*", r"step\* must be step, since it is a whole number"),
        ("p*,g,lr*", "lr must be lr, since it is read alone"),
        ("p*,g,betas", r"betas is \(0.9, 0.999\), which is no one number that a C function takes"),
        ("p*,g,eps_placement", "eps_placement is 'outside', which is no one number that a C function takes"),
    ],
    ids=str,
)
def test_a_signature_that_is_none_is_refused(signature: str, wrong: str) -> None:
    with pytest.raises(ArgumentError, match=f"legal: names in the order of the C function: .*; {wrong}$"):
        shared_library.check_signature(signature, AdamW())


def test_a_signature_is_held_against_what_the_rule_is_handed() -> None:
    """Numbers of the state, inputs that are one number, and names that the user gives a value or a slot."""
    with pytest.raises(ArgumentError, match=r"mu_product is one number of the state, .*: leave it out"):
        shared_library.check_signature("p*,g,mu_product*", NAdam())
    with pytest.raises(ArgumentError, match="loss must be loss:double, since it is one number"):
        shared_library.check_signature("p*,g,loss", PolyakSGD())
    shared_library.check_signature("p*,g,loss:double", PolyakSGD())
    with pytest.raises(ArgumentError, match="'bta1' that stands for nothing in AdamW; did you mean 'beta1'") as caught:
        shared_library.check_signature("p*,g,bta1", AdamW())
    assert str(caught.value).count("legal: ") == 1
    shared_library.check_signature("p*,g,mine*,blocks:int32", AdamW(), {"blocks": 8}, {"m": "mine"})


@pytest.mark.parametrize("target", ["mine.py:adamw", "numpy:add", "package.mod:adamw"])
def test_a_signature_of_what_is_python_is_bad_input(target: str) -> None:
    found = CliRunner().invoke(main, ["verify", target, "--as", "AdamW", "--signature", SIGNATURE])
    assert found.exit_code == 64
    assert "legal: with --signature path/to/library.so:function" in found.stderr


def test_a_library_that_is_none_is_no_candidate(tmp_path: Path) -> None:
    file = tmp_path / "lib.so"
    with pytest.raises(CandidateError, match="there is no file"):
        shared_library.function(str(file), "adamw", SIGNATURE)
    file.write_bytes(b"no library")
    with pytest.raises(CandidateError, match="cannot be loaded"):
        shared_library.function(str(file), "adamw", SIGNATURE)
