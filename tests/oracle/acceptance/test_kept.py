"""What is judged once: kept by all that it follows from, so that nothing is ever out of date."""

from __future__ import annotations

import contextvars
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.arithmetic.graph import Builder, Graph
from refgrad.arithmetic.running_error import Bounded
from refgrad.arithmetic.scalar_math import Scope
from refgrad.candidates.masks import MaskSeen
from refgrad.estimators import ArcTan, ClippedSTE
from refgrad.optimizers import SGD, Adam
from refgrad.oracle.acceptance import judge, judgement, kept, selections, stateless
from refgrad.oracle.acceptance.kept import Kept, Structure, bits, bits_of, computed, keeping, made
from refgrad.oracle.acceptance.policy import Policy
from refgrad.rule import Rule
from refgrad.sparsity import Magnitude, NOfM
from refgrad.tracing import free_names, free_values, plan_for

SHAPE = (4, 5)


@pytest.fixture
def store() -> Iterator[Kept]:
    """What is kept while a test lasts."""
    with keeping():
        found = kept._KEPT.get()
        assert found is not None
        yield found


def anew(action: Callable[[], Any]) -> Any:
    """What an action gives where nothing is kept."""
    return contextvars.Context().run(action)


def drawn(seed: int, dtype: Any = np.float32) -> np.ndarray:
    return np.random.Generator(np.random.Philox(seed)).normal(size=SHAPE).astype(dtype)


def step_of(rule: Any, p: np.ndarray, g: np.ndarray, after: dict[str, np.ndarray] | None = None) -> judge.Step:
    state = rule.init(p)
    new, known = rule.step(p, g, state)
    free = free_values(SHAPE, {"t": 1.0})
    before = {n: Bounded(a.astype(np.float64)) for n, a in {"p": p, "g": g, **state}.items() if n != "t"}
    seen = {**{n: a for n, a in known.items() if n != "t"}, "p": new}
    names = dict(zip(free_names(rule, 2), free, strict=True))
    return judge.Step(plan_for(rule, 2, free), names, before, seen if after is None else after)


def told(found: tuple[dict[str, judgement.Judged], Any]) -> dict[str, list[Any]]:
    return {n: [None if a is None else a.tobytes() for a in each.parts()] for n, each in found[0].items()}


def test_a_result_is_made_once_and_nobody_can_write_to_it(store: Kept) -> None:
    made = np.arange(4.0)
    first = store.made("key", lambda: (made, ("name", None)))
    made[0] = 9.0  # what was made belongs to its maker
    second = store.made("key", lambda: pytest.fail("made again"))
    assert first[0] is second[0]
    assert second[0].tolist() == [0.0, 1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match="read-only"):
        second[0][0] = 1.0


def test_what_was_not_asked_for_longest_is_dropped_first_and_what_is_large_is_not_kept() -> None:
    few = Kept(most=64, largest=32)
    for key in "ab":
        few.made(key, lambda: (np.zeros(4),))
    few.made("a", lambda: pytest.fail("made again"))
    few.made("c", lambda: (np.zeros(4),))
    few.made("a", lambda: pytest.fail("made again"))
    assert few.made("b", lambda: (np.ones(1),))[0].tolist() == [1.0]
    assert few.size <= 64
    large = few.made("d", lambda: (np.zeros(5),))
    large[0][0] = 1.0
    assert few.made("d", lambda: (np.zeros(5),))[0][0] == 0.0


def test_bits_tell_all_numbers_apart() -> None:
    one = [
        np.float32([0.0]),
        np.float32([-0.0]),
        np.float64([0.0]),
        np.int32([0]),
        np.float32(0.0),
        np.zeros(300),
        None,
    ]
    assert len({bits(a) for a in one} | {bits(np.zeros((3, 100)))}) == 8
    long = np.zeros(300)
    before = bits(long)
    long[299] = 5e-324
    assert bits(long) != before
    assert bits_of(Bounded(np.ones(2))) != bits_of(Bounded(np.ones(2), np.zeros(2)))
    assert bits_of(Bounded(np.ones(2), least=1.0)) != bits_of(Bounded(np.ones(2)))


def graph(number: float = 0.0, name: str = "x", small: bool = False) -> Graph:
    builder = Builder(Scope(), 1)
    root = builder.lift(builder.input(name) + number)
    return Graph(builder.live({"y": root}), {"y": root}, {}, (), {"y": ("row",)} if small else {})


def test_graphs_that_compute_another_thing_are_others() -> None:
    assert Structure(graph()) == Structure(graph())
    assert hash(Structure(graph())) == hash(Structure(graph()))
    others = {Structure(each) for each in (graph(), graph(-0.0), graph(1.0), graph(name="z"), graph(small=True))}
    assert len(others) == 5


def test_hyperparameters_count_that_the_graph_reads() -> None:
    def of(rule: Rule, t: float = 1.0) -> Any:
        free = free_values(SHAPE, {"t": t})
        return computed(plan_for(rule, 2, free), dict(zip(free_names(rule, 2), free, strict=True)))

    assert of(SGD(lr=0.1)) == of(SGD(lr=0.1))
    assert of(SGD(lr=0.1)) != of(SGD(lr=0.2))
    assert of(SGD(lr=0.1)) != of(SGD(lr=0.1, scalars="float32"))
    assert of(Adam()) != of(Adam(), t=2.0)
    assert of(SGD()) == of(SGD(), t=2.0)


