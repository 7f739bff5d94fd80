"""Kernels of a formula: its body as a graph of rows and columns, printed in every dialect, and run where arrays are large."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad import backends, formula_tapes
from refgrad.arguments import BACKEND
from refgrad.arithmetic import matrices
from refgrad.arithmetic.fixed_bits import as_fixed, unfixed
from refgrad.arithmetic.formula_graph import Frame, InRows, length_name
from refgrad.arithmetic.graph import Graph, Node
from refgrad.arithmetic.scalar_math import Expr, const
from refgrad.axes import ELEMENT, ONE
from refgrad.backends import matrix_kernel, numba_backend
from refgrad.backends.outline import Outline
from refgrad.derived import derived
from refgrad.errors import ArgumentError, TraceError
from refgrad.formula_tapes import NoFormulaKernel as NoFormulaKernel
from refgrad.optimizers.transform import axes_named, below
from refgrad.tracing import Plan

#: two sets of lengths, all of them different, of which one makes out which numbers are lengths
_PRIMES = ((5, 7, 11, 13, 17, 19, 23, 29, 31), (37, 41, 43, 47, 53, 59, 61, 67, 71))
#: functions of Python's that give a number which no longer knows of the length that it is made of, and what it is made of
PYTHON_FUNCTIONS: Sequence[tuple[Callable[[Any], float], Callable[[Expr], Expr]]] = (
    (float, lambda n: n),
    (math.sqrt, lambda n: Expr("sqrt", (n,))),
    (math.log, lambda n: Expr("log", (n,))),
    (lambda n: 1.0 / n, lambda n: Expr("div", (const(1.0), n))),
    (lambda n: 1.0 / math.sqrt(n), lambda n: Expr("div", (const(1.0), Expr("sqrt", (n,))))),
    (lambda n: 1.0 / math.log(n), lambda n: Expr("div", (const(1.0), Expr("log", (n,))))),
)
#: a body is run a few times, where a step of training is taken thousands of times: its arrays are worth a compiler if they have
#: as many times more elements
SELDOM = 4


@dataclass(frozen=True, eq=False)
class FormulaKernel:
    """A formula as a plan of kernels.

    Args:
        plan: the plan, of arrays of two axes: rows and columns.
        rows: the axes of the formula that are rows.
        columns: those that are columns.
        counted: the axes of which the plan takes the places, as arrays of numbers from 0 on.
        repeated: the arrays that it takes repeated along axes that they have not.
        results: the axes of each result, and what the graph calls it; in the order and by the names that the body has.
        gives: "one", "several" or "named": what the body returns.
    """

    plan: Plan
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counted: frozenset[str]
    repeated: frozenset[str]
    results: Mapping[str, tuple[str, tuple[str, ...]]]
    gives: str

    def arrays(self, rule: Any, given: Mapping[str, np.ndarray], working: np.dtype) -> dict[str, np.ndarray]:
        """What the plan reads and writes: the arrays as matrices of the working dtype, and room for results.

        Args:
            rule: the formula.
            given: its arrays, by name.
            working: float32 or float64.
        """
        lengths, every = self.lengths(rule, given), self.rows + self.columns
        found = {}
        for array, text in rule.shapes.items():
            axes = [a for a in axes_named(text) if a != ONE]
            values = np.asarray(given[array], working).reshape([lengths[a] for a in axes])
            values = np.transpose(values, np.argsort([every.index(a) for a in axes]))
            if array in self.repeated:
                values = values.reshape([lengths[a] if a in axes else 1 for a in every])
                values = np.broadcast_to(values, [lengths[a] for a in every])
            kept = every if array in self.repeated else axes
            found[array] = np.ascontiguousarray(values).reshape(self.matrix(kept, lengths))
        for axis in self.counted:
            found[f"places_of_{axis}"] = np.arange(lengths[axis], dtype=working).reshape(self.matrix([axis], lengths))
        for result, given_axes in self.results.values():
            found[result] = np.empty(self.matrix(given_axes, lengths), working)
        return found

    def lengths(self, rule: Any, given: Mapping[str, np.ndarray]) -> dict[str, int]:
        """How long axes are, by the arrays that have them."""
        return {
            a: n
            for array, text in rule.shapes.items()
            for a, n in zip(axes_named(text), given[array].shape, strict=True)
        }

    def free(self, lengths: Mapping[str, int]) -> tuple[float, ...]:
        """The values of the plan's free names: the lengths of axes, in their order."""
        return tuple(float(lengths[a]) for a in self.rows + self.columns if not a.isdigit())

    def matrix(self, axes: Sequence[str], lengths: Mapping[str, int]) -> tuple[int, int]:
        """The shape of an array of some axes, of some lengths, as a matrix."""
        rows, columns = (math.prod(lengths[a] for a in part if a in axes) for part in (self.rows, self.columns))
        return rows, columns

    def found(self, arrays: Mapping[str, np.ndarray], lengths: Mapping[str, int]) -> Any:
        """The results, as the body returns them.

        Args:
            arrays: what the plan wrote.
            lengths: those of axes.
        """
        every = self.rows + self.columns
        shaped = {}
        for label, (result, axes) in self.results.items():
            own = [a for a in every if a in axes]
            values = arrays[result].reshape([lengths[a] for a in own])
            shaped[label] = np.transpose(values, [own.index(a) for a in axes if a in own]).reshape(
                [lengths.get(a, 1) for a in axes]
            )[()]
        if self.gives == "named":
            return shaped
        return tuple(shaped.values()) if self.gives == "several" else next(iter(shaped.values()))


