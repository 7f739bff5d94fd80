"""What is derived from a rule or a plan is kept with it, and is no part of it."""

from __future__ import annotations

import copy
import dataclasses
import multiprocessing
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from refgrad import optimizers as o
from refgrad import quantizers as q
from refgrad.backends import numba_backend
from refgrad.derived import Frozen, derived, unchecked
from refgrad.errors import ArgumentError
from refgrad.estimators import ClippedSTE
from refgrad.optimizers import Optimizer
from refgrad.rule import Rule, rules
from refgrad.sparsity import NOfM
from refgrad.tracing import Plan, known_plans
from tests.used import used

COPIES: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda thing: pickle.loads(pickle.dumps(thing)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@dataclass(frozen=True)
class Square(Frozen):
    """A frozen object with something to derive."""

    side: float

    @derived
    def area(self) -> float:
        ASKED.append(self.side)
        return self.side**2

    @property
    @derived
    def twice(self) -> float:
        return 2 * self.side


class Scaled(Square):
    """A subclass that derives another thing under the same name."""

    @derived
    def area(self) -> float:
        return super().area() * 10


ASKED: list[float] = []


@derived
def lock(thing: Frozen) -> Any:
    """Something that cannot be pickled or copied, as a compiled kernel cannot."""
    return threading.Lock()


@derived
def filled(thing: Frozen) -> dict[str, int]:
    return {}


def test_a_thing_is_derived_once_for_each_object() -> None:
    ASKED.clear()
    square, other = Square(3.0), Square(3.0)
    assert [square.area(), square.area(), square.twice, other.area()] == [9.0, 9.0, 6.0, 9.0]
    assert ASKED == [3.0, 3.0]
    filled(square)["a"] = 1
    assert filled(square) == {"a": 1}
    assert filled(other) == {}


def test_a_subclass_derives_its_own_beside_its_parents() -> None:
    assert Scaled(3.0).area() == 90.0
    assert Scaled.area.__doc__ == Scaled.__dict__["area"].__wrapped__.__doc__


def test_what_fails_is_asked_again() -> None:
    answers = [ValueError("not yet"), 5]

    @derived
    def late(thing: Frozen) -> int:
        answer = answers.pop(0)
        if isinstance(answer, ValueError):
            raise answer
        return answer

    square = Square(1.0)
    with pytest.raises(ValueError, match="not yet"):
        late(square)
    assert late(square) == late(square) == 5


@pytest.mark.parametrize("way", COPIES)
def test_no_copy_carries_it_over(way: str) -> None:
    square = Square(2.0)
    filled(square)["a"] = 1
    lock(square)
    other = COPIES[way](square)
    assert (other, repr(other)) == (square, "Square(side=2.0)")
    assert filled(other) == {}


def test_threads_are_given_one_and_the_same() -> None:
    square, start, found = Square(2.0), threading.Barrier(8), []

    def ask() -> None:
        start.wait()
        found.append(filled(square))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(each is found[0] for each in found)


def test_unchecked_copies_take_any_value_and_derive_anew() -> None:
    rule = o.AdamW()
    rule.slots()
    other = unchecked(rule, {"lr": "anything"})
    assert (other.lr, other.beta1, type(other)) == ("anything", rule.beta1, o.AdamW)
    assert rule.lr == o.AdamW().lr
    assert "t" in other.scalar_inputs()


@pytest.mark.sample(suite=100)
@pytest.mark.parametrize("name", rules())
def test_a_rule_that_was_used_can_be_copied_and_does_the_same(name: str) -> None:
    rule = rules()[name]()
    before = used(rule)
    lock(rule)
    for way, copied in COPIES.items():
        other = copied(rule)
        assert (other == rule, hash(other), repr(other), str(other)) == (True, hash(rule), repr(rule), str(rule)), way
        assert lock(other) is not lock(rule)
        after = used(other)
        assert [a.dtype for a in after] == [b.dtype for b in before]
        assert all(a.tobytes() == b.tobytes() for a, b in zip(after, before, strict=True)), way


@pytest.mark.parametrize("name", rules(Optimizer))
def test_a_plan_that_was_used_can_be_copied(name: str) -> None:
    rule = rules()[name]()
    assert isinstance(rule, Optimizer)
    plan = rule.plan((4, 8), 2)
    numba_backend.kernel_sources(plan, np.dtype(np.float32))
    lock(plan)
    for copied in (COPIES["pickle"], COPIES["deepcopy"]):
        other = copied(plan)
        assert (other.rule, other.free, other.graph.guards) == (plan.rule, plan.free, plan.graph.guards)
        assert list(map(repr, other.graph.nodes)) == list(map(repr, plan.graph.nodes))
        assert texts(other) == texts(plan)


def texts(plan: Plan) -> list[str]:
    return [source.text for source in numba_backend.kernel_sources(plan, np.dtype(np.float32))]


#: rules of several kinds, with kernels where their kind has some
IN_PROCESSES: list[tuple[Rule, dict[str, Any]]] = [
    (o.AdamW(weight_decay=0.1), {"backend": "numba"}),
    (o.Lookahead(inner=o.SGD(momentum=0.9)), {"backend": "numba"}),
    (q.EightBit(o.Adam(), min_8bit_size=1), {}),
    (q.Affine(bits=4), {}),
    (ClippedSTE(), {}),
    (NOfM(), {}),
]


@pytest.mark.slow
def test_used_rules_and_their_state_go_to_other_processes() -> None:
    here = [used(rule, **how) for rule, how in IN_PROCESSES]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(used, rule, **how) for rule, how in IN_PROCESSES]
        there = [future.result() for future in futures]
    for (rule, _), wanted, found in zip(IN_PROCESSES, here, there, strict=True):
        assert [a.tobytes() for a in found] == [a.tobytes() for a in wanted], str(rule)


@pytest.mark.slow
def test_a_plan_goes_to_another_process() -> None:
    plan = o.AdamW().plan((1000,), 3)
    numba_backend.kernel_sources(plan, np.dtype(np.float32))
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(texts, plan).result() == texts(plan)


def test_a_copy_is_checked_as_any_rule_is() -> None:
    broken = unchecked(o.AdamW(), {"lr": -1.0})
    with pytest.raises(ArgumentError, match=r"AdamW\.lr is -1\.0"):
        copy.deepcopy(broken)


def test_nothing_is_kept_among_the_fields() -> None:
    for rule in (o.AdamW(), o.Lookahead(), q.Blockwise(), q.APoT(), q.Affine()):
        used(rule)
        assert set(vars(rule)) == {f.name for f in dataclasses.fields(rule)}, str(rule)
    plan = o.LAMB().plan((4, 8), 2)
    plan.scalars, plan.holds, plan.scalar_outputs  # noqa: B018
    numba_backend.at_hand(plan, np.dtype(np.float32), (4, 8))
    assert set(vars(plan)) == {"rule", "graph", "free"}


def test_known_plans_are_those_that_were_asked_for() -> None:
    rule = o.RAdam()
    assert known_plans(rule, 2) == []
    first = rule.plan((4, 8), 1)
    assert known_plans(rule, 2) == [first]
    late = rule.plan((4, 8), 100)
    assert known_plans(rule, 2) == [first, late]
    assert known_plans(copy.copy(rule), 2) == []
