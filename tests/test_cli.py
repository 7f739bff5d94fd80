from __future__ import annotations

import errno
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import refgrad
from refgrad.cli import main, output
from refgrad.cli.completion import rule_names
from refgrad.cli.output import UnwrittenError
from refgrad.examples import demo as demonstration
from refgrad.rule import rules
from refgrad.testing.reports import LawReport

ADAMW = "refgrad.examples.numpy_adamw:adamw"
WRONG = "refgrad.examples.numpy_adamw:adamw_eps_inside"

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    return lambda *args: CliRunner().invoke(main, list(args))


@pytest.fixture(autouse=True)
def no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing says how wide the terminal is."""
    monkeypatch.delenv("COLUMNS", raising=False)


def refgrad_command(*args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "refgrad", *args], capture_output=True, text=True, cwd=cwd, check=False
    )


@pytest.mark.slow
def test_verify_says_that_the_right_one_is_right(run: Run) -> None:
    result = run("verify", ADAMW, "--as", "AdamW", "lr=0.01", "--steps", "3", "--seed", "5")
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"CONFORMS: {ADAMW} is AdamW(lr=0.01)\n")
    assert "3 steps, float32, seed 5" in result.output


@pytest.mark.slow
def test_verify_says_that_the_wrong_one_is_wrong_and_why(run: Run) -> None:
    result = run("verify", WRONG, "--as", "AdamW", "--steps", "3")
    assert result.exit_code == 1, result.output
    assert result.output.startswith(f"DOES NOT CONFORM: {WRONG} is not AdamW()\n")
    assert "First finding" in result.output
    assert "Reproduce" in result.output


@pytest.mark.slow
def test_identify_names_what_it_is(run: Run) -> None:
    """As text; as JSON every kind's command line has it (tests/kinds/test_every_kind.py)."""
    result = run("identify", WRONG, "--as", "AdamW", "--steps", "3")
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"IDENTIFIED: {WRONG} is AdamW(eps_placement='inside')\n")


@pytest.mark.slow
def test_identify_takes_a_kind(run: Run, tmp_path: Any) -> None:
    lines = [
        "import numpy as np",
        "",
        "",
        "def mask(w):",
        "    order = np.argsort(np.abs(w), axis=None, kind='stable')",
    ]
    lines += [
        "    kept = np.ones(w.size, bool)",
        "    kept[order[: round(w.size / 2)]] = False",
        "    return kept.reshape(w.shape)",
    ]
    (tmp_path / "half.py").write_text("\n".join([*lines, ""]))
    target = f"{tmp_path / 'half.py'}:mask"
    result = run("identify", target, "--kind", "mask")
    assert result.exit_code == 0, result.output
    assert "is Magnitude" in result.output
    wrong = run("identify", target, "--kind", "masks")
    assert wrong.exit_code == 64
    assert "did you mean 'mask'" in wrong.stderr
    assert "'quantizer'" in wrong.stderr
    both = run("identify", target, "--kind", "mask", "--as", "Magnitude")
    assert both.exit_code == 64
    assert "--as Magnitude" in both.stderr


def test_identify_takes_hyperparameters_of_a_rule_alone(run: Run) -> None:
    result = run("identify", WRONG, "lr=0.01")
    assert result.exit_code == 64 or "without --as RULE" in str(result.exception)


@pytest.mark.slow
def test_verify_as_json_is_the_verdict(run: Run) -> None:
    result = run(
        "verify", WRONG, "--as", "AdamW", "--steps", "2", "--json", "--no-shrink", "--policy", "subnormals=either"
    )
    data = json.loads(result.stdout, parse_constant=pytest.fail)
    assert (result.exit_code, data["exit_code"], data["outcome"]) == (1, 1, "does not conform")
    assert data["policy"]["subnormals"] == "either"
    assert data["counts"]["p"]["outside"] > 0
    assert data["counterexample"] is None


