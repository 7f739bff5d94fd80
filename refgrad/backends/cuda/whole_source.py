"""A plan's CUDA kernels as one text, whose head says what is launched in which order, on what, and with how many blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from refgrad.arithmetic.scalar_math import Expr
from refgrad.axes import EACH_COLUMN, EACH_ROW
from refgrad.backends import whole_source
from refgrad.backends.cuda.device import MOST_BLOCKS, THREADS
from refgrad.backends.cuda.dialect import HEAD
from refgrad.backends.cuda.run import Program
from refgrad.backends.cuda.staged_source import Stage
from refgrad.backends.driver_source import CDriver
from refgrad.backends.launches import (
    Arrays,
    Call,
    Copy,
    Room,
    Step,
    between_call,
    blocks,
    own_name,
    pass_arrays,
    reads_and_writes,
    scalar_of,
)
from refgrad.backends.outline import Outline
from refgrad.backends.source import outputs, variable
from refgrad.tracing import Plan


def text(plan: Plan, program: Program, stored: np.dtype, working: np.dtype, outline: Outline) -> str:
    """The text of a plan's kernels.

    Args:
        plan: the plan.
        program: its kernels.
        stored: the dtype of the arrays.
        working: the dtype that is worked in.
        outline: what is said of the arrays.
    """
    found = whole_source.with_places(steps(plan, program, outline.name), outline)
    if plan.rule.scalars != "float64":
        found, outline = whole_source.handed_scalars(found, plan, outline)
    named = whole_source.Names(found, outline)
    calls = [step for step in found if isinstance(step, Call)]
    head = [outline.title, *outline.notes, "", *reads_and_writes(calls, named.arrays), ""]
    driver = CDriver(working, outline, named.arrays, whole_source.values_of(plan))
    rows, columns = driver.product(outline.rows), driver.product(outline.columns)
    head += [f"In this order, where rows is {rows}, row_length {columns}, and n rows * row_length, all 1 or more:", ""]
    head += [f"  {line}" for line in _launches(found, driver, working)]
    head += [
        "",
        f"Arrays lie row after row, on the device. Blocks have {THREADS} threads; any number of blocks is right.",
    ]
    few = [named.arrays[f"{n}_"] for n, axes in outline.shapes.items() if _is_few(plan, n)]
    if few and stored != working:
        head.append(f"Of {working.name}, whatever else is stored in {stored.name}: {', '.join(few)}.")
    head.append("Compile without contraction and fast functions (--fmad=false): the bits are then refgrad's.")
    calls = [call._replace(source=replace(call.source, text=call.source.text.removeprefix(HEAD))) for call in calls]
    begun = HEAD.replace("#endif", "#else\n#include <stdint.h>\n#endif", 1)
    return "\n".join([*whole_source.comment(head), begun, *whole_source.gathered(calls, named, "cuda")])


def _is_few(plan: Plan, name: str) -> bool:
    """True of an array that is one number a row, a column or the tensor."""
    graph = plan.graph
    return name in graph.small or any(
        n.op == "input" and n.attribute == name and len(set(n.axes) - {"1"}) < 2 for n in graph.nodes
    )


def steps(plan: Plan, program: Program, name: str) -> list[Step]:
    """What the host does.

    Args:
        plan: the plan.
        program: its kernels, of one loop or of passes.
        name: what the names of kernels begin with.
    """
    graph = plan.graph
    scalars = graph.scalars()
    if program.loop is not None:
        pairs = tuple((variable(a), variable(a)) for a in program.loop.arrays)
        reads, writes = tuple(map(variable, graph.inputs())), tuple(map(variable, outputs(graph)))
        return [Call(program.loop, f"{name}_elements", ("n",), pairs, tuple(scalars), reads, writes, _grid("n"))]
    arrays, found = Arrays(graph), list[Step]()
    for number, stage in enumerate(program.stages, 1):
        arrays.given(stage.sweep)
        if stage.ahead is not None:
            found += arrays.ahead(stage.ahead)
            found.append(between_call(f"{name}_before_pass_{number}", stage.ahead, arrays, scalars))
        if stage.sweep.reductions or stage.arrays:
            found += _sweep(plan, stage, f"{name}_pass_{number}", arrays, scalars)
    return [*found, *arrays.finish(scalar_of(graph, scalars))]


def _sweep(plan: Plan, stage: Stage, name: str, arrays: Arrays, scalars: Sequence[Expr]) -> list[Step]:
    """One pass, and the fold of columns behind it."""
    sweep, found = stage.sweep, list[Step]()
    pairs, reads, writes = pass_arrays(plan.graph, sweep, stage.arrays, arrays)
    over, own = sweep.over, tuple(scalars[i] for i in stage.scalars)
    by_columns = over == EACH_COLUMN
    units = f"rows * {blocks('row_length')}" if over == EACH_ROW else blocks("n")
    rooms = f"{blocks('rows')} * row_length" if by_columns else units
    found += arrays.folded(sweep.reductions, rooms)
    terms = [f"{own_name(n)}_terms" if by_columns else own_name(n) for n in sweep.reductions]
    found += [Room(term, "n") for term in terms if by_columns]
    pairs += [(f"r{n.index}", term) for n, term in zip(sweep.reductions, terms, strict=True)]
    launched = f"min({units}, {MOST_BLOCKS})" if sweep.reductions and not by_columns else _grid("n")
    found.append(
        Call(stage.source, name, ("n", "row_length"), tuple(pairs), own, reads, tuple(terms) or writes, launched)
    )
    if stage.fold is not None:
        folds = [(n.index, term, own_name(n)) for n, term in zip(sweep.reductions, terms, strict=True)]
        each = [pair for index, term, left in folds for pair in ((f"t{index}", term), (f"r{index}", left))]
        into = tuple(own_name(n) for n in sweep.reductions)
        found.append(
            Call(
                stage.fold,
                f"{name}_columns",
                ("n", "row_length"),
                tuple(each),
                (),
                tuple(terms),
                (*terms, *into),
                _grid(rooms),
            )
        )
    return found


def _grid(length: str) -> str:
    """How many blocks a loop over so many elements is launched with."""
    return f"min(({length} + {THREADS - 1}) / {THREADS}, {MOST_BLOCKS})"


def _launches(found: Sequence[Step], driver: CDriver, working: np.dtype) -> list[str]:
    """What the host does, a line each."""
    named, lines = driver.named, list[str]()
    places = {f"{name}_": axis for name, axis in driver.outline.places.items()}
    for step in found:
        if isinstance(step, Room):
            length = named.get(step.length, step.length)
            held = ", the numbers from 0" if step.name in places else ""
            lines.append(f"room for {named[step.name]}: {length} of {working.name}{held}")
        elif isinstance(step, Call):
            given = [*step.integers, *(named[a] for _, a in step.arrays), *map(driver.scalar, step.scalars)]
            lines.append(f"{step.name}<<<{step.over}, {THREADS}>>>({', '.join(given)});")
        elif isinstance(step, Copy):
            of = named[step.of] if isinstance(step.of, str) else driver.scalar(step.of)
            lines.append(f"{named[step.to]} is the first {step.length} of {of}")
    return lines
