"""The peers' own data and code beside refgrad, and the ledger: nothing differs but what it names, and all that it names does."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import pytest

from tests.depth import at_depth
from tests.peers import golden_cases, keras_tests, ledger, onnx_nodes, torch_settings
from tests.peers.ledger import Row


def needs(*modules: str) -> pytest.MarkDecorator:
    """A mark that skips a test where a module is not installed."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} is not installed (tox -e peers has it)")


def row(**changes: str) -> Row:
    """A row of a package that there is not."""
    told = {"implementation": "made-up", "version": "1.2", "case": "test_a", "departure": "p outside"}
    told |= {"reason": "it is made up", "right": "both"}
    return Row(**{**told, **changes}, flags=())  # type: ignore[arg-type]


def test_the_ledger_is_whole() -> None:
    rows = ledger.rows()
    assert all(each.right in ledger.RIGHT and each.reason and each.departure for each in rows)
    keys = [(each.implementation, each.version, each.case) for each in rows]
    assert len(set(keys)) == len(keys)


def test_what_is_not_as_the_ledger_says_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "rows", lambda: (row(), row(version="1.10", departure="m outside")))
    assert ledger.errors("made-up", {"test_a": "m outside", "test_b": ""}) == []  # the last version's row
    assert "no longer happens" in ledger.errors("made-up", {"test_a": ""})[0]
    assert "stands in no row" in ledger.errors("made-up", {"test_b": "p outside"})[0]
    assert "ledger.toml says 'm outside'" in ledger.errors("made-up", {"test_a": "p outside"})[0]
    assert ledger.expected("made-up", "1.2")["test_a"].departure == "p outside"


@pytest.mark.slow
@needs("onnx")
def test_onnx_node_tests() -> None:
    ran, unasked = {}, []
    for node in onnx_nodes.nodes():
        try:
            ran[node.name] = onnx_nodes.differing(node)
        except onnx_nodes.Unasked:
            unasked.append(node.name)
    assert ledger.errors("onnx", ran) == []
    assert len(ran) > 50
    assert {node.operator for node in onnx_nodes.nodes() if node.name in ran} == set(onnx_nodes.OPERATORS)
    # casts between integers, and between the dtypes that are worked in
    assert all(name.startswith("test_cast_") and ("INT" in name or "DOUBLE" in name) for name in unasked)


@pytest.mark.slow
@needs("keras", "absl", "torch")
@pytest.mark.skipif(os.environ.get("KERAS_BACKEND", "torch") != "torch", reason="Keras runs on another backend")
@pytest.mark.filterwarnings("ignore")
def test_keras_tests_pass_on_refgrads_rules() -> None:
    ran = {told.name: keras_tests.differing(told) for told in keras_tests.tests()}
    assert ledger.errors("keras", ran) == []
    assert len(ran) >= 3 * len(keras_tests.RULES)


@pytest.mark.slow
@needs("keras", "absl", "torch")
def test_keras_tests_fail_on_another_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = {**keras_tests.RULES, "Adagrad": keras_tests.RULES["Lion"]}
    monkeypatch.setattr(keras_tests, "RULES", rules)
    told = next(each for each in keras_tests.tests() if each.name == "adagrad_test.test_correctness_with_golden")
    assert "Mismatched elements" in keras_tests.differing(told)


@pytest.mark.thorough  # a verdict a setting
@needs("torch", "expecttest")
@pytest.mark.filterwarnings("ignore")
def test_every_setting_of_torchs_database() -> None:
    ran = {each.name: torch_settings.differing(each) for each in torch_settings.settings()}
    assert ledger.errors("torch settings", ran) == []
    assert len(ran) > 60
    known = {each.optimizer for each in torch_settings.settings()}
    assert known == set(torch_settings.RULES)


def asked(package: str) -> list[Any]:
    """The golden cases of a package, at depth suite a few of optax, which compiles each."""
    every = list(golden_cases.asked(package)) if importlib.util.find_spec(package) else []
    return every if package == "torch" else every[: at_depth(quick=2, suite=3, thorough=len(every))]


@pytest.mark.slow
@pytest.mark.parametrize("package", ["torch", "optax"])
@pytest.mark.filterwarnings("ignore")
def test_golden_cases(package: str) -> None:
    """What the ledger names is right by the sets of its flags, so that these are the reason."""
    pytest.importorskip(package)
    pytest.importorskip("safetensors")
    ran, rows = {}, ledger.expected(package)
    for one in asked(package):
        try:
            ran[one.name] = golden_cases.differing(one)
        except golden_cases.Unasked:
            continue
        if one.name in rows:
            assert golden_cases.differing(one, rows[one.name].flags) == "", f"{one.name}: its flags are not all"
    assert ledger.errors(package, ran) == []
    assert len(ran) >= at_depth(quick=2, suite=3, thorough=20)