@pytest.mark.parametrize("policy", [Policy(), Policy(subnormals="flush")], ids=["keep", "flush"])
def test_what_is_kept_is_what_is_judged_anew(store: Kept, policy: Policy) -> None:
    """Whatever differs from what was judged before: a number of the rule, a bit of an array, the policy."""
    p, g = drawn(1), drawn(2)
    right = step_of(Adam(), p, g)
    wrong = {n: a.copy() for n, a in right.after.items()}
    wrong["p"][0, 0] = np.nextafter(wrong["p"][0, 0], np.float32(9.0), dtype=np.float32) * 2
    other = p.copy()
    other[3, 4] = -other[3, 4]
    steps = [
        right,
        dataclasses.replace(right, after=wrong),
        dataclasses.replace(right, after={"p": right.after["p"]}),
        dataclasses.replace(right, before=step_of(Adam(), other, g).before),
        dataclasses.replace(step_of(Adam(lr=0.5), p, g), after=right.after),
        step_of(Adam(), p.astype(np.float64), g.astype(np.float64)),
    ]
    first = [told(judge.judge(step, policy)) for step in steps]
    many = len(store._results)
    again = [told(judge.judge(step, policy)) for step in steps]
    assert (first, len(store._results)) == (again, many)
    assert first == anew(lambda: [told(judge.judge(step, policy)) for step in steps])
    assert many == len(steps)


def test_an_array_that_was_written_to_meanwhile_is_judged_anew(store: Kept) -> None:
    step = step_of(SGD(lr=0.5), drawn(1), drawn(2))
    assert not judgement.outside(judge.judge(step, Policy())[0].values())
    step.after["p"][0, 0] += 1.0
    assert judgement.outside(judge.judge(step, Policy())[0].values()) == 1
    step.after["p"][0, 0] -= 1.0
    step.before["g"].value[1, 1] += 1.0
    assert judgement.outside(judge.judge(step, Policy())[0].values()) == 1


@pytest.mark.parametrize("rule", [ClippedSTE(), ArcTan()], ids=str)
def test_cases_are_kept_likewise(store: Kept, rule: Any) -> None:
    x, cotangent = drawn(3), drawn(4)
    free = free_values(SHAPE, {})
    plan, names = plan_for(rule, 2, free), dict(zip(free_names(rule, 2), free, strict=True))
    arrays = {"x": x, "cotangent": cotangent}
    seen = [{"x_grad": cotangent}, {"x_grad": cotangent / 2}, {"x_grad": cotangent.astype(np.float64)}]

    def found() -> list[Any]:
        return [told((stateless.judge_case(plan, names, arrays, each, Policy()), {})) for each in seen]

    first = found()
    assert (found(), len(store._results)) == (first, 3)
    arrays["x"][0] *= 8.0
    changed = found()
    assert changed != first
    assert anew(found) == changed


def test_masks_that_score_alike_share_their_scores_and_no_others_do(store: Kept) -> None:
    w = drawn(5)

    def outside(rule: Any, mask: np.ndarray) -> int:
        return judgement.outside(selections.judge_mask(rule, {"w": w}, MaskSeen(mask), Policy()).values())

    half, few = Magnitude(sparsity=0.5), Magnitude(sparsity=0.9)
    assert outside(half, half.mask(w)) == outside(few, few.mask(w)) == 0
    assert outside(few, half.mask(w)) > 0
    assert len(store._results) == 1
    squared = NOfM(n=1, m=5, measure="square")
    assert outside(squared, squared.mask(w)) == 0
    assert len(store._results) == 2
    before = half.mask(w)
    w *= -1.0
    w[0] *= 100.0
    assert outside(half, before) > 0
    assert outside(half, half.mask(w)) == 0


def test_what_is_kept_lasts_as_long_as_the_question_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    step, asked = step_of(SGD(lr=0.5), drawn(1), drawn(2)), list[Any]()
    inner = judge._judge

    def counted(*given: Any) -> Any:
        asked.append(given)
        return inner(*given)

    monkeypatch.setattr(judge, "_judge", counted)
    for _ in range(2):
        judge.judge(step, Policy())
    assert len(asked) == 2
    for _ in range(2):
        with keeping():
            judge.judge(step, Policy())
            with keeping():  # what a question asks in turn
                judge.judge(step, Policy())
            judge.judge(step, Policy())
    assert len(asked) == 4
    assert kept._KEPT.get() is None
    with pytest.raises(ZeroDivisionError), keeping():
        1 / 0  # noqa: B018
    assert kept._KEPT.get() is None


def test_results_of_large_arrays_are_not_kept(store: Kept) -> None:
    for _ in range(2):
        made(kept.FEW + 1, lambda: pytest.fail("no key is needed"), lambda: (np.zeros(2),))
    assert not store._results


@pytest.mark.slow
def test_a_search_keeps_nothing_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two questions about one candidate have the same answer, also where what judges is another meanwhile."""
    first = refgrad.identify(ClippedSTE(), ArcTan(), steps=2)
    assert kept._KEPT.get() is None
    assert str(refgrad.identify(ClippedSTE(), ArcTan(), steps=2)) == str(first)
    monkeypatch.setattr(kept, "FEW", -1)  # nothing is kept at all
    assert str(refgrad.identify(ClippedSTE(), ArcTan(), steps=2)) == str(first)
