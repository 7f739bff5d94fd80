"""A step with 8-bit states as one kernel: blocks of codes are read, stepped, measured and coded again, block after block.

The graph is that of the three pieces, one after the other: what codes stand for, the update, and codes and scales of the new
slots, on arrays that are seen as rows, a block each. So its kernel has their bits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from refgrad.arithmetic.arrays import as_it_is
from refgrad.arithmetic.dtypes import is_float, working
from refgrad.arithmetic.graph import Graph
from refgrad.arithmetic.rounding import all_within
from refgrad.arithmetic.scalar_math import names_in
from refgrad.axes import ELEMENT, ROW
from refgrad.backends import kernels, row_kernels, staged_backend, worth_compiling
from refgrad.backends.program import program_of
from refgrad.backends.row_source import RowSource
from refgrad.backends.step_source import Kept, supports
from refgrad.derived import derived
from refgrad.optimizers.base import steps_taken
from refgrad.quantizers.base import Quantized
from refgrad.quantizers.blockwise import Codebook
from refgrad.quantizers.eight_bit_blocks import Blocks
from refgrad.quantizers.rows import Layout, RowQuantizer
from refgrad.tracing import Plan, free_values, plan_for

#: how rows are encoded and decoded without anything besides the body
OWN = (RowQuantizer.encode, RowQuantizer.decode, Codebook.encode, Codebook.decode)
_LENGTHS = frozenset({"tensor_length", "row_length", "column_length"})


class Fused(NamedTuple):
    """A kernel of a step, with what it is called with.

    Args:
        rows: the kernel.
        plan: the plan of `Blocks`.
        slots: the quantizer of each slot that is an array.
        numbers: the names of the slots that are numbers.
        layout: how an array is cut into blocks.
    """

    rows: RowSource
    plan: Plan
    slots: Mapping[str, RowQuantizer]
    numbers: tuple[str, ...]
    layout: Layout


def step(
    rule: Blocks, quantized: Callable[[tuple[int, ...]], Collection[str]], p: Any, g: Any, state: Mapping[str, Any]
) -> tuple[np.ndarray, dict[str, Any]] | None:
    """A step of one parameter; None where there is no such kernel, or an argument is not just what it takes.

    Args:
        rule: the update and the quantizers of its slots.
        quantized: which slots are quantized of a parameter of a shape.
        p: the parameter.
        g: its gradient.
        state: what `refgrad.quantizers.EightBit` made at first, or by its last step.
    """
    if not (_is_array(p) and _is_array(g)) or working(p.dtype) != np.float32 or working(g.dtype) != np.float32:
        return None
    if g.shape != p.shape or not p.ndim or not p.size or not {"t", *rule.rule.slots()} <= state.keys():
        return None
    numbers = {"t": float(steps_taken(state) + 1)}
    numbers |= {name: float(state[name]) for name, slot in rule.rule.slots().items() if slot.scalar}
    fused = _fused(rule, quantized, p.shape, numbers)
    if fused is None or (not worth_compiling(p.size) and not kernels.at_hand(fused.rows.source)):
        return None
    given: dict[str, np.ndarray] = {}
    for slot, quantizer in fused.slots.items():
        parts = _parts(quantizer, state[slot], fused.layout)
        if parts is None:
            return None
        given |= {f"{slot}_{part}": array for part, array in parts.items()}
    return _run(fused, p, g, given, numbers)


def _is_array(x: Any) -> bool:
    return type(x) is np.ndarray and is_float(x.dtype)


def _as_float32(x: np.ndarray) -> np.ndarray:
    kind = np.dtype(np.float32)
    return x if as_it_is(x, kind) else np.array(x, dtype=kind, order="C", copy=True)


def _parts(quantizer: RowQuantizer, kept: Any, layout: Layout) -> dict[str, np.ndarray] | None:
    """The parts of a slot as kernels read them: codes of their type, and float32 numbers of blocks; None of anything else."""
    if not isinstance(kept, Quantized) or kept.shape != layout.shape or kept.dtype != np.float32:
        return None
    codes, ends = quantizer.read_codes, quantizer.code_range or quantizer.legal_codes
    assert codes is not None
    found: dict[str, np.ndarray] = {}
    for part in quantizer.body_parts():
        array = kept.arrays.get(part)
        shape = layout.shape if part == "codes" else (layout.rows,)
        if array is None or not as_it_is(array, np.dtype(codes.kind if part == "codes" else np.float32), shape):
            return None
        found[part] = array
    return found if ends is None or all_within(found["codes"], *ends) else None


def _run(
    fused: Fused, p: np.ndarray, g: np.ndarray, given: dict[str, np.ndarray], numbers: Mapping[str, float]
) -> tuple[np.ndarray, dict[str, Any]]:
    layout, free = fused.layout, free_values((fused.layout.rows, fused.layout.width), numbers)
    new: dict[str, np.ndarray] = {"new_p": np.empty(p.shape, np.float32)}
    for slot, quantizer in fused.slots.items():
        kind = quantizer.stored_outputs(np.float32)["codes"].kind
        for part in quantizer.body_parts():
            of_codes = part == "codes"
            new[f"new_{slot}_{part}"] = np.empty(p.shape if of_codes else layout.rows, kind if of_codes else np.float32)
    arrays = {**given, **new, "p": _as_float32(p), "g": _as_float32(g)}
    staged_backend.by_rows(fused.rows, p.size, layout.width, arrays, fused.plan.scalars(*free), None)
    state: dict[str, Any] = {"t": int(numbers["t"])}
    after = dict(zip(fused.plan.graph.scalar_outputs, fused.plan.scalar_outputs(*free), strict=True))
    for name in fused.plan.rule.inner_rules()["rule"].slots():
        state[name] = after[name] if name in fused.numbers else _kept(fused.slots[name], name, new, layout)
    with np.errstate(over="ignore", under="ignore"):
        return new["new_p"].astype(p.dtype, copy=False), state


def _kept(quantizer: RowQuantizer, slot: str, new: Mapping[str, np.ndarray], layout: Layout) -> Quantized:
    parts = {part: new[f"new_{slot}_{part}"] for part in quantizer.body_parts()}
    return Quantized(parts, layout.shape, np.dtype(np.float32))


def _fused(
    rule: Blocks,
    quantized: Callable[[tuple[int, ...]], Collection[str]],
    shape: tuple[int, ...],
    numbers: Mapping[str, float],
) -> Fused | None:
    """The kernel for a parameter of a shape; None where there is none."""
    known = _by_shape(rule).setdefault(shape, [])
    for fused in known:
        if fused.plan.holds(*free_values((fused.layout.rows, fused.layout.width), numbers)):
            return fused
    whole = _is_of_blocks(rule) and set(quantized(shape)) == set(rule.slots_of())
    made = _made(rule, shape, numbers) if whole else None
    if made is not None:
        known.append(made)
    return made


@derived
def _by_shape(rule: Blocks) -> dict[tuple[int, ...], list[Fused]]:
    """The kernels that were asked for so far: of each shape one for each way that branches on numbers go."""
    return {}


def _made(rule: Blocks, shape: tuple[int, ...], numbers: Mapping[str, float]) -> Fused | None:
    slots = rule.slots_of()
    layouts = [quantizer.layout(shape) for quantizer in slots.values()]
    if not layouts or any(layout != layouts[0] for layout in layouts):
        return None
    layout = layouts[0]
    plan = _of_blocks(rule, shape, layout, numbers)
    if plan is None:
        return None
    rows = program_of(plan, np.dtype(np.float32), _stored(rule)).of_rows((layout.rows, layout.width))
    whole = layout.per_lead * layout.width == layout.length
    if rows is None or layout.axis is not None or not (whole or (layout.lead == 1 and rows.takes_short)):
        return None
    scalars = tuple(name for name, slot in rule.rule.slots().items() if slot.scalar)
    return Fused(rows, plan, slots, scalars, layout)


@derived
def _is_of_blocks(rule: Blocks) -> bool:
    """True if every slot is a number, or an array like the parameter whose parts kernels read and write as they are kept."""
    alike = all(slot.scalar or slot.axes == ELEMENT for slot in rule.rule.slots().values())
    return alike and rule.rule.scalars == "float64" and all(map(_is_plain, rule.slots_of().values()))


def _is_plain(quantizer: RowQuantizer) -> bool:
    """True of a quantizer whose scales are float32 numbers of rows, and whose codes kernels store and read."""
    rows = all(quantizer.gives()[part] == ROW for part in quantizer.body_parts() if part != "codes")
    known = quantizer.read_codes is not None and bool(quantizer.stored_outputs(np.float32))
    plain = (
        not quantizer.kept_scales and quantizer.body_parts() == quantizer.parts and tuple(quantizer.takes()) == ("x",)
    )
    own = type(quantizer).encode in OWN and type(quantizer).decode in OWN
    return rows and known and plain and own and quantizer.scalars == "float64"


@derived
def _stored(rule: Blocks) -> Mapping[str, Kept]:
    """How codes are read and stored, by name."""
    found = {}
    for slot, quantizer in rule.slots_of().items():
        assert quantizer.read_codes is not None
        found[f"{slot}_codes"] = Kept(quantizer.read_codes)
        found[f"new_{slot}_codes"] = Kept(quantizer.stored_outputs(np.float32)["codes"])
    return found


def _of_blocks(rule: Blocks, shape: tuple[int, ...], layout: Layout, numbers: Mapping[str, float]) -> Plan | None:
    """The plan of a step on rows; None where the update looks at how its arrays are arranged."""
    of_rows = free_values((layout.rows, layout.width), numbers)
    own = plan_for(rule.rule, len(shape), free_values(shape, numbers))
    plan = plan_for(rule, 2, of_rows)
    alike = _is_elementwise(own.graph) and _same(own.graph, plan_for(rule.rule, 2, of_rows).graph)
    return _numbered(rule, plan) if alike and not _reads_lengths(plan.graph) else None


def _numbered(rule: Blocks, plan: Plan) -> Plan | None:
    """The plan whose new codes are the numbers by which values of tables are kept; None where kernels lack a step of it."""
    if not supports(plan.graph):
        return None
    known = _with_numbers(rule)
    if plan not in known:
        known[plan] = _replaced(rule, plan)
    return known[plan]


@derived
def _with_numbers(rule: Blocks) -> dict[Plan, Plan]:
    """The plans that were asked for so far, by those they are made of: what is compiled is kept with them."""
    return {}


def _replaced(rule: Blocks, plan: Plan) -> Plan:
    for slot, quantizer in rule.slots_of().items():
        if quantizer.code_of_nearest is not None:
            plan = row_kernels.with_step(plan, f"new_{slot}_codes", quantizer.code_of_nearest)
    return plan


def _is_elementwise(graph: Graph) -> bool:
    return not graph.couples() and not graph.small


def _same(one: Graph, other: Graph) -> bool:
    """True if two graphs say the same."""

    def told(graph: Graph) -> Sequence[Any]:
        nodes = [(n.op, [a.index for a in n.args], n.attribute) for n in graph.nodes]
        outputs = {name: node.index for name, node in graph.outputs.items()}
        return nodes, outputs, dict(graph.scalar_outputs), graph.guards

    return told(one) == told(other)


def _reads_lengths(graph: Graph) -> bool:
    exprs = [*graph.scalars(), *graph.scalar_outputs.values(), *(expr for expr, _ in graph.guards)]
    return any(_LENGTHS & names_in(expr) for expr in exprs)
