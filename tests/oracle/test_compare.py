"""Two versions of an implementation held against each other: every kind of rule, and what a change is called."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import refgrad
from refgrad.cli import main
from refgrad.errors import ArgumentError, CandidateError
from refgrad.examples import formulas
from refgrad.examples.numpy_adamw import adamw, adamw_eps_inside
from refgrad.optimizers import SGD, AdamW
from refgrad.oracle.difference import SAME
from refgrad.report import document
from tests.kinds.candidates import EXAMPLES
from tests.oracle import versions
from tests.oracle.versions import VERSIONS

FEW: dict[str, Any] = {"steps": 3, "explain": False, "shrink": False}
KINDS = sorted(EXAMPLES)
HERE = f"{versions.__name__}:"
RMSNORM = formulas.rmsnorm()


def check_told(found: refgrad.Comparison) -> None:
    """What is told can be kept and sent, and is what the schema says."""
    for again in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        assert (str(again), again.to_json()) == (str(found), found.to_json())
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator(json.loads(document.schema())).validate(json.loads(found.to_json()))
    assert found.outcome.upper() in found._repr_html_()


@pytest.mark.slow
@pytest.mark.sample(quick=3, suite=3)
@pytest.mark.parametrize("kind", KINDS)
def test_a_version_has_the_bits_of_itself(kind: str) -> None:
    example = EXAMPLES[kind]
    found = refgrad.compare(example.right, example.right, example.rule, **FEW)
    assert (found.outcome, found.changed, found.exit_code) == (SAME, 0, 0)
    assert found.compared > 20
    assert found.first is found.largest is None
    assert not found.uncompared
    check_told(found)


@pytest.mark.slow
@pytest.mark.sample(quick=3, suite=3)
@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_version_no_longer_conforms(kind: str) -> None:
    example = EXAMPLES[kind]
    found = refgrad.compare(example.right, example.wrong, example.rule, **FEW)
    assert (found.outcome, found.exit_code) == ("no longer conforms", 1)
    assert (found.old.outcome, found.new.outcome) == ("conforms", "does not conform")
    assert found.first is not None
    assert any(each.outcome == "worse" and each.new_outside > each.old_outside for each in found.outputs.values())
    check_told(found)


@pytest.mark.slow
@pytest.mark.sample(quick=3, suite=3)
@pytest.mark.parametrize("kind", KINDS)
def test_a_version_that_raises_no_longer_conforms(kind: str) -> None:
    example = EXAMPLES[kind]
    found = refgrad.compare(example.right, example.misbehaving["raised"], example.rule, **FEW)
    assert (found.outcome, found.changed, found.exit_code) == ("no longer conforms", 0, 1)
    assert "out of order" in str(found)
    assert "the old one alone has been judged on" in str(found)
    back = refgrad.compare(example.misbehaving["raised"], example.right, example.rule, **FEW)
    assert (back.outcome, back.exit_code) == ("now conforms", 0)


@pytest.mark.slow
@pytest.mark.sample(quick=3, suite=2)
@pytest.mark.parametrize("kind", VERSIONS)
def test_a_version_that_is_farther_from_the_truth_and_conforms(kind: str) -> None:
    of = VERSIONS[kind]
    words = ["worse", "better"] if kind != "scaling" else ["as good"] * 2  # one number in float64, as the truth is
    for (old, new), word in zip([(of.near, of.far), (of.far, of.near)], words, strict=True):
        found = refgrad.compare(old, new, of.rule, **FEW)
        assert (found.outcome, found.exit_code) == (word, 0)
        changed = found.outputs[of.output]
        assert changed.outcome == word
        assert changed.changed > 10
        assert changed.new_outside == changed.old_outside == 0
        assert {each.outcome for name, each in found.outputs.items() if name != of.output} <= {SAME}
        assert found.first is not None
        assert found.largest is not None
        assert found.largest.apart == changed.apart
        check_told(found)


@pytest.mark.slow
def test_a_change_is_named_by_what_the_new_one_is_instead() -> None:
    found = refgrad.compare(versions.rmsnorm, versions.rmsnorm_beside, RMSNORM)
    assert found.outcome == "no longer conforms"
    assert found.change[0].startswith("the new one: agrees with rmsnorm() in which the number is added beside the root")
    mended = refgrad.compare(versions.rmsnorm_beside, versions.rmsnorm, RMSNORM)
    assert mended.outcome == "now conforms"
    assert mended.change[0].startswith(
        "the old one: agrees with rmsnorm() in which the number is added beside the root"
    )
    rule = AdamW(eps=1e-3)
    found = refgrad.compare(adamw, adamw_eps_inside, rule, steps=3)
    assert "(eps_placement=inside)" in found.change[0]
    assert found.outputs["m"].outcome == found.outputs["v"].outcome == SAME
    assert found.notes == ("each goes on from its own state, which is another one from step 1 on",)


@pytest.mark.slow
def test_both_wrong_is_told_and_explained_once() -> None:
    found = refgrad.compare(versions.rmsnorm_beside, versions.rmsnorm_beside, RMSNORM, shrink=False)
    assert (found.outcome, found.exit_code, found.change) == (SAME, 1, ())
    assert str(found).startswith("SAME BITS, and neither conforms")
    assert not found.old.departures
    assert found.new.explanation is not None


@pytest.mark.slow
def test_what_programs_do_within_what_is_allowed_is_named() -> None:
    # of equal numbers each step errs to the same side, while the sum stays below the next power of two
    equal = {"x": np.full((1, 65_537), 0.1, np.float32), "weight": np.ones(65_537, np.float32)}
    found = refgrad.compare(versions.rmsnorm_in_turn, versions.rmsnorm, RMSNORM, inputs=refgrad.Cases([equal]))
    assert found.outcome == "better"
    assert any("the old one adds up in longer runs than" in line for line in found.change)
    found = refgrad.compare(versions.rmsnorm, versions.rmsnorm_wide, RMSNORM)
    assert found.outcome == "better"
    assert any("the new one may compute in a wider format: 100.00%" in line for line in found.change)
    assert found.outputs["result"].farther == 0
    assert refgrad.compare(versions.rmsnorm, versions.rmsnorm_wide, RMSNORM, explain=False).change == ()


def test_what_is_farther_in_bfloat16_is_seen_too() -> None:
    def cut(x: Any, weight: Any, eps: float) -> Any:
        wide = versions.rmsnorm(x.astype(np.float32), weight.astype(np.float32), eps)
        return (wide.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32).astype(x.dtype)

    def rounded(x: Any, weight: Any, eps: float) -> Any:
        return versions.rmsnorm(x.astype(np.float32), weight.astype(np.float32), eps).astype(x.dtype)

    found = refgrad.compare(rounded, cut, RMSNORM, dtype="bfloat16", **FEW)
    assert found.outputs["result"].outcome == "worse"


@pytest.mark.slow
def test_in_float64_the_truth_does_not_tell_which_is_nearer() -> None:
    def reciprocal(x: Any, weight: Any, eps: float) -> Any:
        return x * (1 / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps)) * weight

    found = refgrad.compare(versions.rmsnorm_wide, reciprocal, RMSNORM, dtype="float64", **FEW)
    assert found.outcome == "as good"
    assert any("known in float64" in note for note in found.notes)


def test_what_only_one_takes_is_not_compared() -> None:
    def whole_rows(x: Any, weight: Any, eps: float) -> Any:
        if not x.size or x.shape[0] % 3:
            raise ValueError("three rows at a time")
        return versions.rmsnorm(x, weight, eps)

    one = refgrad.Cases.of("float32", x=[[1.0, 2.0]] * 3, weight=[1.0, 1.0])
    found = refgrad.compare(versions.rmsnorm, whole_rows, RMSNORM, inputs=one, **FEW)
    assert (found.outcome, found.compared, found.uncompared) == (SAME, 6, ())


@pytest.mark.slow
def test_the_inputs_are_one_for_both() -> None:
    made = []

    def inputs(seed: int) -> refgrad.Cases:
        made.append(seed)
        return refgrad.Cases.of("float32", x=[[float(seed % 7), 2.0]], weight=[1.0, 1.0])

    found = refgrad.compare(versions.rmsnorm, versions.rmsnorm, RMSNORM, inputs=inputs, seed=None, **FEW)
    assert len(made) == 1
    assert found.old.counts == found.new.counts
    drawn = refgrad.compare(versions.downhill, versions.downhill, SGD(), seed=None, steps=1, explain=False)
    assert drawn.outcome == SAME
    assert drawn.old.seed == drawn.new.seed != 0


@pytest.mark.slow
def test_the_line_gives_the_comparison_again() -> None:
    found = refgrad.compare(f"{HERE}rmsnorm", f"{HERE}rmsnorm_off", RMSNORM, policy={"subnormals": "either"}, **FEW)
    again = eval(found.reproduce, {"refgrad": refgrad})
    assert found.reproduce.startswith(f"refgrad.compare('{HERE}rmsnorm', '{HERE}rmsnorm_off', ")
    assert again.outputs == found.outputs
    shown = refgrad.compare(lambda x, weight, eps: versions.rmsnorm(x, weight, eps), versions.rmsnorm, RMSNORM, **FEW)
    assert shown.reproduce.startswith("refgrad.compare(old, ")


def test_a_text_that_names_nothing_is_told_by_the_version() -> None:
    rule = refgrad.optimizers.SGD()
    for name, old, new in (("old", "3", rule), ("new", rule, "")):
        with pytest.raises(CandidateError, match=f"{name} is '"):
            refgrad.compare(old, new, rule)


def test_bad_arguments_are_refused() -> None:
    for wrong in ({"steps": 0}, {"seed": -1}, {"explain": -1.0}, {"isolate": "never"}, {"inputs": 3}, {"shrink": 2}):
        with pytest.raises(ArgumentError):
            refgrad.compare(versions.rmsnorm, versions.rmsnorm, RMSNORM, **wrong)


#: a kernel that ends its process
DIES = """
import os


