"""The gate of public functions: what each record takes, what it makes of it, and what it refuses by name."""

from __future__ import annotations

import fractions
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from refgrad.arithmetic import function_arguments as gate
from refgrad.arithmetic.perturbed import Perturbed
from refgrad.errors import ArgumentError
from refgrad.legal import Range, Whole
from refgrad.quantizers import SignSGD
from refgrad.quantizers.base import Quantizer
from tests.fuzz.room_functions import ARGUMENTS, function_of
from tests.fuzz.values import ALIKE, NUMBERS, REFUSED

X = np.asarray([[0.5, -1.0], [2.0, 3.0]], np.float32)
#: what of the changes of the fuzzer is an array of numbers
NUMERIC = {"float", "int", "whole"}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_no_array_of_numbers_is_refused_by_name(name: str) -> None:
    value = REFUSED[name](X)
    if name in NUMERIC:
        assert gate.Numbers().check("x", value).dtype == np.float64
        return
    for record in (gate.Numbers(), gate.Labels(-5, 5), gate.Floats(), gate.Entries()):
        with pytest.raises(ArgumentError, match=r"^x\b"):
            record.check("x", value)


@pytest.mark.parametrize("name", sorted(NUMBERS))
def test_numbers_are_taken_where_a_float_is_one(name: str) -> None:
    value = NUMBERS[name]()
    numbers = {
        "-5",
        "-1",
        "0",
        "1",
        "3",
        "2.7",
        "3.0",
        "0.5",
        "nan",
        "inf",
        "-inf",
        "10**9",
        "10**18",
        "list",
        "list of one",
    }
    numbers |= {"int64", "float32", "array", "array of two", "fraction"}
    numbers |= {n for n, other in ALIKE.items() if other in numbers} - {"long double"}
    if name in numbers:
        assert gate.Numbers().check("x", value).dtype == np.float64
    else:
        with pytest.raises(ArgumentError, match=r"^x\b"):
            gate.Numbers().check("x", value)


@pytest.mark.parametrize(
    ("record", "value", "legal"),
    [
        (gate.Numbers(axes=1), X, "x.ndim is 2; legal: 1"),
        (gate.Numbers(least=5), X, r"x.shape is \(2, 2\); legal: at least 5 elements"),
        (gate.Numbers(within=gate.POSITIVE), X, r"x is -1.0; legal: numbers in \(0, inf\)"),
        (gate.Numbers(within=gate.REAL), [1.0, math.nan], r"x is nan; legal: numbers in \(-inf, inf\)"),
        (gate.Numbers(within=gate.UNIT), [1.0, 1.5], r"x is 1.5; legal: numbers in \[0, 1\]"),
        (gate.Numbers(), [[1.0], [1.0, 2.0]], "numbers in rows of one length"),
        (gate.Labels(0, 1), [0, 2], "x is 2; legal: whole numbers from 0 to 1"),
        (gate.Labels(0, 1), [0.0], "x.dtype is 'float64'; legal: whole numbers"),
        (gate.Several(gate.REAL), "abc", "x is 'abc'; legal: a sequence of things"),
        (gate.Several(gate.REAL, least=2, most=2), [1.0], "legal: a sequence of 2 at least, 2 at most"),
        (gate.Several(Whole(0)), [3, -1], r"x\[1\] is -1; legal: a whole number from 0"),
        (gate.OrNone(Whole(0)), "3", "x is '3'; legal: a whole number from 0"),
        (gate.Of(Quantizer), 3, "x is 3; legal: a Quantizer"),
        (gate.Function(), len("abc"), "legal: a function of one argument"),
        (gate.Function(), int, "legal: a function of one argument"),
        (gate.Function(), lambda: 1, "legal: a function of one argument"),
        (gate.AnyNumber(), None, "x is None; legal: a number"),
    ],
    ids=range(17),
)
def test_what_is_not_legal_is_told(record: Any, value: Any, legal: str) -> None:
    with pytest.raises(ArgumentError, match=legal):
        record.check("x", value)


def test_what_is_legal_is_handed_on_in_one_form() -> None:
    turned = np.asarray(X.T, ">f4")
    for record in (gate.Numbers(), gate.Floats(), gate.Entries()):
        found = record.check("x", turned)
        assert (type(found), found.flags.c_contiguous, found.dtype.isnative) == (np.ndarray, True, True)
        assert found.tolist() == X.T.tolist()
    assert gate.Floats().check("x", X) is not None
    assert gate.Numbers(within=gate.UNIT).check("x", [0, 1]).tolist() == [0.0, 1.0]
    assert gate.Numbers(complex=True).check("x", 1j).dtype == np.complex128
    assert gate.Labels(0, 1).check("x", np.asarray([True, False])).tolist() == [1, 0]
    assert gate.Several(gate.REAL, kind=tuple).check("x", np.asarray([1.0, 2.0])) == (1.0, 2.0)
    assert gate.OrNone(Whole(0)).check("x", None) is None
    assert gate.Of(Quantizer).check("x", SignSGD()) == SignSGD()
    for function in (np.sin, min):  # of which the latter does not say what it takes
        assert gate.Function().check("x", function) is function
    assert math.isnan(gate.AnyNumber().check("x", math.nan))


def test_a_function_sees_what_its_gate_makes() -> None:
    @gate.gated(x=gate.Numbers(), n=gate.AT_LEAST_ONE, share=Range(0.0, 1.0))
    def function(x: Any, n: Any, share: Any = 0.5, other: Any = "as it is") -> Any:
        return x, n, share, other

    x, n, share, other = function([1, 2], np.int64(3), share=fractions.Fraction(1, 4))
    assert (x.dtype, type(n), share, other) == (np.dtype(np.float64), int, 0.25, "as it is")
    with pytest.raises(ArgumentError, match="n is 0; legal: a whole number from 1"):
        function([1], 0)
    with pytest.raises(TypeError, match="missing"):
        function([1])  # type: ignore[call-arg]
    assert set(gate.gate_of(function) or ()) == {"x", "n", "share"}
    assert gate.gate_of(len) is None


def test_a_system_without_a_solution_is_told_by_the_arguments() -> None:
    solve = gate.gated(matrix=gate.Numbers(axes=2))(lambda matrix, right: np.linalg.solve(matrix, right))
    assert solve([[2.0]], [3.0]).tolist() == [1.5]
    with pytest.raises(ArgumentError, match="matrix, right: Singular matrix"):
        solve([[0.0]], [3.0])


def test_what_stands_for_an_array_in_a_formula_goes_through() -> None:
    from refgrad.arithmetic.exact import Exact

    standing = object.__new__(Exact)
    assert gate.Carried(gate.Floats()).check("x", standing) is standing
    perturbed = X.view(Perturbed)
    assert gate.Carried(gate.Floats()).check("x", perturbed) is perturbed
    assert type(gate.Carried(gate.Floats()).check("x", X)) is np.ndarray
    with pytest.raises(ArgumentError, match="x is a str"):
        gate.Carried(gate.Floats()).check("x", "0.5")


def records(legal: Any) -> Iterator[Any]:
    """A record, and those of what it holds."""
    yield legal
    for part in ("each", "other"):
        if hasattr(legal, part):
            yield from records(getattr(legal, part))


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_counts_of_every_function_are_numbers_of_float64(name: str) -> None:
    """So that no body stumbles over one that is no float; threads, which no body computes with, are as many as wanted."""
    for argument, legal in (gate.gate_of(function_of(name)) or {}).items():
        ends = [each.high for each in records(legal) if isinstance(each, Whole)]
        assert all(end is not None and end <= 2**63 for end in ends) or argument == "threads"
