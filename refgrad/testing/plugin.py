"""The pytest plugin: a marker that turns a test into a verdict, and a fixture that gives verdicts.

    @pytest.mark.refgrad(AdamW(lr=1e-3), steps=20)
    def test_my_adamw():
        return MyAdamW  # whatever refgrad.verify takes

    def test_mine(refgrad_verify):
        refgrad_verify(MyAdamW, AdamW(lr=1e-3))

    def test_speed(refgrad_benchmark):  # needs pytest-benchmark
        refgrad_benchmark(MyAdamW, AdamW(lr=1e-3), sizes=(1_000, 1_000_000))

Candidates are made and run in a process of their own (docs/isolation.md): it imports the test's module, and calls the test, or
takes what has a name there. What has no name that leads to it there runs in this one, and the verdict says "not isolated"
first.

A verdict that does not conform is the test's report, in colour, and so is the sentence that says why a candidate cannot be
asked: no traceback of refgrad's inside. What was judged stands in the properties of a JUnit file (``--junit-xml``), and under
GitHub Actions a test that failed so has an annotation on its line.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from refgrad.isolation.recipe import Recipe
    from refgrad.testing.benchmarks import Timing

MARKER = "refgrad(rule, *, laws=False, isolate=True, **verify): the test returns a candidate, which is judged against the rule"
FIXTURE = "refgrad_verify"
BENCHMARK = "refgrad_benchmark"

#: options of pytest -> the keyword of `refgrad.verify`, where a test does not give its own
OPTIONS: Mapping[str, str] = {"refgrad_seed": "seed", "refgrad_steps": "steps"}


#: of a test, the error that says why its candidate cannot be asked
UNASKED = pytest.StashKey[Exception]()
#: of a run, what was timed
TIMINGS: pytest.StashKey[list[Timing]] = pytest.StashKey()


class Misuse(Exception):
    """The marker or the fixture is used as it cannot be; the text is the test's report."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The seed and the number of steps of verdicts that have none of their own."""
    group = parser.getgroup("refgrad")
    group.addoption("--refgrad-seed", type=int, metavar="N", help="seed of verdicts that do not give one")
    group.addoption("--refgrad-steps", type=int, metavar="N", help="steps of verdicts that do not give a number")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and the fixture that measures."""
    config.addinivalue_line("markers", MARKER)
    config.stash[TIMINGS] = []
    there = config.pluginmanager.hasplugin("benchmark")
    config.pluginmanager.register(_Measuring() if there else _NotMeasuring(), BENCHMARK)


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
    """`refgrad.testing.assert_conforms`, with what the command line of pytest says.

    A candidate that has a name in a module is made in a process of its own.
    """
    apart = {} if any(True for _ in _effects(request.node)) else {"isolate": True}

    def verify(*given: Any, **keywords: Any) -> Any:
        __tracebackhide__ = True
        (candidate, rule), more = _taken(FIXTURE, ("candidate", "rule"), given, keywords)
        return _judge(request.node, candidate, rule, {**apart, **more}, FIXTURE)

    verify.__name__ = verify.__qualname__ = FIXTURE
    return verify


def _taken(
    name: str, words: tuple[str, ...], given: tuple[Any, ...], keywords: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """What a fixture is called with: a candidate, a rule and perhaps sizes, in turn or by name; and the other keywords."""
    __tracebackhide__ = True
    legal = f"{name}({', '.join(words)}, **keywords of refgrad.verify)"
    if len(given) > len(words):
        raise Misuse(f"{name} has {len(given)} arguments in turn; legal: {legal}")
    taken = dict(zip(words, given, strict=False))
    twice = [word for word in taken if word in keywords]
    missing = [word for word in words[:2] if word not in taken and word not in keywords]
    if twice or missing:
        raise Misuse(f"{name} has {f'{twice[0]} twice' if twice else f'no {missing[0]}'}; legal: {legal}")
    more = {word: value for word, value in keywords.items() if word not in words}
    return [taken.get(word, keywords.get(word)) for word in words], more


class _NotMeasuring:
    """The fixture that measures, where pytest-benchmark is not there."""

    @pytest.fixture(name=BENCHMARK)
    def _benchmark(self) -> None:
        raise Misuse(
            f"{BENCHMARK} needs pytest-benchmark; legal: pip install pytest-benchmark, without -p no:benchmark"
        )


class _Measuring:
    """The fixture that measures by pytest-benchmark's."""

    @pytest.fixture(name=BENCHMARK)
    def _benchmark(self, request: pytest.FixtureRequest, benchmark: Any) -> Callable[..., Any]:
        """`refgrad_benchmark(candidate, rule, sizes=..., **keywords of refgrad.verify)`.

        It judges the candidate, and only if that conforms it is timed (docs/verify-your-kernel.md).
        """
        apart = {} if any(True for _ in _effects(request.node)) else {"isolate": True}

        def measure(*given: Any, **keywords: Any) -> Any:
            __tracebackhide__ = True
            (candidate, rule, sizes), more = _taken(BENCHMARK, ("candidate", "rule", "sizes"), given, keywords)
            return _measure(request.node, benchmark, candidate, rule, sizes, {**apart, **more})

        measure.__name__ = measure.__qualname__ = BENCHMARK
        return measure


