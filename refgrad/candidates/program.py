"""A program in any language as a candidate: it is asked by lines of JSON on its standard input (docs/judge.md).

What is here runs in the candidate's own process (`refgrad.isolation`), so that a program that hangs, floods or dies is a finding.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import inspect
import json
import math
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.arithmetic.dtypes import as_dtype, is_float
from refgrad.candidates.faults import stepping
from refgrad.candidates.mask_function import MaskSeen
from refgrad.candidates.protocol import CandidateFault
from refgrad.child_process import ended
from refgrad.errors import CandidateError, RefgradError
from refgrad.layout import printable
from refgrad.rule import Rule

#: the version of the protocol
VERSION = 1
#: bytes that a line may have
LONGEST = 64 << 20
ENCODINGS = ("hex", "base64")
#: what arrays of an answer may be of besides float formats
WHOLE = ("bool", *(f"{sign}int{bits}" for bits in (8, 16, 32, 64) for sign in ("", "u")))
#: seconds that a program has to end when its input has
GRACE = 0.5
#: kinds of rules that programs are asked to be
KINDS = ("optimizer", "quantizer", "estimator", "mask")


class Program:
    """A program that runs and answers.

    Args:
        command: the program and its arguments.
        rule, kind: what it is asked to be.
        patience: seconds in which it is to say that it is.

    Raises:
        CandidateError: it cannot be started, or does not say that it is such a rule.
    """

    def __init__(self, command: Sequence[str], rule: str, kind: str, patience: float = math.inf) -> None:
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        except OSError as error:
            raise CandidateError(f"{command[0]} cannot be started: {error.strerror}") from None
        weakref.finalize(self, _end, self._process)
        self._name, self._count = command[0].rpartition("/")[2], 0
        try:
            self.hello = self._greeted(rule, kind, patience)
        except CandidateFault as fault:
            legal = "a program that answers each line of JSON with one, the first, which asks hello, too"
            raise CandidateError(f"the program does not say what it is: {fault}; legal: {legal}") from None

    def _greeted(self, rule: str, kind: str, patience: float) -> Mapping[str, Any]:
        told = self._answer_within({"refgrad": VERSION, "ask": "hello", "rule": rule, "kind": kind}, patience)
        if told.get("refgrad") != VERSION:
            raise CandidateError(f"{self._name} speaks version {_shown(told.get('refgrad'))}; legal: {VERSION}")
        for field in ("rules", "dtypes", "takes", "gives"):
            words = told.get(field)
            if not words or not _are_names(words):
                raise CandidateError(f"{self._name} said {field}: {_shown(words)}; legal: a list of names, each once")
        if rule not in told["rules"]:
            raise CandidateError(f"{self._name} is no {rule}; it says: {', '.join(told['rules'])}")
        if told.setdefault("encoding", "hex") not in ENCODINGS:
            raise CandidateError(
                f"{self._name} said encoding {_shown(told['encoding'])}; legal: {', '.join(ENCODINGS)}"
            )
        said = told.setdefault("restrictions", [])
        if not isinstance(said, list) or not all(isinstance(text, str) for text in said):
            raise CandidateError(f"{self._name} said restrictions: {_shown(said)}; legal: a list of sentences")
        if not isinstance(told.setdefault("name", self._name), str):
            raise CandidateError(f"{self._name} said name: {_shown(told['name'])}; legal: a text")
        return told

    def call(self, given: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """What it gives for arrays and numbers by name.

        Raises:
            CandidateFault: it died, or answered what is no answer.
            ValueError: it refuses them, and says why.
        """
        arrays = {n: np.asarray(a) for n, a in given.items() if isinstance(a, np.ndarray)}
        dtype = str(next(a.dtype for a in arrays.values() if is_float(a.dtype)))
        if dtype not in self.hello["dtypes"]:
            raise ValueError(f"{self._name} takes {', '.join(self.hello['dtypes'])}, and no {dtype}")
        self._count += 1
        told = self._answer(
            {
                "ask": "call",
                "id": self._count,
                "dtype": dtype,
                "numbers": {n: _text(v) for n, v in given.items() if n not in arrays},
                "arrays": {n: encoded(a, self.hello["encoding"]) for n, a in arrays.items()},
            }
        )
        if told.get("id") != self._count:
            raise CandidateFault(
                "structure", f"{self._name} answered question {_shown(told.get('id'))}, not {self._count}"
            )
        if "refused" in told:
            raise ValueError(printable(str(told["refused"])[:400]))
        found = told.get("arrays")
        if not isinstance(found, dict) or set(found) != set(self.hello["gives"]):
            what = _shown(sorted(found)) if isinstance(found, dict) else type(found).__name__
            raise CandidateFault("structure", f"{self._name} gave {what}; legal: {', '.join(self.hello['gives'])}")
        return {n: decoded(a, self._dtype_of(a, dtype), f"{self._name}'s {n}") for n, a in found.items()}

    def _dtype_of(self, value: Any, otherwise: str) -> np.dtype:
        named = value.get("dtype", otherwise) if isinstance(value, dict) else otherwise
        try:
            return np.dtype(named) if named in WHOLE else as_dtype(named)
        except RefgradError as error:
            raise CandidateFault("structure", printable(str(error))) from None

    def _answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a message: one line each."""
        streams = self._process.stdin, self._process.stdout
        assert streams[0] is not None
        assert streams[1] is not None
        try:
            streams[0].write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
            streams[0].flush()
        except OSError:
            raise CandidateFault("crashed", self._ended()) from None
        line = streams[1].readline(LONGEST)
        if not line.endswith(b"\n"):
            what = self._ended() if len(line) < LONGEST else f"{self._name} wrote a line of more than {LONGEST} bytes"
            raise CandidateFault("crashed" if len(line) < LONGEST else "structure", what)
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            raise CandidateFault("structure", f"{self._name} wrote {line[:60]!r}; legal: a line of JSON") from None
        if not isinstance(found, dict):
            raise CandidateFault("structure", f"{self._name} wrote {line[:60]!r}; legal: a JSON object")
        return found

    def _answer_within(self, message: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """The answer to a message; a program that takes longer is killed, and waited for no more."""
        found: list[dict[str, Any] | BaseException] = []

        def asked() -> None:
            try:
                found.append(self._answer(message))
            except BaseException as error:
                found.append(error)

        thread = threading.Thread(target=asked, daemon=True)  # a program that it started may hold the pipe
        thread.start()
        thread.join(min(seconds, threading.TIMEOUT_MAX))
        if not found:
            self._process.kill()
            raise CandidateFault("hung", f"{self._name} hung: no answer to {message['ask']} within {seconds:g} s")
        (result,) = found
        if isinstance(result, BaseException):
            raise result
        return result

    def _ended(self) -> str:
        """How it ended: closed pipes come a moment before that."""
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return f"{self._name} closed its pipe"
        return f"{self._name}: {ended(code, '')}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a program that nobody asks any more: its input ends, and what does not end with it is killed."""
    for stream in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            stream.close()  # type: ignore[union-attr]
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def encoded(array: np.ndarray, encoding: str) -> dict[str, Any]:
    """An array as it is written: hex floats, or base64 of its little-endian bytes.

    Args:
        array: of any dtype.
        encoding: one of `ENCODINGS`.

    >>> encoded(np.float32([1.5, -2.0]), "hex")
    {'shape': [2], 'data': ['0x1.8000000000000p+0', '-0x1.0000000000000p+1']}
    """
    shape = list(array.shape)
    if encoding == "base64":
        little = np.ascontiguousarray(
            array, array.dtype.newbyteorder("<") if array.dtype.kind in "fiu" else array.dtype
        )
        return {"shape": shape, "dtype": str(array.dtype), "base64": base64.b64encode(little.tobytes()).decode()}
    return {"shape": shape, "data": [_text(v) for v in array.astype(np.float64).ravel().tolist()]}


def decoded(value: Any, dtype: np.dtype, name: str) -> np.ndarray:
    """The array that was written so.

    Args:
        value: as `encoded` gives it.
        dtype: of the array.
        name: how errors call it.

    Raises:
        CandidateFault: it is no array.
    """
    try:
        shape = _shape(value["shape"])
        if "base64" in value:
            raw = base64.b64decode(value["base64"], validate=True)
            if dtype.kind == "b" and not set(raw) <= {0, 1}:
                raise ValueError("a bool is 0 or 1")
            return np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype).reshape(shape)
        numbers = [float.fromhex(v) if isinstance(v, str) else v for v in value["data"]]
        return (_rounded if is_float(dtype) else _whole)(numbers, dtype).reshape(shape)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        message = printable(f"{name} is no array: {type(error).__name__}: {str(error)[:120]}")
        raise CandidateFault("structure", message) from None


