"""Scalar scalars: values, the branches that they remember, and their text."""

from __future__ import annotations

import math

import numpy as np
import pytest

from refgrad.arithmetic import scalar_error, scalar_math
from refgrad.arithmetic.operations import scalar_bounds
from refgrad.arithmetic.operations.scalar_bounds import Precision
from refgrad.arithmetic.scalar_math import FLOAT32, FLOAT64, Scalar, Scope
from refgrad.errors import TraceError

OPERATIONS = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "mod": lambda a, b: a % b,
    "neg": lambda a, b: -a,
    "sqrt": lambda a, b: np.sqrt(a),
    "log": lambda a, b: np.log(a),
    "exp": lambda a, b: np.exp(a),
    "tanh": lambda a, b: np.tanh(a),
    "max": np.maximum,
    "min": np.minimum,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
}
UNARY = {"neg", "sqrt", "log", "exp", "tanh"}
A, B = 0.1, 2.5


def pair(precision: str = "float64") -> tuple[Scalar, Scalar]:
    scope = Scope(scalar_math.TABLES[precision])
    return scope.named("a", A), scope.named("b", B)


def test_every_operation_is_tried() -> None:
    assert set(OPERATIONS) == set(FLOAT64) - {"const"} == set(FLOAT32) - {"const"}
    assert set(scalar_math.UFUNCS.values()) == set(OPERATIONS)


def test_a_root_of_a_negative_number_is_no_number() -> None:
    """Python's own sign makes a complex one of it, which no rule means."""
    made = scalar_math.Expr("pow", (scalar_math.name("a"), scalar_math.const(0.25)))
    with pytest.raises(ValueError, match=r"domain|nonnegative"):
        scalar_math.evaluate(made, {"a": -0.5}, FLOAT64)
    with pytest.raises(ValueError, match=r"domain|nonnegative"):
        eval(scalar_math.python_source(made), dict(scalar_math.FUNCTIONS), {"a": -0.5})


@pytest.mark.parametrize("op", OPERATIONS)
def test_values_and_text(op: str) -> None:
    made = OPERATIONS[op](*pair())
    assert isinstance(made, Scalar)
    assert made.expr.op == op
    # NumPy's and the host's transcendental functions may differ in the last place
    assert made.value == pytest.approx(OPERATIONS[op](A, B), rel=2.0**-52, abs=0.0)
    names = {"a": A, "b": B}
    assert scalar_math.evaluate(made.expr, names, FLOAT64) == made.value
    assert eval(scalar_math.python_source(made.expr), dict(scalar_math.FUNCTIONS), names) == made.value
    assert scalar_math.names_in(made.expr) == ({"a"} if op in UNARY else {"a", "b"})


@pytest.mark.parametrize("op", OPERATIONS)
def test_the_float32_table_rounds_every_operation_once(op: str) -> None:
    made = OPERATIONS[op](*pair("float32"))
    wanted = OPERATIONS[op](np.float32(A), np.float32(B))
    assert np.asarray(wanted).dtype in (np.float32, np.bool_)
    assert made.value == wanted
    if op not in scalar_math.COMPARISONS:
        assert np.float32(made.value) == made.value


@pytest.mark.parametrize("precision", scalar_math.TABLES)
@pytest.mark.parametrize("op", [op for op in OPERATIONS if op not in scalar_math.COMPARISONS])
def test_error_bounds_hold_what_the_tables_give(op: str, precision: str) -> None:
    """The value in one arithmetic is within the bound of that in many digits, for literals taken exactly."""
    table, bounds = scalar_math.TABLES[precision], scalar_error.table(precision)
    arity = 1 if op in UNARY else 2
    for a, b in [(0.1, 2.5), (0.999, 1000.0), (1.0, 0.9), (3.7, -2.0), (1e-3, 0.5)]:
        args = (a, b)[:arity]
        value, error = bounds[op](*(bounds["const"](x) for x in args))
        assert abs(table[op](*(table["const"](x) for x in args)) - value) <= error


def test_ufuncs_reflected_operands_and_literals() -> None:
    a, b = pair()
    assert (1 - a).value == 0.9
    assert (2**b).value == 2**2.5
    assert np.power(a, 2).value == A**2
    assert np.float_power(a, b).value == A**B
    assert (+a) is a
    assert (1 - a).expr == scalar_math.Expr("sub", (scalar_math.const(1), scalar_math.name("a")))
    assert (a - np.float64(0.5)) == A - 0.5  # a NumPy number is an array without axes: the result is a number
    assert "Scalar((1.0 - a) = 0.9)" in repr(1 - a)


