"""The gate: arrays of another byte order, of a subclass, without alignment or with a mask, for every kind of rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refgrad import ArgumentError
from refgrad.arithmetic.arrays import as_array, as_given, as_it_is, plain_array
from refgrad.arithmetic.dtypes import is_float
from refgrad.arithmetic.function_arguments import Numbers
from refgrad.estimators import LSQ
from refgrad.optimizers import LAMB, SGD, AdamW
from refgrad.quantizers import Affine, Blockwise
from refgrad.rule import rules
from refgrad.sparsity import Magnitude, NOfM
from tests import used as uses

NORMAL = uses._normal


class Doubled(np.ndarray):
    """An array whose operations are not NumPy's."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        plain = [np.asarray(x) for x in inputs]
        return np.multiply(getattr(ufunc, method)(*plain, **kwargs), 2)


def unaligned(x: np.ndarray) -> np.ndarray:
    """The same numbers, one byte off."""
    room = np.empty(x.nbytes + 1, np.uint8)
    found = room[1:].view(x.dtype).reshape(x.shape)
    found[...] = x
    return found


def on_disk(x: np.ndarray, folder: Path) -> np.ndarray:
    found = np.memmap(folder / f"{len(list(folder.iterdir()))}", x.dtype, "w+", shape=x.shape)
    found[...] = x
    return found


#: an array of float32 -> the same numbers in another guise
GUISES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "other byte order": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "subclass": lambda x: x.view(Doubled),
    "unaligned": unaligned,
}


