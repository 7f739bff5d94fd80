"""The child: it makes the candidate, and answers one question at a time until its pipe is closed.

Started by `refgrad.isolation.host`. What the candidate prints goes to the pipe of standard error, as do the interpreter's last
words; answers go to a descriptor of their own.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, cast

import numpy as np

from refgrad.candidates.faults import check_fit, check_kept, copies
from refgrad.candidates.one_step import StepRequest, kept, take
from refgrad.candidates.protocol import CandidateFault
from refgrad.candidates.resolve import load
from refgrad.errors import ArgumentError, CandidateError, NotThereError, RefgradError
from refgrad.float_environment import candidate_notes, foreign, guarding
from refgrad.isolation import messages
from refgrad.isolation.dtypes import MessageError
from refgrad.isolation.layouts import laid_out, text_of
from refgrad.isolation.pristine import Snapshot
from refgrad.isolation.recipe import NotMadeError, Recipe, made
from refgrad.isolation.shared import Region
from refgrad.kinds.stateless import Stateless
from refgrad.kinds.table import kind_of
from refgrad.oracle.engine.drive import from_outside
from refgrad.oracle.engine.environment import environment
from refgrad.rule import Rule

#: what ends a program, and what a limit of memory raises: no reason to make a candidate elsewhere
ENDING = (SystemExit, GeneratorExit, KeyboardInterrupt, MemoryError)
#: what is told, and the bytes of arrays
Answer = tuple[dict[str, Any], list[bytes]]
PLAIN = (bool, int, float, str, tuple, list, Mapping, frozenset, set, np.ndarray, np.generic)


class Server:
    """The objects that the host knows by number, and what it may ask of them."""

    def __init__(self) -> None:
        self._things: list[Any] = []
        self._before = Snapshot()

    def answers(self, message: Mapping[str, Any], buffers: list[bytearray]) -> Iterator[Answer]:
        """The answers to a question, the last of which says so; whatever the candidate raises is one."""
        ask = {"steps": self._steps, "run": self._run, "cases": self._cases, "make": self._make}.get(
            message["ask"], self._one
        )
        try:
            yield from ask(message, buffers)
        except BaseException as error:
            yield {"raised": _described(error), "last": True}, []

    def _one(self, message: Mapping[str, Any], buffers: list[bytearray]) -> Iterator[Answer]:
        found = getattr(self, f"_{message['ask']}")(message, buffers)
        yield _result(found, last=True)

    def _run(self, message: Mapping[str, Any], buffers: list[bytearray]) -> Iterator[Answer]:
        """A run that is started, and its steps."""
        *given, asked = buffers
        found = self._call(message, given)
        whole = "seen" in found  # else the host asks for what is not told, and for the steps after it
        yield _result(found, last=not whole)
        if whole:
            yield from self._steps(found, [asked])

    def _steps(self, message: Mapping[str, Any], buffers: list[bytearray]) -> Iterator[Answer]:
        """A run's steps one after another, the last answer being that to the first one that fails."""
        run, (asked,) = self._things[message["thing"]], buffers
        steps = [StepRequest(*each) for each in pickle.loads(asked)]
        for each in steps:
            with foreign():
                taken = take(run, each)
            try:
                layout, data = laid_out(taken.seen)
            except MessageError as error:
                raise _no_answer(error) from None
            last = each is steps[-1]
            told = {"layout": text_of(layout), "changed": taken.changed, "kept": taken.kept, "last": last}
            yield told | (_noted(run) if last else {}), [data]

    def _cases(self, message: Mapping[str, Any], buffers: list[bytearray]) -> Iterator[Answer]:
        """A candidate without state, started and asked one case after another, whatever it raised on those before.

        The first answer says whether it was started; why it was not is the answer to the first case, and it is tried again.
        """
        rule, asked = messages.decode(message["given"], buffers, trusted=True), pickle.loads(buffers[-1])
        started = _Started(self._things[message["thing"]], rule, message["strided"])
        yield _result({"started": started.tried()}, last=False)
        for number, (each, forms) in enumerate(asked, 1):
            last = number == len(asked)
            try:
                answer = _result(self._given_back(started.answer(each, forms), ()), last)
            except BaseException as error:
                answer = {"raised": _described(error), "last": last}, []
            yield answer

    def _make(self, message: Mapping[str, Any], buffers: list[bytearray]) -> Iterator[Answer]:
        """That what is asked for is understood, before any of the candidate runs; then what was made."""
        given = _understood(message, buffers)
        yield _result({"understood": True}, last=False)
        yield _result(self._made(*given), last=True)

    def _made(self, target: Any, rule: Any, options: Any, state_names: Any, replaced: Any) -> dict[str, Any]:
        kind = kind_of(rule)
        self._before.extend()  # before anything of the candidate runs
        with foreign():
            target = _target(target, replaced)
        with foreign():
            subject = kind.resolve(target, rule, options, state_names)
        self._before.extend()
        named = kind.named(subject, rule, target, options)
        told = isinstance(target, type | Rule)
        return {**self._kept(subject), "name": str(subject.name), "named": frozenset(named), "told": told}

    def _get(self, message: Mapping[str, Any], buffers: list[bytearray]) -> Any:
        missing = object()
        found = getattr(self._things[message["thing"]], message["name"], missing)
        if found is missing:
            return {"missing": True}
        return {"callable": True} if callable(found) else {"value": found}

    def _call(self, message: Mapping[str, Any], buffers: list[bytearray]) -> Any:
        thing, name = self._things[message["thing"]], message["name"]
        args, keywords = messages.decode(message["given"], buffers, trusted=True)
        handed = list(messages.arrays_in([args, keywords]))
        before = [a.tobytes() for a in handed]
        with foreign():
            found = getattr(thing, name)(*args, **keywords) if name else thing(*args, **keywords)
        changed = [
            [i, array] for i, (array, bits) in enumerate(zip(handed, before, strict=True)) if array.tobytes() != bits
        ]
        told = {**self._given_back(found, args), "changed": changed}
        return told | (_begun(found, args) if name.startswith("start") else {})

    def _given_back(self, found: Any, args: Sequence[Any]) -> dict[str, Any]:
        """What a call returned, as it is told."""
        if isinstance(found, Rule):
            return {"fields": differences(found, next(each for each in args if type(each) is type(found)))}
        if found is None or isinstance(found, PLAIN) or type(found).__name__ in ("Observation", "MaskSeen"):
            return {"value": found}
        if hasattr(found, "__array__"):
            return {"value": np.asarray(found)}
        return self._kept(found)

    def _forget(self, message: Mapping[str, Any], buffers: list[bytearray]) -> Any:
        """Nothing of a candidate is kept for the next one, as far as refgrad can undo it; True if it patched and left nothing."""
        self._things.clear()
        messages.forget()
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        return {"clean": self._before.same()}

    def _surroundings(self, message: Mapping[str, Any], buffers: list[bytearray]) -> Any:
        return {"environment": environment(), "notes": list(candidate_notes())}

    def _kept(self, thing: Any) -> dict[str, Any]:
        """A thing's number, the methods that it has, and what it says of itself."""
        self._things.append(thing)
        words = {n: getattr(thing, n) for n in messages.WORDS if hasattr(thing, n)}
        methods = [n for n in messages.METHODS if callable(getattr(thing, n, None))]
        return {"thing": len(self._things) - 1, "methods": methods, "words": words, "noted": hasattr(thing, "notes")}


