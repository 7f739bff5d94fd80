"""A candidate of `tests.isolation.hostile` as a program that is asked over a pipe (docs/judge.md): ``python -m ... TARGET``.

It keeps its pipe to itself, as a program does that means its candidate to print what it likes.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import numpy as np

from refgrad.candidates.program_arrays import decoded, encoded
from refgrad.candidates.program_hello import VERSION
from refgrad.candidates.resolve import load

NAMES = ("p", "m", "v")
SAYS = {"refgrad": VERSION, "name": "subject", "rules": ["AdamW"], "dtypes": ["float32"], "encoding": "base64"}
TAKES = ("p", "g", "m", "v", "t", "lr", "beta1", "beta2", "eps", "weight_decay")


def answered(candidate: Any, message: dict[str, Any]) -> dict[str, Any]:
    """The answer to a question: what the candidate returns, if that is arrays."""
    arrays = {n: decoded(a, np.dtype(message["dtype"]), n) for n, a in message["arrays"].items()}
    numbers = {n: float.fromhex(v) for n, v in message["numbers"].items()}
    found = candidate(**arrays, **{**numbers, "t": int(numbers["t"])})
    given = found if isinstance(found, dict) else dict(zip(NAMES, found, strict=True))
    return {"id": message["id"], "arrays": {n: told(a) for n, a in given.items()}}


def told(array: Any) -> Any:
    """An array as it is written; what is none as JSON writes it, if it does."""
    plain = type(array) is np.ndarray or isinstance(array, np.generic)  # which an array without axes may become
    return encoded(np.asarray(array), "base64") if plain else array


def main() -> None:
    """Answer until there is no more question."""
    questions, answers, own = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w"), os.getpid()
    os.dup2(2, 1)
    candidate: Any = load(sys.argv[1])
    for line in questions:
        message = json.loads(line)
        found = {**SAYS, "takes": TAKES, "gives": NAMES} if message["ask"] == "hello" else answered(candidate, message)
        if os.getpid() != own:  # a process that the candidate forked, and that came back
            os._exit(0)
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    main()
