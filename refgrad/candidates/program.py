"""A program in any language as a candidate: it is asked by lines of JSON on its standard input (docs/judge.md).

What is here runs in the candidate's own process (`refgrad.isolation`), so that a program that hangs, floods or dies is a finding.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.arithmetic.dtypes import is_float
from refgrad.candidates.mask_function import MaskSeen
from refgrad.candidates.program_arrays import decoded, dtype_of, encoded, same_number, text
from refgrad.candidates.program_hello import VERSION, called, checked, shown_of, words_of
from refgrad.candidates.program_names import KINDS, names_of
from refgrad.candidates.program_process import Process
from refgrad.candidates.protocol import DECLARED, REFUSED, CandidateFault
from refgrad.errors import CandidateError, bad_argument
from refgrad.layout import printable
from refgrad.rule import Rule


class Program:
    """A program that runs and answers.

    Args:
        command: the program and its arguments.
        rule: what it is asked to be.
        patience: seconds in which it is to say that it is, and to answer each question.
        group: True to have it lead a group of processes of its own (`Process`).

    Raises:
        CandidateError: it cannot be started, or does not say that it is such a rule.
    """

    def __init__(self, command: Sequence[str], rule: Rule, patience: float = math.inf, group: bool = True) -> None:
        self._process = Process(command, group)
        self._name, self._count, self._patience = self._process.name, 0, patience
        try:
            self.hello = self._greeted(rule)
        except CandidateFault as fault:
            legal = "a JSON object in a line of UTF-8 for each line that it reads, the first, which asks hello, too"
            said = str(fault).partition("; legal: ")[0]
            raise CandidateError(f"the program does not say what it is: {said}; legal: {legal}") from None
        self._name = self._process.name = called(self.hello, self._name)

    def _greeted(self, rule: Rule) -> Mapping[str, Any]:
        told = self._answer({"refgrad": VERSION, "ask": "hello", "rule": names_of(type(rule))[0], "kind": rule.kind})
        return checked(told, rule, self._name)

    def call(self, given: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """What it gives for arrays and numbers by name.

        Raises:
            CandidateFault: it died, or answered what is no answer, or refuses them, and says why.
        """
        arrays = {n: np.asarray(a) for n, a in given.items() if isinstance(a, np.ndarray)}
        dtype = next((str(a.dtype) for a in arrays.values() if is_float(a.dtype)), self.hello["dtypes"][0])
        if dtype not in self.hello["dtypes"]:
            raise CandidateFault(REFUSED, f"{self._name} takes {', '.join(self.hello['dtypes'])}, and no {dtype}")
        self._count += 1
        told = self._answer(
            {
                "ask": "call",
                "id": self._count,
                "dtype": dtype,
                "numbers": {n: text(v) for n, v in given.items() if n not in arrays},
                "arrays": {n: encoded(a, self.hello["encoding"]) for n, a in arrays.items()},
            }
        )
        if not same_number(told.get("id"), self._count):
            raise CandidateFault(
                "structure", f"{self._name} answered question {shown_of(told.get('id'))}, not {self._count}"
            )
        self._check_answer(told)
        if "refused" in told:
            kind = DECLARED if told["refused"] in self.hello["restrictions"] else REFUSED
            raise CandidateFault(kind, f"{self._name} refused: {words_of(told['refused'])}")
        found = told["arrays"]
        if not isinstance(found, dict) or set(found) != set(self.hello["gives"]):
            what = shown_of(sorted(found) if isinstance(found, dict) else found)
            raise CandidateFault("structure", f"{self._name} gave {what}; legal: {', '.join(self.hello['gives'])}")
        return {n: decoded(a, dtype_of(a, dtype), f"{self._name}'s {n}") for n, a in found.items()}

    def _check_answer(self, told: Mapping[str, Any]) -> None:
        """That an answer has arrays, or says why there are none."""
        legal = "arrays, or refused with a sentence"
        if ("arrays" in told) == ("refused" in told):
            how = "arrays, and refused too" if "arrays" in told else "no arrays"
            raise CandidateFault("structure", f"{self._name} gave {how}; legal: {legal}")
        said = told.get("refused", "-")
        if not isinstance(said, str) or not said.strip():
            raise CandidateFault("structure", f"{self._name} said refused: {shown_of(said)}; legal: {legal}")

    def _answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a message: one line each."""
        line = self._process.ask(json.dumps(message, separators=(",", ":")).encode(), self._patience, message["ask"])
        try:
            found = json.loads(line.decode("utf-8"), object_pairs_hook=_once)
        except _TwiceError as error:
            raise CandidateFault("structure", f"{self._name} wrote {error} twice in one object; legal: once") from None
        except (ValueError, RecursionError):  # bytes of another encoding, and a mark of byte order, too
            legal = "a line of JSON in UTF-8"
            raise CandidateFault("structure", f"{self._name} wrote {line[:60]!r}; legal: {legal}") from None
        if not isinstance(found, dict):
            raise CandidateFault("structure", f"{self._name} wrote {line[:60]!r}; legal: a JSON object")
        return found


