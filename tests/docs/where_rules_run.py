"""The page of what runs each rule on a CPU: ``python -m tests.docs.where_rules_run`` writes docs/where-rules-run.md.

Rules with a plan are asked for its program. Of all others a small array is handed to each entry point while every array counts as
long enough for a kernel, and the first kernel that is asked for is noted in place of being compiled.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from refgrad import backends
from refgrad.arithmetic import philox
from refgrad.arithmetic.graph import Graph
from refgrad.axes import EACH_COLUMN
from refgrad.backends import kernels, philox_kernel
from refgrad.backends.numba_backend import takes_leaves
from refgrad.backends.program import program_of
from refgrad.estimators.base import Estimator
from refgrad.formula_kernels import NoFormulaKernel, kernel_of
from refgrad.formula_tapes import tape_for
from refgrad.optimizers.base import Optimizer
from refgrad.quantizers import Quantizer
from refgrad.quantizers.blockwise import Codebook
from refgrad.rule import Rule, rules
from refgrad.sparsity.base import Mask
from refgrad.sparsity.n_of_m import Groups
from refgrad.tracing import Plan
from tests.docs.outside_the_graph import reason

PAGE = Path(__file__).parents[2] / "docs" / "where-rules-run.md"
SHAPE = (16, 256)
#: what runs an entry point
LOOP, PASSES, WRITTEN, NUMPY, NUMBERS = "one fused loop", "fused passes", "a kernel by hand", "NumPy", "Python"
FROM_GRAPH = (LOOP, PASSES)
#: what NumPy does besides
BETWEEN, COLUMNS, JOINED = "numbers between passes", "folds of columns", "arrays joined into one"
#: the modules that take kernels of graphs
OF_GRAPHS = ("refgrad.backends.program", "refgrad.backends.selection", "refgrad.backends.staged_backend")


class Entry(NamedTuple):
    """One entry point of a rule.

    Attributes:
        name: what it is.
        runs: what runs it.
        besides: what of it NumPy does besides.
    """

    name: str
    runs: str
    besides: tuple[str, ...] = ()


class Reached(BaseException):
    """Ends a call where it asks for a kernel; the argument is what runs it."""


def entries(rule: Rule) -> list[Entry]:
    """What runs each entry point of a rule."""
    return _KINDS[rule.kind](rule)


def _of_plan(name: str, plan: Plan, besides: tuple[str, ...] = ()) -> Entry:
    """What runs a plan on float32 arrays."""
    program = program_of(plan, np.dtype(np.float32))
    if program.loop is not None:
        return Entry(name, LOOP, besides)
    if not program.passes:
        return Entry(name, NUMPY, besides)
    return Entry(name, PASSES, (*besides, *_between(plan.graph, program.passes)))


def _between(graph: Graph, passes: Any) -> Iterator[str]:
    """What NumPy does between the passes."""
    if any(
        p.sweep.over == EACH_COLUMN and "buffer" not in p.source.arrays for p in passes
    ):  # a kernel that folds has one
        yield COLUMNS
    if any(p.ahead is None and node.op != "input" and node.args for p in passes for node in p.sweep.before):
        yield BETWEEN


def _optimizer(rule: Any) -> list[Entry]:
    whole = rule.scope == "tree" and not takes_leaves(rule.plan((SHAPE[0] * SHAPE[1],), 10), np.dtype(np.float32))
    joined = (JOINED,) if whole else ()
    return [_of_plan("step", rule.plan(SHAPE, 10), joined)]


def _estimator(rule: Any) -> list[Entry]:
    return [_of_plan("value and gradients", rule.plan(SHAPE))]


def _quantizer(rule: Quantizer) -> list[Entry]:
    x = np.abs(np.random.default_rng(0).standard_normal(SHAPE, np.float32)) + np.float32(0.5)
    with _every_array_is(short=True):
        kept = rule.quantize(x)
    return [
        Entry("quantize", seen(lambda: rule.quantize(x))),
        Entry("dequantize", seen(lambda: rule.dequantize(kept))),
    ]


def _mask(rule: Any) -> list[Entry]:
    shape = rule.example_shape()
    given = {name: np.ones(shape, np.float32) for name in rule.takes()}
    if isinstance(rule, Groups):  # scores and selection are one kernel
        return [Entry("score", seen(lambda: rule.score(**given))), Entry("selection", seen(lambda: rule.mask(**given)))]
    scores = rule.score(**given)
    with mock.patch.object(type(rule), "score", return_value=scores):
        selection = seen(lambda: rule.mask(**given))
    return [Entry("score", seen(lambda: rule.score(**given))), Entry("selection", selection)]


def _eight_bit(rule: Any) -> list[Entry]:
    p = np.ones(SHAPE, np.float32)
    with _every_array_is(short=True):
        state = rule.init(p)
    states = [Entry(f"{e.name} state", e.runs) for e in _quantizer(rule.signed)]
    return [Entry("step", seen(lambda: rule.step(p, p, state))), *states]


#: what is said of a rule whose kernels are printed for lengths that are given
FOR_LENGTHS = "a kernel on request, for given lengths"


def kernel_said(rule: Any) -> str:
    """What prints a function of arrays as a kernel, or why none is printed."""
    try:
        plan = kernel_of(rule).plan
    except NoFormulaKernel as error:
        reason = str(error)
    else:
        return f"a kernel of large arrays: {_of_plan('call', plan).runs}"
    if rule.kind == "transform" and rule.by_steps and rule.variant != "opaque":
        try:
            tape_for(rule, {}, np.dtype(np.float32))
        except NoFormulaKernel as error:
            reason = str(error)
        else:
            return FOR_LENGTHS
    return reason.partition("kernel: ")[2].removesuffix(", which kernels do not have")


def _transform(rule: Any) -> list[Entry]:
    """By its kernel, or by NumPy and why."""
    try:
        return [_of_plan("call", kernel_of(rule).plan)]
    except NoFormulaKernel:
        return [Entry("call", NUMPY, (kernel_said(rule),))]


_KINDS: Mapping[str, Callable[[Any], list[Entry]]] = {
    "optimizer": _optimizer,
    "estimator": _estimator,
    "quantizer": _quantizer,
    "mask": _mask,
    "mask-update": lambda rule: [Entry("next mask", NUMPY)],
    "transform": _transform,
    "scaling": lambda rule: [Entry("rate", NUMBERS)],
    "8-bit-optimizer": _eight_bit,
}


def seen(call: Callable[[], Any]) -> str:
    """What runs a call: the kind of the first kernel that it asks for, or NumPy if it asks for none."""
    with (
        _every_array_is(short=False),
        mock.patch.object(kernels, "get", _noted),
        mock.patch.object(philox_kernel, "random_words", philox.random_words),  # which no rule is
    ):
        try:
            call()
        except Reached as reached:
            return str(reached)
    return NUMPY


def _noted(source: Any) -> Any:
    caller = sys._getframe(1).f_globals["__name__"]
    raise Reached((LOOP if source.integers == 1 else PASSES) if caller in OF_GRAPHS else WRITTEN)


@contextmanager
def _every_array_is(short: bool) -> Iterator[None]:
    """While it lasts arrays of any size count as too short for kernels of rules, or as long enough."""
    with mock.patch.object(backends, "WORTH_COMPILING", sys.maxsize if short else 0):
        yield


HEAD = """# Where rules run

