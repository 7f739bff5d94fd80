"""Every kind of rule at every entry point, with a candidate that is right, one that is wrong, and some that misbehave."""

from __future__ import annotations

import copy
import functools
import json
import os
import pickle
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import refgrad
from refgrad import optimizers, quantizers, sparsity
from refgrad.candidates.frameworks import ADAPTERS
from refgrad.candidates.protocol import Observation
from refgrad.cli import main
from refgrad.errors import ArgumentError
from refgrad.kinds.table import MODULES, kind_of, kinds
from refgrad.rule import rules
from refgrad.strength import measure
from refgrad.strength.rejections import REFGRAD
from refgrad.surveys.attempts import judge
from refgrad.surveys.cell import CONFORMS, CRASHED, DIFFERS, VARIANT
from refgrad.surveys.implementations import Implementation
from refgrad.testing import check_laws, known_laws
from tests.kinds.candidates import EXAMPLES, evolved, largest, spike

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
KINDS = sorted(EXAMPLES)
#: the same where a search is run, which takes long for codes: tests/kinds/test_eight_bit.py has one at depth suite
SEARCHED = [pytest.param(kind, marks=pytest.mark.thorough) if kind == "8-bit-optimizer" else kind for kind in KINDS]
#: and for masks, whose search tests/oracle/test_identify_cases.py has at depth quick
LATER = {"mask": pytest.mark.slow, "8-bit-optimizer": pytest.mark.thorough}
IDENTIFIED = [pytest.param(kind, marks=LATER.get(kind, ())) for kind in KINDS]
MISBEHAVING = [(kind, fault) for kind in KINDS for fault in EXAMPLES[kind].misbehaving]
#: a search for codes takes seconds whatever the fault: one is run at depth suite
SEARCHED_LATER = {("8-bit-optimizer", "raised"): pytest.mark.slow, ("8-bit-optimizer", "mutated"): pytest.mark.thorough}
SEARCHED_FAULTS = [pytest.param(*pair, marks=SEARCHED_LATER.get(pair, ())) for pair in MISBEHAVING]
FEW = {"steps": 3, "time_limit": 60.0}


@pytest.fixture(autouse=True)
def _nothing_is_warned_of(recwarn: pytest.WarningsRecorder) -> Iterator[None]:
    """Whatever is driven, no entry point lets a warning through, refgrad's own or of a candidate's arithmetic."""
    yield
    assert not [f"{w.filename}:{w.lineno}: {w.message}" for w in recwarn if issubclass(w.category, RuntimeWarning)]


def test_every_kind_of_rule_is_here() -> None:
    assert set(EXAMPLES) == set(MODULES) == {cls.kind for cls in rules().values()} == {kind.name for kind in kinds()}


@pytest.mark.slow
@pytest.mark.sample(quick=2)
@pytest.mark.parametrize("kind", KINDS)
def test_verify_of_right_and_wrong(kind: str) -> None:
    example = EXAMPLES[kind]
    right = refgrad.verify(example.right, example.rule, **FEW)
    assert right.conforms, right
    wrong = refgrad.verify(example.wrong, example.rule, **FEW, explain=False)
    assert wrong.outcome == "does not conform"
    assert wrong.first is not None
    assert wrong.counterexample is not None
    assert wrong.reproduce.startswith("refgrad.verify(")
    assert json.loads(wrong.to_json())["outcome"] == "does not conform"
    check_copies(right)
    check_copies(wrong)


def check_copies(told: Any) -> None:
    """What was told can be kept, and sent to another process."""
    for again in (pickle.loads(pickle.dumps(told)), copy.deepcopy(told)):
        assert (str(again), again.to_json()) == (str(told), told.to_json())


@pytest.mark.parametrize(("kind", "fault"), MISBEHAVING)
def test_verify_of_what_misbehaves(kind: str, fault: str) -> None:
    example = EXAMPLES[kind]
    verdict = refgrad.verify(example.misbehaving[fault], example.rule, **FEW, explain=False, shrink=False)
    assert verdict.outcome == "does not conform"
    assert {f.kind for f in verdict.faults} == {fault}
    assert verdict.exit_code == 1


#: the bits of a NaN of which every processor, and NumPy, minds that it is converted; those of uint16 are bfloat16's
SIGNALLING = {
    "float32": (np.uint32, 0x7F800001),
    "float64": (np.uint64, 0x7FF0000000000001),
    "uint16": (np.uint16, 0x7F81),
}


