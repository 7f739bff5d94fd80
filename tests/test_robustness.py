"""Nothing breaks it: the tests that docs/robustness.md names are there, and what is tested nowhere else is tested here."""

from __future__ import annotations

import ast
import contextlib
import re
import signal
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.errors import ArgumentError
from refgrad.estimators import ClippedSTE
from refgrad.gradients import RepresenterWeights
from refgrad.optimizers import SGD, AdamW, ScheduleFreeSGD, Stored
from refgrad.rule import rules
from refgrad.sparsity import NOfM
from tests.bits import kinds
from tests.bits.inputs import Source
from tests.fuzz import calls, judge, subjects
from tests.fuzz.subjects import Drawn

ROOT = Path(__file__).parents[1]
X = np.linspace(-1.0, 1.0, 8, dtype=np.float32)
#: rules whose state has a number for each parameter
WITH_NUMBERS = [
    name
    for name, rule in rules().items()
    if rule.kind == "optimizer" and any(slot.scalar for slot in rule().slots().values())
]


def named() -> Iterator[tuple[str, str]]:
    """The file and the name of every test that the page's table has."""
    rows = [line for line in (ROOT / "docs" / "robustness.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    assert [row.split("|")[1].strip() for row in rows[1:]] == [str(n) for n in range(1, len(rows))]
    for row in rows[1:]:
        found = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        assert found, row
        yield from found


def test_every_test_that_is_named_is_there() -> None:
    for file, name in named():
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, f"{file}::{name}"


@pytest.mark.parametrize("threads", [0, -1, "2", 1.5, True, 10**9])
@pytest.mark.parametrize(
    "call",
    [
        lambda **how: AdamW().step(X, X.copy(), AdamW().init(X), **how)[0],
        lambda **how: SGD().step_(X.copy(), X.copy(), {"t": 0}, **how),
        lambda **how: ClippedSTE().evaluate(X, **how),
        lambda **how: NOfM().mask(X, **how),
    ],
    ids=["step", "step_", "evaluate", "mask"],
)
def test_threads_are_a_whole_number_from_one(call: Callable[..., Any], threads: Any) -> None:
    if threads == 10**9:
        assert np.array_equal(call(threads=threads), call()) or call(threads=threads) is None
    else:
        with pytest.raises(ArgumentError, match=f"threads is {threads!r}; legal: a whole number from 1"):
            call(threads=threads)


@pytest.mark.parametrize("name", WITH_NUMBERS)
def test_numbers_of_a_state_may_be_of_numpy(name: str) -> None:
    rule: Any = rules()[name]()
    numbers = [slot_name for slot_name, slot in rule.slots().items() if slot.scalar]
    source, found = Source(name), []
    g = source.signed((5,), np.float32)
    extras = kinds.extra_inputs(rule, g, source)
    for kind in (float, np.float64, np.asarray):
        p = np.linspace(-1.0, 1.0, 5, dtype=np.float32)
        state = rule.init(p)
        state |= {each: kind(state[each]) for each in numbers}
        rule.step_(p, g, state, **extras)
        found.append((p, {each: float(state[each]) for each in numbers}, int(state["t"])))
    for other in found[1:]:
        assert other[0].tobytes() == found[0][0].tobytes()
        assert other[1:] == found[0][1:]


@pytest.mark.parametrize("p", [np.float32(1.0), 1.0, np.ma.masked_array([1.0])], ids=["NumPy's", "Python's", "masked"])
def test_what_cannot_be_written_is_refused_in_place(p: Any) -> None:
    rule = AdamW()
    with pytest.raises(ArgumentError, match="p is a"):
        rule.step_(p, p, rule.init(np.ones((), np.float32)))


@pytest.mark.parametrize("shape", [(), (0,), (0, 4), (4, 0)], ids=str)
@pytest.mark.parametrize("name", sorted(rules()))
@pytest.mark.sample(quick=40, suite=200)
def test_arrays_without_elements_and_without_axes_are_taken_or_refused(name: str, shape: tuple[int, ...]) -> None:
    for method in subjects.methods(rules()[name]()):
        for seed in (2, 3):  # one parameter, and a tree of two
            record = (name, 0, method, Drawn(shape, "float32", "signed", seed), [])
            outcome = calls.outcome(record)
            assert outcome is not None
            assert outcome.kind in (judge.RIGHT, judge.REFUSED), (calls.written(record), outcome)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: refgrad.Inputs.of("x", [[1.0]]), "p is 'x'"),
        (lambda: refgrad.Inputs.of([1.0], 3), "g is 3"),
        (lambda: refgrad.Inputs.of([1.0], {1: 2}), "g is {1: 2}"),
        (lambda: refgrad.Inputs.of([1.0], [[1.0]], loss={1.0}), "loss is {1.0}"),
        (lambda: refgrad.Inputs.of([object()], [[1.0]]), "p is"),
        (lambda: refgrad.Inputs([X], {0: [X]}), "g is"),
        (lambda: refgrad.verify(SGD(), SGD(), policy={1: 2}), "Policy has no 1"),
        (lambda: refgrad.verify(SGD(), SGD(), options="x"), "options is 'x'"),
        (lambda: refgrad.verify(SGD(), SGD(), seed=-1), "seed is -1"),
        (lambda: refgrad.verify(SGD(), SGD(), steps=2.7), "steps is 2.7"),
        (lambda: refgrad.verify(SGD(), SGD(), isolate=np.ones(2)), "isolate is array"),
        (lambda: AdamW(scalars=[]), "AdamW.scalars is \\[\\]"),
        (lambda: AdamW(lr=float("nan")), "AdamW.lr is nan"),
        (lambda: rules()["Stored"]().init(X, state_dtype=object()), "state_dtype is <object"),
    ],
    ids=range(14),
)
def test_what_is_no_such_value_is_refused_by_name(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        call()


def loud(p: np.ndarray, g: np.ndarray, lr: float) -> np.ndarray:
    raise ValueError("\x1b[31m" + "x" * 3_000_000)


def test_megabytes_of_an_error_are_cut() -> None:
    verdict = refgrad.verify(loud, SGD(lr=0.1), steps=1, explain=False, shrink=False)
    assert not verdict.conforms
    assert "ValueError" in str(verdict)
    assert len(str(verdict)) < 10_000
    assert "\x1b" not in str(verdict)


#: bytes an element that a verdict may take beside its inputs, an example of each way of judging; a sixth less was measured
MOST = {
    "AdamW": 140,  # by elements
    "LAMB": 160,  # elements, given norms that all of them have
    "Adafactor": 60,  # elements, given means of rows and columns
    "ClippedSTE": 75,
    "Cast": 60,
    "SignSGD": 60,
    "Magnitude": 90,
    "GroupSoftThreshold": 85,
}


def large(rule: Any, rows: int) -> refgrad.Cases:
    """One large matrix, with whatever else the rule takes."""
    random = np.random.default_rng(0)
    arrays = [random.standard_normal((rows, 500), dtype=np.float32) for _ in range(2)]
    if rule.kind == "optimizer":
        return refgrad.Inputs([arrays[0]], [[arrays[1]]])
    names = (rule.primary, "cotangent") if rule.kind == "estimator" else (rule.primary,)
    return refgrad.Cases([dict(zip(names, arrays, strict=False))])


@pytest.mark.sample(suite=3)
@pytest.mark.slow
@pytest.mark.parametrize("name", list(MOST))
def test_memory_of_a_verdict_is_bounded(name: str) -> None:
    rule, peaks = rules()[name](), []
    refgrad.verify(rule, rule, inputs=large(rule, 600), explain=False, shrink=False)  # which compiles
    for rows in (200, 600):
        inputs = large(rule, rows)
        tracemalloc.start()
        try:
            assert refgrad.verify(rule, rule, inputs=inputs, explain=False, shrink=False).conforms
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / 200_000 < MOST[name]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers that interrupt")
@pytest.mark.parametrize("threads", [1, 2])
def test_an_interrupted_step_writes_no_more_and_counts_only_what_is_whole(threads: int) -> None:
    """By one thread it is done or not begun; by two, a thread may not have begun its part, and then no step is counted."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    rule, g = SGD(lr=0.5), np.ones(400_000, np.float32)
    rule.step_(np.zeros_like(g), g, {"t": 0}, backend="numba", threads=threads)  # which compiles
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for delay in np.geomspace(1e-5, 2e-3, 30):
            p, state = np.zeros_like(g), {"t": 0}
            with contextlib.suppress(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, float(delay))
                rule.step_(p, g, state, backend="numba", threads=threads)
                signal.setitimer(signal.ITIMER_REAL, 0)
            kept = p.copy()
            assert set(np.unique(kept).tolist()) <= {0.0, -0.5}
            assert threads > 1 or len(np.unique(kept)) == 1
            assert state["t"] == 0 or (kept == -0.5).all()
            assert np.array_equal(kept, p)  # no worker writes after the call has ended
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    p = np.zeros_like(g)
    rule.step_(p, g, {"t": 0}, backend="numba", threads=threads)
    assert (p == -0.5).all()


@pytest.mark.parametrize("name", sorted(n for n, rule in rules().items() if rule.kind == "optimizer"))
@pytest.mark.sample(quick=20)
def test_the_order_in_memory_of_a_step_changes_no_bit(name: str) -> None:
    rule: Any = rules()[name]()
    source = Source(name)
    p, g = source.signed((6, 10), np.float32), source.signed((6, 10), np.float32)
    extras = kinds.extra_inputs(rule, g, source)
    usual = rule.step(p, g, rule.init(p), **extras)
    turned = np.asfortranarray(p)
    found = rule.step(turned, np.asfortranarray(g), rule.init(turned), **extras)
    assert judge._same(judge.plain(found), judge.plain(usual))


@pytest.mark.parametrize("method", ["step", "step_"])
def test_a_number_of_a_state_without_a_meaning_is_refused_before_anything_is_written(method: str) -> None:
    """A division by zero of numbers alone is an error that names them; also where it is that of a later leaf."""
    rule = ScheduleFreeSGD()
    p = {"a": np.ones(3, np.float32), "b": np.ones(2, np.float32)}
    state = rule.init(p)
    state["weight_sum"]["b"] = -1.0
    g = {name: np.ones_like(leaf) for name, leaf in p.items()}
    for _ in range(2):  # traced anew, and by the plan that is known
        with pytest.raises(ArgumentError, match="weight_sum"):
            getattr(rule, method)(p, g, state)
        assert [leaf.tolist() for leaf in p.values()] == [[1.0] * 3, [1.0] * 2]
        rule.step(p, g, rule.init(p))


def test_bits_that_are_the_parameter_are_refused_in_place() -> None:
    rule = Stored(rounding="stochastic")
    p = np.zeros(3, np.float32)
    with pytest.raises(ArgumentError, match="share memory"):
        rule.step_(p, np.ones(3, np.float32), rule.init(p), bits=p)
    assert p.tolist() == [0.0] * 3


def test_a_system_without_a_solution_names_what_it_is_made_of() -> None:
    features = np.full((2, 2), 2.0**70)
    with pytest.raises(ArgumentError, match="features, target: Singular matrix"):
        RepresenterWeights()(features, np.asarray([0, 1]))