class _Started:
    """A candidate without state, as its kind starts and asks it."""

    def __init__(self, thing: Any, rule: Any, strided: bool) -> None:
        self._thing, self._rule, self._strided, self._kind = thing, rule, strided, cast(Stateless, kind_of(rule))
        self._ask: Callable[[Any], Any] | None = None
        self._raised: BaseException | None = None

    def tried(self) -> bool:
        """True if it could be started; else what it raised is raised once it is asked."""
        try:
            self._ask = self._kind.start(self._thing, self._rule, _called)
        except BaseException as error:
            self._raised = error
        return self._ask is not None

    def answer(self, given: Mapping[str, np.ndarray], forms: Any) -> Any:
        """What it returns for a case."""
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised
        if self._ask is None:
            self._ask = self._kind.start(self._thing, self._rule, _called)
        handed = copies(given, self._strided)
        if forms is not None:
            self._kind.foresee(self._rule, handed, forms)
        found = self._ask(handed)
        check_kept(handed, given, str(self._thing.name))
        return found


def _begun(run: Any, args: Sequence[Any]) -> dict[str, Any]:
    """What is asked first of a run that was started: the rule of each leaf, and what is seen before the first step.

    What cannot be told now is asked for later, and goes wrong then.
    """
    told: dict[str, Any] = {}
    with foreign(), contextlib.suppress(Exception):
        rules, params = args
        each = rules if isinstance(rules, list) else [rules] * len(params)
        if callable(getattr(run, "rule_for", None)):
            told["rules"] = [differences(run.rule_for(leaf, rule), rule) for leaf, rule in enumerate(each)]
        told["seen"] = kept(run.observe())
        return told
    return {}


