"""A program as a text, and how it is made of that text."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from refgrad.rule import Rule

NUMPY, TORCH, JAX, C = "NumPy", "torch", "JAX", "C"
#: a program in C: its arguments' names, each with its type in C
HEAD = "#include <math.h>\n#include <stdint.h>\n"
#: no contraction, no fast mathematics: one rounding an operation
FLAGS = ("-O2", "-shared", "-fPIC", "-ffp-contract=off", "-w")


@dataclass(frozen=True)
class Text:
    """A right program.

    Attributes:
        name: of the program, once in all texts.
        language: one of `NUMPY`, `TORCH`, `JAX`, `C`.
        rule: what it is.
        source: the text. It defines ``candidate`` or, of C, a function ``step``.
        arguments: of C the function's arguments in order, with ``*`` those that are written.
    """

    name: str
    language: str
    rule: Rule
    source: str
    arguments: str = ""

    def made(self, source: str | None = None) -> Any:
        """The program that a text makes, by default the right one.

        Raises:
            SyntaxError: the text is none of its language.
        """
        text = self.source if source is None else source
        return in_c(text, self.arguments) if self.language == C else in_python(text)


def in_python(source: str) -> Any:
    """What a text in Python defines as its candidate."""
    names: dict[str, Any] = {"np": np, "__name__": "edited"}
    exec(compile(source, "<edited>", "exec"), names)
    return names["candidate"]


def in_c(source: str, arguments: str) -> Callable[..., Any]:
    """A function on arrays that calls a function in C, compiled for float32 and for float64.

    Raises:
        SyntaxError: the compiler refuses it.
    """
    names = [name.strip() for name in arguments.split(",")]
    plain = [name.removesuffix("*") for name in names if name not in ("n",)]
    written = [name.removesuffix("*") for name in names if name.endswith("*")]

    def step(**given: Any) -> dict[str, np.ndarray]:
        arrays = {n: np.array(a, order="C") for n, a in given.items() if isinstance(a, np.ndarray)}
        dtype = arrays["p"].dtype
        scalars = {"n": ctypes.c_int64(arrays["p"].size), "t": ctypes.c_int64(int(given.get("t", 0)))}
        passed: list[Any] = []
        for name in (n.removesuffix("*") for n in names):
            if name in arrays:
                passed.append(arrays[name].ctypes.data_as(ctypes.c_void_p))
            else:
                passed.append(scalars.get(name) or ctypes.c_double(given[name]))
        _library(source, "double" if dtype == np.float64 else "float").step(*passed)
        return {n: arrays[n] for n in written}

    _library(source, "float")
    names_of = ", ".join(plain)
    pairs = ", ".join(f"{n}={n}" for n in plain)
    made: dict[str, Any] = {"step": step}
    exec(f"def candidate({names_of}):\n    return step({pairs})\n", made)
    return made["candidate"]


@functools.lru_cache(maxsize=8)
def _library(source: str, real: str) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        name = hashlib.sha256((source + real).encode()).hexdigest()[:16]
        file, library = Path(folder, f"{name}.c"), Path(folder, f"{name}.so")
        file.write_text(HEAD + source, encoding="utf-8")
        command = ["gcc", *FLAGS, f"-Dreal={real}", str(file), "-o", str(library), "-lm"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SyntaxError(done.stderr[:300])
        return ctypes.CDLL(str(library))


def numpy_step(name: str, rule: Rule, arguments: str, body: str) -> Text:
    """A step of an optimizer in NumPy: a function of these arguments with this body."""
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    return Text(name, NUMPY, rule, f"def candidate({arguments}):\n{lines}")