def test_commands_that_judge_take_the_same_options() -> None:
    told = {
        name: {each.name: each for each in main.commands[name].params}
        for name in ("verify", "identify", "judge", "compare")
    }
    for name in ("steps", "dtype", "seed", "policy", "time_limit", "as_json"):
        assert len({str(each[name].to_info_dict()) for each in told.values()}) == 1, name
    for name in ("secret_seed", "no_shrink", "no_explain"):
        assert told["verify"][name].to_info_dict() == told["judge"][name].to_info_dict()
        assert told["verify"][name].to_info_dict() == told["compare"][name].to_info_dict()


def test_the_command_line_reaches_verify(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    called: dict[str, Any] = {}

    class Verdict:
        exit_code = 2

        def __str__(self) -> str:
            return "shown"

    def verify(target: str, rule: Any, **keywords: Any) -> Verdict:
        called.update(target=target, rule=rule, **keywords)
        return Verdict()

    monkeypatch.setattr(refgrad, "verify", verify, raising=False)
    words = "verify a:b --as AdamW beta1=0.5 scalars=float32 --set fused=true --set name=x --policy roundings=5"
    result = run(*words.split(), "--state", "m=my_buffer", "--dtype", "float64", "--no-shrink")
    assert (result.exit_code, result.output) == (2, "shown\n")
    assert called == {
        "target": "a:b",
        "rule": refgrad.optimizers.AdamW(beta1=0.5, scalars="float32"),
        "steps": 10,
        "dtype": "float64",
        "seed": 0,
        "policy": {"roundings": 5},
        "options": {"fused": True, "name": "x"},
        "state_names": {"m": "my_buffer"},
        "shrink": False,
        "explain": True,
        "time_limit": 60.0,
        "device": None,
        "isolate": True,
    }


@pytest.mark.sample(quick=2, suite=16)
@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("verify a:b --as AdmW", 64, "no rule is called 'AdmW'; did you mean 'AdamW'?"),
        ("verify a:b --as AdamW bta1=0.5", 64, "AdamW has no 'bta1'; did you mean 'beta1'?"),
        ("verify a:b --as AdamW lr=fast", 64, "AdamW.lr is 'fast'; legal: a number in"),
        ("verify a:b --as AdamW lr=true", 64, "AdamW.lr is 'true'; legal: a number in"),
        ("verify a:b --as AdamW lr", 64, "HYPER=VALUE is 'lr'; legal: name=value, such as lr=0.01"),
        ("verify a:b --as AdamW lr=1 lr=2", 64, "gives 'lr' twice"),
        ("verify a:b --as AdamW scalars=float31", 64, "did you mean 'float3"),
        ("verify a:b --as AdamW --set fused", 64, "--set is 'fused'; legal: name=value"),
        (f"verify {ADAMW} --as AdamW --time-limit 0", 64, "time_limit is 0.0; legal: a positive number of seconds"),
        ("verify a:b", 64, "Missing option '--as'. legal: --as RULE; `refgrad list`"),
        ("verify mine.py:fused_adamw", 64, "it may be --as AdamW"),
        ("verify a:b --as AdamW betas=0.9", 64, "betas is '0.9'; legal: a tuple of beta1 and beta2"),
        ("verify a:b --as AdamW learning_rate=1 lr=2", 64, "lr=2 says 'lr' again"),
        ("verify a:b --as AdamW --stps 3", 64, "No such option"),
        ("verify a:b --as AdamW --steps 0", 64, "Invalid value for '--steps'"),
        ("verfy", 64, "no command 'verfy'; did you mean 'verify'?"),
        ("show AdmW", 64, "did you mean 'AdamW'?"),
        (
            "show AdamW --source numba --dtype float33",
            64,
            "--dtype is 'float33'; legal: a float dtype, such as 'float32'",
        ),
        (
            f"verify {ADAMW} --as AdamW --policy subnormal=keep",
            64,
            "Policy has no 'subnormal'; did you mean 'subnormals'?",
        ),
        (f"verify {ADAMW} --as AdamW --dtype float33", 64, "float33"),
        ("verify c.py --as AdamW", 64, "target is 'c.py'; legal: 'package.module:name' or 'path/to/file.py:name'"),
        ("verify torch.optim.AdamW --as AdamW", 64, "did you mean 'torch.optim:AdamW'?"),
        ("identify c.py", 64, "target is 'c.py'"),
        ("verify nowhere_at_all:b --as AdamW", 2, "there is no module 'nowhere_at_all'"),
        (f"verify {ADAMW}_ --as AdamW", 2, "did you mean 'adamw'?"),
        (f"verify {ADAMW} --as AdamW --set fusd=true", 2, "takes no option 'fusd'"),
        ("verify a:b --as Lookahead inner=AdmW", 64, "did you mean 'AdamW'?"),
        (f"verify {ADAMW} --as AdamW --state m", 64, "--state is 'm'; legal: name=value"),
        (f"verify {ADAMW} --as AdamW --state q=m", 64, "AdamW() has no state 'q'; legal: m, v"),
        (f"verify {ADAMW} --as AdamW --state m=momentum", 2, "has no such state"),
        ("golden frob", 64, "no command 'frob'; legal: diff, lint, make, show, verify"),
        ("golden lint --at nowhere_at_all", 64, "--at is 'nowhere_at_all'; legal: a folder of golden files"),
        ("golden verify --at nowhere_at_all", 64, "--at is 'nowhere_at_all'; legal: a folder of golden files"),
        ("golden make mine.py", 64, "the rule is 'mine.py'; legal: a rule of the file, as mine.py:NAME"),
        ("show mine.py:", 64, "the rule is 'mine.py:'; legal: a rule of the file, as mine.py:NAME"),
        ("judge tests --as AdamW", 2, "cannot be started: "),
        (f"identify {ADAMW} --kind masks", 64, "--kind is 'masks'; legal: 'optimizer', '8-bit-optimizer'"),
        (f"verify {ADAMW} --as Affine --no-isolate", 2, "do not fit the rule: adamw() missing"),
    ],
)
def test_errors_name_what_is_legal(run: Run, words: str, code: int, message: str) -> None:
    result = run(*words.split())
    assert message in result.stderr
    assert result.exit_code == code
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


