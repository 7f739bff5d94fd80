"""The pytest plugin: a marker that turns a test into a verdict, and a fixture that gives verdicts.

    @pytest.mark.refgrad(AdamW(lr=1e-3), steps=20)
    def test_my_adamw():
        return MyAdamW  # whatever refgrad.verify takes

    def test_mine(refgrad_verify):
        refgrad_verify(MyAdamW, AdamW(lr=1e-3))

A verdict that does not conform is the test's report, in colour: no traceback of refgrad's inside. What was judged stands in the
properties of a JUnit file (``--junit-xml``), and under GitHub Actions a failing verdict is an annotation on the test's line.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping
from typing import Any

import pytest

MARKER = "refgrad(rule, *, laws=False, **verify): the test returns a candidate, which is judged against the rule"

#: options of pytest -> the keyword of `refgrad.verify`, where a test does not give its own
OPTIONS: Mapping[str, str] = {"refgrad_seed": "seed", "refgrad_steps": "steps"}

#: the property of a test's report that says the outcome, and by which a verdict is known
OUTCOME = "refgrad_outcome"


class Misuse(Exception):
    """The marker or the fixture is used as it cannot be; the text is the test's report."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The seed and the number of steps of verdicts that have none of their own."""
    group = parser.getgroup("refgrad")
    group.addoption("--refgrad-seed", type=int, metavar="N", help="seed of verdicts that do not give one")
    group.addoption("--refgrad-steps", type=int, metavar="N", help="steps of verdicts that do not give a number")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", MARKER)


@pytest.fixture
def refgrad_verify(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`refgrad.testing.assert_conforms`, with what the command line of pytest says."""

    def verify(candidate: Any, rule: Any, **keywords: Any) -> Any:
        __tracebackhide__ = True
        return _judge(request.node, candidate, rule, keywords)

    return verify


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Judge what a marked test returns."""
    marker = pyfuncitem.get_closest_marker("refgrad")
    if marker is None:
        return None
    if len(marker.args) != 1:
        raise Misuse(f"@pytest.mark.refgrad has {len(marker.args)} arguments; legal: one rule, then keywords")
    names = pyfuncitem._fixtureinfo.argnames
    candidate = pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})
    if candidate is None:
        raise Misuse(f"{pyfuncitem.name} returned None; legal: a candidate, such as an optimizer's class")
    _judge(pyfuncitem, candidate, marker.args[0], marker.kwargs, "@pytest.mark.refgrad")
    return True


def _judge(item: pytest.Item, candidate: Any, rule: Any, keywords: Mapping[str, Any], asker: str = "") -> Any:
    """Assert that a candidate conforms; the test's properties say what came of it."""
    __tracebackhide__ = True
    from refgrad.errors import ArgumentError
    from refgrad.oracle.engine.verdict import WrongImplementationError
    from refgrad.testing.conformance import assert_conforms, check_keywords

    given = {keyword: value for name, keyword in OPTIONS.items() if (value := item.config.getoption(name)) is not None}
    try:
        check_keywords(keywords)
        verdict = assert_conforms(candidate, rule, **{**given, **keywords})
    except WrongImplementationError as error:
        item.user_properties += _properties(error.verdict)
        raise
    except ArgumentError as error:
        raise Misuse(f"{asker or 'refgrad_verify'}: {error}") from None
    item.user_properties += _properties(verdict)
    return verdict


def _properties(verdict: Any) -> list[tuple[str, object]]:
    if verdict is None:
        return []
    from refgrad.oracle.engine.verdict_text import explanation

    told = [(OUTCOME, verdict.outcome), ("refgrad_candidate", verdict.candidate), ("refgrad_rule", verdict.rule)]
    told += [
        ("refgrad_seed", verdict.seed),
        ("refgrad_steps", verdict.steps),
        ("refgrad_outside", verdict.total.outside),
    ]
    return [*told, *([] if verdict.conforms else [("refgrad_explanation", explanation(verdict))])]


class _Report:
    """A verdict as a failed test's report, in the colours of `refgrad verify` where there are any."""

    def __init__(self, verdict: Any) -> None:
        self._verdict = verdict

    def __str__(self) -> str:
        return str(self._verdict)

    def toterminal(self, tw: Any) -> None:
        """Write it to a terminal of pytest's."""
        from refgrad.layout import BAD, GOOD, UNSURE, render_sections
        from refgrad.oracle.engine.verdict_text import sections

        colours = {GOOD: "green", BAD: "red", UNSURE: "yellow"}
        for section in sections(self._verdict):
            head = section.title or section.lines[0]
            style = {"bold": True, colours.get(section.tone, "white"): True}
            for line in render_sections([section]).split("\n"):
                tw.line(line, **(style if line == head else {}))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """A verdict or a broken law is shown as it is."""
    from refgrad.errors import VerdictError

    report = yield
    if call.excinfo is not None and isinstance(call.excinfo.value, VerdictError) and report.failed:
        verdict = getattr(call.excinfo.value, "verdict", None)
        report.longrepr = _Report(verdict) if verdict is not None else str(call.excinfo.value)
    elif call.excinfo is not None and isinstance(call.excinfo.value, Misuse):
        report.longrepr = str(call.excinfo.value)
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Under GitHub Actions, an annotation for each verdict that does not conform."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    for report in terminalreporter.stats.get("failed", []):
        told = dict(report.user_properties)
        if OUTCOME in told:
            file, line, _ = report.location
            title = f"{told['refgrad_candidate']} is not {told['refgrad_rule']}"
            message = f"{told[OUTCOME]}: {told.get('refgrad_explanation', '')}"
            place = f"file={_escaped(file, True)},line={(line or 0) + 1},title={_escaped(title, True)}"
            terminalreporter.write_line(f"::error {place}::{_escaped(message)}")


def _escaped(text: str, in_property: bool = False) -> str:
    """A text as a workflow command of GitHub Actions has it."""
    for character in "%\r\n" + (":," if in_property else ""):
        text = text.replace(character, f"%{ord(character):02X}")
    return text
