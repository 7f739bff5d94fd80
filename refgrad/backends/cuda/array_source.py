"""CUDA kernels of single operations on arrays of any shape: element by element, products of matrices, moves, ranks.

What a body computes on a card without a kernel of its whole graph is made of these (`refgrad.backends.cuda.arrays`). Operations
are printed from the one table, folds and products add along the tree of `refgrad.arithmetic.folding`: the bits are NumPy's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from refgrad.arithmetic.folding import BLOCK
from refgrad.arithmetic.operations import BOOLEAN, OPERATIONS
from refgrad.backends import source as sources
from refgrad.backends import step_source
from refgrad.backends.cuda.dialect import DIALECT, SYMBOL
from refgrad.backends.dialect import Array
from refgrad.backends.source import KernelSource
from refgrad.backends.writer import Writer

#: how many axes an array may have, once neighbouring ones that lie together are one
MOST_AXES = 6
#: numbers that a thread keeps of a fold of `BLOCK` terms, one for each level of the tree
LEVELS = BLOCK.bit_length()
#: the same of a fold of any number of terms
ALL_LEVELS = 48
FLOATS = ("float32", "float64")

#: operations that the table has not, as expressions of their operands
_OTHERS: Mapping[str, Callable[..., str]] = {
    "copy": lambda w, a: a,
    "isnan": lambda w, a: f"{a} != {a}",
    "isfinite": lambda w, a: f"{a} - {a} == {a} - {a}",
    "isinf": lambda w, a: w.both(f"{a} == {a}", f"{a} - {a} != {a} - {a}"),
    "square": lambda w, a: f"{a} * {a}",
    "floordiv": lambda w, a, b: f"{a} / {b} - (({a} % {b} != 0 && ({a} < 0) != ({b} < 0)) ? 1 : 0)",
    "mod": lambda w, a, b: f"{a} % {b} + (({a} % {b} != 0 && ({a} < 0) != ({b} < 0)) ? {b} : 0)",
    "xor": lambda w, a, b: f"{a} ^ {b}",
    "shift right": lambda w, a, b: f"{a} >> {b}",
    "shift left": lambda w, a, b: f"{a} << {b}",
    "bits and": lambda w, a, b: f"{a} & {b}",
    "bits or": lambda w, a, b: f"{a} | {b}",
    "signbit": lambda w, a: f"{w.call('copysign', w.number(1.0), a)} < zero",
    "copysign": lambda w, a, b: w.call("copysign", a, b),
    "trunc": lambda w, a: w.select(f"{a} < zero", w.whole("ceil", a, "y_up"), w.whole("floor", a, "y_down")),
    # of positive float32 numbers
    "next below": lambda w, a: w.bits("int32", f"{w.bits('float32', a, 'int32')} - 1", "float32"),
    # the larger of two numbers of which one may be unknown
    "fmax": lambda w, a, b: w.select(f"({w.either(f'{a} >= {b}', f'{b} != {b}')})", a, b),
    "fmin": lambda w, a, b: w.select(f"({w.either(f'{a} <= {b}', f'{b} != {b}')})", a, b),
}
#: the same on whole numbers, where the table's text is of floats
_WHOLE: Mapping[str, Callable[..., str]] = {
    "abs": lambda w, a: w.select(f"{a} < 0", f"-{a}", a),
    "sign": lambda w, a: f"(({a} > 0) - ({a} < 0))",
    "rint": lambda w, a: a,
    "floor": lambda w, a: a,
    "ceil": lambda w, a: a,
}
BOOLEANS = BOOLEAN | {"isnan", "isfinite", "isinf", "signbit"}


def knows(op: str, kind: str, attribute: Any = None) -> bool:
    """True if there is a kernel of an operation on elements of a type.

    >>> knows("exp", "float32"), knows("exp", "int64"), knows("eigenbasis", "float32")
    (True, False, False)
    """
    floats = kind in FLOATS
    if op == "step":
        return floats and step_source.writes(attribute)
    if op in _OTHERS or (op in _WHOLE and not floats):
        return True
    known = OPERATIONS.get(op)
    if known is None or known.kind != "element" or known.attributed:
        return False
    return floats if known.function is not None or op in ("sqrt", "div") else known.write is not None


def _expression(w: Writer, op: str, names: Sequence[str], attribute: Any) -> str:
    if op in _WHOLE and w.kind not in FLOATS:
        return _WHOLE[op](w, *names)
    if op in _OTHERS:
        return _OTHERS[op](w, *names)
    row = OPERATIONS[op]
    if row.function is not None:
        return f"{sources.function_name(op)}({', '.join(names)})"
    assert row.write is not None
    return row.write(w, *names, attribute) if row.attributed else row.write(w, *names)


@cache
def elements_source(
    op: str, kinds: tuple[str, ...], kind: str, result: str, axes: int, attribute: Any = None
) -> KernelSource:
    """The kernel of an operation on arrays that are broadcast against each other.

    It is called with the number of elements, the lengths of axes, for each operand how many elements lie between neighbours along
    each axis, the addresses of operands and of the result, which is contiguous, and the numbers among the operands.

    Args:
        op: the operation.
        kinds: the types of the operands; "" of a number.
        kind: the type that is computed in, to which operands are turned first.
        result: the type that is stored.
        axes: the number of axes.
        attribute: that of the operation, if it has one.
    """
    held = [i for i, own in enumerate(kinds) if own]
    arrays = [Array(f"in{i}_", "uint8" if kinds[i] == "bool" else kinds[i], ("n",)) for i in held]
    arrays.append(Array("out_", "uint8" if result == "bool" else result, ("n",)))
    lengths = [f"length{a}" for a in range(axes)]
    steps = [f"step{i}_{a}" for i in held for a in range(axes)]
    w = Writer(np.dtype(kind if kind != "bool" else "uint8"), DIALECT)
    w.kind = kind
    w.line(DIALECT.comment(f"{op}: {', '.join(k or 'number' for k in kinds)} in {kind} to {result}"))
    if op in OPERATIONS and OPERATIONS[op].function is not None:
        _function(w, op)
    integers = ["n", *lengths, *steps]
    with w.kernel(integers, arrays, [f"number{i}" for i, own in enumerate(kinds) if not own]):
        if kind in FLOATS:
            w.declare(["zero", "one"], [w.cast(kind, "0"), w.cast(kind, "1")])
        elif kind != "bool":
            w.declare(["zero", "one"], ["0", "1"], kind)
        before, head = DIALECT.strided("i", "n")
        for line in before:
            w.line(line)
        with w.block(head):
            _places(w, held, axes)
            names = [_operand(w, op, i, own, kind) for i, own in enumerate(kinds)]
            w.begin("y")
            value = _expression(w, op, names, attribute)
            w.do(f"out_[i] = {w.select(f'({value})', '1', '0') if result == 'bool' else w.cast(result, value)}")
    text = sources.written(w, arrays, len(kinds) - len(held), len(integers))
    named = tuple(a.name for a in arrays)
    scalars = len(kinds) - len(held)
    return KernelSource(text, named, scalars, np.dtype(np.float32), len(integers), tuple(a.kind for a in arrays))


def _function(w: Writer, op: str) -> None:
    """An elementary function, in float64 and rounded once, as kernels of graphs have it."""
    operands = ["a", "b"][: OPERATIONS[op].arity]
    *before, head = w.dialect.function(sources.function_name(op), operands, w.kind)
    for line in before:
        w.line(line)
    with w.block(head):
        w.begin("value")
        wide = [w.new(w.cast("float64", x)) for x in operands]
        function: Callable[..., object] = OPERATIONS[op].in_float64(w.kind)
        w.set("value", w.cast(w.kind, str(function(*wide, w))))
        w.line(w.dialect.gives("value"))


def _places(w: Writer, held: Sequence[int], axes: int) -> None:
    """Where the operands' elements for element ``i`` lie."""
    if axes == 1:
        for i in held:
            w.set(f"at{i}", f"i * step{i}_0", "int64")
        return
    w.set("rest", "i", "int64")
    for i in held:
        w.set(f"at{i}", "0", "int64")
    for a in reversed(range(axes)):
        w.set("place", f"rest % length{a}", "int64")
        w.set("rest", f"rest / length{a}", "int64")
        for i in held:
            w.set(f"at{i}", f"at{i} + place * step{i}_{a}", "int64")