What runs each rule, at its defaults, on a CPU on arrays that are long enough for kernels. "One fused loop" and "fused passes"
are made from the rule's graph, and every backend has them; "a kernel by hand" would have to be written again for another one.
All give the bits of the rule's body as it stands. Written by `python -m tests.docs.where_rules_run` from what decides it in the
code; `tests/docs/test_where_rules_run.py` holds the page to that, and asks for a reason where a rule does not run from its graph.

What is one number a row, a column or a tensor is computed between two passes, by a kernel of its own that also folds what the
blocks of the pass before have left: a norm's root, a ratio. Where nothing but rows is folded, and these are short, all passes are
one kernel, which goes through row after row. A rule over the whole tree of parameters folds along one tree, whose shape depends
on the number of all terms: its kernels run over the leaves where they are, and only blocks of that tree in which a leaf ends are
copied together. Quantizers that round by chance take uniforms as an array, which one kernel by hand draws for all of them
(Philox). Of parts that are one number a row or a column, NumPy makes what kernels of values read: binary16 scales in float32, and
in GGUF's super-blocks the product of a block's scale and a group's.

Of groups that are neighbours in memory the largest are selected in the kernel that computes their scores (`top_k` of the
table of operations, 16 a group at most); of long rows and of a whole they are found by one partition, which is NumPy's: on
one thread it took 0.03, 0.67 and 4.4 ms for half of 2^16, 2^20 and 2^22 keys, and a compiled selection that counts the 16
high bits and then the 16 low ones 0.19, 1.36 and 6.8 ms (AVX-512, NumPy 2.4). A table that is a part of what was
quantized (`KMeans`, `OptimalCodebook`) is read at places by an operation (`look_up`): 0.36 ms for 2^20 codes on one thread,
where NumPy's own `take` needs 1.0. To put 1 of 100 values in their places took 0.20 ms, and a kernel 0.19.

