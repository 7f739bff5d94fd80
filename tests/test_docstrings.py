"""Examples in docstrings run, and docstrings of the rules' foundation say what arguments are."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import refgrad

PACKAGE = Path(refgrad.__file__).parent
SOURCES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
WITH_EXAMPLES = [module for module, path in SOURCES.items() if re.search(r"^ *>>> ", path.read_text(), re.MULTILINE)]

#: modules whose public functions and methods say what each argument is, and if they have arguments, what they return
DOCUMENTED = [
    "refgrad.citation",
    "refgrad.rule",
    "refgrad.hyperparameters",
    "refgrad.state",
    "refgrad.trees",
    "refgrad.schedules",
    "refgrad.tracing",
    "refgrad.derived",
    "refgrad.rule_text",
    "refgrad.errors",
    "refgrad.optimizers.base",
    "refgrad.optimizers.leaf",
    "refgrad.optimizers.wrapper",
    "refgrad.gradients.solved",
    "refgrad.optimizers.transform",
    "refgrad.backends",
    "refgrad.arithmetic.enclosure",
    "refgrad.arithmetic.decisions",
    "refgrad.arithmetic.choices",
    "refgrad.arithmetic.running_error",
    "refgrad.arithmetic.product_error",
    "refgrad.arithmetic.hulls",
    "refgrad.arithmetic.top_k",
    "refgrad.arithmetic.working",
    "refgrad.oracle.acceptance.comparing",
    "refgrad.oracle.acceptance.judge",
    "refgrad.oracle.acceptance.judgement",
    "refgrad.oracle.acceptance.policy",
    "refgrad.oracle.inputs.cases",
    "refgrad.oracle.inputs.written",
    "refgrad.oracle.inputs.numbers",
    "refgrad.quantizers.base",
    "refgrad.gradients.complexity",
    "refgrad.estimators.base",
    "refgrad.sparsity.base",
    "refgrad.oracle.engine.verdict",
    "refgrad.oracle.identification",
    "refgrad.oracle.verify",
    "refgrad.oracle.identify",
    "refgrad.oracle.compare",
    "refgrad.oracle.difference",
    "refgrad.audits.audit",
    "refgrad.audits.recorder",
    "refgrad.surveys.run",
    "refgrad.testing.check",
    "refgrad.testing.reports",
]


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_give_what_they_say(module: str) -> None:
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted > 0
    assert found.failed == 0


def public(module: str) -> list[tuple[str, ast.FunctionDef]]:
    """Public functions, and public methods of public classes, with their names."""
    tree = ast.parse(SOURCES[module].read_text())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    owned = [(f"{owner.name}.", node) for owner in classes for node in owner.body] + [("", node) for node in tree.body]
    functions = [(owner + node.name, node) for owner, node in owned if isinstance(node, ast.FunctionDef)]
    return [(name, node) for name, node in functions if not node.name.startswith("_") or node.name == "__call__"]


def arguments(function: ast.FunctionDef) -> list[str]:
    """The names of a function's arguments, without the object or class that a method is called on."""
    given = function.args
    names = [a.arg for a in (*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg) if a]
    return [n for n in names if n not in ("self", "cls")]


@pytest.mark.parametrize(
    ("name", "function"), [pytest.param(*pair, id=f"{m}:{pair[0]}") for m in DOCUMENTED for pair in public(m)]
)
def test_every_argument_is_named(name: str, function: ast.FunctionDef) -> None:
    text = ast.get_docstring(function) or ""
    names = arguments(function)
    section = text.partition("Args:\n")[2].partition("\n\n")[0]
    told = re.findall(r"^    (\w+): \S", section, re.MULTILINE)
    assert told == names, f"{name} tells of {told}"


def silent(functions: list[tuple[str, ast.FunctionDef]]) -> list[str]:
    """Functions that have arguments and return something, and do not say what."""
    returning = [(name, f) for name, f in functions if f.returns and ast.unparse(f.returns) != "None" and arguments(f)]
    told = re.compile(r"^(Returns|Yields):\n    \S", re.MULTILINE)
    return [name for name, f in returning if not told.search(ast.get_docstring(f) or "")]


@pytest.mark.parametrize("module", DOCUMENTED)
def test_what_is_returned_is_told(module: str) -> None:
    assert silent(public(module)) == []


def test_the_check_of_returns_sees_one_that_is_left_out() -> None:
    source = 'def f(a) -> int:\n    """One line."""\ndef g(a) -> None:\n    """One line."""\n'
    functions = [(f.name, f) for f in ast.parse(source).body if isinstance(f, ast.FunctionDef)]
    assert silent(functions) == ["f"]


def test_the_check_of_arguments_sees_one_that_is_left_out() -> None:
    source = 'def f(a, *, b):\n    """One line.\n\n    Args:\n        a: one.\n    """\n'
    (function,) = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef)
    with pytest.raises(AssertionError, match=r"f tells of \['a'\]"):
        test_every_argument_is_named("f", function)


def test_wrong_examples_fail() -> None:
    class Wrong:
        """An example.

        >>> 1 + 1
        3
        """

    runner: Any = doctest.DocTestRunner(verbose=False)
    (example,) = doctest.DocTestFinder().find(Wrong, "Wrong", globs={})
    assert runner.run(example, out=lambda text: None).failed == 1
    assert inspect.getdoc(Wrong)
