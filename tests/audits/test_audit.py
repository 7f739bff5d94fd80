"""Recorded steps: right ones conform in every format and dtype, planted faults are found where they are and named."""

from __future__ import annotations

import json
import os
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import refgrad
from refgrad.audits import judging, recorded
from refgrad.audits.causes import Sample
from refgrad.audits.explaining import Explainer, Own
from refgrad.audits.found import Audit, WrongStepError
from refgrad.audits.naming import Names
from refgrad.audits.stored import RecordError
from refgrad.cli import main
from refgrad.errors import ArgumentError
from refgrad.optimizers import LAMB, SGD, Adafactor, Adam, AdamW, Lion, Muon, NAdam, Stored
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.hypotheses.changes import Change
from refgrad.report import document
from tests.audits.steps import BFLOAT16, Step

FORMATS = [".safetensors", ".safetensors.index.json", ".npz", ".packed.npz"]


def meanings(found: Audit) -> dict[str, str]:
    """The first explanation of each tensor that is wrong."""
    return {t.name: t.meanings[0].name if t.meanings else "" for t in found.wrong}


@pytest.fixture(scope="module")
def right() -> Step:
    return Step()


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_right_step_conforms_in_every_format(right: Step, tmp_path: Path, suffix: str) -> None:
    found = refgrad.audit(AdamW(lr=0.01), **right.write(tmp_path, suffix))
    assert found.outcome == "conforms", str(found)
    assert found.exit_code == 0
    assert {t.name: t.step for t in found.tensors} == dict.fromkeys(right.p, 5)
    assert all(c.inside == c.total == sum(a.size for a in right.p.values()) for c in found.counts.values())
    assert list(found.counts) == ["p", "m", "v"]


@pytest.mark.parametrize(
    ("rule", "dtype"),
    [
        pytest.param(AdamW(), BFLOAT16, id="AdamW-bfloat16"),
        pytest.param(Stored(inner=AdamW(), states="float32", compensation="master"), BFLOAT16, id="master-weights"),
        pytest.param(SGD(lr=0.1, momentum=0.9), np.float64, id="SGD-float64"),
        pytest.param(Lion(), np.float32, id="Lion"),
        pytest.param(LAMB(), np.float32, id="LAMB"),
        pytest.param(Adafactor(), np.float32, id="Adafactor"),
        pytest.param(NAdam(), np.float32, id="NAdam-a-number-in-its-state"),
    ],
)
def test_rules_and_dtypes(rule: Any, dtype: Any, tmp_path: Path) -> None:
    found = Step(rule, 3, dtype).audit(tmp_path)
    assert found.outcome == "conforms", str(found)


def test_the_first_step_needs_no_state_before(tmp_path: Path) -> None:
    step = Step(t=1)
    step.state = {}
    assert step.audit(tmp_path).conforms