def kernel_of(rule: Any) -> FormulaKernel:
    """The kernel of a formula, or of another function of arrays, for arrays of any lengths.

    What has none may have one for given lengths (`refgrad.formula_tapes`).

    Args:
        rule: the formula, the gradient of one, or a rule of the kind "transform".

    Raises:
        NoFormulaKernel: it has an operation that kernels do not have; the text says which.

    >>> from refgrad.examples.formulas import linear, softmax
    >>> kernel_of(softmax()).plan.graph.counts()
    {'max': 1, 'sub': 1, 'exp': 1, 'sum': 1, 'div': 1}
    >>> kernel_of(linear())
    Traceback (most recent call last):
    ...
    refgrad.formula_tapes.NoFormulaKernel: linear has no kernel: matrices are multiplied, by @, which kernels do not have
    """
    found = _kernel(rule)
    if isinstance(found, str):
        raise NoFormulaKernel(f"{type(rule).__name__} has no kernel: {found}")
    return found


@derived
def _kernel(rule: Any) -> FormulaKernel | str:
    """The kernel, or why there is none."""
    shapes = {array: tuple(axes_named(text)) for array, text in rule.shapes.items()}
    every = tuple(dict.fromkeys(a for axes in shapes.values() for a in axes if a != ONE))
    own = {array: [a for a in axes if a != ONE] for array, axes in shapes.items()}
    widest = next((n for n, axes in own.items() if set(axes) == set(every) and not below(rule.shapes[n])), None)
    if rule.variant == "opaque":
        return "it is a function that cannot be traced, of which kernels are not printed"
    if rule.kind != "transform":
        return "it takes numbers, and no arrays"
    if not rule.by_steps:
        return "it is known by a condition of its results, and has no steps that kernels could take"
    if any(len(set(axes)) < len(axes) for axes in own.values()):
        return "an array has an axis twice, which kernels do not have"
    order, reasons = tuple(own[widest]) if widest else every, []
    for count in (max(len(order) - 1, 0), *range(len(order) - 2, -1, -1), len(order)):
        try:
            found = _with_rows(rule, shapes, order[:count], order[count:], widest or "")
        except (TraceError, ArgumentError) as error:
            reasons.append(str(error))
        except (TypeError, ValueError, AttributeError, IndexError) as error:  # a formula's body says them otherwise
            reasons.append(f"its body raised {type(error).__name__} ({error}) of what stands for arrays")
        else:
            return found if widest else f"no array has all of the axes {', '.join(every)}, element by element"
    return reasons[0]


class _Owner:
    """What a plan asks of a rule; its class has the formula's name."""

    scalars = "float64"

    def __init__(self, primary: str) -> None:
        self.primary = primary

    def numbers(self) -> dict[str, float]:
        """None: numbers are in the graph."""
        return {}

    def scalar_inputs(self) -> dict[str, Any]:
        """None."""
        return {}