def _measure(
    item: pytest.Item, benchmark: Any, candidate: Any, rule: Any, sizes: Any, keywords: Mapping[str, Any]
) -> Any:
    """Assert that a candidate conforms, then time it; sizes are looked at first, so that no verdict is made for nothing."""
    __tracebackhide__ = True
    from refgrad.errors import ArgumentError, CandidateError, shown
    from refgrad.testing import benchmarks

    how: dict[str, Any] = {
        name: keywords.get(name) or default for name, default in (("options", {}), ("state_names", None))
    }
    try:
        work = benchmarks.workloads(
            rule, benchmarks.SIZES if sizes is None else sizes, keywords.get("dtype", "float32")
        )
    except ArgumentError as error:
        raise Misuse(f"{BENCHMARK}: {error}") from None
    verdict = _judge(item, candidate, rule, keywords, BENCHMARK)
    try:
        timings = benchmarks.measured(benchmark, verdict, candidate, rule, work, **how)
    except CandidateError as error:
        raise Misuse(f"{BENCHMARK}: {error}") from None
    except MemoryError as error:
        legal = f"what there is memory for ({str(error)[:200] or 'there is none'})"
        raise Misuse(f"{BENCHMARK}: sizes are {shown(sizes)}; legal: {legal}") from None
    item.config.stash[TIMINGS] += timings
    return timings


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Judge what a marked test returns."""
    marker = pyfuncitem.get_closest_marker("refgrad")
    if marker is None:
        return None
    _check(pyfuncitem, marker)
    given = {"isolate": True, **marker.kwargs}
    candidate = _recipe(pyfuncitem) if given["isolate"] else _returned(pyfuncitem)
    _judge(pyfuncitem, candidate, marker.args[0], given, "@pytest.mark.refgrad")
    return True


def _check(item: pytest.Function, marker: pytest.Mark) -> None:
    """`Misuse` unless there is one marker on a plain function, with one rule, and keywords that are known."""
    from refgrad.errors import ArgumentError
    from refgrad.testing.conformance import check_keywords

    if inspect.iscoroutinefunction(item.function):
        raise Misuse(f"{item.name} is async; legal: a plain function that returns the candidate")
    if sum(own.name == marker.name for own in item.own_markers) > 1:
        raise Misuse(f"{item.name} has @pytest.mark.refgrad twice; legal: one rule a test, by a function for each")
    if len(marker.args) != 1:
        raise Misuse(f"@pytest.mark.refgrad has {len(marker.args)} arguments; legal: one rule, then keywords")
    try:
        check_keywords(marker.kwargs)
    except ArgumentError as error:
        raise Misuse(f"@pytest.mark.refgrad: {error}") from None
    if not isinstance(marker.kwargs.get("laws", False), bool):
        raise Misuse(f"@pytest.mark.refgrad has laws={marker.kwargs['laws']!r}; legal: True or False")


def _judge(item: pytest.Item, candidate: Any, rule: Any, keywords: Mapping[str, Any], asker: str) -> Any:
    """Assert that a candidate conforms; the test's properties say what came of it."""
    __tracebackhide__ = True
    from refgrad.errors import ArgumentError, CandidateError
    from refgrad.oracle.engine.verdict import WrongImplementationError
    from refgrad.testing.conformance import assert_conforms
    from refgrad.testing.shown import properties, unasked

    given = {keyword: value for name, keyword in OPTIONS.items() if (value := item.config.getoption(name)) is not None}
    try:
        verdict = assert_conforms(candidate, rule, **{**given, **keywords})
    except WrongImplementationError as error:
        item.user_properties += properties(error.verdict)
        raise
    except CandidateError as error:
        _skip_as_there(error)
        item.user_properties += unasked(rule, error)
        item.stash[UNASKED] = error
        raise
    except ArgumentError as error:
        raise Misuse(f"{asker}: {error}") from None
    item.user_properties += properties(verdict)
    return verdict