def test_chunks_say_what_the_whole_says(right: Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = Step()
    right.new["first.weight"][3, 4] += 1
    right.new_state["first.weight"]["v"][20, 8] *= 2
    whole = right.audit(tmp_path, explain=False).to_dict()
    monkeypatch.setattr(judging, "CHUNK", 50)
    assert right.audit(tmp_path, explain=False).to_dict() == whole
    first = {n: o["place"] for n, o in whole["tensors"][0]["first"].items()}
    assert first == {"p": 3 * 9 + 4, "v": 20 * 9 + 8}


def eps_inside(step: Step) -> None:
    step.step("second.weight", AdamW(lr=0.01, eps=1e-2, eps_placement="inside"))


def no_decay(step: Step) -> None:
    for name in ("first.bias", "scale"):
        step.step(name, AdamW(lr=0.01, eps=1e-2, weight_decay=0.0))


def twice(step: Step) -> None:
    name = "first.weight"
    state = {**step.new_state[name], "t": step.state[name]["t"] + 1}
    p, state = step.rule.step(step.new[name], step.g[name], state, backend="numpy")
    step.new[name], step.new_state[name] = p, {**state, "t": step.t}


def left_out(step: Step) -> None:
    name = "first.weight"
    step.new[name] = step.p[name]
    step.new_state[name] = {**step.state[name], "t": step.t}


def swapped(step: Step) -> None:
    one, other = "first.weight", "second.weight"
    step.new[one], step.new[other] = step.new[other], step.new[one]
    step.new_state[one], step.new_state[other] = step.new_state[other], step.new_state[one]


def half_gradient(step: Step) -> None:
    recorded = step.g["first.bias"]
    step.g["first.bias"] = recorded * np.float32(0.3)
    step.step("first.bias")
    step.g["first.bias"] = recorded


def other_count(step: Step) -> None:
    name = "first.bias"
    p, state = step.rule.step(step.p[name], step.g[name], {**step.state[name], "t": 0}, backend="numpy")
    step.new[name], step.new_state[name] = p, {**state, "t": step.t}


def with_gradient(step: Step, name: str, given: np.ndarray) -> None:
    """The step of a parameter is taken with another gradient than the one that is recorded."""
    recorded, step.g[name] = step.g[name], given
    step.step(name)
    step.g[name] = recorded


def turned(step: Step) -> None:
    with_gradient(step, "first.bias", -step.g["first.bias"])


def no_gradient(step: Step) -> None:
    with_gradient(step, "first.bias", np.zeros_like(step.g["first.bias"]))


def quarter_gradient(step: Step) -> None:
    with_gradient(step, "first.bias", step.g["first.bias"] * np.float32(0.25))


def swapped_gradients(step: Step) -> None:
    one, other = (step.g[name] for name in ("first.weight", "second.weight"))
    with_gradient(step, "first.weight", other)
    with_gradient(step, "second.weight", one)


def old_parameter(step: Step) -> None:
    step.new["first.bias"] = step.p["first.bias"]


def old_state(step: Step) -> None:
    step.new_state["first.bias"] = {**step.state["first.bias"], "t": step.t}


PLANTED = [
    pytest.param(turned, {"first.bias": "gradient turned"}, id="turned"),
    pytest.param(no_gradient, {"first.bias": "no gradient"}, id="no-gradient"),
    pytest.param(quarter_gradient, {"first.bias": "gradient times 0.25"}, id="quarter"),
    pytest.param(
        swapped_gradients, dict.fromkeys(("first.weight", "second.weight"), "gradients swapped"), id="swapped-gradients"
    ),
    pytest.param(old_parameter, {"first.bias": "parameter not updated"}, id="old-parameter"),
    pytest.param(old_state, {"first.bias": "state not updated"}, id="old-state"),
    pytest.param(eps_inside, {"second.weight": "eps_placement=inside"}, id="eps"),
    pytest.param(no_decay, {"first.bias": "weight_decay=0", "scale": None}, id="decay"),
    pytest.param(twice, {"first.weight": "stepped twice"}, id="twice"),
    pytest.param(left_out, {"first.weight": "not updated"}, id="left-out"),
    pytest.param(swapped, {"first.weight": "swapped", "second.weight": "swapped"}, id="swapped"),
    pytest.param(half_gradient, {"first.bias": "gradient times 0.3"}, id="gradient"),
    pytest.param(other_count, {"first.bias": "step=1"}, id="count"),
]


@pytest.mark.parametrize(("fault", "named"), PLANTED)
def test_a_planted_fault_is_found_and_named(fault: Any, named: dict[str, str | None], tmp_path: Path) -> None:
    step = Step(AdamW(lr=0.01, eps=1e-2))
    fault(step)
    found = step.audit(tmp_path)
    assert found.exit_code == 1
    told = meanings(found)
    assert told.keys() == named.keys()
    assert {n: told[n] for n, name in named.items() if name} == {n: name for n, name in named.items() if name}, str(
        found
    )


@pytest.mark.slow
def test_what_fits_as_simply_is_told_of_every_tensor(tmp_path: Path) -> None:
    """Also of those that are explained by what explained one before them."""
    decayed = {"lr": 0.01, "weight_decay": 0.1}
    found = Step(AdamW(**decayed), shapes={"a": (24, 9), "b": (24, 9)}).audit(tmp_path, Adam(**decayed))
    assert [t.name for t in found.wrong] == ["a", "b"]
    for tensor in found.wrong:
        assert "AdamW(lr=0.01, weight_decay=0.1)" in {m.name for m in tensor.meanings}, str(found)
        assert all("it is explained as well by" in m.doubt for m in tensor.meanings)


def test_what_has_far_wider_sets_is_no_fact(tmp_path: Path) -> None:
    rule, names = Muon(lr=0.01), Names()
    moments = recorded.read(*Step(rule, shapes={"w": (12, 8)}).write(tmp_path).values(), rule, names)
    leaf = recorded.put_together(moments, rule, names, None).leaves[0]
    sample, explainer = Sample.of(leaf, np.arange(96), Policy()), Explainer(Policy(), 1.0)
    control = Own(explainer.screen(sample, sample.own()), sample)
    assert control.doubt(Change("", "", rule={"momentum": 0.9})) == ""
    doubt = control.doubt(Change("", "", rule={"momentum": 0.9, "ns_steps": 9}))
    assert re.fullmatch(r"its acceptance sets are \d{4,} times as wide as those of Muon\(lr=0.01\)", doubt), doubt


def test_bfloat16_that_is_cut_is_named(tmp_path: Path) -> None:
    step = Step(AdamW(lr=0.1), dtype=BFLOAT16)
    wide = AdamW(lr=0.1).step(
        step.p["first.weight"].astype(np.float32),
        step.g["first.weight"].astype(np.float32),
        {n: v if n == "t" else v.astype(np.float32) for n, v in step.state["first.weight"].items()},
    )[0]
    step.new["first.weight"] = (wide.view(np.uint32) >> 16).astype(np.uint16).view(BFLOAT16)
    found = step.audit(tmp_path)
    assert meanings(found) == {"first.weight": "truncated"}, str(found)


def test_a_shard_that_was_not_updated(right: Step, tmp_path: Path) -> None:
    paths = right.write(tmp_path, ".safetensors.index.json")
    (tmp_path / "after-0.safetensors").write_bytes((tmp_path / "before-0.safetensors").read_bytes())
    found = refgrad.audit(right.rule, **paths)
    assert found.exit_code == 1
    assert found.faults, "the counts of that shard stand still"
    assert set(meanings(found).values()) & {"not updated", "parameter not updated", "state not updated"}


def test_state_that_is_gone_after_the_step_is_not_called_right(tmp_path: Path) -> None:
    step = Step()
    del step.new_state["first.bias"]["m"], step.new_state["scale"]["v"]
    found = step.audit(tmp_path)
    assert (found.exit_code, found.faults, found.wrong) == (2, (), ())
    lines = str(found).splitlines()
    assert lines[0].startswith("COULD NOT BE JUDGED")
    assert lines[2].strip() == found.notes[0]
    assert found.notes[0].endswith("does not have it: m of 'first.bias', v of 'scale'")
    step.new["first.bias"] = step.new["first.bias"] + np.float32(1)
    assert step.audit(tmp_path, explain=False).exit_code == 1


def test_counts_of_steps(tmp_path: Path) -> None:
    step = Step()
    step.new_state["scale"]["t"] = 9
    found = step.audit(tmp_path)
    assert found.faults == ("the count of steps goes from 4 to 9 (of 'scale'); legal: 5",)
    assert found.exit_code == 1


def test_what_has_no_gradient_stays(right: Step, tmp_path: Path) -> None:
    step = Step()
    paths = step.write(tmp_path)
    del step.g["scale"]
    step.write(tmp_path)
    found = refgrad.audit(step.rule, **paths)
    assert found.faults == ("'scale' has no gradient, and changed",)
    step.new["scale"], step.new_state["scale"] = step.p["scale"], step.state["scale"]
    assert step.audit(tmp_path).conforms


def test_what_no_optimizer_keeps_may_change_and_arrays_in_one_checkpoint_alone_are_told(tmp_path: Path) -> None:
    """Such as statistics of a layer; NaN that stays NaN is the same."""
    step, nan = Step(SGD(), 1, shapes={"w": (3,)}), np.float32([np.nan, 1])
    step.p |= {"running": np.zeros(2, np.float32), "still": nan, "old": nan}
    step.new |= {"running": np.ones(2, np.float32), "still": -nan * np.float32([1, -1]), "new": nan}
    found = step.audit(tmp_path)
    assert found.conforms, str(found)
    assert "changed without a gradient, and kept by no optimizer (statistics, perhaps): running" in found.notes
    assert "1 of 2 arrays without a gradient are as they were" in found.notes
    assert [note for note in found.notes if "alone" in note] == [
        f"{name!r} is in one of the checkpoints alone" for name in ("old", "new")
    ]


def test_arrays_that_cannot_be_of_one_step_are_named(tmp_path: Path) -> None:
    for alter, words in (
        (lambda step: step.new.update(more=np.zeros(3, np.float32)), "'more' has shape (2,) before and (3,) after"),
        (lambda step: step.g.update(scale=np.zeros(2, np.float32)), "g of 'scale' the gradient has shape (2,)"),
        (lambda step: step.g.update({"first.bias": np.zeros(24, np.int32)}), "dtype int32; legal: a float dtype"),
        (
            lambda step: step.state.update({"scale": {"t": 4}}),
            "before has no m of 'scale', and step 5 is not the first",
        ),
        (lambda step: step.state["scale"].update(mu_product=np.zeros(2)), "that is one number has shape (2,)"),
    ):
        step = Step(NAdam())
        step.p["more"] = np.zeros(2, np.float32)
        step.new["more"] = step.p["more"]
        alter(step)
        with pytest.raises(RecordError, match=re.escape(words)):
            step.audit(tmp_path)


def test_a_step_that_nothing_tells_is_asked_for_and_one_that_is_stated_must_be_it(tmp_path: Path) -> None:
    step = Step()
    assert step.audit(tmp_path, step=5).conforms
    found = step.audit(tmp_path, step=7, explain=False)
    assert found.faults == ("the count of steps after it is 5 (of 'first.weight' and 3 others), and --step is 7",)
    for states in (step.state, step.new_state):
        for state in states.values():
            del state["t"]
    with pytest.raises(RecordError, match=r"nothing says which step of 'first.weight' it is; legal: .* or --step"):
        step.audit(tmp_path)
    assert {tensor.step for tensor in step.audit(tmp_path, step=5).tensors} == {5}


def test_a_report_of_many_tensors_shows_some_and_names_others(tmp_path: Path) -> None:
    names = [f"w{number:02}" for number in range(50)]
    step = Step(SGD(), 1, shapes=dict.fromkeys(names, (2,)))
    step.new = {name: p + 1 for name, p in step.new.items()}
    found = step.audit(tmp_path, explain=False)
    text = str(found)
    assert text.count(": 2 of 2 values outside") == 8
    assert "no known departure explains it" in text
    lines = [line.strip() for line in text.splitlines()]
    others = " ".join(lines[lines.index("Further tensors with values outside") + 1 :])
    assert others.startswith("w08, w09, ")
    assert "w39 ..." in others
    assert "the 40 with the largest errors, of 50" in text


def test_a_search_that_fails_costs_the_explanation_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Step()
    step.new["scale"] = step.new["scale"] + np.float32(1)
    monkeypatch.setattr(Explainer, "_meanings", lambda *_: 1 // 0)
    found = step.audit(tmp_path)
    assert found.exit_code == 1
    assert "the search for what it is instead failed with ZeroDivisionError" in str(found)
    monkeypatch.undo()
    monkeypatch.setattr("refgrad.audits.explaining.WHOLE", 0)  # of what is searched as a whole
    step = Step(LAMB(), 2, shapes={"w": (4, 3)})
    step.new["w"] = step.new["w"] + np.float32(1)
    assert [tensor.meanings for tensor in step.audit(tmp_path).wrong] == [()]


def test_nan_and_other_hyperparameters(right: Step, tmp_path: Path) -> None:
    found = right.audit(tmp_path, AdamW(lr=0.02))
    assert set(meanings(found).values()) == {"lr=0.01"}
    step = Step()
    step.new["first.bias"][2] = np.nan
    assert [t.name for t in step.audit(tmp_path, explain=False).wrong] == ["first.bias"]
    with pytest.raises(WrongStepError, match=r"first\.bias: "):
        step.audit(tmp_path, explain=False).raise_if_wrong()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"step": 0}, "step is 0"),
        ({"step": 10**400}, "step is 1000"),
        ({"explain": "x"}, "explain is 'x'"),
        ({"before": "nowhere.npz"}, "which is not there"),
        ({"before": []}, "before is"),
        ({"log": 3}, "log is 3"),
        ({"map": {"x": 1}}, "map"),
        ({"rule": refgrad.quantizers.Affine()}, "legal: an optimizer"),
        ({"rule": Stored(inner=SGD(), rounding="stochastic")}, "takes bits"),
    ],
)
def test_arguments(right: Step, tmp_path: Path, options: Any, words: str) -> None:
    given = {"rule": right.rule, **right.write(tmp_path), **options}
    with pytest.raises(ArgumentError, match=words):
        refgrad.audit(given.pop("rule"), **given)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with a name")