def _shape(value: Any) -> tuple[int, ...]:
    """The lengths of an array's axes."""
    if not isinstance(value, list) or not all(type(n) is int and n >= 0 for n in value):
        raise ValueError(f"its shape is {_shown(value)}; legal: a list of whole numbers from 0 on")
    return tuple(value)


def _rounded(numbers: Sequence[float], dtype: np.dtype) -> np.ndarray:
    """The nearest numbers of a float dtype."""
    with np.errstate(over="ignore"):
        return np.asarray([float(v) for v in numbers], np.float64).astype(dtype)


def _whole(numbers: Sequence[float], dtype: np.dtype) -> np.ndarray:
    """Numbers of an integer dtype or of booleans, if it has each of them."""
    low, high = (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    for number in numbers:
        if not low <= number <= high or number != int(number):
            raise ValueError(f"it has {number:g}; legal as {dtype}: whole numbers from {low} to {high}")
    return np.asarray([int(number) for number in numbers], dtype)


def _are_names(words: Any) -> bool:
    """True of a list of identifiers, each once."""
    named = isinstance(words, list) and all(isinstance(word, str) and word.isidentifier() for word in words)
    return named and len(set(words)) == len(words)


def _shown(value: Any) -> str:
    """The beginning of what a program said, without what would steer a terminal."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _text(value: Any) -> str:
    """A number as a hex float; a choice as it is."""
    return value if isinstance(value, str) else float(value).hex()


def _die_with_parent() -> None:  # pragma: no cover - between fork and exec, where nothing is counted
    """On Linux a program ends with the process that asks it, which is ended when it hangs.

    Elsewhere it ends with the group of that process, or when it reads that nobody asks any more.
    """
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


@dataclass(frozen=True)
class Stateless:
    """A program that is asked for a mask, or for the value and the gradients of an estimator.

    Args:
        name: how reports call it.
        program: that answers.
    """

    name: str
    program: Program

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
        wanted = self.program.hello["takes"]
        for name in wanted:
            if name not in known:
                raise CandidateError(
                    f"{self.name} takes {name!r}, which {rule} does not have; legal: {', '.join(known)}"
                )
        with stepping(self.name):
            return self.program.call({n: known[n] for n in wanted})


def function(command: Sequence[str], rule: str, kind: str, patience: float = math.inf) -> Any:
    """A program as a candidate: of an optimizer or quantizer a function of what it says that it takes.

    Args:
        command: the program and its arguments.
        rule: the rule's name.
        kind: its kind.
        patience: seconds in which it is to say that it is that.

    Raises:
        CandidateError: it cannot be started, or does not say that it is such a rule; or rules of the kind are not asked so.
    """
    if kind not in KINDS:
        raise CandidateError(f"{rule} is of kind {kind}; programs are asked to be of kind {', '.join(KINDS)}")
    program = Program(command, rule, kind, patience)
    said = [printable(text[:200]) for text in program.hello["restrictions"]]
    name = printable(program.hello["name"][:80])
    name = f"{name} ({'; '.join(said)})" if said else name
    if kind in ("estimator", "mask"):
        return Stateless(name, program)

    names = program.hello["takes"]

    def called(*values: Any, **given: Any) -> dict[str, np.ndarray]:
        return program.call({**dict(zip(names, values, strict=False)), **given})

    takes = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in names]
    called.__signature__ = inspect.Signature(takes)  # type: ignore[attr-defined]
    called.__module__, called.__qualname__ = "builtins", name
    return called