def _skip_as_there(error: Exception) -> None:
    """What a test raised in another process to be skipped, or to be expected to fail, is done here, where nothing of it runs."""
    from refgrad.isolation.recipe import FailedThereError

    if isinstance(error, FailedThereError) and error.raised in ("Skipped", "XFailed"):
        reason = error.said.partition(f"raised {error.raised}: ")[2]
        (pytest.skip if error.raised == "Skipped" else pytest.xfail)(reason)


def _returned(item: pytest.Function) -> Any:
    """What the test returns in this process."""
    candidate = item.obj(**_arguments(item))
    if candidate is None:
        raise Misuse(f"{item.name} returned None; legal: a candidate, such as an optimizer's class")
    return candidate


def _arguments(item: pytest.Function) -> dict[str, Any]:
    return {name: item.funcargs[name] for name in item._fixtureinfo.argnames}


def _effects(item: pytest.Function) -> Generator[str]:
    """The fixtures of a test that do something besides giving it a value: another process would be without that."""
    given = {*item._fixtureinfo.argnames, FIXTURE, BENCHMARK, "benchmark", "request"}
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


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: Any, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """A verdict or a broken law is shown as it is."""
    from refgrad.errors import VerdictError
    from refgrad.testing.shown import Report

    report = yield
    if call.excinfo is not None and isinstance(call.excinfo.value, VerdictError) and report.failed:
        verdict = getattr(call.excinfo.value, "verdict", None)
        report.longrepr = Report(verdict) if verdict is not None else str(call.excinfo.value)
    elif call.excinfo is not None and isinstance(call.excinfo.value, Misuse):
        report.longrepr = str(call.excinfo.value)
    elif call.excinfo is not None and call.excinfo.value is item.stash.get(UNASKED, None) and report.failed:
        report.longrepr = f"could not be judged: {call.excinfo.value}"
    if report.failed and BENCHMARK in item.fixturenames and "benchmark" in getattr(item, "funcargs", {}):
        item.funcargs["benchmark"].skipped = True  # what is wrong has no time, and pytest-benchmark does not miss it
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What was timed; under GitHub Actions, an annotation for each verdict that does not conform."""
    from refgrad.testing.shown import annotate

    annotate(terminalreporter)
    timings = config.stash[TIMINGS]
    if timings:
        from refgrad.testing.benchmarks import table

        terminalreporter.section("refgrad: GB/s of compulsory traffic")
        for line in table(timings):
            terminalreporter.write_line(line)
