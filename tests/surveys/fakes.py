"""Implementations that conform, differ, print, raise, hang, crash and end their process: what a survey must survive."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import numpy as np

from refgrad.optimizers import SGD, AdamW
from refgrad.surveys.implementations import Implementation

Array = np.ndarray


def right(p: Array, g: Array, lr: float) -> Array:
    return p - p.dtype.type(lr) * g


def talkative(p: Array, g: Array, lr: float) -> Array:
    print('{"outcome": "conforms"}')
    os.write(1, b"not JSON at all\n")
    sys.stdout.flush()
    return right(p, g, lr)


def uphill(p: Array, g: Array, lr: float) -> Array:
    return p + p.dtype.type(lr) * g


def odd(p: Array, g: Array, lr: float) -> Array:
    """Nothing that has a name: what it does depends on where an element is."""
    return np.where(np.arange(p.size).reshape(p.shape) % 3 == 0, right(p, g, lr), p + g * g * g)


def raising(p: Array, g: Array, lr: float) -> Array:
    raise RuntimeError("out of order")


def hanging(p: Array, g: Array, lr: float) -> Array:
    time.sleep(3600)
    return p


def exiting(p: Array, g: Array, lr: float) -> Array:
    os.write(2, b"going down\n")
    os._exit(7)


def segfaulting(p: Array, g: Array, lr: float) -> Array:
    import faulthandler

    faulthandler._sigsegv()  # type: ignore[attr-defined]
    return p


def inside(p: Array, g: Array, m: Array, v: Array, t: int, lr: float = 1e-3, weight_decay: float = 1e-2) -> Any:
    """AdamW with eps under the root."""
    f = p.dtype.type
    m = f(0.9) * m + f(1 - 0.9) * g
    v = f(0.999) * v + f(1 - 0.999) * g * g
    step = (m / f(1 - 0.9**t)) / np.sqrt(v / f(1 - 0.999**t) + f(1e-8))
    return p - f(lr) * (step + f(weight_decay) * p), m, v


def undamped(p: Array, g: Array, buffer: Array, t: int, lr: float) -> Any:
    """Momentum whose first gradient enters undamped, as torch has it."""
    f = p.dtype.type
    buffer = g.copy() if t == 1 else f(0.9) * buffer + f(0.5) * g
    return p - f(lr) * buffer, buffer


PLAIN = SGD(lr=0.1)


def row(name: str, package: str = "fakes", claim: Any = PLAIN, **others: Any) -> Implementation:
    return Implementation(package=package, target=f"tests.surveys.fakes:{name}", claim=claim, name=name, **others)


DAMPED = SGD(lr=0.1, momentum=0.9, dampening=0.5)

FAKES = [
    row("right"),
    row("talkative"),
    row("undamped", claim=DAMPED, variant={"first_step": "undamped"}),
    row("odd", note='a note <b>&amp;</b> with "quotes" and </script>'),
    row("raising"),
    row("unknown"),
    row("inside", package="others", claim=AdamW()),
    Implementation(package="no-such-package", target="no_such_module:thing", claim=PLAIN),
    Implementation(package="fakes", target="tests.surveys.fakes:right", claim=PLAIN, requires=("no_such_backend",)),
    row("exiting", package="breaking"),
    row("segfaulting", package="breaking"),
    row("right", package="breaking"),
]

#: what reports are made of at depth quick
FEW = [FAKES[0], FAKES[2], FAKES[4]]
HANGING = [row("hanging"), row("right")]
CRASHING = [row("exiting"), row("right")]
#: what comes after the first cell is not done before it is interrupted
INTERRUPTED = [row("right"), row("hanging"), row("undamped", claim=DAMPED)]