def _operand(w: Writer, op: str, i: int, own: str, kind: str) -> str:
    # what is chosen by is a truth value, and so is what is joined by "and"
    truth = (op == "where" and i == 0) or op in ("and", "or", "not") or kind == "bool"
    given = f"in{i}_[at{i}]" if own else f"number{i}"
    if truth:
        return w.set(f"x{i}", f"{given} != 0", "bool")
    return w.set(f"x{i}", w.cast(kind, given), kind)


_PRODUCT = """extern "C" __global__ void {symbol}(
    int64_t n, int64_t rows, int64_t inner, int64_t columns, int64_t a_batch, int64_t a_row, int64_t a_inner,
    int64_t b_batch, int64_t b_inner, int64_t b_column, {type} *a_, {type} *b_, {type} *out_
) {{
    int64_t blocks = (inner + {block} - 1) / {block}, half = 1;
    while (2 * half < blocks) {{ half *= 2; }}
    int64_t slots = blocks > 1 ? half : 1;
#pragma unroll 1
    {strided}
        int64_t batch = i / (rows * columns), row = i / columns % rows, column = i % columns;
        {type} *a = a_ + batch * a_batch + row * a_row, *b = b_ + batch * b_batch + column * b_column;
        {type} found = 0, outer[{levels}];
        int64_t kept = 0;
#pragma unroll 1
        for (int64_t leaf = 0; leaf < slots && inner > 0; ++leaf) {{
            int64_t place = 0;
#pragma unroll 1
            for (int64_t bit = 1, from = leaf; bit < slots; bit *= 2, from >>= 1) {{ place = 2 * place + (from & 1); }}
            {type} value = block_of(a, b, a_inner, b_inner, place, inner);
            if (place + slots < blocks) {{ value = value + block_of(a, b, a_inner, b_inner, place + slots, inner); }}
#pragma unroll 1
            for (int64_t full = leaf; full & 1; full >>= 1) {{ value = outer[--kept] + value; }}
            outer[kept++] = value;
            found = value;
        }}
        out_[i] = found;
    }}
}}
"""
_BLOCK_OF = """static __device__ {type} block_of(
    {type} *a, {type} *b, int64_t a_inner, int64_t b_inner, int64_t number, int64_t inner
) {{
    int64_t first = number * {block}, size = inner - first < {block} ? inner - first : {block}, half = 1, kept = 0;
    while (2 * half < size) {{ half *= 2; }}
    int64_t slots = size > 1 ? half : 1;
    {type} left[{levels}];
#pragma unroll 1
    for (int64_t leaf = 0; leaf < slots; ++leaf) {{
        int64_t place = 0;
#pragma unroll 1
        for (int64_t bit = 1, from = leaf; bit < slots; bit *= 2, from >>= 1) {{ place = 2 * place + (from & 1); }}
        int64_t k = first + place;
        {type} value = a[k * a_inner] * b[k * b_inner];
        if (place + slots < size) {{ k = k + slots; value = value + a[k * a_inner] * b[k * b_inner]; }}
#pragma unroll 1
        for (int64_t full = leaf; full & 1; full >>= 1) {{ value = left[--kept] + value; }}
        left[kept++] = value;
    }}
    return left[0];
}}
"""