QSGD's uniforms are rounded down to float32 ahead of its kernel: what is less than a float32 number stays so, and only that.
It and NUQSGD have two plans each: norms, folded in float64 and rounded once, and codes under these norms. A running sum is no
operation: the rules that take one (`N2UQ`, `OptimalCodebook`, a search of ranges, an allocation of sparsity) take it of a few
numbers or of sorted ones, ahead of their bodies, in float64 and from left to right.

A function of arrays (kind transform) runs its body as it stands, in NumPy, whose sums it has, where arrays are small. From
262,144 elements on a call runs its kernel, where its graph has one, with the bits of the body in refgrad's sums and refgrad's
elementary functions. `refgrad show GradCAM --source c` (or numba, cuda) prints it, and `refgrad.formula_kernels.run(rule, arrays,
"numba")` runs it on arrays of any size. Of each other such rule the last column says what keeps it from that.

"""

#: what is counted -> how many there were when operations became records
BEFORE: Mapping[str, int] = {
    "code books that a kernel by hand quantizes": 4,
    "quantizers that quantize in NumPy": 25,
    "quantizers that dequantize in NumPy": 35,
    "quantizers that dequantize by hand": 17,
    "masks whose scores are computed in NumPy": 26,
    "optimizers of whose passes NumPy computes the numbers in between": 30,
    "optimizers and estimators of whose passes NumPy folds columns": 4,
    "optimizers that join the arrays of a tree": 13,
    "optimizers that run in NumPy": 5,
}


def counts(found: Mapping[str, list[Entry]]) -> dict[str, int]:
    """How many rules there are of what `BEFORE` counts.

    Args:
        found: the entry points of each rule.
    """
    known = rules()

    def number(kind: type[Rule], name: str, wanted: str) -> int:
        of_kind = [all_of_it for rule, all_of_it in found.items() if issubclass(known[rule], kind)]
        return sum(e.name == name and wanted in (e.runs, *e.besides) for all_of_it in of_kind for e in all_of_it)

    numbers = [
        number(Codebook, "quantize", WRITTEN),
        number(Quantizer, "quantize", NUMPY),
        number(Quantizer, "dequantize", NUMPY),
        number(Quantizer, "dequantize", WRITTEN),
        number(Mask, "score", NUMPY),
        number(Optimizer, "step", BETWEEN),
        number(Optimizer, "step", COLUMNS) + number(Estimator, "value and gradients", COLUMNS),
        number(Optimizer, "step", JOINED),
        number(Optimizer, "step", NUMPY),
    ]
    return dict(zip(BEFORE, numbers, strict=True))


def page() -> str:
    """The page in Markdown."""
    known = rules()
    found = {name: entries(cls()) for name, cls in known.items()}
    now = counts(found)
    lines = ["| what | before operations were records | now |", "|---|---|---|"]
    lines += [f"| {what} | {before} | {now[what]} |" for what, before in BEFORE.items()]
    for kind in sorted({cls.kind for cls in known.values()}):
        lines += [
            "",
            f"## Rules of kind {kind}",
            "",
            "| rule | entry point | what runs it | besides, or why |",
            "|---|---|---|---|",
        ]
        for name in (n for n, cls in known.items() if cls.kind == kind):
            lines += [f"| `{name}` | {e.name} | {e.runs} | {_besides(known[name], e)} |" for e in found[name]]
    return HEAD + "\n".join(lines) + "\n"


def _besides(cls: type[Rule], entry: Entry) -> str:
    return ", ".join(entry.besides) or ("" if entry.runs in FROM_GRAPH else reason(cls, entry.name))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
