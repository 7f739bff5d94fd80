"""What a child answers, in this process: whatever a candidate returns or raises is told as data."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from refgrad.candidates.protocol import CandidateFault, Observation
from refgrad.errors import ArgumentError, CandidateError, NotThereError, RefgradError
from refgrad.estimators import ArcTan
from refgrad.isolation import child, messages
from refgrad.isolation.child import Bell, Server
from refgrad.isolation.recipe import NotMadeError, Recipe
from refgrad.isolation.shared import Region
from refgrad.optimizers import SGD, Lookahead

ARRAY = np.zeros(2, np.float32)


def asked(thing: Any, ask: str, given: Any = (), *more: bytes, **words: Any) -> list[dict[str, Any]]:
    """The answers to a question to a thing, results decoded."""
    server, buffers = Server(), list[bytes]()
    server._things.append(thing)
    message = {"ask": ask, "thing": 0, "given": messages.encode(given, buffers), **words}
    found = list(server.answers(message, [bytearray(each) for each in (*buffers, *more)]))
    assert [told["last"] for told, _ in found] == [False] * (len(found) - 1) + [True]
    return [
        {**told, "result": messages.decode(told["result"], [bytearray(each) for each in data])}
        if "result" in told
        else told
        for told, data in found
    ]


def called(action: Callable[..., Any], *args: Any) -> dict[str, Any]:
    """The answer to a call."""
    (answer,) = asked(action, "call", [list(args), {}], name="")
    return answer


@pytest.mark.parametrize(
    ("error", "kind", "message", "name"),
    [
        (ValueError("no"), "raised", "ValueError: no", ""),
        (SystemExit(3), "crashed", "raised SystemExit: 3, which ends a program", ""),
        (KeyboardInterrupt(), "crashed", "raised KeyboardInterrupt, which ends a program", ""),
        (CandidateFault("shape", "wrong"), "shape", "wrong", "CandidateFault"),
        (CandidateError("x"), "", "x", "CandidateError"),
        (NotThereError("x"), "", "x", "NotThereError"),
    ],
    ids=str,
)
def test_what_a_candidate_raises_is_told_as_data(error: BaseException, kind: str, message: str, name: str) -> None:
    def raising() -> None:
        raise error

    assert called(raising)["raised"] == {"kind": kind, "message": message, "class": name}


@pytest.mark.parametrize(
    ("error", "name"),
    [(ArgumentError("x"), "ArgumentError"), (RefgradError("x"), "CandidateError"), (NotMadeError("x"), "NotMadeError")],
    ids=str,
)
def test_errors_of_refgrad_keep_their_class_and_those_that_a_candidate_raises_do_not(
    error: Exception, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "from_outside", lambda error: True)
    assert child._described(error)["class"] == ""
    monkeypatch.setattr(child, "from_outside", lambda error: False)
    assert child._described(error)["class"] == name


class Arrays:
    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return ARRAY + 1


def test_what_a_call_returns_is_told_by_what_it_is() -> None:
    assert called(lambda: 3)["result"]["value"] == 3
    assert called(Arrays)["result"]["value"].tolist() == [1, 1]
    assert called(lambda: SimpleNamespace(settings=("lr",)))["result"]["words"] == {"settings": ("lr",)}
    rule = Lookahead(inner=SGD(lr=0.5), k=5)
    given: list[bytes] = []
    message = {"ask": "call", "name": "", "thing": 0, "given": messages.encode([[Lookahead(inner=SGD())], {}], given)}
    server = Server()
    server._things.append(lambda _: rule)
    ((answer, _),) = server.answers(message, [bytearray(each) for each in given])
    assert messages.decode(answer["result"], [])["fields"] == {"inner": [{"lr": 0.5}]}
    assert called(lambda: np.array([None]))["raised"]["kind"] == "structure"


def test_arrays_that_a_call_writes_into_are_told() -> None:
    def writing(first: np.ndarray, second: np.ndarray) -> None:
        second[...] = 7

    ((index, array),) = called(writing, ARRAY, ARRAY)["result"]["changed"]
    assert (index, array.tolist()) == (1, [7, 7])


class Run:
    """A run whose second step shows what cannot cross."""

    name, notes = "run", ["said"]

    def __init__(self, wrong: Any = ARRAY) -> None:
        self.wrong, self.t = wrong, 0

    def step(self, grads: Any) -> None:
        self.t += 1

    def observe(self) -> Observation:
        return Observation([ARRAY if self.t < 2 else self.wrong], [{}])

    def rule_for(self, leaf: int, rule: Any) -> Any:
        return rule.replace(lr=leaf + 1.0)


def test_steps_are_answered_one_after_another_until_one_cannot_be() -> None:
    steps = pickle.dumps([({"gradient": [ARRAY]}, "C", False, 0.0)] * 3)
    first, second, third = asked(Run(), "steps", (), steps)
    assert "notes" not in first
    assert third["notes"] == ("said",)
    first, second = asked(Run(np.zeros(2, "M8[s]")), "steps", (), steps)
    assert second["raised"]["kind"] == "structure"
    assert "dtype datetime64[s]" in second["raised"]["message"]


def test_notes_that_are_no_texts_are_asked_for_later() -> None:
    for notes in ([3], "text", None):
        assert child._noted(SimpleNamespace(notes=notes)) == {}
    assert child._noted(SimpleNamespace()) == {}


def test_of_a_run_the_rules_of_its_leaves_and_what_is_seen_first_are_told() -> None:
    class Candidate:
        name = "c"

        def start(self, rules: Any, params: Any) -> Run:
            return Run()

    (answer,) = asked_trusted(Candidate(), [[SGD(), [ARRAY, ARRAY]], {}], name="start")
    assert answer["rules"] == [{"lr": 1.0}, {"lr": 2.0}]
    assert answer["seen"].params[0].tolist() == [0, 0]
    (answer,) = asked_trusted(
        SimpleNamespace(start=lambda *_: Run(np.zeros(1))), [[[SGD()], [ARRAY]], {}], name="start"
    )
    assert answer["rules"] == [{"lr": 1.0}]
    (answer,) = asked_trusted(SimpleNamespace(start=lambda *_: object()), [[SGD(), [ARRAY]], {}], name="start")
    assert "rules" not in answer  # and asking for it goes wrong then


def asked_trusted(thing: Any, given: Any, **words: Any) -> list[Any]:
    """The results of a call, as the host reads them."""
    return [each["result"] for each in asked(thing, "call", given, **words)]


class Estimator:
    """An estimator that raises where it is asked to."""

    name, notes = "mine", ()

    def __init__(self, *, start: bool = False, every: int = 0) -> None:
        self.start, self.every, self.calls = start, every, 0

    def __call__(self, **given: Any) -> Any:
        self.calls += 1
        if self.calls == self.every:
            raise ValueError("this one")
        return np.zeros(2, np.float32)


def cases_of(thing: Any, count: int, monkeypatch: pytest.MonkeyPatch, refused: int = 0) -> list[dict[str, Any]]:
    """The answers to so many cases, where the candidate is refused so often when it is started."""
    tries: list[int] = []

    def start(thing: Any, rule: Any, called: Any) -> Any:
        tries.append(1)
        if len(tries) <= refused:
            raise ValueError("not started")
        return lambda handed: thing(**handed)

    kind = SimpleNamespace(start=start, foresee=lambda *_: None)
    monkeypatch.setattr(child, "kind_of", lambda rule: kind)
    cases = pickle.dumps([({"u": ARRAY, "g": ARRAY}, None)] * (count - 1) + [({"u": ARRAY, "g": ARRAY}, 1)])
    buffers: list[bytes] = []
    message = {"ask": "cases", "thing": 0, "strided": False, "given": messages.encode(ArcTan(), buffers)}
    server = Server()
    server._things.append(thing)
    found = server.answers(message, [bytearray(each) for each in (*buffers, cases)])
    return [told for told, _ in found]


def test_a_case_that_goes_wrong_leaves_the_others_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    started, first, second, third = cases_of(Estimator(every=2), 3, monkeypatch)
    assert ("raised" in first, second["raised"]["message"], "raised" in third) == (False, "ValueError: this one", False)
    assert [each["last"] for each in (started, first, second, third)] == [False, False, False, True]


def test_what_is_not_started_says_why_at_its_first_case_and_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    started, first, second, third = cases_of(Estimator(), 3, monkeypatch, refused=2)
    assert messages.decode(started["result"], [])["started"] is False
    assert [each.get("raised", {}).get("message") for each in (first, second, third)] == [
        "ValueError: not started",
        "ValueError: not started",
        None,
    ]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (Recipe("tests.isolation.nowhere", "", "f", None, object), "there is no module 'tests.isolation.nowhere'"),
        (Recipe("builtins", "", "none_such", None, object), "making it there raised AttributeError"),
        (Recipe("builtins", "", "print", {}, object), "it returned None; legal: a candidate"),
    ],
    ids=str,
)
def test_what_cannot_be_made_says_why(target: Recipe, message: str) -> None:
    with pytest.raises(NotMadeError, match=message):
        child._target(target, None)


def test_a_rule_is_made_with_the_hyperparameters_that_it_is_given() -> None:
    assert child._target(SGD(), {"lr": 0.5}) == SGD(lr=0.5)
    assert child._target("refgrad.optimizers:SGD", {"lr": 0.5}) is SGD
    for ending in ("SystemExit", "KeyboardInterrupt", "MemoryError"):
        with pytest.raises((SystemExit, KeyboardInterrupt, MemoryError)):
            child._target(Recipe(__name__, __file__, "ends", {"name": ending}, object), None)


def ends(name: str) -> None:
    raise {"SystemExit": SystemExit, "KeyboardInterrupt": KeyboardInterrupt, "MemoryError": MemoryError}[name]


def test_a_claim_that_is_not_understood_is_no_fault_of_the_candidate() -> None:
    (answer,) = list(Server().answers({"ask": "make", "given": {"rule": 5}}, []))
    assert answer[0]["raised"]["class"] == "NotMadeError"
    assert "reading the claim there raised" in answer[0]["raised"]["message"]


def test_questions_are_answered_until_the_pipe_is_closed() -> None:
    questions = [{"ask": "surroundings", "number": 1}, {"ask": "forget", "number": 2, "together": True}]
    data = b"".join(messages.packed(each, [], Region.none()) for each in questions)
    answers, rung = io.BytesIO(), list[int]()
    bell: Any = SimpleNamespace(count=rung.append, ring=lambda: rung.append(-1))
    child.serve(io.BytesIO(data), answers, Region.none(), Region.none(), bell)  # type: ignore[arg-type]
    answers.seek(0)
    found = [messages.read(lambda count: bytearray(answers.read(count)), Region.none())[0] for _ in questions]
    assert [each["number"] for each in found] == [1, 2]
    assert len(rung) == 2
    assert rung[1] == -1


def test_a_bell_of_a_system_that_does_not_say_how_large_a_pipe_is_rings_early(monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    monkeypatch.delattr(fcntl, "F_GETPIPE_SZ", raising=False)
    heard, descriptor = os.pipe()
    bell = Bell(descriptor, heard)
    bell.count(1 << 12)
    assert os.read(heard, 9) == b"!"
    os.close(heard)
    os.close(descriptor)