def _with_rows(
    rule: Any, shapes: Mapping[str, tuple[str, ...]], rows: tuple[str, ...], columns: tuple[str, ...], widest: str
) -> FormulaKernel:
    runs = [_run(rule, shapes, rows, columns, primes) for primes in _PRIMES]
    (frame, results, gives), (other, _, _) = runs
    outputs, small, said = {}, {}, {}
    for label, (result, value) in results.items():
        axes = frame.axes(value.axes)
        if frame.repeats(value.axes):
            raise TraceError(f"{label} has the axes {' '.join(value.axes)} alone, of which kernels have no array")
        outputs[result] = value._number().node
        said[label] = (result, tuple(a for a in value.axes))
        if axes != ELEMENT:
            small[result] = axes
    graph = Graph(frame.builder.live(outputs), outputs, {}, (), small)
    graph = _with_lengths(graph, frame, other)
    owner: Any = type(type(rule).__name__, (_Owner,), {})(widest)
    repeated = frozenset(array for array, axes in shapes.items() if frame.repeats(axes))
    free = tuple(length_name(a) for a in rows + columns if not a.isdigit())
    return FormulaKernel(Plan(owner, graph, free), rows, columns, frozenset(frame.counted), repeated, said, gives)


def _run(
    rule: Any,
    shapes: Mapping[str, tuple[str, ...]],
    rows: tuple[str, ...],
    columns: tuple[str, ...],
    primes: Sequence[int],
) -> tuple[Frame, dict[str, tuple[str, InRows]], str]:
    """The body on what stands for arrays of some lengths."""
    fixed = {a: int(a) for a in rows + columns if a.isdigit()}
    free = iter(n for n in primes if n not in fixed.values())
    frame = Frame({a: fixed.get(a) or next(free) for a in rows + columns}, rows, columns)
    with np.errstate(all="ignore"):
        found = rule.apply(*(frame.input(array, axes) for array, axes in shapes.items()))
    if frame.builder.scope.guards:
        raise TraceError("a branch depends on the length of an axis, which kernels do not have")
    if isinstance(found, Mapping):
        gives, several = "named", {str(n): x for n, x in found.items()}
    elif isinstance(found, tuple | list):
        gives, several = "several", {f"result[{i}]": x for i, x in enumerate(found)}
    else:
        gives, several = "one", {"result": found}
    results: dict[str, tuple[str, InRows]] = {}
    for label, x in several.items():
        if not isinstance(x, InRows):
            raise TraceError(f"{label} is not computed from arrays, which kernels do not have")
        own = label.replace("[", "_").replace("]", "")
        own = own if own.isidentifier() else f"result_{len(results)}"
        while own in shapes or any(own == other for other, _ in results.values()):
            own += "_given"
        results[label] = (own, x)
    return frame, results, gives


def _with_lengths(graph: Graph, frame: Frame, other: Frame) -> Graph:
    """The graph in which numbers that functions of Python's made of a length are these; the other run says which these are."""
    beside = {node.index: node for node in other.builder.nodes}
    new: dict[int, Node] = {}
    for node in graph.nodes:
        twin = beside.get(node.index)
        if twin is None or (twin.op, len(twin.args)) != (node.op, len(node.args)):
            raise TraceError("what the body computes depends on lengths, which kernels do not know")
        attribute = _length(node.attribute, twin.attribute, frame, other) if node.op == "scalar" else node.attribute
        new[node.index] = Node(node.index, node.op, tuple(new[a.index] for a in node.args), attribute, node.axes)
    outputs = {n: new[node.index] for n, node in graph.outputs.items()}
    return Graph(tuple(new.values()), outputs, {}, (), graph.small)


def _length(one: Expr, two: Expr, frame: Frame, other: Frame) -> Expr:
    """The expression of a scalar, which two runs with different lengths have made."""
    if one == two:
        return one
    if (one.op, two.op) == ("const", "const"):
        for length, beside in zip(frame.products(), other.products(), strict=True):
            for function, expr in PYTHON_FUNCTIONS:
                if (function(length), function(beside)) == (one.args[0], two.args[0]):
                    return expr(length.expr)
    raise TraceError(
        "a number is made of the length of an axis by a function of Python's, as by math.cbrt, which kernels do not have"
    )