#: rules of a file, and what is no rule there
OF_A_FILE = """
import numpy as np
import refgrad
from refgrad.optimizers import SGD


@refgrad.formula(x="feature")
def doubled_feature(x):
    return x + x


def bare(x):
    return x + x


class Uncited(SGD):
    pass
"""


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nope", "; legal: doubled_feature, Uncited; a class of a rule, or a function with @refgrad.formula("),
        ("bare", ": the function of that name lacks @refgrad.formula; legal: doubled_feature, Uncited; "),
        ("np", ": what is called so is a module; legal: doubled_feature, Uncited; "),
        ("doubled_featre", "; did you mean 'rules_in_a_file:doubled_feature'?; legal: "),
    ],
)
@pytest.mark.parametrize(
    "words",
    [("show",), ("golden", "make"), ("identify", ADAMW, "--as"), ("judge", "x", "--as")],
    ids=lambda words: words[0],
)
def test_what_is_no_rule_of_a_file_is_said_with_the_file(
    words: tuple[str, ...], name: str, says: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rules_in_a_file.py"
    file.write_text(OF_A_FILE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, file.stem, raising=False)
    found = run(*words, f"{file}:{name}")
    assert found.exit_code == 64
    assert f"'rules_in_a_file' ({file}) has no rule {name!r}{says}" in found.stderr


def test_a_module_is_not_meant_by_a_word_like_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "k.py").write_text("import numpy as np\n\n\ndef step(p, g):\n    return p - g\n")
    found = run("verify", f"{tmp_path / 'k.py'}:n", "--as", "SGD", "--no-isolate")
    assert (found.exit_code, "did you mean" in found.stderr) == (2, False)
    found = run("verify", f"{tmp_path / 'k.py'}:stp", "--as", "SGD", "--no-isolate")
    assert "did you mean 'step'?" in found.stderr


