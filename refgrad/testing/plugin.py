"""The pytest plugin: a marker that turns a test into a verdict, and a fixture that gives verdicts.

    @pytest.mark.refgrad(AdamW(lr=1e-3), steps=20)
    def test_my_adamw():
        return MyAdamW  # whatever refgrad.verify takes

    def test_mine(refgrad_verify):
        refgrad_verify(MyAdamW, AdamW(lr=1e-3))

A verdict that does not conform is the test's report: no traceback of refgrad's inside.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

MARKER = "refgrad(rule, *, laws=False, **verify): the test returns a candidate, which is judged against the rule"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", MARKER)


@pytest.fixture
def refgrad_verify() -> Callable[..., Any]:
    """`refgrad.testing.assert_conforms`."""
    from refgrad.testing.conformance import assert_conforms

    return assert_conforms


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Judge what a marked test returns."""
    marker = pyfuncitem.get_closest_marker("refgrad")
    if marker is None:
        return None
    _check(marker)
    names = pyfuncitem._fixtureinfo.argnames
    candidate = pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})
    if candidate is None:
        raise pytest.UsageError(f"{pyfuncitem.name} returned None; legal: a candidate, such as an optimizer's class")
    from refgrad.errors import ArgumentError
    from refgrad.testing.conformance import assert_conforms

    try:
        assert_conforms(candidate, marker.args[0], **marker.kwargs)
    except ArgumentError as error:
        raise pytest.UsageError(f"@pytest.mark.refgrad: {error}") from None
    return True


def _check(marker: pytest.Mark) -> None:
    """`pytest.UsageError` unless the marker has a rule and keywords that are known."""
    import inspect

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