def rmsnorm(x, weight, eps):
    os.abort()
"""


@pytest.mark.slow
def test_a_version_that_ends_its_process(tmp_path: Path) -> None:
    place = tmp_path / "dies.py"
    place.write_text(DIES)
    found = refgrad.compare(f"{HERE}rmsnorm", f"{place}:rmsnorm", RMSNORM, isolate=True, **FEW)
    assert (found.outcome, found.exit_code, found.new.faults[0].kind) == ("no longer conforms", 1, "crashed")
    assert found.reproduce.endswith(", isolate=True)")
    assert found.old.isolation == found.new.isolation == "in a process of its own"


@pytest.mark.slow
def test_the_command_line(tmp_path: Path) -> None:
    words = ["compare", f"{HERE}rmsnorm", f"{HERE}rmsnorm_beside", "--as", "refgrad.examples.formulas:rmsnorm"]
    few = ["--no-isolate", "--no-shrink", "--no-explain", "--steps", "3"]
    run = CliRunner()
    shown = run.invoke(main, [*words, *few])
    assert shown.exit_code == 1
    assert shown.stdout.startswith("NO LONGER CONFORMS: ")
    told = run.invoke(main, [*words, *few, "--json"])
    assert (told.exit_code, json.loads(told.stdout)["outcome"]) == (1, "no longer conforms")
    assert run.invoke(main, [*words, *few, "--quiet"]).stdout == ""
    for wrong in (["compare", "a", "b"], [*words, "--json", "--quiet"], [*words[:2], "b", *words[3:]]):
        assert run.invoke(main, wrong).exit_code == 64