def signalling(answer: Any) -> Any:
    """What was answered, with the bits of a signalling NaN as the last of each array of floats."""
    if isinstance(answer, dict):
        return {name: signalling(each) for name, each in answer.items()}
    if isinstance(answer, list | tuple):
        return type(answer)([signalling(each) for each in answer])
    if isinstance(answer, np.ndarray) and answer.dtype.name in SIGNALLING and answer.size:
        kind, bits = SIGNALLING[answer.dtype.name]
        found = np.array(answer)
        found.reshape(-1).view(kind)[-1:] = bits
        return found
    return answer


def answering(function: Any) -> Any:
    """A function, or several, with a signalling NaN in what is answered."""
    if isinstance(function, tuple):
        return tuple(answering(each) for each in function)

    @functools.wraps(function)
    def candidate(*args: Any, **given: Any) -> Any:
        with np.errstate(all="ignore"):  # its caller has asked NumPy to raise
            return signalling(function(*args, **given))

    return candidate


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("mask", "scaling")])  # these answer no floats
def test_any_bits_may_be_answered(kind: str) -> None:
    """Also those of which NumPy warns, or here raises, wherever they are converted."""
    example = EXAMPLES[kind]
    candidate = answering(example.right)
    with np.errstate(invalid="raise"):
        verdict = refgrad.verify(candidate, example.rule, **FEW, explain=False, shrink=False)
        reports = check_laws(candidate, example.rule, examples=2)
    assert verdict.outcome == "does not conform"
    assert verdict.first is not None
    assert not [report.message for report in reports if "invalid value" in report.message]


@pytest.mark.slow
@pytest.mark.sample(quick=2, suite=4)
@pytest.mark.parametrize("kind", IDENTIFIED)
def test_identify_of_right_and_wrong(kind: str) -> None:
    example = EXAMPLES[kind]
    right = refgrad.identify(example.right, example.rule, **FEW)
    assert right.outcome == "identified", right
    assert right.best is not None
    assert right.best.rule == str(example.rule).removesuffix("()")
    assert right.exit_code == 0
    check_copies(right)
    wrong = refgrad.identify(example.wrong, example.rule, **FEW)
    assert wrong.best is None or wrong.best.title != right.best.title


@pytest.mark.sample(suite=6)
@pytest.mark.parametrize(("kind", "fault"), SEARCHED_FAULTS)
def test_identify_of_what_misbehaves(kind: str, fault: str) -> None:
    example = EXAMPLES[kind]
    found = refgrad.identify(example.misbehaving[fault], example.rule, **FEW)
    assert fault in {f.kind for f in found.faults}
    assert (found.outcome, found.exit_code) == ("misbehaves", 1)  # one outcome for every kind
    assert fault in str(found)


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize("kind", KINDS)
def test_laws_of_right_and_wrong(kind: str) -> None:
    example = EXAMPLES[kind]
    assert len(known_laws(example.rule)) >= 2
    reports = check_laws(example.right, example.rule, examples=5)
    assert not [str(r) for r in reports if r.broken]
    assert any(r.outcome.startswith("holds") for r in reports)
    law, candidate = example.lawless
    (report,) = check_laws(candidate, example.rule, laws=[law], examples=5)
    assert report.outcome == "broken", report


@pytest.mark.sample(quick=2, suite=7)
@pytest.mark.parametrize(("kind", "fault"), [pair for pair in MISBEHAVING if pair[1] != "dtype"])
def test_laws_of_what_misbehaves(kind: str, fault: str) -> None:
    example = EXAMPLES[kind]
    broken = [r for r in check_laws(example.misbehaving[fault], example.rule, examples=3) if r.broken]
    assert broken
    assert any(fault in r.message for r in broken)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inputs", ["nonsense", 3, {"x": np.ones(3)}], ids=["text", "number", "dict"])
def test_inputs_that_are_none_are_refused_everywhere(kind: str, inputs: Any) -> None:
    example = EXAMPLES[kind]
    for ask in (refgrad.verify, refgrad.identify):
        with pytest.raises(ArgumentError, match=r"^inputs is .*legal: "):
            ask(example.right, example.rule, inputs=inputs)