def _noted(run: Any) -> dict[str, Any]:
    """The notes of a run, which are asked for after its last step; what cannot be told now is asked for then."""
    with foreign(), contextlib.suppress(Exception):
        notes = getattr(run, "notes", ())
        if isinstance(notes, list) and all(type(each) is str for each in notes):
            return {"notes": tuple(notes)}
    return {}


def _result(found: Any, last: bool) -> Answer:
    """A result as it is told."""
    made: list[bytes] = []
    try:
        return {"result": messages.encode(found, made), "last": last}, made
    except MessageError as error:
        raise _no_answer(error) from None


def _called(action: Callable[[], Any], what: str) -> Any:
    with foreign():
        return action()


def _no_answer(error: MessageError) -> CandidateFault:
    return CandidateFault("structure", f"the candidate returned {error}; legal: arrays and numbers")


def _understood(message: Mapping[str, Any], buffers: list[bytearray]) -> Any:
    """The arguments of `refgrad.isolation.host.Host.resolve`.

    Raises:
        NotMadeError: the rule that is claimed is not found here.
    """
    try:
        return messages.decode(message["given"], buffers, trusted=True)
    except MessageError as error:
        raise NotMadeError(f"reading the claim there raised {error}") from error


def _target(target: Any, replaced: Mapping[str, Any] | None) -> Any:
    """What a candidate is made of, itself as it is found here; with other hyperparameters if it is a rule and these are given.

    Raises:
        NotMadeError: it cannot be made here.
    """
    handed = isinstance(target, Recipe)
    try:
        target = made(target)
    except ENDING:
        raise
    except BaseException as error:  # also what a test raises to be skipped
        if handed and isinstance(error, ArgumentError) and not from_outside(error):  # what a command was told is wrong
            raise
        name = type(error).__name__
        said = "" if isinstance(error, CandidateError) else f"making it there raised {name}: "
        raise NotMadeError(f"{said}{error}", name) from error
    if handed and target is None:
        raise NotMadeError("it returned None; legal: a candidate, such as an optimizer's class")
    if replaced is not None:
        target = load(target) if isinstance(target, str) else target
        target = target.replace(**replaced) if isinstance(target, Rule) else target
    return target


def differences(rule: Rule, given: Rule) -> dict[str, Any]:
    """The hyperparameters in which a rule is not another of its class; of a rule within, its own, in a list."""
    before = given.hyperparameters()
    changed = {n: value for n, value in rule.hyperparameters().items() if value != before[n]}
    return {n: [differences(v, before[n])] if isinstance(v, Rule) else v for n, v in changed.items()}


