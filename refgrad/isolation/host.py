"""The host: it asks a child, starts another where one is lost, and makes findings of what goes wrong.

A `Host` stands for one candidate's process over a verdict. Its `resolve` gives what a kind's own would, the candidate behind
the pipe, with the same attributes; engine and kinds do not see the difference. A child that ended is replaced when it is
needed again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from refgrad.candidates.one_step import StepRequest, Taken
from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import ArgumentError, CandidateError, NotThereError, RefgradError
from refgrad.isolation import messages
from refgrad.isolation.dtypes import MessageError
from refgrad.isolation.layouts import seen_in
from refgrad.isolation.process import Child, EndedError, Noise, NotInTimeError
from refgrad.isolation.recipe import FailedThereError, NotMadeError
from refgrad.isolation.remote import Remote, no_answer
from refgrad.signals import from_handler

#: seconds that a child may take to import refgrad
STARTING = 120.0
#: bytes of memory that a child may take where nothing else is said
MEMORY = 8 << 30
#: processes that one verdict starts at most
MOST = 4
#: seconds after which what a candidate has returned is looked at again
LATE = 0.005
#: what raises in words that need no others
UNDERSTOOD = ("CandidateError", "NotThereError")
#: what reading an answer raises that is none
NO_ANSWER = (MessageError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError)
#: what to do about a candidate that is not made elsewhere
HERE = "; isolate=False makes it in this process"


class Host:
    """A candidate's process over a verdict.

    Args:
        time_limit: seconds that one question may take.
        memory: bytes that the process may take; 0 for no limit.
        child: a process that waits, in place of a new one.
    """

    def __init__(self, time_limit: float, memory: int = MEMORY, child: Child | None = None) -> None:
        self._limit, self._memory, self._child = min(time_limit, 1e9), memory, child
        self._behaved, self._last = True, ""
        #: questions so far, whether answers to the last one are still to come, and runs in which a step will be waited after
        self._count, self._open, self._waits = 0, False, 1
        self._printed: list[Noise] = [] if child is None else [child.noise]

    def start(self) -> None:
        """Start a child, if there is none; it imports while the host goes on. One that is there has nothing left to say."""
        self._settle()
        if self._child is None:
            if self.spent:
                raise CandidateFault("crashed", f"its process was lost {MOST} times, at last so: {self._last}")
            self._child = Child(self._memory)
            self._printed.append(self._child.noise)

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.end()
            self._child = None

    def released(self) -> Child | None:
        """The child, if it behaved and another candidate may be made in it; else it is ended."""
        child = self._child
        if child is None or not self._behaved:
            self.close()
            return None
        try:
            told = self.ask({"ask": "forget"}, [], "the candidate's process")
            self._behaved &= told.get("clean") is True
        except CandidateFault:
            return None
        if not self._behaved:  # or not in steps that nobody waited for
            self.close()
            return None
        child.renew()
        self._child = None
        return child

    def resolve(
        self,
        target: Any,
        rule: Any,
        options: Mapping[str, Any],
        state_names: Mapping[str, str] | None,
        replaced: Mapping[str, Any] | None = None,
    ) -> Remote:
        """The candidate that a target names, made in the child; as `refgrad.kinds.kind.Kind.resolve`.

        Args:
            target: a string, a recipe, or a rule.
            rule: what it claims to be.
            options: for its constructor.
            state_names: what its state calls the rule's slots.
            replaced: hyperparameters of its own, if it is a rule itself; None where that is not asked.

        Raises:
            CandidateError: there is none.
            NotMadeError: it cannot be asked for in another process.
            FailedThereError: it was asked for, and making it failed.
        """
        given = (target, rule, dict(options), None if state_names is None else dict(state_names), replaced)
        try:
            return Remote(self, given)
        except CandidateFault as fault:  # later it would be a finding; here there is nothing to judge
            raise CandidateError(f"the candidate cannot be made: {fault}") from None

    def make(self, given: tuple[Any, ...]) -> Any:
        """What the child says of a candidate that was made in the child of now."""
        buffers: list[bytes] = []
        try:
            encoded = messages.encode(given, buffers)
        except MessageError as error:
            raise NotMadeError(str(error)) from None
        target = getattr(given[0], "attribute", given[0])
        what = f"making {target}"
        self.tell({"ask": "make", "given": encoded}, buffers, what, STARTING)
        self.result(what, STARTING)  # it is understood; from here on the candidate runs, and is not believed
        try:
            return self.result(what, STARTING)
        except NotMadeError as error:
            place = str(getattr(given[0], "place", ""))
            if (
                place.startswith("refgrad.") and error.raised in UNDERSTOOD
            ):  # a command asks for it, and it says what is wrong
                raise CandidateError(str(error)) from None
            raise FailedThereError(error, "" if not place or place.startswith("refgrad.") else HERE) from None

    def ask(self, message: Mapping[str, Any], buffers: list[bytes], what: str, more: float = 0.0) -> Any:
        """The result of a question; whatever goes wrong is a `CandidateFault`, or what refgrad raised in the child."""
        self.tell(message, buffers, what, more)
        return self.result(what, more)

    @property
    def count(self) -> int:
        """How many questions there were, lost processes among them: answers are to the last one alone."""
        return self._count

    def tell(self, message: Mapping[str, Any], buffers: list[bytes], what: str, more: float = 0.0) -> None:
        """Ask what has one answer or several, which are taken by `result` and `taken`; what nobody took of others is lost."""
        child = self._ready()
        with self._watching(what, self._limit + more):
            child.send(message, buffers, self._limit + more)
        self._count, self._open = self._count + 1, True

    def result(self, what: str, more: float = 0.0) -> Any:
        """The next answer, a result."""
        with self._watching(what, self._limit + more):
            answer, found = self._next(what, more)
            result = messages.decode(answer["result"], found)
            if not isinstance(result, dict):
                raise MessageError(f"{result!r:.40}")
            return result

    def taken(self, asked: StepRequest, what: str) -> tuple[Taken, Any]:
        """The next answer, what came of a step, and what the run's notes are after it; None where that is not told."""
        with self._watching(what, self._limit):
            answer, found = self._next(what)
            return _taken(asked, answer, found), answer.get("notes")

    def _next(self, what: str, more: float = 0.0) -> tuple[Any, list[bytearray]]:
        assert self._child is not None
        answer, found = self._child.receive(self._limit + more)
        self._open = answer.get("last") is not True
        if answer.get("raised") is not None:
            self._behaved = False  # who knows what it left half done
            raise _raised(answer["raised"], what)
        return answer, found

    def waits(self, asked: Sequence[StepRequest]) -> list[float]:
        """Seconds after which each step is looked at again: `LATE` once a verdict, at the last of those that are looked at."""
        probed = [i for i, each in enumerate(asked) if each.probed]
        late = probed[-1:] if self._waits else []
        self._waits -= len(late)
        return [LATE if i in late else 0.0 for i in range(len(asked))]

    def _settle(self) -> None:
        """Take the answers that nobody waits for any more: to the steps after one in which a fault was found."""
        try:
            while self._open and self._child is not None:
                answer, _ = self._child.receive(self._limit)
                self._open = answer.get("last") is not True
                self._behaved &= "raised" not in answer
        except (NotInTimeError, EndedError, MessageError):
            self._lost("crashed", "it was lost after the last step that was judged")

    def _ready(self) -> Child:
        self.start()
        assert self._child is not None
        return self._child

    @contextlib.contextmanager
    def _watching(self, what: str, seconds: float) -> Iterator[None]:
        """Make findings of what goes wrong within, and give up the child."""
        child = self._child
        assert child is not None
        try:
            yield
        except NotInTimeError:
            raise self._lost("hung", f"{what} did not return within {seconds:g} s") from None
        except EndedError:
            raise self._lost("crashed", f"{what}: {child.how_it_ended()}") from None
        except RefgradError:  # before what they are besides: an `ArgumentError` is a `ValueError`
            raise
        except BaseException as error:
            if isinstance(error, NO_ANSWER) and not from_handler(error):
                raise self._lost("crashed", f"{what}: its process answered what is no answer ({error})") from None
            # the caller's: an answer that nobody waited for would be taken for one to the next question
            self._lost("crashed", f"{what} was no longer waited for")
            raise

    @property
    def alive(self) -> bool:
        """True if there is a child."""
        return self._child is not None

    @property
    def spent(self) -> bool:
        """True if the last child that there may be is gone."""
        return self._child is None and self.generation == MOST

    @property
    def generation(self) -> int:
        """How many children there have been."""
        return len(self._printed)

    def surroundings(self) -> tuple[dict[str, str], list[str]]:
        """The environment of the candidate, and notes on it and on what it printed."""
        environment: dict[str, str] = {}
        notes: list[str] = []
        if self._child is not None:
            with contextlib.suppress(CandidateFault):
                told = self.ask({"ask": "surroundings"}, [], "the candidate's process")
                if isinstance(told.get("environment"), dict) and isinstance(told.get("notes"), list):
                    environment = {str(n): str(v) for n, v in told["environment"].items()}
                    notes = [str(each) for each in told["notes"]]
                    self._behaved &= not notes  # what it made of its process is not for the next one
        count = sum(noise.count for noise in self._printed)
        if count:
            text = self._printed[0].first.decode("utf-8", "replace")
            first = next((line.strip() for line in text.splitlines() if line.strip()), "")
            notes.append(f"the candidate printed {count} bytes; they begin: {first[:200]}")
        return environment, notes

    def _lost(self, kind: str, message: str) -> CandidateFault:
        """Give the child up; the fault that says why."""
        self._behaved, self._last, self._open = False, message, False
        self._count += 1
        self.close()
        return CandidateFault(kind, message)


def _taken(asked: StepRequest, answer: Mapping[str, Any], found: list[bytearray]) -> Taken:
    """What came of a step, as the child tells it."""
    (data,) = found
    changed = tuple((str(name), int(leaf)) for name, leaf in answer["changed"])
    for name, leaf in changed:
        asked.given[name][leaf]  # it was handed that
    return Taken(seen_in(answer["layout"], data), changed, answer["kept"] is True)


def _raised(told: Any, what: str) -> Exception:
    """What the child says was raised, as an exception."""
    if not isinstance(told, dict):
        return no_answer(what)
    kind, message, name = (str(told.get(n, "")) for n in ("kind", "message", "class"))
    known = {c.__name__: c for c in (ArgumentError, CandidateError, NotThereError)}
    if name == NotMadeError.__name__:
        return NotMadeError(message, kind)
    if name in known:
        return known[name](message)
    named = kind != "crashed" or message.startswith(what.partition(" (")[0])  # a program's fault has its name already
    return CandidateFault(kind, message if named else f"{what} {message}")
