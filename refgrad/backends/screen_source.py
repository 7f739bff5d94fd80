"""The enclosure as a kernel: one loop that reads what a step was given and what was seen of it, and says where all is clear.

Elements are looked at in chunks, as the oracle judges them. Of each chunk the kernel says how many conditions fail: where none
does, every output of every element is inside its set. Of each output it gives the largest distance from the truth over what is
allowed, and the distances in units in the last place, counted over the chunks that are clear (docs/enclosure.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType

import numpy as np

from refgrad.arithmetic.dtypes import format_of
from refgrad.arithmetic.enclosed import SPARE, Enclosed, Fold, Pass, seen
from refgrad.arithmetic.graph import Node
from refgrad.axes import ELEMENT, ROW
from refgrad.backends.dialect import NUMBA, Array, Dialect
from refgrad.backends.narrow_source import narrow, number_of_code, on_grid, stored_kind
from refgrad.backends.source import KernelSource, elements, variable, written
from refgrad.backends.step_source import Kept
from refgrad.backends.writer import Writer

#: elements whose distances are kept before they are counted: they stay in the nearest cache
BLOCK = 256
#: bins of distances, as `refgrad.oracle.acceptance.ulp_errors.ENDS` has them, with room to the next power of two
BINS, ROOM = 28, 32
#: binades of the truth that are counted together
BINADES = 16

_FLOAT64 = np.dtype(np.float64)
#: where nothing that is read are codes
NO_CODES: Mapping[str, Kept] = MappingProxyType({})
#: of float64: the bits of the exponent, of the significand, and how many these are
_EXPONENT, _SIGNIFICAND, _DIGITS = 0x7FF0000000000000, 0xFFFFFFFFFFFFF, 52


def groups_of(dtype: np.dtype) -> tuple[int, int]:
    """The first group of binades that a number of a dtype may be in, and how many there are.

    Args:
        dtype: float32 or float64.
    """
    facts = format_of(dtype)
    first, last = (int(np.frexp(size)[1] - 1) // BINADES for size in (facts.smallest_normal, facts.largest))
    return first, last - first + 1


def widest(types: dict[str, np.dtype]) -> int:
    """How many groups of binades the outputs have room for, those of the dtype that has the most.

    Args:
        types: the dtype of each output.
    """
    return max(groups_of(dtype)[1] for dtype in types.values())


def screen_source(
    found: Enclosed,
    types: dict[str, np.dtype],
    title: str,
    dialect: Dialect = NUMBA,
    stored: frozenset[str] = frozenset(),
    codes: Mapping[str, Kept] = NO_CODES,
) -> KernelSource:
    """The source of the kernel.

    Args:
        found: the graph of centres and bounds.
        types: the dtypes of the arrays that it reads, by the names that its graph has for them: float32, float64 or narrow.
        title: what stands in the kernel's first line.
        dialect: the language.
        stored: the outputs that are narrower than what is computed in, so that they may be beside their bound, on the grid of
            their dtype.
        codes: of arrays that are codes how they are read; their dtype is that in which distances are counted.

    Returns:
        A kernel that is called with the number of elements, the number of those in a chunk and in a row; with the arrays;
        with what is one number a row or a column, float64; with ``failed``, an int64 a chunk, to which it adds; ``worst``, a
        float64 a chunk, output, and whether it may be less (the first) or is exact; ``counts`` (int64, an output, a group of
        binades and `ROOM`) and ``largest`` (float64, an output and a group), to which it adds; and as many again that it may
        overwrite.
    """
    outputs = found.names
    rooms = widest({name: types[seen(name)] for name in outputs})
    many, tops = len(outputs) * rooms * ROOM, len(outputs) * rooms
    written_to = [
        Array("worst", "float64", (f"(n // chunk + 1) * {2 * len(outputs)}",)),
        *(Array(name, kind, (str(size),)) for name, kind, size in _totals(many, tops)),
    ]
    w = Writer(_FLOAT64, dialect)
    with looped(w, found.loop, types, written_to, title, codes) as source:
        for line in (
            dialect.local("off", "float64", len(outputs) * BLOCK),
            dialect.local("code", "int64", len(outputs) * BLOCK),
        ):
            w.line(line)
        with w.loop("start", "0", "n", "chunk"):
            _chunk(w, found, types, (many, tops, rooms), stored)
    return source()


def operand_source(fold: Fold, types: dict[str, np.dtype], title: str, dialect: Dialect = NUMBA) -> KernelSource:
    """The source of the kernel that computes what a reduction folds.

    Args:
        fold: the reduction, with its operand.
        types: as of `screen_source`.
        title: what stands in the kernel's first line.
        dialect: the language.

    Returns:
        A kernel that is called like `screen_source`'s, but for what it writes besides ``failed``: of each element the
        centre, the bound, and the sum of the centre's magnitude and the bound, float64. Where a chunk has not failed,
        they are the enclosure's in every bit.
    """
    w = Writer(_FLOAT64, dialect)
    written_to = [Array(name, "float64", ("n",)) for name in ("centre", "bound", "size")]
    with looped(w, fold.loop, types, written_to, title) as source, w.loop("start", "0", "n", "chunk"):
        w.declare(["bad", "stop"], ["0", dialect.least("start + chunk", "n")], "int64")
        with w.loop("begin", "start", "stop", BLOCK), _block(w, fold.loop):
            w.do(f"bad += {_failing(w, fold.loop.conditions)} + {_failing(w, fold.loop.exactly)}")
            centre, error = f"x{fold.value.index}", "zero" if fold.error is None else f"x{fold.error.index}"
            for name, value in (
                ("centre", centre),
                ("bound", error),
                ("size", f"{w.call('abs', centre)} + {error}"),
            ):
                w.do(f"{name}[base + i] = {value}")
        w.do(f"failed[{w.index(dialect.quotient('start', 'chunk'))}] = bad")
    return source()


@contextmanager
def looped(
    w: Writer,
    loop: Pass,
    types: dict[str, np.dtype],
    written_to: Sequence[Array],
    title: str,
    codes: Mapping[str, Kept] = NO_CODES,
) -> Iterator[Callable[[], KernelSource]]:
    """A kernel's frame: what it is called with, and what stands before its loop, which is written inside.

    Args:
        w: where it is written.
        loop: what is computed for each element.
        types: the dtypes of the arrays that it reads.
        written_to: what it writes, besides ``failed``.
        title: what stands in its first line.
        codes: of arrays that are codes how they are read.

    Returns:
        What gives the source, once all is written.
    """
    dialect, lines = w.dialect, [line_of(node) for node in loop.lines]
    arrays = [
        *(Array(variable(n), codes[n].kind if n in codes else stored_kind(types[n]), ("n",)) for n in loop.reads),
        *(Array(line, "float64", ("n",)) for line in lines),
        Array("failed", "int64", ("n // chunk + 1",)),
        *written_to,
    ]
    w.line(dialect.comment(title))
    *before, head = dialect.function("chosen", ["condition", "yes", "no"], w.kind)
    for line in before:
        w.line(line)
    with w.block(head):
        w.line(dialect.gives(w.select("condition", "yes", "no")))
    integers = ["n", "chunk", "columns"]
    with w.kernel(integers, arrays, [f"scalar{i}" for i in range(len(loop.numbers))]):
        w.declare(["zero", "one"], [w.plain(0.0), w.plain(1.0)])
        for i, node in enumerate(loop.numbers):
            w.set(f"x{node.index}", _as_truth(w, f"scalar{i}") if node.is_boolean else f"scalar{i}", _kind_of(node))
        if lines:
            for name in ("rows_at", "columns_at"):
                w.line(dialect.local(name, "int64", BLOCK))
        w.loads = {
            n: partial(_load_code, n, codes[n]) if n in codes else partial(_load, n, types[n]) for n in loop.reads
        }

        def source() -> KernelSource:
            names = (*loop.reads, *(array.name for array in arrays[len(loop.reads) :]))
            kinds = tuple(array.kind for array in arrays)
            text = written(w, arrays, len(loop.numbers), len(integers))
            return KernelSource(text, names, len(loop.numbers), _FLOAT64, len(integers), kinds)

        yield source


def line_of(node: Node) -> str:
    """What a kernel calls what is one number a row or a column."""
    return f"line{node.index}"


def _kind_of(node: Node) -> str:
    return "bool" if node.is_boolean else "float64"


def _as_truth(w: Writer, text: str) -> str:
    return f"{text} != {w.plain(0.0)}"


@contextmanager
def _block(w: Writer, loop: Pass) -> Iterator[None]:
    """A loop over the elements of a block, which begins at ``begin``, with all that is computed of each."""
    w.set("base", w.dialect.index("begin"), "int64")
    w.set("count", f"{w.dialect.least(f'begin + {BLOCK}', 'stop')} - begin", "int64")
    if loop.lines:
        w.set("row", w.dialect.quotient("begin", "columns"), "int64")
        w.set("column", "begin - row * columns", "int64")
        with w.places("0", "count"):
            w.do("rows_at[i] = row")
            w.do("columns_at[i] = column")
            w.set("column", "column + 1", "int64")
            w.set("row", w.select("column == columns", "row + 1", "row"), "int64")
            w.set("column", w.select("column == columns", "0", "column"), "int64")
    with w.places("0", "count"):
        for node in loop.lines:
            place = w.index(f"{'rows' if node.axes == ROW else 'columns'}_at[i]")
            text = f"{line_of(node)}[{place}]"
            w.set(f"x{node.index}", _as_truth(w, text) if node.is_boolean else text, _kind_of(node))
        for node in loop.elements:
            _element(w, node)
        yield


def _totals(many: int, tops: int) -> list[tuple[str, str, int]]:
    return [
        ("counts", "int64", many),
        ("largest", "float64", tops),
        ("some", "int64", many),
        ("most", "float64", tops),
    ]


def _load(name: str, dtype: np.dtype, w: Writer, value: str) -> str:
    stored, form = f"{variable(name)}[base + i]", narrow(dtype)
    return w.cast("float64", stored) if form is None else number_of_code(w, variable(name), stored, form)


def _load_code(name: str, kept: Kept, w: Writer, value: str) -> str:
    return w.cast("float64", kept.load(w, f"{variable(name)}[base + i]"))


def _chunk(
    w: Writer, found: Enclosed, types: dict[str, np.dtype], sizes: tuple[int, int, int], stored: frozenset[str]
) -> None:
    """What is done with one chunk: blocks of it, until one fails; then what was counted is added, if none did."""
    many, tops, rooms = sizes
    outputs = found.names
    worst = [f"{kind}{j}" for j in range(len(outputs)) for kind in ("rough", "worst")]
    beyond = [_beyond(j) for j, name in enumerate(outputs) if name in stored]
    counted = [*worst, *beyond]
    place = w.dialect.quotient("start", "chunk")
    begin = f"failed[{w.index(place)}]"  # where one of its rows has failed before, it begins so
    w.declare(["bad", "stop", *counted], [begin, w.dialect.least("start + chunk", "n"), *["0"] * len(counted)], "int64")
    for name, size, empty in (("some", many, "0"), ("most", tops, "zero")):
        with w.places("0", str(size)):
            w.do(f"{name}[i] = {empty}")
    with w.loop("begin", "start", "stop", BLOCK), w.block(w.dialect.when("bad == 0")):
        with _block(w, found.loop):
            w.do(f"bad += {_failing(w, found.conditions)}")
            w.set("unsure", _failing(w, found.exactly), "int64")
            for j, name in enumerate(outputs):
                _distance(w, found, name, j, types[seen(name)], name in stored)
        for j in range(len(outputs)):
            _count(w, j, rooms)
    for name in beyond:  # where none is, ends are not those on the grid
        w.do(f"bad += {w.select(f'{name} == 0', '1', '0')}")
    w.do(f"failed[{w.index(place)}] = bad")
    for j, name in enumerate(worst):
        w.do(f"worst[{w.index(f'({place}) * {len(worst)} + {j}')}] = {w.bits('int64', name, 'float64')}")
    with w.block(w.dialect.when("bad == 0")):
        with w.places("0", str(many)):
            w.do("counts[i] += some[i]")
        with w.places("0", str(tops)):
            w.do(f"largest[i] = {w.select('most[i] > largest[i]', 'most[i]', 'largest[i]')}")


def _chosen(condition: str, yes: str, no: str) -> str:
    """One of two numbers, by a function: compilers of Python take long over many branches."""
    return f"chosen({condition}, {yes}, {no})"


def _failing(w: Writer, conditions: Sequence[Node]) -> str:
    """How many conditions do not hold, of those that are an element's own."""
    each = [node for node in conditions if node.axes == ELEMENT]
    return " - ".join([str(len(each)), *(w.cast("int64", f"x{node.index}") for node in each)])


