"""Questions sent to a candidate before their answers are needed, so that it works while the host judges earlier ones.

A run with its steps, or cases one after another, are one question, whose answers are taken one by one. If something else is
asked before they are taken they are lost, and asked for again.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from refgrad.candidates.one_step import StepRequest, Taken
from refgrad.errors import RefgradError
from refgrad.isolation import messages

#: bytes of arrays that are asked about together
MOST_TOGETHER = 1 << 20


class Asking(Protocol):
    """Whoever asks a child: `refgrad.isolation.host.Host`."""

    @property
    def alive(self) -> bool:
        """True if there is a child."""

    @property
    def generation(self) -> int:
        """How many children there have been."""

    @property
    def spent(self) -> bool:
        """True if the last child that there may be is gone."""

    @property
    def count(self) -> int:
        """How many questions there were, lost processes among them."""

    def start(self) -> None:
        """Start a child, if there is none."""

    def make(self, given: tuple[Any, ...], /) -> Any:
        """What the child says of a candidate that was made in the child of now."""

    def ask(self, message: Mapping[str, Any], buffers: list[bytes], what: str, /) -> Any:
        """The result of a question."""

    def tell(self, message: Mapping[str, Any], buffers: list[bytes], what: str, /) -> None:
        """Ask a question; its answers are taken by `result` and `taken`."""

    def result(self, what: str, /) -> Any:
        """The next answer, a result."""

    def taken(self, asked: StepRequest, what: str, /) -> tuple[Taken, Any]:
        """The next answer, what came of a step, and the run's notes after it; None where these are not told."""

    def waits(self, asked: Sequence[StepRequest], /) -> list[float]:
        """Seconds after which each step is looked at again."""


class Run:
    """A run that is asked for with its first steps.

    Args:
        host: whoever asks the child.
        thing: the candidate's number there.
        name: of the method that starts it.
        args: what that is handed.
        asked: its steps.
        what: how messages call the candidate.
    """

    def __init__(
        self, host: Asking, thing: int, name: str, args: Sequence[Any], asked: Sequence[StepRequest], what: str
    ) -> None:
        self._host, self._what = host, what
        self._asked, self._start = next(_batches(asked)), call_of(thing, name, args)
        message, buffers = self._start
        host.tell({**message, "ask": "run", "together": True}, [*buffers, _pickled(host, self._asked)], what)
        self._count = host.count

    def begins(self, thing: int, name: str, args: Sequence[Any]) -> bool:
        """True if it is the run that is started so, and its answers are still to be taken."""
        return self._host.count == self._count and call_of(thing, name, args) == self._start

    def started(self, what: str) -> Any:
        """What the child tells of the run."""
        return self._host.result(what)

    def again(self, what: str) -> Any:
        """The same of another run that is started so, without steps."""
        return self._host.ask(*self._start, what)

    def holds(self, asked: Sequence[StepRequest]) -> bool:
        """True if its answers are to these steps, or to the first of them, and still to be taken."""
        same = len(self._asked) <= len(asked) and all(map(_same_step, self._asked, asked))
        return self._host.count == self._count and same


def call_of(
    thing: int, name: str, args: Sequence[Any], keywords: Mapping[str, Any] = MappingProxyType({})
) -> tuple[dict[str, Any], list[bytes]]:
    """The question that calls a method, such as one that starts a run."""
    buffers: list[bytes] = []
    given = messages.encode([list(args), dict(keywords)], buffers)
    return {"ask": "call", "thing": thing, "name": name, "given": given}, buffers


def steps(
    host: Asking, thing: int, asked: Sequence[StepRequest], what: str, begun: bool
) -> Iterator[tuple[Taken, Any]]:
    """What comes of a run's steps one after another, each of which has the time of a question; some may be asked for already."""
    for number, some in enumerate(_batches(asked)):
        if number or not begun:
            message = {"ask": "steps", "thing": thing, "together": len(some) > 1}
            host.tell(message, [_pickled(host, some)], what)
        for each in some:
            yield host.taken(each, what)


class Cases:
    """Cases of a candidate without state, asked for together; one that goes wrong leaves the others as they are.

    Args:
        thing: the candidate, whose `number` in the child of now is asked, and what was `returned` told.
        host: whoever asks the child.
        rule: what the candidate is told to be.
        given: the arrays of each case.
        forms: what its kind has to know of each case besides, None for nothing.
        strided: True to hand copies out as the arrays lie in memory.
    """

    def __init__(
        self,
        thing: Any,
        host: Asking,
        rule: Any,
        given: Sequence[Mapping[str, np.ndarray]],
        forms: Sequence[Any],
        strided: bool,
    ) -> None:
        self._forms = list(forms)
        self._thing, self._host, self._asked = thing, host, (rule, [dict(each) for each in given], strided)
        self._at = self._until = 0
        self._count = -1
        self._fault: RefgradError | None = None
        try:
            self._ask()
        except RefgradError as error:  # told when the first of them is taken
            self._fault = error

    def holds(self, rule: Any, given: Sequence[Mapping[str, np.ndarray]], strided: bool) -> bool:
        """True if these are asked for, and none was taken."""
        mine, cases, how = self._asked
        same = mine == rule and how is strided and _same(cases, [dict(each) for each in given])
        return not self._at and self._host.count == self._count and same

    def __call__(self) -> Any:
        """What the candidate returned for the next case; whatever it raised is raised."""
        fault, self._fault = self._fault, None
        try:
            if fault is not None:
                raise fault
            if self._at == self._until or self._host.count != self._count:
                self._ask()
        finally:
            self._at += 1
        return self._thing.returned(self._host.result(self._thing.name))

    def _ask(self) -> None:
        rule, given, strided = self._asked
        number, name = self._thing.number(), self._thing.name
        self._until, size = self._at, 0
        while self._until < len(given) and (size < MOST_TOGETHER or self._until == self._at):
            size += sum(a.nbytes for a in given[self._until].values())
            self._until += 1
        buffers: list[bytes] = []
        message = {"ask": "cases", "thing": number, "strided": strided, "given": messages.encode(rule, buffers)}
        some = slice(self._at, self._until)
        cases = pickle.dumps(list(zip(given[some], self._forms[some], strict=True)), 5)
        self._host.tell({**message, "together": True}, [*buffers, cases], name)
        self._count = self._host.count
        self._host.result(f"building {name}")


def _batches(asked: Sequence[StepRequest]) -> Iterator[list[StepRequest]]:
    """Steps, as many together as have `MOST_TOGETHER` bytes, or one."""
    some: list[StepRequest] = []
    size = 0
    for each in asked:
        more = sum(a.nbytes for a in messages.arrays_in(each.given))
        if some and size + more > MOST_TOGETHER:
            yield some
            some, size = [], 0
        some, size = [*some, each], size + more
    if some:
        yield some


def _pickled(host: Asking, asked: Sequence[StepRequest]) -> bytes:
    waits = host.waits(asked)
    return pickle.dumps([(a.given, a.order, a.probed, wait) for a, wait in zip(asked, waits, strict=True)], 5)


def _same_step(one: StepRequest, other: StepRequest) -> bool:
    return (one.order, one.probed) == (other.order, other.probed) and _same(dict(one.given), dict(other.given))


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(map(_same, one.values(), other.values()))
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, np.ndarray):
        alike = (one.dtype, one.shape) == (other.dtype, other.shape)
        return one is other or (alike and one.tobytes() == other.tobytes())
    return bool(one == other)
