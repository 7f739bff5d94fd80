"""The literal body of every rule and variant stays in the working dtype, from its first operation to its results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad import tracing
from refgrad.arithmetic import working
from refgrad.rule import Rule, rules
from refgrad.tracing import literal
from tests.bits import kinds
from tests.bits.digests import variants
from tests.bits.inputs import Source
from tests.optimizers.made_up import extras

#: of the rules that are written as one body for all backends, the others being written for arrays alone
KINDS = ("optimizer", "estimator", "quantizer", "mask")
SHAPE = (4, 64)


class Watched(working.Working):
    """float32 of which every operation is looked at: those with an operand or a result of another float dtype are noted."""

    working, scalars = np.dtype(np.float32), "float64"
    wrong: set[str] = set()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        found = getattr(ufunc, method)(*map(working.plain, inputs), **options)
        seen = {x.dtype for x in (*inputs, found) if isinstance(x, np.ndarray | np.generic)}
        if seen - {np.dtype(bool), np.dtype(np.float32)}:
            self.wrong.add(f"{ufunc.__name__}: {sorted(map(str, seen))}")
        return found.view(Watched) if isinstance(found, np.ndarray) else found


def results(rule: Rule, dtype: type) -> dict[str, np.ndarray] | None:
    """What a body gives, in float32 or float64; None for a quantizer or a mask, which are asked as a whole."""
    source = Source("tracing")
    x = source.signed(SHAPE, dtype)
    if rule.kind == "optimizer":
        numbers = rule.init(x) | extras(rule, x)
        arrays = {"p": x, "g": source.signed(SHAPE, dtype)}
        arrays |= {n: v.astype(dtype) for n, v in numbers.items() if isinstance(v, np.ndarray)}
        given = {n: 2.0 if n == "t" else float(numbers[n]) for n in rule.scalar_inputs()}
        return {n: v for n, v in literal(rule, arrays, given).items() if n not in rule.scalar_inputs()}
    if rule.kind == "estimator":
        given = kinds.parameters(rule, SHAPE, dtype, source)
        cotangent = source.signed(SHAPE, dtype)
        arrays = kinds.tried(lambda: rule.prepared({"x": x, "cotangent": cotangent, **given}))
        if isinstance(arrays, str):  # weights of codes
            return None
        return literal(rule, {n: arrays[n] for n in rule.takes()}, {})
    if rule.kind == "quantizer":
        list(kinds.round_trip(rule, np.abs(x) if rule.nonnegative else x, source))
    else:
        kinds.tried(lambda: rule.score(x, **kinds.mask_inputs(rule, SHAPE, dtype, source)))
    return None


@pytest.mark.sample(quick=30, suite=100)
@pytest.mark.parametrize("name", [n for n, cls in rules().items() if cls.kind in KINDS])
def test_a_body_stays_in_the_working_dtype(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for text, rule in [("", rules()[name]()), *variants(name)]:
        with np.errstate(all="ignore"):
            for dtype in (np.float32, np.float64):
                found = results(rule, dtype) or {}
                assert {v.dtype for v in found.values()} <= {np.dtype(dtype)}, text
                assert {type(v) for v in found.values()} <= {np.ndarray}, text
            with monkeypatch.context() as patch:
                patch.setattr(Watched, "wrong", set())
                patch.setattr(tracing, "as_working", lambda a, _: a.view(Watched) if a.dtype == np.float32 else a)
                results(rule, np.float32)
                assert not Watched.wrong, text
