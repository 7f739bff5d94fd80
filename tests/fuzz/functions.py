"""The public functions that are no methods of rules, each with arguments that are right and cheap."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

import refgrad
from refgrad import schedules
from refgrad.arithmetic.function_arguments import Legal, gate_of
from refgrad.errors import ArgumentError
from refgrad.legal import Choice, Flag, Range, Whole, as_number
from refgrad.optimizers import SGD, AdamW
from refgrad.oracle.acceptance.policy import Policy
from refgrad.rule import find
from tests.fuzz.room_functions import ARGUMENTS, function_of, plain_result
from tests.fuzz.subjects import COUNTS, REALS, THREADS, Drawn, Subject, _legal_of
from tests.fuzz.values import NUMBERS, REFUSED, Path

#: what a number of steps may be in a schedule, and what any number may be
STEPS = REALS - {"nan", "inf", "-inf", "-5", "-1"}
FINITE = REALS - {"nan", "inf", "-inf"}
#: and what numbers of one array may be
ROWS = REALS | {"list of one", "array of two", "text 3"}
#: seconds that something may take
TIME = frozenset({"1", "3", "2.7", "3.0", "0.5", "inf", "10**9", "10**18", "float32", "int64", "array", "fraction"})
EXPLAIN = TIME | {"true", "0"}
#: seconds in which a busy machine may not have taken one step, so that a verdict may say that a candidate hung
SHORT = 0.5
#: what the arguments of a verdict may be
OF_VERDICTS: Mapping[str, Collection[str]] = {
    "steps": {"1", "3", "int64", "array"},
    "dtype": {"none"},
    "seed": {"none", "0", "1", "3", "10**9", "10**18", "10**400", "int64", "array"},
    "policy": {"none", "dict"},
    "inputs": {"none"},
    "options": {"none", "dict"},
    "state_names": {"none", "dict"},
    "shrink": {"true"},
    "explain": EXPLAIN,
    "time_limit": TIME,
    "isolate": {"true"},
    "device": {"none"},
}
#: the arguments of each schedule; strings are behaviours
SCHEDULES: Mapping[str, Mapping[str, Any]] = {
    "constant": {"base": 1.0},
    "linear": {"base": 1.0, "final": 0.0, "total": 10, "begin": 2},
    "polynomial": {"base": 1.0, "final": 0.0, "total": 10, "power": 2.0, "begin": 0},
    "exponential": {"base": 1.0, "rate": 0.5, "every": 2, "staircase": False, "begin": 1},
    "piecewise_constant": {"base": 1.0, "factors": [(2, 0.5), (3, 0.1)]},
    "cosine": {"base": 1.0, "total": 10, "final": 0.1},
    "cosine_restarts": {"base": 1.0, "period": 3, "growth": 2, "final": 0.0},
    "inverse_square_root": {"base": 1.0, "warmup": 4},
    "warmup_stable_decay": {"base": 1.0, "warmup": 2, "stable": 3, "decay": 4, "final": 0.0, "shape": "linear"},
    "triangular": {"base": 0.5, "peak": 1.0, "up": 3, "down": 4, "gamma": 0.5},
    "warmup": {"steps": 4, "base": 1.0, "then": lambda t: 1.0 / (1 + t), "start": 0.0},
    "join": {"schedules": [lambda t: t / 7, lambda t: t / 3], "boundaries": [2]},
    "one_cycle": {"peak": 1.0, "total": 11, "rise": 0.5, "start_factor": 25, "shape": "cosine", "ends": "whole"},
}


def schedule(name: str) -> Callable[[Drawn], Subject]:
    """The subject of a schedule.

    Args:
        name: of its function.
    """

    def made(drawn: Drawn) -> Subject:
        arguments = {"t": drawn.seed % 20, **SCHEDULES[name]}
        legal: dict[str, Collection[str]] = {n: FINITE for n, v in arguments.items() if not isinstance(v, str | bool)}
        legal |= {
            "t": STEPS,
            "factors": {"list", "set", "generator"},
            "staircase": {"true"},
            "then": (),
            "schedules": (),
        }
        legal |= {"boundaries": {"list of one"}}
        function = getattr(schedules, name)
        return Subject(
            f"schedules.{name}",
            arguments,
            lambda given: float(function(given.pop("t"), **given)),
            numbers=[(n,) for n in arguments],
            legal=legal,
            optional=frozenset(n for n in arguments if n not in ("t", "base", "peak")),
        )

    return made


def verify(drawn: Drawn) -> Subject:
    """`refgrad.verify` of a rule that is itself, on one step."""
    arguments = {
        "candidate": SGD(lr=0.1),
        "rule": SGD(lr=0.1),
        "steps": 1,
        "dtype": "float32",
        "seed": 0,
        "policy": None,
        "inputs": None,
        "options": None,
        "state_names": None,
        "shrink": False,
        "explain": False,
        "time_limit": 10.0,
        "isolate": False,
        "device": None,
    }
    return _function(refgrad.verify, arguments, OF_VERDICTS)


def identify(drawn: Drawn) -> Subject:
    """`refgrad.identify` with arguments that are refused before it begins; the right ones take seconds."""
    arguments = {"candidate": SGD(), "rule": SGD(), "steps": 1, "dtype": None, "seed": 0, "policy": None}
    arguments |= {"inputs": None, "options": None, "time_limit": 10.0, "isolate": False}
    return _function(refgrad.identify, arguments, {**OF_VERDICTS, "rule": {"none"}})


def sets(drawn: Drawn) -> Subject:
    """`refgrad.sets` of a step."""
    arrays = {"p": drawn.array("p"), "g": drawn.array("g"), "t": 3}
    given = {} if drawn.seed % 2 else {name: np.abs(drawn.array(f"given {name}")) for name in "vm"}
    subject = _function(
        lambda **given: len(refgrad.sets(**given)),
        {"rule": AdamW(), "arrays": arrays, "policy": None, "given": given},
        {
            "policy": {"none", "dict"},
            "given": {"none", "dict"},
            "t": COUNTS - {"0"},
        },  # without `given`: refgrad's own outputs
        [("arrays", "p"), ("arrays", "g"), *(("given", name) for name in given)],
    )
    subject.numbers.append(("arrays", "t"))
    return dataclasses.replace(subject, optional=subject.optional | given.keys())


def cases(drawn: Drawn) -> Subject:
    """`Cases.of` and `Inputs.of`."""
    if drawn.seed % 2:
        arguments: dict[str, Any] = {"x": [0.5, -1.0], "dtype": "float32"}
        # arrays of truths are masks
        legal = {"x": ROWS | {"list", "range", "numpy text", "own text", "array of true"}}
        return _function(lambda **given: len(refgrad.Cases.of(**given).arrays), arguments, legal)
    arguments = {"p": [1.0, 2.0], "g": [[0.5, -0.5]], "dtype": "float32"}
    legal = {"p": ROWS | {"numpy text", "own text"}, "g": {"list of one", "array of two"}}
    return _function(lambda **given: len(refgrad.Inputs.of(**given).arrays), arguments, legal)


def inputs(drawn: Drawn) -> Subject:
    """`Inputs` of columns."""
    arguments: dict[str, Any] = {
        "p": [drawn.array("p")],
        "g": [[drawn.array("g")]],
        "names": (),
        "seed": None,
        "extras": (),
    }
    legal = {"names": {"list", "generator"}, "seed": OF_VERDICTS["seed"], "extras": {"list", "generator"}}
    return _function(lambda **given: len(refgrad.Inputs(**given).arrays), arguments, legal)


def policy(drawn: Drawn) -> Subject:
    """A policy."""
    arguments = {"roundings": 3, "scalar_roundings": 2, "subnormals": "keep", "sums": "any", "precision": "wide"}
    legal = {name: {"1", "3", "int64", "array"} for name in ("roundings", "scalar_roundings")}
    return _function(lambda **given: bool(Policy(**given)), arguments, legal)


def tolerances(drawn: Drawn) -> Subject:
    """`refgrad.tolerances` with arguments that are refused before it begins."""
    arguments = {"rule": SGD(), "dtype": None, "arrays": None, "steps": 1, "seed": 0, "policy": None}
    return _function(refgrad.tolerances, arguments, {**OF_VERDICTS, "arrays": {"none"}})


def survey(drawn: Drawn) -> Subject:
    """`refgrad.survey` of nothing."""
    arguments = {"packages": [], "rules": [], "jobs": 1, "time_limit": 1.0, "explain": 0, "resume": False}
    legal = {
        "packages": {"none", "list", "set", "generator"},
        "rules": {"none", "list", "set", "generator"},
        "jobs": THREADS,
        "resume": {"true"},
    }
    legal |= {"time_limit": TIME, "explain": EXPLAIN}
    return _function(refgrad.survey, arguments, legal)


def found(drawn: Drawn) -> Subject:
    """`find` of a name."""
    return _function(lambda **given: find(**given).__name__, {"name": "AdamW"}, {})


def gated(name: str) -> Callable[[Drawn], Subject]:
    """The subject of a public function of a room that has a gate.

    Args:
        name: of it, as in `ARGUMENTS`.
    """

    def made(drawn: Drawn) -> Subject:
        function = function_of(name)
        legal = gate_of(function) or {}
        arguments = {n: np.array(v) if isinstance(v, np.ndarray) else v for n, v in ARGUMENTS[name]().items()}
        required = {n for n, p in inspect.signature(function).parameters.items() if p.default is p.empty}
        call = lambda given: plain_result(function(**given))  # noqa: E731
        arrays = [n for n, value in arguments.items() if isinstance(value, np.ndarray)]
        return Subject(
            name,
            arguments,
            call,
            call,
            [(n,) for n in arrays],
            [(n,) for n in arguments if n in legal and n not in arrays],
            legal={n: _taken(legal[n], NUMBERS, v) for n, v in arguments.items() if n in legal and n not in arrays},
            optional=frozenset(arguments.keys() - required),
            also={n: {what for what in REFUSED if _takes(legal[n], REFUSED[what](arguments[n]))} for n in arrays},
            required=frozenset(required),
        )

    return made


def _taken(legal: Legal, values: Mapping[str, Callable[[], Any]], default: Any) -> set[str]:
    """The names of numbers that are legal: of one by itself those that say so of themselves."""
    if isinstance(legal, Range | Whole | Flag | Choice):
        return _legal_of(legal, default)
    return {name for name, make in values.items() if _takes(legal, make())}


def _takes(legal: Legal, value: Any) -> bool:
    try:
        legal.check("it", value)
    except ArgumentError:
        return False
    return True


#: functions whose right calls take seconds: what changes nothing is not called
SLOW = frozenset({"identify", "tolerances", "survey"})

#: functions whose right calls take as long as hundreds of others, and how often each is drawn beside these
RARE: Mapping[str, float] = {"verify": 0.1}

FUNCTIONS: Mapping[str, Callable[[Drawn], Subject]] = {
    **{f"schedules.{name}": schedule(name) for name in SCHEDULES},
    **{name: gated(name) for name in ARGUMENTS},
    "verify": verify,
    "identify": identify,
    "sets": sets,
    "cases": cases,
    "inputs": inputs,
    "policy": policy,
    "tolerances": tolerances,
    "survey": survey,
    "find": found,
}


def _function(
    function: Callable[..., Any],
    arguments: dict[str, Any],
    legal: Mapping[str, Collection[str]],
    arrays: list[Path] | None = None,
) -> Subject:
    name = getattr(function, "__name__", "function")
    nested = {path[0] for path in arrays or []}
    return Subject(
        name,
        arguments,
        lambda given: _judged(function(**given), given),
        None,
        list(arrays or []),
        [(n,) for n in arguments if n not in nested],
        legal=legal,
        optional=frozenset(arguments),
    )


def _judged(found: Any, given: Mapping[str, Any]) -> Any:
    """Of a verdict what it says; it must be the right one, but for what a busy machine does not do in half a second."""
    if isinstance(found, refgrad.Verdict):
        late = as_number(given.get("time_limit")) <= SHORT and any(fault.kind == "hung" for fault in found.faults)
        assert late or found.exit_code == 0, str(found)[:400]
        return 0
    return np.asarray(found) if isinstance(found, float | int) else found
