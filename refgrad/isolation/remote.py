"""What stands for something in a child, in the host: its attributes are asked for, and its methods called there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from refgrad.candidates.one_step import StepRequest, Taken
from refgrad.candidates.protocol import CandidateFault, Observation
from refgrad.errors import ArgumentError, RefgradError
from refgrad.isolation import ahead, messages
from refgrad.isolation.ahead import Asking
from refgrad.isolation.messages import METHODS, WORDS


class Remote:
    """Something in the child, by its number."""

    def __init__(
        self, host: Asking, given: tuple[Any, ...] | None = None, found: Mapping[str, Any] | None = None, name: str = ""
    ) -> None:
        self._host, self._given, self._thing, self.name = host, given, -1, name
        self._generation = host.generation if given is None else -1
        self._methods: set[str] = set()
        #: what it says of itself, and whether it has notes, which may become more
        self._words: dict[str, Any] = {}
        self._noted = False
        #: its notes, if nothing was asked of it since it told them
        self._notes: Any = None
        #: of a run: the rule of each leaf as it differs from the one that was handed, and what was seen before the first step
        self._rules: list[Mapping[str, Any]] = []
        self._seen: list[Observation] = []
        #: what was asked for ahead: of a candidate a run, or cases; of a run itself, with its steps
        self._begun: ahead.Run | None = None
        self._cases: ahead.Cases | None = None
        self._refused: RefgradError | None = None
        self.named: frozenset[str] = frozenset()
        #: True if it is a class or a rule itself, and follows the hyperparameters that it is told
        self.told = False
        if found is not None:
            self._know(found)
        if given is not None:
            self.number()

    def number(self) -> int:
        """Its number in the child of now, in which a candidate is made again; a run is lost with its child."""
        if self._given is not None or not self._lost:
            self._host.start()
        if self._given is None and self._lost:
            raise CandidateFault("crashed", f"{self.name}: its process has ended")
        if self._generation != self._host.generation:
            assert self._given is not None
            found = self._host.make(self._given)
            self._generation = self._host.generation
            self._know(found)
            try:
                self.name, self.told = str(found["name"]), bool(found["told"])
                self.named = frozenset(map(str, found["named"]))
            except (LookupError, TypeError):
                raise no_answer("the candidate") from None
        return self._thing

    def _know(self, found: Mapping[str, Any]) -> None:
        """Take its number, and the names of methods that it has."""
        try:
            self._thing = int(found["thing"])
            self._methods |= set(map(str, found["methods"]))
            self._words = {n: _checked(n, found["words"][n], self.name) for n in WORDS if n in found["words"]}
            self._noted = found["noted"] is True
            self._rules = list(found.get("rules", ()))
            self._seen = [found["seen"]] if isinstance(found.get("seen"), Observation) else []
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
            raise no_answer("the candidate") from None

    @property
    def _lost(self) -> bool:
        """True if the child that it was in is gone."""
        return self._generation != self._host.generation or not self._host.alive

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or (self._given is None and self._lost):
            raise AttributeError(name)
        if name not in self._methods:
            if name == "notes" and self._notes is not None:
                return self._notes
            if name in self._words:
                return self._words[name]
            if name in METHODS or name in WORDS or (name == "notes" and not self._noted):
                raise AttributeError(name)
            found = self._host.ask({"ask": "get", "thing": self._there(name), "name": name}, [], self.name)
            if found.get("missing"):
                raise AttributeError(name)
            if not found.get("callable"):
                return _checked(name, found.get("value"), self.name)
            self._methods.add(name)
        return lambda *args, **keywords: self._called(name, args, keywords)

    def _there(self, name: str) -> int:
        """Its number, to ask for an attribute, which a run that is lost has not, nor a candidate that is made no more."""
        try:
            return self.number()
        except CandidateFault:
            if self._given is None or self._host.spent:
                raise AttributeError(name) from None
            raise

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return self._called("", args, keywords)

    def begin_run(self, name: str, args: Sequence[Any], asked: Sequence[StepRequest]) -> None:
        """Ask for the run that will be started so, and for its steps; what goes wrong is raised when it is started."""
        if self._begun is not None and self._begun.begins(self._thing, name, args) and self._begun.holds(asked):
            return
        self._begun, self._refused = None, None
        try:
            self._begun = ahead.Run(self._host, self.number(), name, args, asked, f"building {self.name}")
        except RefgradError as error:
            self._refused = error

    def begin_cases(
        self, rule: Any, given: Sequence[Mapping[str, np.ndarray]], forms: Sequence[Any], strided: bool
    ) -> ahead.Cases:
        """Ask for cases of a candidate without state; each call of what is returned gives what came of the next one."""
        if self._cases is None or not self._cases.holds(rule, given, strided):
            self._cases = ahead.Cases(self, self._host, rule, given, forms, strided)
        return self._cases

    def take_all(self, asked: Sequence[StepRequest]) -> Iterator[Taken]:
        """A run's steps, which are all asked for at once, if they were not when it was started."""
        begun, self._begun = self._begun, None
        if begun is not None and not begun.holds(asked):  # and it has taken others
            self._know(begun.again(f"building {self.name}"))
            begun = None
        self._seen.clear()
        self._notes = None
        thing = self.number() if begun is None else self._thing  # else their answers would be lost
        return self._noting(ahead.steps(self._host, thing, asked, self.name, begun is not None))

    def _noting(self, steps: Iterator[tuple[Taken, Any]]) -> Iterator[Taken]:
        for taken, notes in steps:
            self._notes = None if notes is None else _checked("notes", notes, self.name)
            yield taken

    def _called(self, name: str, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
        if name == "rule_for" and self._rules:
            leaf, rule = args
            if leaf >= len(self._rules):
                raise no_answer(self.name)
            return _with(rule, self._rules[leaf])
        seen, self._seen = self._seen, []
        self._notes = None
        if name == "observe" and seen:
            return seen[0]
        what = f"building {self.name}" if name.startswith("start") else self.name
        refused, self._refused = self._refused, None
        if refused is not None and name.startswith("start"):
            raise refused
        begun, self._begun = self._begun, None
        if begun is not None and name and not keywords and begun.begins(self._thing, name, args):
            return self._result(begun.started(what), args, keywords, begun)
        message, buffers = ahead.call_of(self.number(), name, args, keywords)
        return self._result(self._host.ask(message, buffers, what), args, keywords)

    def _result(
        self, found: Any, args: Sequence[Any], keywords: Mapping[str, Any], begun: ahead.Run | None = None
    ) -> Any:
        """What a call returned, its arguments as the child left them."""
        arrays = list(messages.arrays_in([args, keywords]))
        try:
            for index, array in found["changed"]:
                arrays[index][...] = array
        except (ArithmeticError, LookupError, ValueError, TypeError):
            raise no_answer(self.name) from None
        if "fields" in found:
            rule = next((each for each in args if hasattr(each, "hyperparameters")), None)
            if rule is None:  # nobody asked for one
                raise no_answer(self.name)
            return _with(rule, found["fields"])
        made = self.returned(found)
        if isinstance(made, Remote) and "seen" in found:  # else it has taken no steps
            made._begun = begun
        return made

    def returned(self, found: Mapping[str, Any]) -> Any:
        """What a call returned, as the child tells it."""
        return Remote(self._host, None, found, self.name) if "thing" in found else found.get("value")


def no_answer(what: str) -> CandidateFault:
    """The fault of a child that says what nobody asked it."""
    return CandidateFault("crashed", f"{what}: its process answered what is no answer")


def _checked(name: str, value: Any, candidate: str) -> Any:
    """An attribute's value; a `CandidateFault` if it is not of the type that the protocol says."""
    words = isinstance(value, list | tuple | frozenset) and all(isinstance(each, str) for each in value)
    if name in (*WORDS, "notes") and not words and (value is not None or name != "extras_taken"):
        raise CandidateFault("structure", f"{name} of {candidate} is {value!r:.60}; legal: strings")
    return value


def _with(rule: Any, fields: Mapping[str, Any]) -> Any:
    """A rule with other hyperparameters as the child tells them; a `CandidateFault` if they are none of it."""
    try:
        return rule.replace(
            **{n: _with(getattr(rule, n), v[0]) if isinstance(v, list) else v for n, v in fields.items()}
        )
    except (ArgumentError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise CandidateFault("structure", f"the candidate says that it is another rule, of which {error}") from None