def _described(error: BaseException) -> dict[str, str]:
    """An exception as data: refgrad's own by their class, unless the candidate raised them."""
    try:
        check_fit(error, "the candidate")
    except CandidateError as misfit:
        error = misfit
    told = {"kind": "raised", "message": f"{type(error).__name__}: {error}", "class": ""}
    if isinstance(error, CandidateFault):
        return {"kind": str(error.kind), "message": str(error), "class": "CandidateFault"}
    if isinstance(error, SystemExit | GeneratorExit | KeyboardInterrupt):
        said = f": {error}" if str(error) else ""
        return {"kind": "crashed", "message": f"raised {type(error).__name__}{said}, which ends a program", "class": ""}
    if isinstance(error, RefgradError) and (isinstance(error, CandidateError) or not from_outside(error)):
        name = next(
            c.__name__ for c in (ArgumentError, NotMadeError, NotThereError, RefgradError) if isinstance(error, c)
        )
        name = "CandidateError" if name == "RefgradError" else name
        return {"kind": getattr(error, "raised", ""), "message": str(error), "class": name}
    return told


class Bell:
    """Tells the host that answers are in their pipe: after the last one to a question, and before they fill it.

    Args:
        descriptor: where a byte is written for it.
        pipe: that of the answers.
    """

    def __init__(self, descriptor: int, pipe: int) -> None:
        self._descriptor, self._size = descriptor, 0
        os.set_blocking(descriptor, False)
        os.set_inheritable(descriptor, False)
        import fcntl  # as what limits memory, no part of Python on every system

        how = getattr(fcntl, "F_GETPIPE_SZ", None)
        self._most = (1 << 14 if how is None else fcntl.fcntl(pipe, how)) // 4

    def count(self, size: int) -> None:
        """So many bytes more stand in the pipe."""
        self._size += size
        if self._size >= self._most:
            self.ring()

    def ring(self) -> None:
        """All that was written is to be read."""
        self._size = 0
        with contextlib.suppress(OSError):  # the candidate closed it, or nobody listens
            os.write(self._descriptor, b"!")


def serve(questions: BinaryIO, answers: BinaryIO, given: Region, told: Region, bell: Bell) -> None:
    """Answer until there is no more question."""

    def taken(count: int) -> bytearray:
        found = bytearray(questions.read(count))
        if len(found) < count:
            raise EOFError
        return found

    server, own = Server(), os.getpid()
    with guarding():
        while True:
            given.rewind()
            try:
                message, buffers = messages.read(taken, given)
            except EOFError:
                return
            told.rewind()
            together = message.get("together", False)
            for answer, made in server.answers(message, buffers):
                if os.getpid() != own:  # a process that the candidate forked, and that came back
                    os._exit(0)
                answer["number"] = message["number"]
                # an answer that waits for the host must be out of the reach of the steps after it
                data = messages.packed(answer, made, Region.none() if together else told)
                answers.write(data)
                answers.flush()
                if together:
                    bell.count(len(data))
            if together:
                bell.ring()


def limit_memory(most: int) -> None:
    """No core of this process is written; on Linux its memory is at most so many bytes.

    More is a `MemoryError`, or an allocation that fails in C. Other systems refuse the limit, or take it and limit nothing.
    """
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))  # which only the system's administrator raises again


def main() -> None:
    """Keep the pipes for ourselves, limit what may be taken, and serve.

    Arguments: bytes of memory, 0 for no limit; the descriptors of shared memory, of questions and of answers; that of the bell.
    """
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the user interrupts the host, which ends this
    faulthandler.enable()
    if int(sys.argv[1]):
        limit_memory(int(sys.argv[1]))
    given, told = (Region(int(word)) for word in sys.argv[2:4])
    bell = Bell(int(sys.argv[4]), answers.fileno())
    sys.argv = [""]
    serve(questions, answers, given, told, bell)
    os._exit(0)  # threads that candidates left behind do not keep the process