@cache
def product_source(kind: str) -> KernelSource:
    """The kernel of a product of matrices, a thread an element, whose terms are added along the tree.

    It is called with how many elements there are, the numbers of rows, of terms and of columns, and for both matrices how many
    elements lie between neighbours along batches and axes. Threads beside each other read neighbours of the second matrix,
    and the same of the first. Up to `BLOCK` blocks of terms are folded.

    Args:
        kind: "float32" or "float64".
    """
    _, head = DIALECT.strided("i", "n")
    given = {"type": "float" if kind == "float32" else "double", "block": BLOCK, "symbol": SYMBOL, "strided": head}
    lines = [DIALECT.comment(f"product of matrices: {kind}"), _BLOCK_OF.format(**given, levels=LEVELS)]
    lines.append(_PRODUCT.format(**given, levels=LEVELS))
    return KernelSource(DIALECT.file(lines, []), ("a", "b", "out"), 0, np.dtype(np.float32), 10, (kind,) * 3)


_GATHER = """extern "C" __global__ void {symbol}(int64_t n, int64_t *places_, {type} *x_, {type} *out_) {{
#pragma unroll 1
    {strided}
        int64_t place = places_[i];
        out_[i] = place < 0 ? ({type})0 : x_[place];
    }}
}}
"""
_SCATTER = """extern "C" __global__ void {symbol}(int64_t n, int64_t *places_, {type} *x_, {type} *out_) {{
#pragma unroll 1
    {strided}
        out_[places_[i]] = x_[i];
    }}
}}
"""
_ALONG = """extern "C" __global__ void {symbol}(int64_t n, int64_t length, {type} *x_, {type} *out_) {{
#pragma unroll 1
    {strided}
        {type} sum = 0;
#pragma unroll 1
        for (int64_t k = i * length; k < (i + 1) * length; ++k) {{
            sum = k == i * length ? x_[k] : sum + x_[k];
            out_[k] = sum;
        }}
    }}
}}
"""
_RANK = """extern "C" __global__ void {symbol}(int64_t n, int64_t length, {type} *x_, int64_t *out_) {{
#pragma unroll 1
    {strided}
        int64_t row = i / length, ahead = 0;
        {type} own = x_[i];
#pragma unroll 1
        for (int64_t j = row * length; j < (row + 1) * length; ++j) {{
            {type} other = x_[j];
            bool less = other < own || (other == other && own != own);
            bool same = other == own || (other != other && own != own);
            ahead += less || (same && j < i) ? 1 : 0;
        }}
        out_[row * length + ahead] = i - row * length;
    }}
}}
"""
#: a thread for each stretch: how many there are of it, or where those that are chosen go
_CHOSEN = """extern "C" __global__ void {symbol}(
    int64_t n, int64_t size, int64_t length, int64_t most, uint8_t *x_, int64_t *before_, int64_t *out_
) {{
#pragma unroll 1
    {strided}
        int64_t last = (i + 1) * length < size ? (i + 1) * length : size, found = most < 0 ? 0 : i == 0 ? 0 : before_[i - 1];
#pragma unroll 1
        for (int64_t k = i * length; k < last; ++k) {{
            if (x_[k] != 0) {{
                if (found < most) {{ out_[found] = k; }}
                ++found;
            }}
        }}
        if (most < 0) {{ out_[i] = found; }}
    }}
}}
"""


