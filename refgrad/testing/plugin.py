"""The pytest plugin: a marker that turns a test into a verdict, and a fixture that gives verdicts.

    @pytest.mark.refgrad(AdamW(lr=1e-3), steps=20)
    def test_my_adamw():
        return MyAdamW  # whatever refgrad.verify takes

    def test_mine(refgrad_verify):
        refgrad_verify(MyAdamW, AdamW(lr=1e-3))

Candidates are made and run in a process of their own (docs/isolation.md): it imports the test's module, and calls the test, or
takes what has a name there. What cannot be made there runs in this one, and the verdict says "not isolated" first.

A verdict that does not conform is the test's report: no traceback of refgrad's inside.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from refgrad.isolation.recipe import Recipe

MARKER = "refgrad(rule, *, laws=False, isolate=True, **verify): the test returns a candidate, which is judged against the rule"
FIXTURE = "refgrad_verify"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", MARKER)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the process of the first candidate, if there is one that is meant for it: it imports while other tests run."""
    markers = [item.get_closest_marker("refgrad") for item in session.items]
    wanted = any(marker is not None and marker.kwargs.get("isolate", True) for marker in markers)
    controls_others = bool(getattr(session.config.option, "dist", "no") != "no") and not hasattr(
        session.config, "workerinput"
    )
    if wanted and not session.config.option.collectonly and not controls_others:
        from refgrad.isolation import hosting

        hosting.begin()


@pytest.fixture(name=FIXTURE)
def _verify(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`refgrad.testing.assert_conforms`; a candidate that has a name in a module is made in a process of its own."""
    from refgrad.testing.conformance import assert_conforms

    if any(True for _ in _effects(request.node)):
        return assert_conforms
    return partial(assert_conforms, isolate=True)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Judge what a marked test returns."""
    marker = pyfuncitem.get_closest_marker("refgrad")
    if marker is None:
        return None
    _check(marker)
    from refgrad.errors import ArgumentError
    from refgrad.testing.conformance import assert_conforms

    given = {"isolate": True, **marker.kwargs}
    candidate = _recipe(pyfuncitem) if given["isolate"] else _returned(pyfuncitem)
    try:
        assert_conforms(candidate, marker.args[0], **given)
    except ArgumentError as error:
        raise pytest.UsageError(f"@pytest.mark.refgrad: {error}") from None
    return True


def _returned(item: pytest.Function) -> Any:
    """What the test returns in this process."""
    candidate = item.obj(**_arguments(item))
    if candidate is None:
        raise pytest.UsageError(f"{item.name} returned None; legal: a candidate, such as an optimizer's class")
    return candidate


def _arguments(item: pytest.Function) -> dict[str, Any]:
    return {name: item.funcargs[name] for name in item._fixtureinfo.argnames}


def _effects(item: pytest.Function) -> Generator[str]:
    """The fixtures of a test that do something besides giving it a value: another process would be without that."""
    given = {*item._fixtureinfo.argnames, FIXTURE, "request"}
    yield from (name for name in item.fixturenames if name not in given)


def _recipe(item: pytest.Function) -> Recipe:
    """What the test returns, to be made in another process if that is possible."""
    from refgrad.isolation.recipe import NotMadeError, Recipe, handed

    arguments, why = {}, ""
    try:
        arguments = {name: handed(value) for name, value in _arguments(item).items()}
    except NotMadeError as error:
        why = f"the test is handed {error}"
    for name in _effects(item):
        why = f"the test uses the fixture {name!r}, which does something in this process"
    holder = item.module if item.cls is None else item.cls
    if inspect.getattr_static(holder, item.originalname, None) is not item.function:
        why = "the test is not what has its name in its module"
    attribute = item.originalname if item.cls is None else f"{item.cls.__qualname__}.{item.originalname}"
    return Recipe(item.module.__name__, str(item.path), attribute, arguments, partial(_returned, item), why)


def _check(marker: pytest.Mark) -> None:
    """`pytest.UsageError` unless the marker has a rule and keywords that are known."""
    import refgrad
    from refgrad.errors import nearest
    from refgrad.kinds.table import rule_of

    if len(marker.args) != 1:
        raise pytest.UsageError(
            f"@pytest.mark.refgrad has {len(marker.args)} arguments; legal: one rule, then keywords"
        )
    legal = ["laws", *(n for n, p in inspect.signature(refgrad.verify).parameters.items() if p.kind is p.KEYWORD_ONLY)]
    for word in marker.kwargs:
        if word not in legal:
            raise pytest.UsageError(
                f"@pytest.mark.refgrad has {word!r}{nearest(word, legal)}; legal: {', '.join(legal)}"
            )
    if not isinstance(marker.kwargs.get("laws", False), bool):
        raise pytest.UsageError(f"@pytest.mark.refgrad has laws={marker.kwargs['laws']!r}; legal: True or False")
    try:
        rule_of(marker.args[0])
    except refgrad.ArgumentError as error:
        raise pytest.UsageError(f"@pytest.mark.refgrad: {error}") from None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """A verdict or a broken law is shown as it is."""
    from refgrad.errors import VerdictError

    report = yield
    if call.excinfo is not None and isinstance(call.excinfo.value, VerdictError) and report.failed:
        report.longrepr = str(call.excinfo.value)
    return report
