"""Whatever a child answers, its host makes a finding of it, and nothing that a candidate's process says ends the host."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import CandidateError
from refgrad.isolation import host as hosts
from refgrad.isolation import messages
from refgrad.isolation.host import MOST, Host
from refgrad.isolation.process import EndedError, NotInTimeError
from refgrad.isolation.recipe import FailedThereError, NotMadeError, Recipe
from refgrad.optimizers import SGD, Lookahead

#: what a child says of a candidate that it made
MADE = {"thing": 0, "methods": ["start"], "words": {}, "noted": False, "name": "c", "named": frozenset(), "told": False}
#: the same of a run
RUN = {"thing": 1, "methods": ["rule_for"], "words": {}, "noted": False}


class Answering:
    """What stands for a child: it gives the answers that it is given, and raises those that are exceptions."""

    def __init__(self, *answers: Any) -> None:
        self._answers, self.ended, self.renewed = list(answers), False, False
        self.noise = SimpleNamespace(count=0, first=b"")

    def send(self, message: Any, buffers: Any, seconds: float) -> None:
        """Taken."""

    def receive(self, seconds: float) -> tuple[Any, list[bytearray]]:
        answer = self._answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def how_it_ended(self) -> str:
        return "its process ended with exit code 3"

    def renew(self) -> None:
        self.renewed = True

    def end(self) -> None:
        self.ended = True


def result(value: Any, **more: Any) -> tuple[Any, list[bytearray]]:
    """An answer as a child writes it."""
    buffers: list[bytes] = []
    encoded = messages.encode(value, buffers)
    return {"result": encoded, "last": True, **more}, [bytearray(each) for each in buffers]


UNDERSTOOD = result({"understood": True}, last=False)


def made_in(*answers: Any, **altered: Any) -> Any:
    """A candidate, and its child, which says what is altered of it, and answers so afterwards."""
    child: Any = Answering(UNDERSTOOD, result({**MADE, **altered}), *answers)
    return Host(60.0, child=child).resolve("a:b", SGD(), {}, None), child


@pytest.mark.parametrize(
    "altered",
    [
        {"thing": "x"},
        {"thing": None},
        {"thing": float("inf")},
        {"methods": 3},
        {"words": 3},
        {"words": {"settings": "text"}},
        {"words": {"extras_taken": 3}},
        {"named": 3},
        {"rules": 3},
    ],
    ids=str,
)
def test_a_candidate_that_is_told_wrongly_cannot_be_made(altered: dict[str, Any]) -> None:
    with pytest.raises(CandidateError, match=r"the candidate cannot be made: .*(what is no answer|legal: strings)"):
        made_in(**altered)


@pytest.mark.parametrize("name", ["thing", "methods", "noted", "name", "told", "named"])
def test_a_candidate_of_which_something_is_not_told_cannot_be_made(name: str) -> None:
    child: Any = Answering(UNDERSTOOD, result({n: v for n, v in MADE.items() if n != name}))
    with pytest.raises(CandidateError, match="what is no answer"):
        Host(60.0, child=child).resolve("a:b", SGD(), {}, None)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (result(3), "what is no answer"),
        (({}, []), "what is no answer"),
        (({"raised": "text"}, []), "what is no answer"),
        (EndedError(), "exit code 3"),
        (NotInTimeError(), "did not return within"),
        (({"raised": {"kind": "raised", "message": "ValueError: no"}}, []), "ValueError: no"),
        (({"raised": {"kind": "crashed", "message": "raised SystemExit"}}, []), "making a:b raised SystemExit"),
        (({"raised": {"class": "CandidateError", "message": "no name"}}, []), "no name"),
    ],
    ids=str,
)
def test_what_goes_wrong_where_a_candidate_is_made_says_what(answer: Any, said: str) -> None:
    child: Any = Answering(UNDERSTOOD, answer)
    with pytest.raises(CandidateError, match=said):
        Host(60.0, child=child).resolve("a:b", SGD(), {}, None)


def test_what_cannot_cross_is_not_asked_for_and_what_fails_there_says_what_to_do() -> None:
    child: Any = Answering()
    with pytest.raises(NotMadeError, match="a value of type object"):
        Host(60.0, child=child).resolve("a:b", SGD(), {"option": object()}, None)
    child = Answering(UNDERSTOOD, ({"raised": {"class": "NotMadeError", "message": "no module", "kind": ""}}, []))
    recipe = Recipe("mine", "", "f", None, object)
    with pytest.raises(FailedThereError, match="no module; isolate=False makes it in this process"):
        Host(60.0, child=child).resolve(recipe, SGD(), {}, None)


RULE = Lookahead(inner=SGD())
ARRAY = np.zeros(2, np.float32)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"changed": 3},
        {"changed": [[7, ARRAY]]},
        {"changed": [["x", ARRAY]]},
        {"changed": [[0, np.zeros(3, np.float32)]]},
        {"changed": [[0]]},
        {"changed": [], "fields": {"lr": 1.0}},
    ],
    ids=str,
)
def test_results_that_nobody_asked_for_are_a_fault_of_the_candidate(told: dict[str, Any]) -> None:
    candidate, _ = made_in(result({"callable": True}), result(told))
    with pytest.raises(CandidateFault, match="what is no answer"):
        candidate.step([ARRAY.copy()])


@pytest.mark.parametrize(
    "fields", [{"k": "x"}, {"none": 1}, {"inner": [{"lr": -1.0}]}, {"inner": []}, {"k": [3]}, 3], ids=str
)
def test_a_rule_that_is_none_is_a_fault_of_the_candidate(fields: Any) -> None:
    candidate, _ = made_in(result({"callable": True}), result({"changed": [], "fields": fields}))
    with pytest.raises(CandidateFault, match="says that it is another rule, of which"):
        candidate.other(RULE)
    run = candidate_run({"rules": [fields]})
    with pytest.raises(CandidateFault, match="says that it is another rule, of which"):
        run.rule_for(0, RULE)


def candidate_run(told: dict[str, Any]) -> Any:
    """A run of a candidate, which tells of it what is altered."""
    candidate, _ = made_in(result({**RUN, "changed": [], **told}))
    return candidate.start(RULE, [ARRAY])


def test_rules_of_leaves_are_those_that_a_run_told_and_a_leaf_without_one_is_a_fault() -> None:
    run = candidate_run({"rules": [{"inner": [{"lr": 0.5}]}]})
    assert run.rule_for(0, RULE) == RULE.replace(inner=SGD(lr=0.5))
    with pytest.raises(CandidateFault, match="what is no answer"):
        run.rule_for(1, RULE)


def test_attributes_are_asked_for_once_and_one_that_is_missing_is_none() -> None:
    candidate, _ = made_in(result({"missing": True}), result({"value": 3}), words={"settings": ("lr",)})
    assert candidate.settings == ("lr",)
    assert not hasattr(candidate, "observe")  # it was told at once that there is none
    assert not hasattr(candidate, "notes")
    assert not hasattr(candidate, "other")
    assert candidate.other == 3
    assert not hasattr(candidate, "_private")


def test_a_candidate_whose_process_is_lost_is_made_again_and_at_last_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    candidate, child = made_in(EndedError())
    monkeypatch.setattr(hosts, "Child", lambda memory: Answering(EndedError()))
    with pytest.raises(CandidateFault, match="exit code 3"):
        candidate()
    assert child.ended
    for _ in range(MOST - 2):
        with pytest.raises(CandidateFault, match="exit code 3"):
            candidate.other  # noqa: B018
    assert not hasattr(candidate, "other")
    with pytest.raises(CandidateFault, match=f"its process was lost {MOST} times, at last so: making a:b: its process"):
        candidate()


def test_a_run_is_lost_with_its_process() -> None:
    candidate, _ = made_in(result({**RUN, "changed": []}), EndedError())
    run = candidate.start(RULE, [ARRAY])
    step = run.rule_for
    with pytest.raises(CandidateFault, match="exit code 3"):
        step(0, RULE)
    with pytest.raises(CandidateFault, match="its process has ended"):
        step(0, RULE)
    assert not hasattr(run, "step")


@pytest.mark.parametrize(
    ("answers", "kept"),
    [
        ([result({"clean": True})], True),
        ([result({"clean": False})], False),
        ([result({"clean": 1})], False),
        ([result({})], False),
        ([EndedError()], False),
    ],
)
def test_a_process_is_kept_for_the_next_candidate_only_if_it_says_that_it_is_clean(
    answers: list[Any], kept: bool
) -> None:
    candidate, child = made_in(*answers)
    assert candidate._host.released() is (child if kept else None)
    assert (child.renewed, child.ended) == (kept, not kept)


@pytest.mark.parametrize("last", [({"last": True}, []), EndedError()], ids=["in time", "lost"])
def test_answers_that_nobody_waits_for_are_taken_before_the_next_question(last: Any) -> None:
    candidate, child = made_in(({"result": {"dict": []}}, []), ({"last": False}, []), last)
    host = candidate._host
    assert host.ask({"ask": "x"}, [], "x") == {}  # more are to come
    host.start()
    assert child.ended == isinstance(last, EndedError)
    assert host.alive


def test_surroundings_that_are_none_are_left_out() -> None:
    for told in ({"environment": 3, "notes": []}, {"environment": {}, "notes": 3}, {}):
        candidate, child = made_in(result(told))
        child.noise.count, child.noise.first = 5, b"\n a\xff\n"
        assert candidate._host.surroundings() == ({}, ["the candidate printed 5 bytes; they begin: a\ufffd"])
    candidate, _ = made_in(result({"environment": {"numpy": 2}, "notes": ["x"]}))
    assert candidate._host.surroundings() == ({"numpy": "2"}, ["x"])
    assert candidate._host.released() is None  # what it made of its process is not for the next one


def test_a_stop_by_the_user_ends_the_process() -> None:
    candidate, child = made_in(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        candidate()
    assert child.ended