def _one(title: str, text: str, arrays: Sequence[str], types: Sequence[str], integers: int, kind: str) -> KernelSource:
    _, head = DIALECT.strided("i", "n")
    typed = {"float32": "float", "float64": "double"}.get(kind, f"{kind}_t")
    lines = [DIALECT.comment(title), text.format(type=typed, symbol=SYMBOL, strided=head)]
    return KernelSource(DIALECT.file(lines, []), tuple(arrays), 0, np.dtype(np.float32), integers, tuple(types))


@cache
def gather_source(kind: str) -> KernelSource:
    """The kernel that copies elements from places in an array; zero where a place is negative."""
    return _one(f"elements from places: {kind}", _GATHER, ("places", "x", "out"), ("int64", kind, kind), 1, kind)


@cache
def scatter_source(kind: str) -> KernelSource:
    """The kernel that copies elements to places of an array, all of them different."""
    return _one(f"elements to places: {kind}", _SCATTER, ("places", "x", "out"), ("int64", kind, kind), 1, kind)


@cache
def along_source(kind: str) -> KernelSource:
    """The kernel of running sums of rows, from the left, a thread a row."""
    return _one(f"running sums of rows: {kind}", _ALONG, ("x", "out"), (kind, kind), 2, kind)


@cache
def rank_source(kind: str) -> KernelSource:
    """The kernel of the places of each row's numbers in rising order, by comparing all pairs: NaN last, equal ones in order."""
    return _one(f"places in rising order: {kind}", _RANK, ("x", "out"), (kind, "int64"), 2, kind)


@cache
def chosen_source() -> KernelSource:
    """The kernel that lists the places where an array is not zero: called with -1 first, it counts those of each stretch."""
    return _one("places of what is not zero", _CHOSEN, ("x", "before", "out"), ("uint8", "int64", "int64"), 4, "int64")
