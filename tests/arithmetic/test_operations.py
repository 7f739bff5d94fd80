"""Every row of the table of operations, under every arithmetic: what a new row has to pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest

import refgrad
from refgrad.arithmetic import exact, reverse
from refgrad.arithmetic.dtypes import format_of
from refgrad.arithmetic.enclosure import Enclosure
from refgrad.arithmetic.explorer import Explorer
from refgrad.arithmetic.fixed_bits import as_fixed
from refgrad.arithmetic.formula import expression
from refgrad.arithmetic.graph import Builder, Graph, Tracer
from refgrad.arithmetic.operations import BOOLEAN, ELEMENTWISE, OPERATIONS
from refgrad.arithmetic.operations.op import Op
from refgrad.arithmetic.primitives import look_up
from refgrad.arithmetic.ranged import Ranged
from refgrad.arithmetic.running_error import Bounded, Model
from refgrad.arithmetic.scalar_math import Scope
from refgrad.axes import ELEMENT, TABLE
from refgrad.backends import kernels
from refgrad.backends.source import kernel_source
from refgrad.errors import TraceError
from refgrad.formula_tapes import tape_of

#: rows without an attribute, each of which is an operation of its own in a graph
PLAIN = [name for name, op in ELEMENTWISE.items() if not op.attributed and name != "square"]
DTYPES = [np.float32, np.float64]
#: of every sign and size, with what is special
NUMBERS = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, 3.0, -7.25, 1e-3, 1e-30, -1e-30, 12.0, 1 / 3, -2 / 3, 40.0]
SPECIAL = [np.inf, -np.inf, np.nan, 1e38, -1e38]


@pytest.fixture(autouse=True)
def quietly() -> Iterator[None]:
    with np.errstate(all="ignore"):
        yield


def operands(count: int, dtype: Any, numbers: list[float]) -> list[np.ndarray]:
    """Each number with each other one."""
    return [g.reshape(-1) for g in np.meshgrid(*[np.asarray(numbers, dtype)] * count)]


def logical(op: Op) -> int:
    """How many of its operands, from the first, are true or false."""
    return (op.arity or 0) if op.boolean and op.decide is None else 1 if op.name == "where" else 0


#: what operations are defined on, where that is not every number
DOMAINS: Mapping[str, Callable[[Any], Any]] = {
    "power": np.abs,
    "power_of_two": np.rint,
    "arctan2": lambda y: y - 2e-3,  # where y is no zero, whose sign exact numbers have not
}


def taken(op: Op, arrays: list[Any]) -> list[Any]:
    """As many operands as the operation takes, as it takes them."""
    inside = DOMAINS.get(op.name, lambda x: x)
    first, *others = [a > 0 if i < logical(op) else a for i, a in enumerate(arrays[: op.arity])]
    return [inside(first), *others]


def graph_of(*names: str) -> Graph:
    """A graph of operations on the same inputs, each an output; a truth value comes out as a number."""
    builder = Builder(Scope(), 1)
    inputs = [builder.input(f"x{i}") for i in range(3)]
    roots = {}
    for name in names:
        op = OPERATIONS[name]
        nodes = tuple(x.node for x in taken(op, inputs))
        result = Tracer(builder.node(name, nodes), builder)
        roots[f"{name}_of"] = builder.lift(np.where(result, 1.0, 0.0) if op.boolean else result)
    return Graph(builder.live(roots), roots, {}, ())


#: few at a time: what a compiler does with a kernel grows faster than the kernel
GROUPS = [PLAIN[start : start + 4] for start in range(0, len(PLAIN), 4)]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [DTYPES[0], pytest.param(DTYPES[1], marks=pytest.mark.thorough)])
@pytest.mark.parametrize("names", GROUPS, ids=" ".join)
def test_kernels_have_the_bits_of_numpys_meaning(names: list[str], dtype: Any) -> None:
    graph, arrays = graph_of(*names), operands(3, dtype, NUMBERS + SPECIAL)
    source = kernel_source(graph, np.dtype(dtype), f"{', '.join(names)}, {np.dtype(dtype)}")
    held = {**{f"x{i}": a for i, a in enumerate(arrays)}, **{n: np.empty_like(arrays[0]) for n in graph.outputs}}
    kernel = kernels.get(source)
    numbers = [scalar.args[0] for scalar in graph.scalars()]
    kernel(arrays[0].size, *(held[a].ctypes.data for a in source.arrays), *numbers)
    for name in names:
        op = OPERATIONS[name]
        wanted = op.on(taken(op, arrays))
        wanted = np.where(wanted, 1.0, 0.0).astype(dtype) if op.boolean else wanted
        assert_same_bits(held[f"{name}_of"], wanted, name)


def assert_same_bits(found: np.ndarray, wanted: np.ndarray, name: str) -> None:
    """Signs of zeros count, and every NaN is one."""
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted, name)
    number = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(found[number]), np.signbit(wanted[number]), name)


@pytest.mark.parametrize("name", PLAIN)
def test_numpys_meaning_is_in_the_set_of_the_enclosure_and_near_the_exact_one(name: str) -> None:
    op = OPERATIONS[name]
    arrays = operands(op.arity or 1, np.float32, NUMBERS)
    result = np.asarray(op.on(taken(op, arrays)), np.float64)
    sure = np.isfinite(result)  # which of two infinities 1/0 is, exact arithmetic cannot say
    wide = [np.asarray(a, np.float64) for a in taken(op, arrays)]
    given = [Bounded(a) for a in wide] if not logical(op) else None
    model = Model.of(format_of(np.dtype("float32")), 1, 1, "keep", "tree")
    if given is not None and op.error is not None:
        inside = op.error(*given, model)
        assert (np.abs(result - inside.value) <= inside.bound())[sure].all()
    with mpmath.workdps(60):
        values = [exact.Exact.of(a) for a in wide]
        truth = np.asarray(exact.apply(name, values).values, object)[sure]
        units = [
            abs(mpmath.mpf(a) - b) / np.spacing(np.float32(max(abs(float(b)), 1e-38)))
            for a, b in zip(result[sure], truth, strict=True)
        ]
    assert max(units, default=0) <= 1


@pytest.mark.parametrize("name", PLAIN)
def test_a_graph_is_enclosed_sketched_and_written_as_a_formula(name: str) -> None:
    op, graph = OPERATIONS[name], graph_of(name)
    arrays = {f"x{i}": np.asarray([2.0, 3.0]) for i in range(3)}
    model = Model.of(format_of(np.dtype("float32")), 1, 1, "keep", "tree")
    scalars = [Bounded(np.asarray(scalar.args[0])) for scalar in graph.scalars()]
    branches = list(Enclosure(graph, model).branches({n: Bounded(a) for n, a in arrays.items()}, scalars, {}))
    assert len(branches) == 1
    assert op.sketched(taken(op, list(arrays.values()))).shape == (2,)
    unnamed = Graph(graph.nodes, {}, {}, ())
    assert "x0" in expression(unnamed, graph.outputs[f"{name}_of"])


def test_rows_say_what_they_have_to() -> None:
    for name in PLAIN:
        op = OPERATIONS[name]
        assert op.exact, name
        assert (op.error is None) == (op.decide is not None), name
        assert (op.outcomes > 0) == (op.decide is not None), name
        assert (op.write is None) == (op.function is not None), name
    assert {"lt", "and", "not"} <= BOOLEAN
    names = [op.name for op in OPERATIONS.values()]
    assert len(names) == len(set(names))


def test_the_table_loads_neither_mpmath_nor_a_compiler() -> None:
    import subprocess
    import sys

    text = "import refgrad.arithmetic.operations, sys; print(*{'mpmath', 'numba', 'llvmlite'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_numbers_of_a_table_under_every_arithmetic() -> None:
    builder = Builder(Scope(), 2)
    table, places = builder.input("table", TABLE), builder.input("places")
    result = look_up(table, places) * 2.0
    graph = Graph(builder.live({"y": result.node}), {"y": result.node}, {}, ())
    assert (result.node.axes, graph.matrix()) == (ELEMENT, False)
    held = {"table": np.asarray([0.5, -1.0, 3.0, np.inf, 1e-40]), "places": np.asarray([[2.0, 0.0], [1.0, 4.0]])}
    wanted = np.asarray([[6.0, 1.0], [-2.0, 2e-40]])
    np.testing.assert_array_equal(look_up(held["table"], held["places"]) * 2.0, wanted)
    np.testing.assert_array_equal(exact.to_odd(exact.evaluate(graph, held, {})["y"]), wanted)
    model = Model.of(format_of(np.dtype("float32")), 1, 1, "keep", "tree")
    given = {"table": Bounded(held["table"], np.asarray([0.25, 0.0, 0.0, 0.0, 0.0])), "places": Bounded(held["places"])}
    (branch,) = Enclosure(graph, model).branches(given, [Bounded(np.asarray(2.0))], {})
    np.testing.assert_array_equal(branch.sets["y"].value, wanted)
    assert branch.sets["y"].bound()[0, 1] >= 0.5
    assert branch.sets["y"].bound()[0, 0] < 1e-6
    with pytest.raises(IndexError):
        look_up(held["table"], np.asarray([5.0]))


def looped(x: Any, y: Any, labels: Any) -> Any:
    found = x
    for _ in range(3):
        found = 0.5 * found + np.maximum(y, found * x)
    return found


#: functions of arrays of any shape, in the words that a body calls them by: rows of a table whose columns are modules
OF_ARRAYS: dict[str, Callable[..., Any]] = {
    "einsum": lambda x, y, labels: np.einsum("ij,kj->ik", x, y),
    "product": lambda x, y, labels: x @ y,
    "concatenate": lambda x, y, labels: np.concatenate([x, y * y], axis=1),
    "stack": lambda x, y, labels: np.stack([x, y * y]),
    "sort": lambda x, y, labels: np.sort(x * y, axis=1),
    "argmax": lambda x, y, labels: refgrad.take(y, np.argmax(x, axis=-1)),
    "argmin": lambda x, y, labels: refgrad.take(y, np.argmin(x, axis=-1)),
    "top-k": lambda x, y, labels: np.where(refgrad.top_k(x, 2), x * y, 0.0),
    "take": lambda x, y, labels: refgrad.take(x, labels) + np.take(y, [2, 0, 0, 1], axis=0)[:, 0],
    "rows by labels": lambda x, y, labels: (x * y)[labels],
    "one-hot": lambda x, y, labels: refgrad.one_hot(labels, 4) * x,
    "segment sum": lambda x, y, labels: refgrad.segment_sum(x * y, labels, 4),
    "cumulative sum": lambda x, y, labels: np.cumsum(x * y, axis=0),
    "windows": lambda x, y, labels: np.sum(np.lib.stride_tricks.sliding_window_view(x * y, 2, axis=0), axis=-1),
    "padding": lambda x, y, labels: np.pad(x * y, ((1, 2), (0, 1))),
    "softmax": lambda x, y, labels: refgrad.softmax(x * y),
    "logsumexp": lambda x, y, labels: refgrad.logsumexp(x * y, axis=0),
    "stop_gradient": lambda x, y, labels: x * refgrad.stop_gradient(y),
    "solve": lambda x, y, labels: np.linalg.solve(x @ x.T + 3.0 * np.eye(4), y[0]),
    "Cholesky": lambda x, y, labels: np.linalg.cholesky(x @ x.T + 3.0 * np.eye(4)),
    "Hadamard": lambda x, y, labels: refgrad.hadamard(x * y),
    "folds": lambda x, y, labels: np.sum(x * y, axis=0) * np.max(x, axis=1) - np.mean(y) + np.var(x, axis=1),
    "a loop": looped,
}
#: functions that are no rows, each with where its results are judged instead
BY_A_CONDITION: dict[str, Any] = {"eigh": np.linalg.eigh, "svd": np.linalg.svd, "qr": np.linalg.qr}


def squares(dtype: Any) -> list[Any]:
    random = np.random.default_rng(3)
    x, y = (random.standard_normal((4, 4)).astype(np.float32).astype(dtype) for _ in range(2))
    return [x, y, np.array([2, 0, 2, 3])]


@pytest.mark.parametrize("name", OF_ARRAYS)
def test_every_function_of_arrays_has_a_meaning_an_error_a_derivative_and_a_text(name: str) -> None:
    """What a body means in float32, in sets of it, as a gradient, as a set of gradients, and as kernels in every language."""
    body = OF_ARRAYS[name]
    x, y, labels = squares(np.float64)
    narrow = [as_fixed(a.astype(np.float32), np.dtype(np.float32)) for a in (x, y)]
    meant = np.asarray(body(*narrow, labels))
    assert meant.dtype == np.float32
    np.testing.assert_allclose(meant, body(x, y, labels), rtol=2e-5, atol=2e-6)

    model = Model.of(format_of(np.dtype("float32")), 64, 16, "keep", "tree")
    sets = [Ranged(Bounded(a), model, Explorer()) for a in (x, y)]
    found = body(*sets, labels).known
    assert (np.abs(meant - found.value) <= found.bound()).all()

    upstream = np.random.default_rng(4).standard_normal(meant.shape)
    named = {"x": x, "y": y, "labels": labels}
    of = lambda given, up: reverse.run_backwards(body, given, ["x", "y"], lambda out: [(out, up)])[1]  # noqa: E731
    gradients = of(named, upstream)
    bounded = of({"x": sets[0], "y": sets[1], "labels": labels}, Ranged(Bounded(upstream), model, Explorer()))
    for number, received, each in zip((x, y), gradients, bounded, strict=True):
        assert np.shape(received) == number.shape
        if isinstance(each, Ranged):
            assert (np.abs(received - each.known.value) <= each.known.bound() + 1e-14).all()

    rule = refgrad.formula(x="row column", y="row column", labels="row below:4")(body)()
    tape = tape_of(rule, {"x": x, "y": y, "labels": labels}, np.dtype(np.float32))
    assert all(len(tape.text([name], language)) > 100 for language in ("c", "numba", "cuda"))


@pytest.mark.parametrize("name", BY_A_CONDITION)
def test_what_is_not_unique_has_no_columns_and_is_judged_by_a_condition(name: str) -> None:
    x = squares(np.float64)[0]
    model = Model.of(format_of(np.dtype("float32")), 64, 16, "keep", "tree")
    with pytest.raises(TraceError, match=name):
        BY_A_CONDITION[name](Ranged(Bounded(x), model, Explorer()))
    with pytest.raises(TraceError, match=f"numpy.{name} has no gradient"):
        BY_A_CONDITION[name](reverse.Record().variable(x))


def test_the_house_says_which_modules_the_columns_of_array_functions_are() -> None:
    page = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = page.partition("## Operations, and where their columns stand")[2].partition("\n## ")[0]
    for column in ("fixed_bits", "ranged", "reverse", "taped_functions", "shaped", "body_operations"):
        assert f"{column}.py`" in section
    assert not [name for name in [*OF_ARRAYS, *BY_A_CONDITION] if name.lower() not in section.lower()]