@pytest.mark.sample(quick=60, suite=150)
@pytest.mark.parametrize("name", [n for n, rule in rules().items() if rule.kind != "scaling"])
def test_every_rule_gives_the_same_of_every_guise(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = rules()[name]()
    plain = uses.used(rule)
    for what, guise in GUISES.items():
        if what == "subclass" and (rule.kind not in ("optimizer", "estimator", "mask") or getattr(rule, "extras", {})):
            continue  # the fixture itself computes with the arrays
        monkeypatch.setattr(uses, "_normal", lambda *given, guise=guise: guise(NORMAL(*given)))
        found = uses.used(rule)
        assert len(found) == len(plain)
        for a, b in zip(found, plain, strict=True):
            assert a.dtype.newbyteorder("=") == b.dtype, what
            np.testing.assert_array_equal(a, b, what)


@pytest.mark.parametrize("name", [n for n, rule in rules().items() if rule.kind == "mask-update"])
def test_masks_are_updated_alike_for_every_guise(name: str) -> None:
    rule: Any = rules()[name]()
    random = np.random.default_rng(5)
    mask = random.random((8, 8)) < 0.5
    arrays = {"w": NORMAL(random, (8, 8)) * mask, **uses._others(rule, random, (8, 8))}
    wanted = rule.after({**arrays, "mask": mask}, rule.steps()[0])
    for what, guise in GUISES.items():
        if what != "subclass":  # what it makes of products is its own affair
            given = {**{n: guise(a) for n, a in arrays.items()}, "mask": mask}
            found = rule.after(given, rule.steps()[0])
            np.testing.assert_array_equal(found, wanted, what)
            weights = [rule.weights(g, wanted, rule.steps()[0]) for g in (given, {**arrays, "mask": mask})]
            np.testing.assert_array_equal(*weights, what)


X = np.linspace(-2, 2, 128).astype(np.float32).reshape(8, 16)


def stepped(rule: Any) -> Callable[[np.ndarray], list[Any]]:
    def call(x: np.ndarray) -> list[Any]:
        p, state = rule.step(X, x, rule.init(X))
        return [p, *(v for n, v in state.items() if n != "t")]

    return call


def stepped_in_place(x: np.ndarray) -> list[Any]:
    rule = AdamW()
    state = rule.init(X)
    rule.step_(x, X, state)
    return [x, state["m"], state["v"]]


#: one call of every kind of rule
CALLS: Mapping[str, Callable[[np.ndarray], list[Any]]] = {
    "step": stepped(AdamW()),
    "step with reductions": stepped(LAMB()),
    "step_": stepped_in_place,
    "init": lambda x: [AdamW().init(x)["m"], SGD(momentum=0.9).init(x)["buffer"]],
    "estimate": lambda x: list(LSQ().both(x, x, scale=0.5).values()),
    "quantize": lambda x: [Affine().round_trip(x), Blockwise().round_trip(x)],
    "mask": lambda x: [Magnitude().mask(x), NOfM().mask(x), Magnitude().score(x)],
}
ONES_OWN: Mapping[str, Callable[[np.ndarray, Path], Any]] = {
    "matrix": lambda x, folder: x.view(np.matrix),
    "memmap": on_disk,
    "reversed": lambda x, folder: np.ascontiguousarray(x[::-1])[::-1],
    "by columns": lambda x, folder: np.asfortranarray(x),
    "double in another byte order": lambda x, folder: x.astype(">f8"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("guise", ONES_OWN)
def test_what_other_programs_hand_over(call: str, guise: str, tmp_path: Path) -> None:
    double = "double" in guise
    if double and call.startswith("step"):
        wide = X.astype(np.float64)
        rule = AdamW()
        results = [rule.step(x, x, rule.init(x))[0] for x in (wide, wide.astype(">f8"))]
        assert results[1].dtype == ">f8"
        np.testing.assert_array_equal(*results)
        return
    wanted = CALLS[call](X.astype(np.float64) if double else X.copy())
    found = CALLS[call](ONES_OWN[guise](X.copy(), tmp_path))
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(np.asarray(a), b)


@pytest.mark.parametrize("call", CALLS)
def test_a_masked_array_is_refused(call: str) -> None:
    x = np.ma.masked_less(X.copy(), 0.0)
    with pytest.raises(ArgumentError, match=r"is a masked array; legal: a NumPy array, such as \w+\.filled\(0\.0\)"):
        CALLS[call](x)


def test_what_cannot_be_written_is_refused_in_place() -> None:
    rule, p = SGD(lr=0.1), np.float32(1.0)
    state = rule.init(p)
    with pytest.raises(ArgumentError, match="p is a NumPy scalar, which nobody can write; legal: an array"):
        rule.step_(p, np.asarray(0.5, np.float32), state)
    assert state["t"] == 0
    assert rule.step(p, np.asarray(0.5, np.float32), state)[0] == np.float32(0.95)


@pytest.mark.parametrize("t", [-5, -1, 2.5, np.nan, np.inf, "two"])
@pytest.mark.parametrize("backend", ["numpy", "auto"])
def test_steps_that_nobody_took_are_refused(t: Any, backend: str) -> None:
    rule, p = AdamW(), np.ones(3, np.float32)
    state = {**rule.init(p), "t": t}
    message = r"state\['t'\] is .*; legal: a whole number from 0, the steps that were taken"
    for step in (rule.step, rule.step_):
        with pytest.raises(ArgumentError, match=message):
            step(p, p.copy(), state, backend=backend)
    assert (p == 1).all()


def test_the_gate_itself() -> None:
    x = np.ones((2, 3), ">f4")
    assert as_given(x, "x") is x
    assert as_array(x, "x").dtype is np.dtype(np.float32)
    matrix = np.asarray([[1.0, 2.0]]).view(np.matrix)
    assert type(plain_array(matrix, "x")) is np.ndarray
    assert np.shares_memory(as_array(matrix, "x"), matrix)
    assert as_array(np.float32(2.0), "x").shape == ()
    with pytest.raises(ArgumentError, match="x is a list; legal: a NumPy array of a float dtype"):
        as_array([1.0], "x")
    with pytest.raises(ArgumentError, match=r"x\.dtype is 'int64'; legal: a float dtype"):
        as_array(np.arange(3), "x")


def test_what_kernels_take_as_it_is() -> None:
    x, dtype = np.ones((4, 6), np.float32), np.dtype(np.float32)
    read_only = x.copy()
    read_only.setflags(write=False)
    for array, fits in [(x, True), (read_only, True), (x[:, ::2], False), (x.T, False), (unaligned(x), False)]:
        assert as_it_is(array, dtype) is fits
    for array in (x.view(Doubled), x.astype(">f4"), x.astype(np.float64), None, 1.0):
        assert not as_it_is(array, dtype)


def test_another_shape_is_not_just_what_is_wanted() -> None:
    x = np.ones((2, 3), np.float32)
    assert as_it_is(x, x.dtype, (2, 3))
    assert not as_it_is(x, x.dtype, (3, 2))


def test_texts_of_any_length_are_no_numbers() -> None:
    """Their dtype cannot be asked for the order of its bytes."""
    texts = np.full(3, "1", np.dtypes.StringDType())
    with pytest.raises(ArgumentError, match=r"x\.dtype is 'StringDType\(\)'; legal: a float dtype"):
        as_array(texts, "x")
    with pytest.raises(ArgumentError, match=r"x\.dtype is .*; legal: floats or whole numbers"):
        Numbers().check("x", texts)
    assert not is_float(texts.dtype)