def test_an_error_of_refgrads_own_is_no_verdict(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refgrad, "verify", lambda *args, **keywords: 1 / 0, raising=False)
    result = run("verify", "a:b", "--as", "AdamW")
    assert result.exit_code == 70
    assert "ZeroDivisionError" in result.stderr


def test_list_has_every_rule_within_80_columns(run: Run) -> None:
    lines = run("list").output.splitlines()
    assert set(rules()) <= {line.split()[0] for line in lines if line}
    assert max(map(len, lines)) <= 80
    assert any("arXiv:1711.05101" in line for line in lines)


def test_list_takes_words_a_kind_and_a_package(run: Run) -> None:
    assert [
        line.split()[0] for line in run("list", "--kind", "optimizer", "lion").output.splitlines() if line[2:3] != " "
    ] == [
        "optimizer",
        "CautiousLion",
        "Lion",
    ]
    assert "  Lion " in run("list", "--package", "lion-pytorch").output
    refused = run("list", "--package", "toorch")
    assert (refused.exit_code, "did you mean 'torch'" in refused.stderr) == (64, True)


def test_doctor_finds_nothing_amiss(run: Run) -> None:
    result = run("doctor")
    assert result.exit_code == 0, result.output
    assert f"refgrad {refgrad.__version__}" in result.output
    assert re.search(r"environment +standard", result.output)