@pytest.mark.sample(quick=3)
@pytest.mark.parametrize("kind", SEARCHED)
def test_inputs_of_ones_own_are_used_everywhere(kind: str) -> None:
    example, own = EXAMPLES[kind], kind_of(kind)
    made = own.generate(example.rule, 2, np.dtype(example.rule.kept_in), 7)
    chosen = made.only(0) if own.stepped else refgrad.Cases([made.arrays[0]], ["mine"])
    verdict = refgrad.verify(example.right, example.rule, inputs=chosen)
    found = refgrad.identify(example.right, example.rule, inputs=chosen)
    assert verdict.conforms, verdict
    assert verdict.steps == found.steps == (2 if own.stepped else 1)


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=4)
@pytest.mark.parametrize("kind", SEARCHED)
def test_the_command_line_takes_every_kind(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        f"from tests.kinds.candidates import EXAMPLES\nexample = EXAMPLES[{kind!r}]\n"
        "right, wrong, raising = example.right, example.wrong, example.misbehaving['raised']\n"
    )
    rule = str(EXAMPLES[kind].rule)
    run = CliRunner().invoke(main, ["verify", "mine.py:right", "--as", rule, "--steps", "2", "--json"])
    assert run.exit_code == 0, run.output
    assert json.loads(run.output)["outcome"] == "conforms"
    run = CliRunner().invoke(main, ["identify", "mine.py:right", "--as", rule, "--steps", "2", "--json"])
    assert run.exit_code == 0, run.output
    found = json.loads(run.output, parse_constant=pytest.fail)
    assert (found["outcome"], found["exit_code"]) == ("identified", 0)
    for word, faults in {"wrong": [], "raising": ["raised"]}.items():
        words = [f"mine.py:{word}", "--as", rule, "--steps", "2", "--json"]
        run = CliRunner().invoke(main, ["verify", *words, "--no-explain", "--no-shrink"])
        told = json.loads(run.output, parse_constant=pytest.fail)
        assert (run.exit_code, told["outcome"]) == (1, "does not conform"), run.output
        assert [fault["kind"] for fault in told["faults"][:1]] == faults
    run = CliRunner().invoke(main, ["identify", *words, "--no-isolate"])
    told = json.loads(run.output, parse_constant=pytest.fail)
    assert told["exit_code"] == run.exit_code != 0
    assert told["outcome"] not in ("identified", "ambiguous")
    assert "raised" in {fault["kind"] for fault in told["faults"]}


def test_a_kind_that_does_not_exist_is_named() -> None:
    with pytest.raises(ArgumentError, match=r"'masks'.*mask"):
        refgrad.identify(EXAMPLES["mask"].right, "masks")


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize("kind", SEARCHED)
def test_the_survey_takes_every_kind(kind: str) -> None:
    for word, outcomes in {"right": {CONFORMS}, "wrong": {DIFFERS, VARIANT}, "raising": {CRASHED}}.items():
        target = f"tests.kinds.candidates:{word}_{kind.replace('-', '_')}"
        cell = judge(Implementation(package="numpy", target=target, claim=EXAMPLES[kind].rule, steps=2), 0.0, 60.0)
        assert cell.outcome in outcomes, cell


