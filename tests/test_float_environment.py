"""Whatever a thread does to floating-point numbers, rules, kernels and verdicts are the same, and it is said and put back."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad import json_log
from refgrad.backends import numba_backend
from refgrad.estimators import ArcTan
from refgrad.float_environment import FLUSHED, UP, deviations, guarding, is_standard, make_standard, settable, standard
from refgrad.kinds.table import kind_of
from refgrad.optimizers import SGD, Adam, AdamW
from refgrad.oracle.engine.drive import drive
from refgrad.oracle.inputs.numbers import number_of
from refgrad.rule import rules
from refgrad.rule_text import literal
from refgrad.tracing import plan_for
from tests.float_environments import EVERY, deviating, make, rounds_down_from_now_on

Array = np.ndarray
BOTH = (FLUSHED, UP)


def adam(p: Array, g: Array, m: Array, v: Array, t: int, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    m = np.float32(beta1) * m + np.float32(1 - beta1) * g
    v = np.float32(beta2) * v + np.float32(1 - beta2) * g * g
    root = np.sqrt(v) / np.float32(math.sqrt(1 - beta2**t)) + np.float32(eps)
    return p - np.float32(lr / (1 - beta1**t)) * m / root, m, v


def halved(p: Array, g: Array, m: Array, v: Array, t: int, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    """A candidate in which a library it calls flushes subnormal numbers from then on."""
    make(FLUSHED)
    return adam(p, g, m, v, t, lr, beta1, beta2, eps)


@pytest.mark.parametrize("each", EVERY)
def test_what_a_thread_does_is_seen_named_and_put_back(each: str) -> None:
    assert settable()
    assert is_standard()
    with deviating(each):
        assert deviations() == (each,)
        assert not is_standard()
        with standard():
            assert deviations() == ()
            assert float(np.float32(1e-38) * np.float32(0.5)) != 0.0
        assert deviations() == (each,)
    assert is_standard()


def test_what_pytorch_sets_is_seen() -> None:
    torch = pytest.importorskip("torch")
    try:
        torch.set_flush_denormal(True)
        assert deviations() == (FLUSHED,)
        make_standard()
        assert is_standard()
    finally:
        torch.set_flush_denormal(False)


def seen(name: str) -> tuple[list[Any], Any]:
    """What a rule gives as a candidate, asked on this thread."""
    rule = rules()[name]()
    kind = kind_of(rule)
    with standard():
        cases = kind.generate(rule, 2, np.dtype(rule.kept_in), 0)
        subject = kind.resolve(rule, rule, {}, None)
    return drive(kind, subject, rule, cases).seen, rule


def bits(value: Any) -> Any:
    if isinstance(value, dict):
        return {n: bits(v) for n, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [bits(v) for v in value]
    if hasattr(value, "params"):
        return bits(value.params), bits(value.state)
    return (np.asarray(value).tobytes(), np.shape(value)) if value is not None else None


@pytest.mark.sample(quick=5, suite=24)
@pytest.mark.parametrize("name", sorted(rules()))
def test_every_rule_gives_the_same_bits(name: str) -> None:
    usual = bits(seen(name)[0])
    assert any(each is not None for each in usual)
    with deviating(*BOTH):
        found = bits(seen(name)[0])
        assert deviations() == BOTH
    assert found == usual


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("threads", [1, 2])
def test_kernels_give_the_same_bits_on_every_thread(backend: str, threads: int) -> None:
    rng = np.random.default_rng(0)
    p = (rng.standard_normal(70_001) * 1e-38).astype(np.float32)
    g = (rng.standard_normal(70_001) * 1e-30).astype(np.float32)
    rule = Adam(lr=1e-37)
    wanted, state = rule.step(p, g, rule.init(p), backend="numpy")
    with deviating(*BOTH):
        found, now = rule.step(p, g, rule.init(p), backend=backend, threads=threads)
    assert np.count_nonzero(np.abs(wanted) < np.finfo(np.float32).smallest_normal) > 1000
    assert found.tobytes() == wanted.tobytes()
    assert all(now[n].tobytes() == state[n].tobytes() for n in ("m", "v"))


@pytest.mark.slow
def test_a_worker_that_is_made_in_another_environment_computes_in_the_standard_one() -> None:
    p, g = np.full(70_000, 2e-38, np.float32), np.zeros(70_000, np.float32)
    rule = refgrad.optimizers.SGD(lr=0.1, weight_decay=5.0)
    code = f"""