class _TwiceError(ValueError):
    """A name that stands in an object twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, with each name once."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise _TwiceError(shown_of(next(n for n in names if names.count(n) > 1)))
    return found


def formats(command: Sequence[str], rule: Rule, patience: float = math.inf) -> tuple[str, list[str]]:
    """The name of a program and the float formats that it says that it has.

    Args:
        command: the program and its arguments.
        rule: the rule that it claims to be.
        patience: seconds in which it is to say so.

    Raises:
        CandidateError: it cannot be started, or does not say that it is such a rule.
    """
    hello = Program(command, rule, patience).hello
    return called(hello, ""), list(hello["dtypes"])


@dataclass(frozen=True)
class Stateless:
    """A program that is asked for a mask, or for the value and the gradients of an estimator.

    Args:
        name: how reports call it.
        program: that answers.
    """

    name: str
    program: Program

    def takes(self, rule: Rule) -> frozenset[str]:
        """The rule's settings that it is told."""
        return frozenset(self.program.hello["takes"]) & rule.legal().keys()

    def prune(self, rule: Rule, arrays: Mapping[str, np.ndarray]) -> MaskSeen:
        """Its mask of the weights, and the scores behind it if it gives them."""
        found = self._answer(rule, arrays)
        if "mask" not in found:
            raise CandidateFault("structure", f"{self.name} gave {', '.join(found)}; legal: mask, and scores")
        return MaskSeen(found["mask"], found.get("scores"))

    def start(self, rule: Rule) -> Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]:
        """A function from the rule's arrays to ``y``, ``x_grad`` and the learned parameters' gradients."""
        return lambda arrays: self._answer(rule, arrays)

    def _answer(self, rule: Rule, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        known = {**rule.hyperparameters(), **arrays}
        return self.program.call(_asked_for(self.name, self.program.hello["takes"], known))


def _asked_for(name: str, takes: Sequence[str], known: Mapping[str, Any]) -> dict[str, Any]:
    """What a program takes, of what there is; `CandidateError` for what there is not."""
    for each in takes:
        if each not in known:
            raise CandidateError(f"{name} takes {each!r}, which it is not handed; legal: {', '.join(known)}")
    return {n: known[n] for n in takes}


def function(
    command: Sequence[str], rule: Rule, patience: float = math.inf, dtype: str | None = None, group: bool = True
) -> Any:
    """A program as a candidate: of a kind without a class of its own a function of what it says that it takes.

    Args:
        command: the program and its arguments.
        rule: the rule that it claims to be.
        patience: seconds in which it is to say that it is that, and to answer each question.
        dtype: of the arrays that it will be asked with; None if that is not known.
        group: as of `Program`.

    Raises:
        ArgumentError: it does not have the dtype.
        CandidateError: it cannot be started, or does not say that it is such a rule; or rules of the kind are not asked so.
    """
    if rule.kind not in KINDS:
        legal = ", ".join(KINDS)
        raise CandidateError(
            f"{names_of(type(rule))[0]} is of kind {rule.kind}; programs are asked to be of kind {legal}"
        )
    program = Program(command, rule, patience, group)
    plain = called(program.hello, "")
    if dtype is not None and dtype not in program.hello["dtypes"]:
        raise bad_argument("dtype", dtype, f"{', '.join(program.hello['dtypes'])}, which {plain} says that it has")
    said = [printable(each[:200]) for each in program.hello["restrictions"]]
    name = f"{plain} ({'; '.join(said)})" if said else plain
    if rule.kind in ("estimator", "mask"):
        return Stateless(name, program)

    names = program.hello["takes"]

    def answered(*values: Any, **given: Any) -> dict[str, np.ndarray]:
        return program.call(_asked_for(plain, names, {**dict(zip(names, values, strict=False)), **given}))

    takes = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in names]
    answered.__signature__ = inspect.Signature(takes)  # type: ignore[attr-defined]
    answered.__module__, answered.__qualname__ = "builtins", name
    return answered