def _element(w: Writer, node: Node) -> None:
    """One node of one element."""
    names = [f"x{a.index}" for a in node.args]
    if node.op == "where":
        w.set(f"x{node.index}", _chosen(*names))
    else:
        elements(w, [node])


def _distance(w: Writer, found: Enclosed, name: str, j: int, dtype: np.dtype, stored: bool) -> None:
    """Whether one output is inside, how near the end of its set, and how far from the truth in units in the last place."""
    w.begin(f"y{j}")
    own: Callable[[str], str] = lambda text: f"y{j}_{text}"  # noqa: E731
    truth, error = found.truths[name], found.errors.get(name)
    value, centre = f"x{found.graph.outputs[f's:{name}'].index}", f"x{truth.index}"
    bound = w.plain(0.0) if error is None else f"x{error.index}"
    off = w.set(own("off"), w.call("abs", f"{value} - {centre}"))
    keep = w.plain(1.0 - found.losses[name] - SPARE)
    if not stored:
        w.do(f"bad += 1 - {w.cast('int64', f'{off} <= {bound} * {keep}')}")
        half = w.set(own("half"), f"(({centre} + {bound}) - ({centre} - {bound})) / {w.plain(2.0)}")
    else:
        half = _on_grid(w, j, (value, centre, bound, keep), dtype)
    ratio = w.set(own("ratio"), _chosen(f"{half} > zero", f"{off} / {half}", "zero"))
    bits = w.set(own("bits"), w.bits("float64", ratio, "int64"), "int64")
    for kind, holds in (("rough", "unsure > 0"), ("worst", "unsure == 0")):
        some = w.set(own(kind), w.select(holds, bits, "0"), "int64")
        w.do(f"{kind}{j} = {w.select(f'{some} > {kind}{j}', some, f'{kind}{j}')}")
    facts, (first, _) = format_of(dtype), groups_of(dtype)
    size = w.set(own("size"), w.call("abs", centre))
    small, large = w.plain(facts.smallest_normal), w.plain(facts.largest)
    # the binade is a place in an array: NaN, of which every comparison is false, is taken as the smallest
    w.set(size, _chosen(f"{size} >= {small}", size, small))
    w.set(size, _chosen(f"{size} > {large}", large, size))
    power = w.set(own("power"), f"{w.bits('float64', size, 'int64')} & {_EXPONENT}", "int64")
    unit = w.set(own("unit"), f"{w.bits('int64', power, 'float64')} * {w.plain(2.0 * facts.unit_roundoff)}")
    units = w.set(own("units"), f"{off} / {unit}")
    place = w.set(
        own("place"), f"(({w.bits('float64', units, 'int64')} + {_SIGNIFICAND}) >> {_DIGITS}) - 1021", "int64"
    )
    w.set(place, w.select(f"{place} < 1", "1", place), "int64")
    w.set(place, w.select(f"{place} > {BINS - 1}", str(BINS - 1), place), "int64")
    w.set(place, w.select(f"{off} > zero", place, "0"), "int64")
    group = w.set(own("group"), f"((({power} >> {_DIGITS}) - 1023) >> 4) - {first}", "int64")
    at = w.index(f"at + {j * BLOCK}")
    w.do(f"off[{at}] = {units}")
    w.do(f"code[{at}] = {group} * {ROOM} + {place}")


