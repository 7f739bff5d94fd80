"""The errors that authors of rules meet first, of every kind: each is one sentence, said before a candidate is asked."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.errors import RefgradError
from refgrad.estimators.base import Estimator
from refgrad.optimizers import Optimizer
from refgrad.quantizers import Quantizer
from refgrad.rule import NonNegative
from refgrad.sparsity.base import Unstructured

#: how each begins what it says of a number whose type has no range
NO_RANGE = r"the type of Mine\.rate is <class 'float'>; legal: a type with its legal values, such as "
BARE, RAISED = (
    "returns None for {}; legal: `return` what it is",
    "a rule does not branch on an array's values: write numpy.where",
)
NO_SUM = r"numpy\.sum is not an operation of a rule; write tree_sum\(x\)"
CHANGES = "Mine's body gives other numbers when it is run again; legal: a body that gives the same of the same arrays"


class Asked(Exception):
    """A candidate was asked."""


def never(*arrays: Any) -> Any:
    raise Asked


def never_step(p: Any, g: Any) -> Any:
    raise Asked


def nothing(self: Any, x: Any) -> Any:
    return None


def same(self: Any, x: Any) -> Any:
    return x


nothing.__name__ = same.__name__ = "quantize"


def optimizer(update: Any = None, annotation: Any = NonNegative) -> Any:
    body = {} if update is None else {"update": update}
    return type("Mine", (Optimizer,), {"__annotations__": {"rate": annotation}, "rate": 0.1, **body})()


def estimator(forward: Any, backward: Any = None, annotation: Any = NonNegative) -> Any:
    body = {"forward": forward, **({} if backward is None else {"backward": backward})}
    return type("Mine", (Estimator,), {"__annotations__": {"rate": annotation}, "rate": 0.1, **body})()


def mask(scores: Any, annotation: Any = NonNegative) -> Any:
    return type("Mine", (Unstructured,), {"__annotations__": {"rate": annotation}, "rate": 0.1, "scores": scores})()


def quantizer(annotation: Any = NonNegative, **methods: Any) -> Any:
    return type("Mine", (Quantizer,), {"__annotations__": {"rate": annotation}, "rate": 0.1, **methods})()


def formula(body: Any) -> Any:
    body.__name__ = body.__qualname__ = "Mine"
    return refgrad.formula(x="n")(body)()


def without_range(x: Any, *, rate: float = 0.1) -> Any:
    return rate * x


def straight(self: Any, cotangent: Any, x: Any) -> Any:
    return cotangent


def if_all(self: Any, x: Any) -> Any:
    return x if (x > 0).all() else np.sign(x)


PAIR = (never, never)
TABLE: list[tuple[str, Callable[[], Any], Any, str]] = [
    ("optimizer, range", lambda: optimizer(annotation=float), never_step, NO_RANGE),
    (
        "optimizer, bare",
        lambda: optimizer(lambda self, p, g, t: None),
        never_step,
        "Mine.update returns no tuple; legal: `ret",
    ),
    ("optimizer, all", lambda: optimizer(lambda self, p, g, t: (p,) if (g > 0).all() else (g,)), never_step, RAISED),
    ("optimizer, nothing", lambda: optimizer(), never_step, r"Mine has no update; write `def update\(self, p, g, t\)`"),
    ("optimizer, sum", lambda: optimizer(lambda self, p, g, t: (p / np.sum(g),)), never_step, NO_SUM),
    ("estimator, range", lambda: estimator(lambda self, x: x, straight, float), PAIR, NO_RANGE),
    ("estimator, bare", lambda: estimator(lambda self, x: None, straight), PAIR, BARE.format("y")),
    ("estimator, all", lambda: estimator(if_all, straight), PAIR, RAISED),
    (
        "estimator, forward only",
        lambda: estimator(lambda self, x: x),
        PAIR,
        "Mine has no backward; write `def backward",
    ),
    ("estimator, sum", lambda: estimator(lambda self, x: x / np.sum(x), straight), PAIR, NO_SUM),
    ("mask, range", lambda: mask(lambda self, w: w, float), never, NO_RANGE),
    ("mask, bare", lambda: mask(lambda self, w: None), never, BARE.format("scores")),
    ("mask, all", lambda: mask(lambda self, w: if_all(self, w)), never, RAISED),
    ("mask, sum", lambda: mask(lambda self, w: np.abs(w) / np.sum(w)), never, NO_SUM),
    ("quantizer, range", lambda: quantizer(float), never, NO_RANGE),
    ("quantizer, nothing", lambda: quantizer(), never, r"Mine has no encode; write `def encode\(self, x\): return"),
    (
        "quantizer, bare",
        lambda: quantizer(quantize=nothing),
        never,
        "Mine.quantize returned None; write `encode` and",
    ),
    (
        "quantizer, array",
        lambda: quantizer(quantize=same),
        never,
        "Mine.quantize returned an? .*array; write `encode`",
    ),
    ("formula, range", lambda: formula(without_range), never, NO_RANGE),
    ("formula, bare", lambda: formula(lambda x: None), never, "Mine returned None; legal: `return` an array"),
    (
        "formula, forward only",
        lambda: formula(lambda x: x).backward,
        never,
        "Mine has no backward; legal: the arrays whose",
    ),
]


@pytest.mark.parametrize(("make", "candidate", "message"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_first_errors_say_what_to_write(make: Any, candidate: Any, message: str) -> None:
    with pytest.raises(RefgradError, match=message) as raised:
        refgrad.verify(candidate, make(), steps=1)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("body", [lambda x: x if (x > 0).all() else x / 2, lambda x: x / np.sum(x)], ids=["all", "sum"])
def test_formulas_take_what_other_bodies_cannot(body: Any) -> None:
    assert refgrad.verify(lambda x: body(x), formula(body), explain=False).conforms


def kept(x: Any, seen: list[int] = []) -> Any:  # noqa: B006
    seen.append(1)
    return x * float(len(seen))


OTHER: dict[str, Callable[[Any], Any]] = {
    "np.random": lambda x: x * np.random.rand(),  # noqa: NPY002
    "a generator": lambda x: x * np.random.default_rng().random(),
    "random": lambda x: x * random.random(),
    "time": lambda x: x * (time.perf_counter() % 1.0),
    "what it keeps": kept,
}


@pytest.mark.parametrize("word", OTHER)
@pytest.mark.parametrize("kind", ["optimizer", "estimator", "mask", "formula", "opaque"])
def test_a_body_that_is_not_a_function_of_its_arrays_is_said_to_be_none(kind: str, word: str) -> None:
    body = OTHER[word]
    made: dict[str, Callable[[], Any]] = {
        "optimizer": lambda: optimizer(lambda self, p, g, t: (p - body(g),)),
        "estimator": lambda: estimator(lambda self, x: body(x), straight),
        "mask": lambda: mask(lambda self, w: body(w)),
        "formula": lambda: formula(lambda x: body(x)),
        "opaque": lambda: type("Mine", (refgrad.opaque(x="n")(lambda x: body(x)),), {})(),
    }
    with pytest.raises(RefgradError, match=CHANGES):
        refgrad.verify({"estimator": PAIR, "optimizer": never_step}.get(kind, never), made[kind](), steps=1)