@pytest.mark.slow
def test_the_plugin_takes_every_kind(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    pytester.makepyfile(PLUGIN)
    installed = "refgrad" in {entry.name for entry in entry_points(group="pytest11")}
    result = pytester.runpytest_subprocess("-rA", *([] if installed else ["-p", "refgrad.testing.plugin"]))
    lines = [line.split() for line in result.outlines if line.startswith(("PASSED ", "FAILED ", "ERROR "))]
    assert {words[1].rpartition("::")[2]: words[0] for words in lines} == {
        f"test_{kind.replace('-', '_')}_{word}": outcome for kind in KINDS for word, outcome in PLUGIN_OUTCOMES.items()
    }
    text = result.stdout.str()
    assert text.count("DOES NOT CONFORM") >= 2 * len(KINDS)
    assert text.count("raised: RuntimeError: out of order") + text.count("raised RuntimeError: out of order") >= len(
        KINDS
    )


PLUGIN_OUTCOMES = {"right": "PASSED", "wrong": "FAILED", "raising": "FAILED"}
PLUGIN = """
import pytest
from tests.kinds.candidates import EXAMPLES, evolved, largest, spike

for kind, example in EXAMPLES.items():
    named = {"right": example.right, "wrong": example.wrong, "raising": example.misbehaving["raised"]}
    for word, candidate in named.items():
        def returned(candidate=candidate):
            return candidate

        name = f"test_{kind.replace('-', '_')}_{word}"
        globals()[name] = pytest.mark.refgrad(example.rule, steps=2, explain=False, shrink=False)(returned)
"""


@pytest.mark.sample(suite=4)
@pytest.mark.slow
@pytest.mark.parametrize("kind", SEARCHED)
def test_strength_takes_every_kind(kind: str) -> None:
    # programs are made of a graph, which casts do not have
    rule = quantizers.Affine() if kind == "quantizer" else EXAMPLES[kind].rule
    measured = measure(rule, values=100)
    assert measured.programs.values >= 100
    assert measured.programs.outside == 0
    assert measured.mutants.made >= 1
    assert measured.mutants.rejected[REFGRAD]["all"] == measured.mutants.made, measured
    assert measured.mutants.survivors == ()


class Hidden:
    """SGD with momentum that shows no buffer."""

    name, abilities = "hidden", frozenset[str]()

    def start(self, rule: Any, params: Any) -> Any:
        self.params = [np.array(p) for p in params]
        self.buffers = [np.zeros_like(p) for p in params]
        self.rule = rule
        return self

    def step(self, grads: Any) -> None:
        lr, momentum = (np.float32(x) for x in (self.rule.lr, self.rule.momentum))
        for p, b, g in zip(self.params, self.buffers, grads, strict=True):
            b[...] = momentum * b + g
            p -= lr * b

    def observe(self) -> Any:
        return Observation(self.params, [{} for _ in self.params])


#: of every kind a rule, a candidate that leaves out one output that the rule has, and that output; or why none can
LEFT_OUT: dict[str, tuple[Any, Any, str]] = {
    "optimizer": (optimizers.SGD(lr=0.1, momentum=0.9), Hidden(), "buffer"),
    "quantizer": (quantizers.Affine(), lambda x: {"codes": quantizers.Affine().quantize(x).arrays["codes"]}, "scale"),
    "mask": (sparsity.Magnitude(), largest, "scores"),
    "mask-update": (sparsity.SET(tails="together"), lambda w, mask, u, zeta: evolved(w, mask, u, zeta)[0], "w"),
    "scaling": (optimizers.RegimeAdaptation(), lambda batch: optimizers.RegimeAdaptation().rate(batch), "epochs"),
}
REQUIRED = {"transform", "8-bit-optimizer", "estimator"}


def test_every_kind_has_an_output_that_may_be_left_out_or_none() -> None:
    assert {*LEFT_OUT} | REQUIRED == set(MODULES)
    assert not {*LEFT_OUT} & REQUIRED


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize("kind", LEFT_OUT)
def test_an_output_that_is_not_shown_is_named_in_the_first_lines(kind: str) -> None:
    rule, candidate, missing = LEFT_OUT[kind]
    verdict = refgrad.verify(candidate, rule, **FEW)
    assert verdict.conforms, verdict
    first = verdict.unexercised[0]
    assert missing in first.partition(":")[0].split(", ")
    assert "the candidate does not show" in first
    heads = [section.partition("\n")[0] for section in str(verdict).split("\n\n")]
    assert heads[1 : heads.index("Elements")][-1] == "Not exercised"


@pytest.mark.sample(suite=1)
@pytest.mark.slow
@pytest.mark.parametrize("framework", ["none", "torch", "optax"])
def test_a_candidate_of_another_kind_is_told_how_to_say_so(monkeypatch: pytest.MonkeyPatch, framework: str) -> None:
    """Whatever is loaded: by a framework's adapter a function may be taken for one that returns an optimizer."""
    loaded = {} if framework == "none" else {framework: pytest.importorskip(framework)}
    for name in ADAPTERS["optimizer"]:
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name, module in loaded.items():
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(refgrad.CandidateError, match=r"--kind says so: .*quantizer"):
        refgrad.identify(spike, **FEW)
    with pytest.raises(refgrad.CandidateError, match="there is no module") as caught:
        refgrad.identify("no_such_module:x", **FEW)
    assert "--kind" not in str(caught.value)


@pytest.mark.slow
def test_a_file_that_cannot_be_imported_is_of_no_other_kind(tmp_path: Path) -> None:
    """Whatever its error says: what tells the two apart is no matter of words."""
    file = tmp_path / "raises.py"
    file.write_text("raise ValueError('building x: 0 is not legal: 1')", encoding="utf-8")
    for isolate in (False, True):
        with pytest.raises(refgrad.CandidateError, match="is not legal: 1") as caught:
            refgrad.identify(f"{file}:x", isolate=isolate, **FEW)
        assert "--kind" not in str(caught.value)


def test_a_target_of_8_bits_keeps_its_string() -> None:
    target = "tests.kinds.candidates:right_8_bit_optimizer"
    example = EXAMPLES["8-bit-optimizer"]
    subject = kind_of(example.rule).resolve(target, example.rule, {}, None)
    assert subject.name == target


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_wrong_keeps_no_law_within_rounding(kind: str) -> None:
    """What a law compares is judged on both sides, so that what is far off is not within rounding."""
    example = EXAMPLES[kind]
    verdict = refgrad.verify(example.wrong, example.rule, **FEW, explain=False, shrink=False)
    assert not verdict.conforms
    for report in check_laws(example.wrong, example.rule, examples=3):
        assert report.outcome != "holds within rounding", report