@pytest.mark.parametrize("name", ["map", "log", "before", "grads"])
def test_a_pipe_is_refused_at_once(right: Step, tmp_path: Path, name: str) -> None:
    files = right.write(tmp_path)
    os.mkfifo(tmp_path / "pipe.pt")
    given = {"rule": right.rule, **files, name: tmp_path / "pipe.pt"}
    with pytest.raises(ArgumentError, match=r"pipe\.pt"):
        refgrad.audit(given.pop("rule"), **given)
    options = [f"--{name}"] if name in ("map", "log") else []
    line = ["audit", *(word for n, p in files.items() for word in (f"--{n}", str(p))), "--as", "AdamW", "lr=0.01"]
    told = CliRunner().invoke(main, [*line, *(options or ["--html"]), str(tmp_path / "pipe.pt")])
    assert told.exit_code == 64
    assert told.output.count("Error") == 1


def test_the_command(tmp_path: Path) -> None:
    step = Step()
    step.new["scale"] = step.new["scale"] + np.float32(1)
    paths = {n: str(p) for n, p in step.write(tmp_path).items()}
    line = ["audit", *(word for n, p in paths.items() for word in (f"--{n}", p)), "--as", "AdamW", "lr=0.01"]
    page = tmp_path / "audit.html"
    told = CliRunner().invoke(main, [*line, "--html", str(page)])
    assert told.exit_code == 1
    assert told.stdout.startswith("DOES NOT CONFORM: the recorded step is not AdamW(lr=0.01)\n1 of 4 tensors")
    assert "scale" in page.read_text()
    as_json = CliRunner().invoke(main, [*line, "--json", "--no-explain"])
    found = json.loads(as_json.stdout)
    pytest.importorskip("jsonschema").validate(found, json.loads(document.schema()))
    assert (found["schema"], found["exit_code"], len(found["tensors"])) == ("refgrad-audit-1", 1, 4)
    missing = CliRunner().invoke(main, [*line, "--map", "none.toml", "--json"])
    assert (missing.exit_code, json.loads(missing.stdout)["schema"]) == (64, "refgrad-error-1")


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "CHUNK", 1 << 12)
    peaks = []
    for size in (1 << 13, 10 << 13):
        step = Step(SGD(lr=0.5, momentum=0.9), 2, shapes={"w": (size,)})
        paths = step.write(tmp_path)
        del step
        tracemalloc.start()
        assert refgrad.audit(SGD(lr=0.5, momentum=0.9), **paths).conforms
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
