"""Names: torch's numbers, optax' paths, groups with hyperparameters, files of names; what cannot be told is not guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.audits import safetensors_file
from refgrad.audits.naming import Names, bare, checkpoint, words
from refgrad.audits.record_files import GROUPS
from refgrad.audits.stored import Contents, RecordError, Stored
from refgrad.errors import ArgumentError
from refgrad.optimizers import AdamW
from tests.audits.steps import Step, written

RULE = AdamW()


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return Step().write(tmp_path_factory.mktemp("right"))


def contents(*keys: str, ordered: bool = False, **more: Any) -> Contents:
    one = lambda key: Stored((2,), np.dtype(np.float32), lambda a, b: np.arange(a, b, dtype=np.float32), key)  # noqa: E731
    return Contents({key: one(key) for key in keys}, ordered=ordered, **more)


@pytest.mark.parametrize(
    "keys",
    [
        ["a.kernel", "b.kernel", "state/a.kernel/exp_avg", "state/a.kernel/exp_avg_sq", "state/b.kernel/exp_avg"],
        [
            "params/a/kernel",
            "params/b/kernel",
            "opt_state/0/mu/a/kernel",
            "opt_state/0/nu/a/kernel",
            "opt_state/0/mu/b/kernel",
        ],
        [
            "['a']['kernel']",
            "['b']['kernel']",
            "state[0].mu['a']['kernel']",
            "state[0].nu['a']['kernel']",
            "state[0].mu['b']['kernel']",
        ],
        [
            "model.a.kernel",
            "model.b.kernel",
            "optim.state.a.kernel.m",
            "optim.state.a.kernel.v",
            "optim.state.b.kernel.m",
        ],
    ],
    ids=["torch", "optax", "keystr", "dotted"],
)
def test_states_by_the_names_of_parameters(keys: list[str]) -> None:
    found = checkpoint(contents(*keys), RULE, Names())
    assert list(found.params) == ["a.kernel", "b.kernel"]
    assert {n: sorted(s) for n, s in found.state.items()} == {"a.kernel": ["m", "v"], "b.kernel": ["m"]}


def test_a_parameter_may_be_called_as_a_slot() -> None:
    found = checkpoint(contents("attention.v.weight", "attention.m.weight", "mu.attention.v.weight"), RULE, Names())
    assert list(found.params) == ["attention.v.weight", "attention.m.weight"]
    assert list(found.state) == ["attention.v.weight"]
    assert bare(words("module._orig_mod.w.grad")) == ("w",)


OPTIMIZER = {
    "state": {0: {"step": 4.0}, 1: {"step": 4.0}},
    "param_groups": [{"lr": 0.1, "betas": (0.8, 0.9), "params": [0]}, {"lr": 0.2, "params": [1]}],
}


def test_torch_numbers() -> None:
    one = {**OPTIMIZER, "param_groups": [{"lr": 0.1, "params": [0, 1]}]}
    found = checkpoint(contents("w", "b", ordered=True, optimizers=(one,)), RULE, Names())
    assert (found.steps, found.groups["b"]["lr"]) == ({"w": 4, "b": 4}, 0.1)
    for given, words_ in (
        (contents("w", "b", optimizers=(one,)), "not in the model's order"),
        (contents("w", "b", ordered=True, optimizers=(OPTIMIZER,)), "several groups"),
        (contents("w", ordered=True, optimizers=(one,)), "numbers 2 parameters, and there are 1"),
    ):
        with pytest.raises(RecordError, match=words_):
            checkpoint(given, RULE, Names())
    found = checkpoint(contents("w", "b", optimizers=(OPTIMIZER,)), RULE, Names(order=("b", "w")))
    assert {n: g["lr"] for n, g in found.groups.items()} == {"b": 0.1, "w": 0.2}


@pytest.mark.parametrize(
    ("given", "words_"),
    [
        ({"orders": []}, "orders"),
        ({"order": "w"}, "order"),
        ({"names": {"a": 1}}, "names"),
        ({"state": {"q": "exp"}}, "map.*has 'q'"),
        ({"groups": [{"lr": 1.0}]}, "groups"),
        ("gone.toml", "map is 'gone.toml', which is not there; legal"),
        (3, "map is"),
    ],
)
def test_a_map_that_is_wrong(given: Any, words_: str) -> None:
    with pytest.raises(ArgumentError, match=words_):
        Names.of(given, RULE)


def test_groups_of_a_map_and_of_torch(tmp_path: Path) -> None:
    step = Step()
    for name in ("first.bias", "scale"):
        step.step(name, AdamW(lr=0.01, weight_decay=0.0))
    paths = step.write(tmp_path)
    (tmp_path / "names.toml").write_text('[[groups]]\nparameters = ["*.bias", "scale"]\nwd = 0.0\n')
    assert refgrad.audit(step.rule, **paths, explain=False).exit_code == 1
    found = refgrad.audit(step.rule, **paths, map=tmp_path / "names.toml")
    assert found.conforms, str(found)
    assert {t.name for t in found.tensors if "weight_decay=0" in t.rule} == {"first.bias", "scale"}
    lines = [line.strip() for line in str(found).splitlines()]
    assert lines[0] == "CONFORMS: the recorded step is AdamW(lr=0.01), with the settings of 2 groups"
    judged = lines[lines.index("Judged as") + 1 :][:2]
    assert judged == [
        "AdamW(lr=0.01): first.weight, second.weight",
        "AdamW(lr=0.01, weight_decay=0.0): first.bias, scale",
    ]
    with pytest.raises(ArgumentError, match=r"groups.*'lrate'"):
        refgrad.audit(step.rule, **paths, map={"groups": [{"parameters": ["*"], "lrate": 1.0}]})


@pytest.mark.parametrize(
    ("given", "words_"),
    [
        ({"names": {"first.wieght": "w"}}, r"map\['names'\] has 'first.wieght'.*did you mean 'first.weight'"),
        ({"state": {"m": "momentum"}}, r"map\['state'\] says m = 'momentum', which no state has"),
        ({"order": ["first.weight", "third"]}, r"map\['order'\] has 'third', which is no parameter"),
        (
            {"groups": [{"parameters": ["scale", "*.biass"]}]},
            r"map\['groups'\] has the pattern '\*\.biass'.*legal: first",
        ),
    ],
)
def test_a_map_of_what_is_not_there(given: Any, words_: str, right: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=words_):
        refgrad.audit(RULE, **right, map=given)
    with pytest.raises(ArgumentError, match=words_):
        refgrad.audit(RULE, before=right["before"], after=right["after"], map=given)


def test_names_that_differ(tmp_path: Path) -> None:
    step = Step()
    paths = step.write(tmp_path)
    written(paths["grads"], {f"gradient of {name}": g for name, g in step.g.items()})
    with pytest.raises(RecordError, match="has a gradient and is no parameter before; did you mean"):
        refgrad.audit(step.rule, **paths)
    names = {f"gradient of {name}": name for name in step.g}
    assert refgrad.audit(step.rule, **paths, map={"names": names}).conforms
    for moment in ("before", "after"):
        written(paths[moment], step.flat(moment, "{slot}_of/{name}"))
    step.write(tmp_path)
    for moment in ("before", "after"):
        arrays = {n.replace("/m", "/first").replace("/v", "/second"): a for n, a in step.flat(moment).items()}
        safetensors_file.write(str(paths[moment]), arrays)
    with pytest.raises(RecordError, match=r"before has no m of .* and step 5 is not the first"):
        refgrad.audit(step.rule, **paths)
    assert refgrad.audit(step.rule, **paths, map={"state": {"m": "first", "v": "second"}}).conforms


def test_shapes_that_do_not_fit(tmp_path: Path) -> None:
    step = Step()
    step.g["scale"] = np.zeros(2, np.float32)
    with pytest.raises(RecordError, match="g of 'scale' the gradient has shape"):
        step.audit(tmp_path)
    step = Step()
    for state in step.state.values():
        del state["t"]
    for state in step.new_state.values():
        del state["t"]
    with pytest.raises(RecordError, match="nothing says which step"):
        step.audit(tmp_path)
    assert step.audit(tmp_path, step=5).conforms
    found = Step().audit(tmp_path, step=7, explain=False)
    assert found.faults == ("the count of steps after it is 5 (of 'first.weight' and 3 others), and --step is 7",)
    assert step.audit(tmp_path, step=1, explain=False).exit_code == 1


@pytest.mark.parametrize("metadata", ["{", "3", "[3]", '[{"lr": 1}]', '[{"parameters": [3]}]', "[" * 100_000])
def test_groups_that_nobody_recorded_are_refused(metadata: str) -> None:
    with pytest.raises(RecordError, match=r"is not what refgrad\.record writes"):
        checkpoint(contents("w", metadata={GROUPS: metadata}), RULE, Names())


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (contents("w", "a.b", "a/b"), r"'a.b' and 'a/b' are both 'a.b'"),
        (contents("w", "state/w/exp_avg", "state/w/m"), "has its m twice"),
        (
            contents(
                "w",
                optimizers=(
                    {"param_groups": [{"params": [0], "param_names": ["w"]}], "state": {0: {"m": 1, "mu": 2}}},
                ),
            ),
            "has its m twice",
        ),
        (
            contents(
                "w",
                optimizers=(
                    {
                        "param_groups": [{"params": [0, "0"], "param_names": ["w", "model.w"]}],
                        "state": {0: {"exp_avg": 1}, "0": {"exp_avg_sq": 2}},
                    },
                ),
            ),
            "two states of 'w', as 0 and '0'",
        ),
    ],
    ids=["parameters", "slots", "words", "numbers"],
)
def test_what_two_names_say_is_not_dropped(found: Contents, words: str) -> None:
    with pytest.raises(RecordError, match=words):
        checkpoint(found, RULE, Names())