def _beyond(j: int) -> str:
    """How many elements of an output are not within their bound, but beside it on the grid of a narrow dtype."""
    return f"beyond{j}"


def _on_grid(w: Writer, j: int, known: tuple[str, str, str, str], dtype: np.dtype) -> str:
    """Whether an output of a narrow dtype is inside; half of what is acceptable, on the grid of the dtype.

    An element whose bound may be larger than the enclosure's goes by the least that is acceptable: its distance over that is
    no less than the enclosure's. If that is one number, nothing is clear.
    """
    value, centre, bound, keep = known
    own: Callable[[str], str] = lambda text: f"y{j}_{text}"  # noqa: E731
    size, largest = w.call("abs", centre), w.plain(format_of(dtype).largest)
    w.do(f"bad += 1 - {w.cast('int64', f'{size} + {bound} <= {largest}')}")
    halves = []
    for kind, reach in (("most", bound), ("least", f"{bound} * {keep}")):
        ends = [w.set(own(f"{kind}_{end}"), f"{centre} {sign} {reach}") for end, sign in (("low", "-"), ("high", "+"))]
        low, high = (on_grid(w, f"{end}_near", end, dtype) for end in ends)
        halves.append(w.set(own(f"{kind}_half"), f"({high} - {low}) / {w.plain(2.0)}"))
        for one, other in ((low, value), (value, high)):
            if kind == "least":
                w.do(f"bad += 1 - {w.cast('int64', f'{one} <= {other}')}")
        if kind == "most":
            for one, other in ((value, ends[0]), (ends[1], value)):
                w.do(f"{_beyond(j)} += {w.cast('int64', f'{one} < {other}')}")
    most, least = halves
    one_number = w.both("unsure > 0", w.both(f"{least} <= zero", f"{most} > zero"))
    w.do(f"bad += {w.select(one_number, '1', '0')}")
    return w.set(own("half"), _chosen("unsure > 0", least, most))


def _count(w: Writer, j: int, rooms: int) -> None:
    """One more of the elements of each bin; and the largest distance of each group of binades."""
    with w.places("0", "count"):
        at = w.index(f"at + {j * BLOCK}")
        number = w.set("number", f"code[{at}]", "int64")
        units = w.set("units", f"off[{at}]")
        place, group = w.index(f"{number} + {j * rooms * ROOM}"), w.index(f"({number} >> 5) + {j * rooms}")
        w.do(f"some[{place}] += 1")
        with w.block(w.dialect.when(f"{units} > most[{group}]")):
            w.do(f"most[{group}] = {units}")