import numpy as np
from refgrad.optimizers import SGD
from tests.float_environments import make
p, g = np.full({p.size}, 2e-38, np.float32), np.zeros({p.size}, np.float32)
rule = SGD(lr=0.1, weight_decay=5.0)
make({FLUSHED!r})
found, _ = rule.step(p, g, rule.init(p), backend="numba", threads=2)
print(*found.view(np.uint32)[[0, -1]] != 0)
"""
    assert (rule.step(p, g, rule.init(p))[0] != 0).all()
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]


def test_plans_do_not_depend_on_who_asked_first() -> None:
    with deviating(UP):
        plan = plan_for(AdamW(lr=0.1, beta1=0.7), 1, (1.0, 2.0, 1.0, 2.0))
    other = plan_for(AdamW(lr=0.1, beta1=0.7), 1, (1.0, 2.0, 1.0, 2.0))
    assert numba_backend.kernel_source(plan, np.dtype(np.float32)) == numba_backend.kernel_source(
        other, np.dtype(np.float32)
    )


@pytest.mark.sample(suite=1)
@pytest.mark.slow
@pytest.mark.parametrize("limit", [60.0, math.inf])
def test_a_candidate_runs_as_its_caller_does_and_is_judged_as_always(limit: float) -> None:
    usual = refgrad.verify(adam, Adam(), steps=2, time_limit=limit)
    assert usual.conforms
    assert usual.environment["subnormals"] == "kept"
    with deviating(FLUSHED):
        found = refgrad.verify(adam, Adam(), steps=2, time_limit=limit, explain=False, shrink=False)
        own = refgrad.verify(Adam(), Adam(), steps=2, time_limit=limit)
        allowed = refgrad.verify(adam, Adam(), steps=2, policy={"subnormals": "flush"}, time_limit=limit)
        assert deviations() == (FLUSHED,)
    assert not found.conforms
    assert found.environment["subnormals"] == "flushed"
    assert any("the candidate ran with flush-to-zero, as its caller does" in note for note in found.notes)
    assert own.conforms, str(own)
    assert allowed.conforms, str(allowed)


@pytest.mark.slow
@pytest.mark.sample(quick=1)
@pytest.mark.parametrize("limit", [60.0, math.inf])
def test_what_a_candidate_leaves_behind_is_told_and_undone(limit: float) -> None:
    verdict = refgrad.verify(halved, Adam(), time_limit=limit, explain=False, shrink=False)
    assert is_standard()
    assert any("the candidate left flush-to-zero on" in note for note in verdict.notes)
    assert verdict.environment["subnormals"] == "flushed"
    assert not verdict.conforms

    def rounding(
        p: Array, g: Array, m: Array, v: Array, t: int, lr: float, beta1: float, beta2: float, eps: float
    ) -> Any:
        answer = adam(p, g, m, v, t, lr, beta1, beta2, eps)
        rounds_down_from_now_on()
        return answer

    first = refgrad.verify(rounding, Adam(), steps=1, time_limit=limit, explain=False, shrink=False)
    assert first.environment["rounding"] == "down"
    assert any("the candidate left rounding down on" in note for note in first.notes)
    assert is_standard()


@pytest.mark.slow
def test_what_a_candidate_leaves_behind_in_a_process_of_its_own_is_told_too() -> None:
    with deviating(UP):  # the caller's, which is none of a process's
        asked: dict[str, Any] = {"isolate": "fresh", "explain": False, "shrink": False}
        verdict = refgrad.verify(f"{__name__}:halved", Adam(), steps=2, **asked)
        assert deviations() == (UP,)
    assert verdict.environment["subnormals"] == "flushed"
    assert "rounding" not in verdict.environment
    told = [note for note in verdict.notes if "the candidate" in note and " on" in note]
    assert told == ["the candidate left flush-to-zero on; it ran on with it, was judged without, and it was undone"]


def test_an_import_that_changes_the_environment_changes_the_candidate_alone(tmp_path: Path) -> None:
    text = "from tests.float_environments import make\nmake('flush-to-zero')\nfrom tests.test_float_environment import adam\n"
    (tmp_path / "fast_math.py").write_text(text)
    verdict = refgrad.verify(f"{tmp_path / 'fast_math.py'}:adam", Adam(), explain=False, shrink=False)
    assert is_standard()
    assert verdict.environment["subnormals"] == "flushed"
    assert any("the candidate left flush-to-zero on" in note for note in verdict.notes)


@pytest.mark.slow
def test_identify_and_laws_are_the_same_too() -> None:
    with deviating(UP):
        found = refgrad.identify(ArcTan(alpha=4.0), ArcTan())
        assert deviations() == (UP,)
    assert found.best is not None
    assert found.best.title == "ArcTan(alpha=4.0)"
    assert any("ran with rounding up" in note for note in found.notes)
    pytest.importorskip("hypothesis")
    from refgrad.testing import check_laws

    with deviating(FLUSHED):
        reports = check_laws(ArcTan(), ArcTan(), examples=2)
        assert deviations() == (FLUSHED,)
    assert reports
    assert not any(report.broken for report in reports)


def test_threads_apart_are_left_alone() -> None:
    found = []
    with deviating(FLUSHED):
        thread = threading.Thread(target=lambda: (refgrad.verify(ArcTan(), ArcTan()), found.append(deviations())))
        thread.start()
        thread.join()
    assert found == [(FLUSHED,)]


def divided(p: Array, g: Array, lr: float) -> Array:
    return p - np.float32(lr) * g * (p / p)


def averaged(p: Array, g: Array, lr: float) -> Array:
    np.std(g, ddof=1)
    np.nanmean(g * np.nan)
    if g.size:
        np.nanmax(g * np.nan)
    return p - np.float32(lr) * g


def divided_and_strict(p: Array, g: Array, lr: float) -> Array:
    with np.errstate(invalid="raise"):
        return divided(p, g, lr)


@pytest.mark.parametrize("limit", [math.inf, 60.0], ids=["callers_thread", "own_thread"])
def test_numpy_says_nothing_of_what_a_candidate_computes_unless_it_asks(
    limit: float, recwarn: pytest.WarningsRecorder
) -> None:
    once = refgrad.Inputs(p=[np.zeros(2, np.float32)], g=[[np.ones(2, np.float32)]])
    more = {"inputs": once, "explain": False, "shrink": False, "time_limit": limit}
    assert refgrad.verify(divided, SGD(lr=0.1), **more).first is not None
    assert not [str(w.message) for w in recwarn]
    (fault,) = refgrad.verify(divided_and_strict, SGD(lr=0.1), **more).faults
    assert fault.kind == "raised"
    assert "FloatingPointError" in fault.message
    assert np.geterr()["invalid"] == "warn"
    assert refgrad.verify(averaged, SGD(lr=0.1), steps=2, time_limit=limit).conforms
    assert not [str(w.message) for w in recwarn]
    with pytest.warns(RuntimeWarning, match="empty"):
        np.nanmean(np.ones(0))


def test_what_numpy_says_of_nothing_is_heard_by_whoever_judges_no_candidate() -> None:
    """Verdicts on threads that begin and end as they like neither hide it from others nor leave a filter that does."""
    said = "Mean of empty slice"
    began, heard, over = threading.Event(), threading.Event(), threading.Event()

    def judges() -> None:
        with guarding():
            began.set()
            heard.wait(10)
        over.set()

    with guarding():
        other = threading.Thread(target=judges)
        other.start()
        assert began.wait(10)
    with pytest.warns(RuntimeWarning, match=said):  # while the other one judges
        warnings.warn(said, RuntimeWarning, stacklevel=1)
    heard.set()
    assert over.wait(10)
    other.join()
    with guarding(), warnings.catch_warnings():
        warnings.simplefilter("error")
        with guarding():
            warnings.warn(said, RuntimeWarning, stacklevel=1)
    with pytest.warns(RuntimeWarning, match=said):
        warnings.warn(said, RuntimeWarning, stacklevel=1)


def test_a_tree_is_stepped_in_the_standard_environment() -> None:
    rule, tiny = SGD(lr=0.5), np.full(3, 2.0**-149, np.float32)
    tree, g = {"w": tiny}, {"w": np.zeros(3, np.float32)}
    state = rule.init(tree)
    with deviating(FLUSHED):
        after, _ = rule.step(tree, g, state)
    assert after["w"].tobytes() == tiny.tobytes()


def test_filters_of_warnings_are_read_as_regular_expressions_while_a_candidate_is_judged() -> None:
    """scikit-learn hands the filters to its threads, by their patterns: estimators of it, and of what is built on it, raised."""

    def reads(gradients: Array) -> Array:
        for _, message, *_ in warnings.filters:
            assert message is None or isinstance(message, str) or isinstance(message.pattern, str)
        return np.median(gradients, axis=0)

    verdict = refgrad.verify(reads, refgrad.gradients.CoordinateMedian(), explain=False)
    assert verdict.conforms, str(verdict)


@pytest.mark.parametrize("each", EVERY)
def test_decimals_are_read_as_in_the_standard_environment(each: str, tmp_path: Path) -> None:
    """Of logs, of hyperparameters as text, of inputs and of surveys; golden files have hexadecimals alone."""
    numbers = np.random.default_rng(4).uniform(-1.0, 1.0, 200).tolist()
    (tmp_path / "log").write_text("".join(f'{{"number": {number!r}}}\n' for number in numbers), encoding="utf-8")
    found = refgrad.Survey("now", 0.1, {}, {}, (), (), ())
    (tmp_path / "survey").write_text(found.to_json().replace("0.1", repr(numbers[0])), encoding="utf-8")
    with deviating(each):
        read = [line["number"] for line in json_log.lines(tmp_path / "log")]
        texts = [literal(repr(number)) for number in numbers]
        inputs = [number_of(repr(number)) for number in numbers]
        survey = refgrad.Survey.read(tmp_path / "survey")
    assert read == texts == inputs == numbers
    assert survey.seconds == numbers[0]