def test_branches_are_remembered_as_guards() -> None:
    scope = Scope()
    t = scope.named("t", 1.0)
    taken = [bool(t == 1), bool(t > 3), bool(t), bool(t - 1)]
    assert taken == [True, False, True, False]
    assert [(scalar_math.python_source(e), w) for e, w in scope.guards] == [
        ("(t == 1.0)", True),
        ("(t > 3.0)", False),
        ("(t != 0.0)", True),
        ("((t - 1.0) != 0.0)", False),
    ]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda a: math.sqrt(a), "would lose its expression; use NumPy's functions instead of math's"),
        (lambda a: np.sin(a), "numpy.sin of scalars is not known; known: add, divide"),
        (lambda a: np.add.reduce(a), "numpy.add of scalars is not known"),
    ],
)
def test_errors_name_what_is_legal(action: object, message: str) -> None:
    with pytest.raises(TraceError, match=message):
        action(pair()[0])  # type: ignore[operator]


def test_what_is_no_number_is_not_lifted() -> None:
    a, _ = pair()
    with pytest.raises(TypeError):
        a + "1"
    assert a.scope.lift("1") is None
    assert a.scope.lift(np.float32(0.5)).value == 0.5  # type: ignore[union-attr]
    assert a.scope.lift(True).value == 1.0  # type: ignore[union-attr]


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div"])
def test_an_array_meets_the_value_as_a_plain_number(op: str) -> None:
    a, _ = pair()
    x = np.asarray([1.0, 2.0], np.float32)
    for result, wanted in [
        (OPERATIONS[op](a, x), OPERATIONS[op](A, x)),
        (OPERATIONS[op](x, a), OPERATIONS[op](x, A)),
    ]:
        assert result.dtype == np.float32
        assert result.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div", "pow"])
@pytest.mark.parametrize("errors", [(2.0**-30, 0.0), (0.0, 2.0**-30), (2.0**-30, 2.0**-29)], ids=str)
def test_error_bounds_hold_what_either_operand_may_be_off_by(op: str, errors: tuple[float, float]) -> None:
    value, error = scalar_error.table("float64")[op]((A, errors[0] * A), (B, errors[1] * B))
    ends = [[x * (1 - e), x * (1 + e)] for x, e in zip((A, B), errors, strict=True)]
    results = [OPERATIONS[op](a, b) for a in ends[0] for b in ends[1]]
    assert max(abs(r - value) for r in results) <= error


SMALL = [
    float(np.float32(s * 2.0**-126 * x)) for s in (1, -1) for x in (2.0**-23, 0.3, 1 - 2.0**-23, 1.0, 1 + 2.0**-22, 2.5)
]


def either(value: float) -> set[np.float32]:
    """A number of float32, and zero if it may be flushed."""
    found = np.float32(value)
    return {found, np.float32(0.0)} if abs(found) < np.finfo(np.float32).smallest_normal else {found}


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div", "max"])
def test_error_bounds_hold_what_is_flushed(op: str) -> None:
    """Operands that are read as zero or not, and results that are zero or not, in any mixture."""
    table = scalar_error.table("float32", flushes=True)
    for a in SMALL:
        for b in [*SMALL, 0.0, 1.0, 0.75, 2.0**40]:
            if op == "div" and abs(b) < 2.0**-120:
                continue
            value, error = table[op](table["const"](a), table["const"](b))
            results = [r for x in either(a) for y in either(b) for r in either(OPERATIONS[op](x, y))]
            assert max(abs(float(r) - value) for r in results) <= error, (a, b)
    assert table["add"](table["const"](0.5), table["const"](0.25)) == (0.75, 0.0)
    assert scalar_error.table("float32")["const"](SMALL[0]) == (SMALL[0], 0.0)


def test_what_is_taken_from_one_is_not_rounded_by_it() -> None:
    """1 - beta2 in float32 is off by what beta2 is, so that a length of 2 / (1 - beta2) tells 2 from 1 and 3."""
    p = Precision("float32")
    beta = p.constant(0.999)
    value, error = scalar_bounds.difference(p, (1.0, 0.0), beta)
    assert beta[1] < error < 1.01 * beta[1]
    truth = float(np.float32(1) - np.float32(0.999))
    assert abs(truth - value) <= error
    assert scalar_bounds.difference(p, (1.0, 0.0), (0.25, 0.0)) == (0.75, 0.0)
    far = scalar_bounds.difference(p, (1.0, 0.0), p.constant(0.1))
    assert far[1] > 3 * p.unit_roundoff