def outline(rule: Any, kernel: FormulaKernel) -> Outline:
    """What is said of a formula's arrays where its kernels are printed.

    Args:
        rule: the formula.
        kernel: its kernel.
    """
    every = kernel.rows + kernel.columns
    shapes, notes = {}, []
    for array, text in rule.shapes.items():
        own = [a for a in axes_named(text) if a != ONE]
        lie = tuple(a for a in every if a in own or array in kernel.repeated)
        shapes[array] = lie
        said = f"{array}: {' '.join(lie) or 'one number'}" + (", whole numbers as floats" if below(text) else "")
        missing = [a for a in lie if a not in own]
        notes.append(said + (f", repeated along {' '.join(missing)}" if missing else ""))
    results = {result: tuple(a for a in every if a in axes) for result, axes in kernel.results.values()}
    notes += [f"{result}, which is given: {' '.join(axes) or 'one number'}" for result, axes in results.items()]
    return Outline(
        _identifier(type(rule).__name__),
        str(rule),
        tuple(a for a in every if not a.isdigit()),
        kernel.rows,
        kernel.columns,
        shapes=shapes | results,
        results=tuple(results),
        places={f"places_of_{axis}": axis for axis in every if axis in kernel.counted},
        notes=tuple(notes),
    )


def _identifier(text: str) -> str:
    found = "".join(c if c.isalnum() and c.isascii() else "_" for c in text)
    return found if found.isidentifier() else f"formula{found}"


def run(rule: Any, arrays: Sequence[np.ndarray], backend: str = "auto", threads: int | None = None) -> Any:
    """What the body makes of arrays; the bits are the same by every backend.

    Args:
        rule: the formula.
        arrays: what it takes, in order: of float32 or float64, and whole numbers.
        backend: "auto", "numpy" or "numba".
        threads: how many a kernel runs in; by default as many as are worth it.

    Returns:
        An array, a number, or a tuple or dict of these.

    Raises:
        NoFormulaKernel: of the backend "numba", where there is no kernel, also none for the lengths of these arrays.
    """
    BACKEND.check("backend", backend)
    working = next(a.dtype for a in arrays if a.dtype.kind == "f")
    given = dict(zip(rule.shapes, arrays, strict=True))
    if backend == "numba" and isinstance(_kernel(rule), str):
        return formula_tapes.run(rule, given, working)
    if backend == "numba" or (backend == "auto" and _is_worth_a_kernel(rule, given, working)):
        kernel = kernel_of(rule)
        held = kernel.arrays(rule, given, working)
        primary = held[kernel.plan.rule.primary]
        if primary.size and _counts(given, working):
            lengths = kernel.lengths(rule, given)
            numba_backend.run(kernel.plan, kernel.free(lengths), held, threads)
            return kernel.found(held, lengths)
    with matrices.multiplied_by(matrix_kernel.product):
        return unfixed(rule.apply(*(as_fixed(a, working) for a in arrays)))


def run_large(rule: Any, arrays: Sequence[np.ndarray]) -> Any:
    """What the body of a function of arrays makes of large ones by its kernel, where it has one; else by NumPy.

    From so many elements on its sums go along refgrad's tree, whichever processor and however many threads; of fewer, a rule
    that is no formula has NumPy's own.

    Args:
        rule: the rule.
        arrays: what it takes, in order: of float32 or float64, and whole numbers.

    Returns:
        As `run`.
    """
    size = max((a.size for a in arrays), default=0)
    if not backends.worth_compiling(size // SELDOM) or isinstance(_kernel(rule), str):
        return rule.apply(*arrays)
    return run(rule, arrays)


def _counts(given: Mapping[str, np.ndarray], working: np.dtype) -> bool:
    """True if every label, and every place along an axis, is a number of the working dtype."""
    most = 1 << np.finfo(working).nmant
    labels = (int(a.max(initial=0)) for a in given.values() if a.dtype.kind in "iu")
    return max((*labels, *(n for a in given.values() for n in a.shape)), default=0) <= most


def _is_worth_a_kernel(rule: Any, given: Mapping[str, np.ndarray], working: np.dtype) -> bool:
    """True if arrays are large, and a kernel is at hand or they are large enough to wait for the compiler."""
    size = max(a.size for a in given.values())
    if not backends.worth_compiling(size) or isinstance(_kernel(rule), str):
        return False
    kernel = kernel_of(rule)
    shape = kernel.matrix(kernel.rows + kernel.columns, kernel.lengths(rule, given))
    return backends.worth_compiling(size // SELDOM) or numba_backend.at_hand(kernel.plan, working, shape)