def test_the_version_alone_loads_nothing() -> None:
    code = (
        "import sys; sys.argv = ['refgrad', '--version']\n"
        "import refgrad.__main__; refgrad.__main__.main()\n"
        "print(sorted({'click', 'rich', 'importlib.metadata', 'numpy', 'refgrad.cli'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == f"refgrad, version {refgrad.__version__}\n[]\n"


def completed(words: str) -> list[str]:
    """What a shell offers for the last of some words."""
    asked = {"_REFGRAD_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    code = (
        "import sys, refgrad.__main__\n"
        "try: refgrad.__main__.main()\n"
        "finally: print(sorted({'numpy', 'rich', 'refgrad.rule'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**os.environ, **asked}
    )
    *offered, loaded = found.stdout.splitlines()
    assert (found.returncode, found.stderr, loaded) == (0, "", "[]")
    return [line.removeprefix("plain,") for line in offered]


def test_a_shell_is_offered_commands_options_and_rules() -> None:
    assert completed("refgrad sh") == ["show"]
    assert completed("refgrad verify a:b --pol") == ["--policy"]
    assert completed("refgrad verify a:b --as cautiousl") == ["CautiousLion"]
    assert set(rule_names()) == set(rules())


def test_help_and_version_load_no_rule_and_no_numpy() -> None:
    code = "import sys, refgrad.cli; print(sorted({'numpy', 'numba', 'scipy', 'refgrad.rule'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("command", ["verify", "identify", "compare", "survey", "list", "show"])
def test_help_has_examples_of_its_own_command(run: Run, command: str) -> None:
    shown = run(command, "--help").output
    examples = [line.split() for line in shown.partition("Examples:\n")[2].splitlines() if "refgrad " in line[:12]]
    assert {words[1] for words in examples} == {command}
    assert max(map(len, shown.splitlines())) <= 80


def test_help_shows_examples(run: Run) -> None:
    assert "refgrad verify torch.optim:AdamW --as AdamW" in run("--help").output


def test_hyperparameters_may_be_written_as_frameworks_do(run: Run) -> None:
    written = run("show", "AdamW", "betas=(0.5, 0.75)", "learning_rate=0.25", "epsilon=1").output
    assert written.startswith("AdamW(lr=0.25, beta1=0.5, beta2=0.75, eps=1.0)\n")


def test_nothing_is_left_where_a_survey_is_run(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REFGRAD_CACHE_DIR", str(tmp_path / "cache"))
    logs: list[str] = []
    monkeypatch.setattr("refgrad.surveys.run.survey", lambda *names, log, **others: logs.append(log))
    monkeypatch.setattr("refgrad.surveys.survey_text.render", lambda found, width: "")
    assert run("survey").exit_code == 0
    assert logs == [str(tmp_path / "cache" / "survey.jsonl")]
    assert list(tmp_path.iterdir()) == [tmp_path / "cache"]


@pytest.mark.slow
def test_laws_are_reported_and_count(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("hypothesis", reason="Hypothesis is not installed")
    target = tmp_path / "mine.py"
    target.write_text("def step(p, g, lr):\n    return p - p.dtype.type(lr) * abs(g)\n")
    result = run(
        "verify", f"{target}:step", "--as", "SGD", "--steps", "3", "--laws", "--no-shrink", "--no-explain", "--json"
    )
    laws = {report["law"]: report["outcome"] for report in json.loads(result.stdout)["laws"]}
    assert result.exit_code == 1
    assert (laws["odd"], laws["permutation"]) == ("broken", "holds")


@pytest.mark.slow
@pytest.mark.sample(quick=1)
@pytest.mark.parametrize(("outcome", "code"), [("broken", 1), ("holds", 0), ("does not apply", 0)])
def test_a_broken_law_counts_where_the_verdict_conforms(
    outcome: str, code: int, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = LawReport("odd", "minus the gradient gives minus the step", outcome)
    monkeypatch.setattr("refgrad.cli.judging._laws", lambda *given, **more: [report])
    result = run("verify", ADAMW, "--as", "AdamW", "--steps", "2", "--laws")
    assert result.exit_code == code
    assert result.output.startswith("CONFORMS")
    assert str(report) in result.output


def test_show_says_what_is_chosen_and_what_the_source_leaves_open(run: Run) -> None:
    shown = run("show", "AdamW").output
    assert "eps_placement=outside" in shown.partition("Named behaviours")[2].partition("Variants")[0]
    assert "; not read at these settings" in shown
    assert "not read at these settings" not in run("show", "AdamW", "decay=independent").output
    assert " ".join(rules()["Wanda"].unspecified.split())[:60] in " ".join(run("show", "Wanda").output.split())


def test_show_says_what_was_read(run: Run) -> None:
    assert "read: authors' code (google/automl" in run("show", "Lion").output
    told = json.loads(run("show", "ScheduleFreeAdamW", "correction=rate", "--json").output)
    assert told["rule"] == "ScheduleFreeAdamW(correction='rate')"
    assert told["citation"]["read"] == "authors' code"
    assert told["citation"]["not_read"] == "the publication's own text"
    assert told["behaviours"]["correction"]["rate"]["sources"][0]["kind"] == "the paper as reported"
    assert "the paper as reported" in run("show", "ScheduleFreeAdamW", "correction=rate").output
    assert set(told["default_reasons"]) == {"correction"}


def test_show_has_all_that_a_rule_is(run: Run) -> None:
    shown = run("show", "AdamW", "lr=0.5").output
    assert shown.startswith("AdamW(lr=0.5)\n  Loshchilov & Hutter 2019")
    for piece in ("v' = beta2 v + (1 - beta2) g^2", "m  an array like the parameter", "scalars=float32  "):
        assert piece in shown
    assert re.search(r"lr +0.5 +\S0, inf\)", shown)


def test_show_latex_and_kernel(run: Run) -> None:
    assert run("show", "AdamW", "--latex").output.startswith(r"\begin{aligned}")
    source = run("show", "AdamW", "--source", "numba").output
    assert "def " in source
    compile(source, "kernel", "exec")
    assert (
        "void AdamW_elements(int64_t n, float *p, const float *g, float *m, float *v"
        in run("show", "AdamW", "--source", "c").output
    )
    narrow = run("show", "AdamW", "--source", "cuda", "--dtype", "bfloat16").output
    assert "__global__ void AdamW_elements(int64_t n, uint16_t *p, const uint16_t *g" in narrow
    assert "--arch is 'sm_90'; legal: none without --source cuda" in run("show", "AdamW", "--arch", "sm_90").output


@pytest.mark.parametrize("name", list(rules()))
def test_every_rule_can_be_shown_within_80_columns(run: Run, name: str) -> None:
    result = run("show", name)
    assert result.exit_code == 0, result.output
    assert [line for line in result.output.splitlines() if len(line) > 80 and " " in line.strip()] == []


def test_show_says_what_others_call_a_rule_and_how_they_differ(run: Run) -> None:
    shown = run("show", "AdamW").output
    text = " ".join(shown.split())
    assert (
        "keras.optimizers.AdamW is AdamW(eps_placement='uncorrected'): eps is added to the root of the uncorrected"
        in text
    )
    assert "torch.optim.AdamW is AdamW() " in text
    names = shown.partition("Other names that are understood")[2].partition("\n\n")[0]
    assert re.search(r"  m +exp_avg, mu,", names)
    assert re.search(r"  beta1 +b1, .*betas", names)
    for rule in (
        "Affine",
        "GroupSoftThreshold",
        "ConvexReLUObjective",
    ):  # no kind of theirs is told a threshold as momentum
        assert "Other names" not in run("show", rule).output
    assert (
        "f"
        in run("show", "NeighborMixing").output.partition("Other names that are understood")[2].split("\n")[1].split()
    )


def test_columns_says_how_wide_what_is_shown_is(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for width in (60, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        for words in (("show", "AdamW"), ("list", "--kind", "mask")):
            longest = max(map(len, run(*words).output.splitlines()))
            assert width - 10 <= longest <= width


@pytest.mark.slow
def test_quiet_prints_nothing_and_searches_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for target, code in ((ADAMW, 0), (WRONG, 1)):
        result = run("verify", target, "--as", "AdamW", "--steps", "2", "--quiet")
        assert (result.exit_code, result.output) == (code, "")
    refused = run("verify", ADAMW, "--as", "AdamW", "--quiet", "--json")
    assert (refused.exit_code, "--json is given with --quiet" in refused.stderr) == (64, True)
    asked: dict[str, Any] = {}
    monkeypatch.setattr(refgrad, "verify", lambda *_, **given: asked.update(given) or 1 / 0, raising=False)
    run("verify", ADAMW, "--as", "AdamW", "-q")
    assert (asked["shrink"], asked["explain"]) == (False, False)


@pytest.mark.slow
def test_demo_without_a_framework_judges_the_examples(
    run: Run, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr("refgrad.examples.demo.find_spec", lambda name: None)
    result = run("demo")
    assert result.exit_code == 0, result.output
    assert f"judging {WRONG} ..." in result.stderr
    rows = result.stdout.splitlines()
    assert rows[0].split() == ["candidate", "outcome", "outside"]
    assert rows[1].startswith(f"{ADAMW} ")
    assert "conforms" in rows[1]
    assert "does not conform" in rows[2]
    assert result.stdout.count(f"{WRONG}: ") == 1
    assert max(map(len, rows)) <= 80
    assert not [str(w.message) for w in recwarn]  # of infinity over infinity, which the example is driven with
    assert "Warning" not in result.stderr


def test_demo_says_what_the_survey_says(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optax", reason="asks whether the two agree on optax's AdamW")
    from refgrad.surveys.attempts import judge
    from refgrad.surveys.implementations import known

    (row,) = [r for r in known() if r.target == "optax:adamw" and r.claim == refgrad.optimizers.AdamW()]
    monkeypatch.setattr(demonstration, "cases", lambda: [demonstration.Case("optax:adamw")])
    (found,) = demonstration.judged()
    cell = judge(row, 0.0, 60.0)
    assert (found.verdict.outcome, found.granted) == (cell.outcome, cell.conditions)
    assert demonstration.remarks([found]) == [
        "optax:adamw conforms given scalars=float32, subnormals=either, which the survey grants it too"
    ]


@pytest.mark.slow
def test_a_file_is_a_target_and_so_is_a_module_here(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def sgd(p, g, t, lr):\n    return p\n")
    for target in ("mine:sgd", "mine.py:sgd"):
        done = refgrad_command("verify", target, "--as", "Lion", "--steps", "1", "--no-explain", cwd=tmp_path)
        assert done.returncode == 1, done.stderr
        assert done.stdout.startswith(f"DOES NOT CONFORM: {target} is not Lion()")


@pytest.mark.slow
def test_the_command_itself() -> None:
    done = refgrad_command("verify", ADAMW, "--as", "AdamW", "--steps", "2")
    assert (done.returncode, done.stderr) == (0, "")
    done = refgrad_command()
    assert done.returncode == 64
    assert "refgrad demo" in done.stderr
    assert "Exit codes" in refgrad_command("--help").stdout
    assert refgrad_command("--version").stdout == f"refgrad, version {refgrad.__version__}\n"


@pytest.mark.slow
def test_the_command_starts_without_what_it_does_not_need() -> None:
    source = (
        "import sys, refgrad.cli\n"
        "try:\n    refgrad.cli.main(['show', 'AdamW'])\n"
        "except SystemExit:\n    pass\n"
        "print(sorted({'torch', 'jax', 'optax', 'numba', 'rich'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_command_line_reaches_compare(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    called: dict[str, Any] = {}

    class Comparison:
        exit_code = 1

        def __str__(self) -> str:
            return "shown"

        def to_json(self, indent: int) -> str:
            return json.dumps({"schema": "x"}, indent=indent)

    def compare(old: str, new: str, rule: Any, **keywords: Any) -> Comparison:
        called.update(old=old, new=new, rule=rule, **keywords)
        return Comparison()

    monkeypatch.setattr(refgrad, "compare", compare, raising=False)
    words = ("compare", "a:b", "c:d", "--as", "SGD", "lr=0.5", "--set", "fused=true", "--no-isolate", "--seed", "3")
    result = run(*words)
    assert (result.exit_code, result.output) == (1, "shown\n")
    assert called == {
        **{"old": "a:b", "new": "c:d", "rule": refgrad.optimizers.SGD(lr=0.5), "options": {"fused": True}},
        **{"isolate": False, "steps": 10, "dtype": None, "seed": 3, "policy": {}, "time_limit": 60.0},
        **{"shrink": True, "explain": True},
    }
    assert json.loads(run(*words, "--json").output) == {"schema": "x"}
    result = run(*words, "--quiet", "--secret-seed")
    assert (result.exit_code, result.output) == (1, "")
    assert (called["shrink"], called["explain"], called["seed"]) == (False, False, None)
    both = run(*words, "--quiet", "--json")
    assert (both.exit_code, "--json is given with --quiet; legal: one of them" in both.stderr) == (64, True)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), UnwrittenError),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), UnwrittenError),
        (
            OSError(errno.ENOSPC, "No space left on device", "mine.json"),
            OSError,
        ),  # a file of the user's, not the output
        (OSError(errno.EINVAL, "Invalid argument"), OSError),
    ],
    ids=str,
)
def test_output_that_cannot_be_written_is_told_from_other_errors(
    error: OSError, raised: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())  # which has no descriptor to give up
    with pytest.raises(raised) as found, output.writing():
        raise error
    assert type(found.value) is (UnwrittenError if raised is UnwrittenError else type(error))


def test_streams_that_a_caller_closed_go_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    output.flush_errors()  # nobody hears of it, and nothing is raised
    before = sys.stdin, sys.stdout
    output.open_closed()
    assert (sys.stdin, sys.stdout) == before


def test_a_place_for_a_survey_s_log_is_asked_for_where_there_is_none(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    for folder in (None, tmp_path / "file" / "cache"):
        monkeypatch.setattr("refgrad.backends.kernel_cache.folder", lambda folder=folder: folder)
        refused = run("survey")
        assert (refused.exit_code, "legal: --log FILE" in refused.stderr) == (64, True)
