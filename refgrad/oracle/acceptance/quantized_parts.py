"""Judging a quantizer part by part: scales from the input, codes given the candidate's own scales, then what they stand for.

A code is judged by the value that it stands for. Where the number that is rounded is known only to within its roundings,
every value that some number in reach has is admissible, and each of them alone: never what lies between. A quantizer that
is not written as a body on rows names the ends of what is admissible itself (`Quantizer.admitted`); where it names none,
its parts must be those of the rule to the bit.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.arithmetic.enclosure import Ambiguous, Enclosure
from refgrad.arithmetic.graph import Graph
from refgrad.arithmetic.running_error import Bounded, Model, exact
from refgrad.axes import ELEMENT, NUMBER, ROW
from refgrad.candidates.protocol import CandidateFault
from refgrad.candidates.quantizer import Parts
from refgrad.errors import ArgumentError
from refgrad.oracle.acceptance import screened_rows
from refgrad.oracle.acceptance.chunks import Cut, Gathered
from refgrad.oracle.acceptance.comparing import compare, conditioned, model_for, plainly
from refgrad.oracle.acceptance.judge import can_be_cut, enclosure_of, scalars_of
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE, UNDECIDED, Judged, either
from refgrad.oracle.acceptance.own_numbers import own_numbers
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.screened_outputs import Screened
from refgrad.oracle.acceptance.screened_rows import Careful, Part, Rows, cut_of
from refgrad.quantizers.base import Ends, Quantized, Quantizer
from refgrad.quantizers.rows import Layout, RowQuantizer
from refgrad.tracing import Plans, free_names, free_values, plan_for


def fitting(parts: Parts, rule: Quantizer, arrays: Mapping[str, np.ndarray]) -> Parts:
    """The parts in the shapes that the rule gives them; a `CandidateFault` for another number of them, or axes exchanged.

    Codes may be given as an array of their format, or as what they stand for.
    """
    shapes = shapes_of(rule, arrays)
    fitted = {}
    for name, array in parts.items():
        array = as_codes(name, array, rule, truth_of(rule, arrays)[name].dtype) if name in rule.parts else array
        wanted = shapes.get(name, arrays["x"].shape)
        if array.size != int(np.prod(wanted)) or _exchanged(array.shape, wanted):
            raise CandidateFault("shape", f"{name} has shape {array.shape}; legal: {wanted}")
        fitted[name] = array.reshape(wanted)
    return fitted


def _exchanged(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """True if axes stand in another order; flat, or in groups, the same numbers have the same order."""
    own, rule = ([n for n in each if n != 1] for each in (shape, wanted))
    return own != rule and sorted(own) == sorted(rule)


def as_codes(name: str, array: np.ndarray, rule: Quantizer, kept: np.dtype) -> np.ndarray:
    """A part as the rule keeps it.

    Args:
        name: the part.
        array: what the candidate gave: whole numbers; an array of a narrow format, whose bytes are the codes; or, of a rule
            whose codes are its only part, the numbers that they stand for.
        rule: the quantizer.
        kept: the dtype in which the rule keeps that part.

    Raises:
        CandidateFault: numbers for which there is no code.
    """
    if kept.kind not in "ui":
        return array
    if hasattr(rule, "unpack") and array.dtype.kind == "i" and array.dtype.itemsize == kept.itemsize:
        return array.view(kept)  # in a packed format the bits count
    native = array.dtype.kind in "?iuf" and array.dtype.type.__module__ == "numpy"
    if not native and array.dtype.itemsize == kept.itemsize:
        return array.view(kept)
    if rule.parts != (name,) or array.dtype.kind != "f":
        return array
    codes = rule.quantize(array).arrays[name]
    back = rule.dequantize(Quantized({name: codes}, array.shape, array.dtype)).astype(np.float64)
    wide = array.astype(np.float64)
    none = ~((back == wide) | (np.isnan(back) & np.isnan(wide)))
    if none.any():
        raise CandidateFault(
            "structure", f"{name} holds {wide[none][0]!r}, which no code of {type(rule).__name__} stands for"
        )
    return codes


def shapes_of(rule: Quantizer, arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    """The shape of each part of an array."""
    return {name: part.shape for name, part in truth_of(rule, arrays).items()}


#: truths that are kept: those of the cases that are judged, and of those that a candidate is asked for meanwhile
MOST_KNOWN = 128
#: the last truths that were computed, each with the array that it is of
_KNOWN: dict[tuple[Quantizer, int], tuple[np.ndarray, Mapping[str, np.ndarray]]] = {}


def truth_of(rule: Quantizer, arrays: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """The rule's own parts; a rule that searches takes its time, and is asked more than once."""
    x = arrays["x"]
    known = _KNOWN.get((rule, id(x)))
    if known is None or known[0] is not x:
        taken = inspect.signature(rule.quantize).parameters  # a case may have what another rule takes besides
        known = (
            x,
            rule.quantize(x, **{n: a for n, a in arrays.items() if n in taken and n not in ("x", *rule.parts)}).arrays,
        )
        _keep(rule, *known)
    return known[1]


def _keep(rule: Quantizer, x: np.ndarray, parts: Mapping[str, np.ndarray]) -> None:
    while len(_KNOWN) >= MOST_KNOWN:
        _KNOWN.pop(next(iter(_KNOWN)))
    _KNOWN[rule, id(x)] = x, parts


#: of each part its shape and its dtype
Forms = Mapping[str, tuple[tuple[int, ...], np.dtype]]


def forms_of(rule: Quantizer, arrays: Mapping[str, np.ndarray]) -> Forms:
    """What is known of an array's parts without their numbers."""
    return {name: (part.shape, part.dtype) for name, part in truth_of(rule, arrays).items()}


def foresee(rule: Quantizer, x: np.ndarray, forms: Forms) -> None:
    """Let `fitting` know the parts of an array by their forms, where their numbers are not to be known."""
    _keep(rule, x, {name: np.broadcast_to(np.zeros((), dtype), shape) for name, (shape, dtype) in forms.items()})


Result = dict[str, tuple[Judged, np.ndarray]]


def judge_parts(
    rule: Quantizer, arrays: Mapping[str, np.ndarray], seen: Parts, policy: Policy, plans: Plans = plan_for
) -> Result:
    """Each part that was seen, and ``y``: its statuses, and the values that were judged.

    Args:
        rule: the quantizer.
        arrays: ``x``, and what the rule takes besides.
        seen: parts in the rule's shapes, as `fitting` gives them, and ``y`` shaped like ``x``.
        policy: what counts as correct.
        plans: the plan of the rule's rows; a rewritten one, where a mutant is judged.

    Raises:
        CandidateFault: parts that stand for nothing.
    """
    if has_graph(rule):
        return _by_enclosure(rule, arrays["x"], seen, policy, plans)
    return _by_ends(rule, arrays, seen, policy)


def judge_decoded(
    rule: Quantizer, arrays: Mapping[str, np.ndarray], y: np.ndarray, policy: Policy, plans: Plans = plan_for
) -> Result:
    """What a decoder made of parts that it was handed: ``y`` alone.

    Args:
        rule: the quantizer.
        arrays: ``x``, the rule's parts, and what it takes besides.
        y: the array that they were said to stand for.
        policy: what counts as correct.
        plans: as of `judge_parts`.
    """
    parts = {n: arrays[n] for n in rule.parts}
    rest = {n: a for n, a in arrays.items() if n not in rule.parts}
    return {"y": judge_parts(rule, rest, {**parts, "y": y}, policy, plans)["y"]}


def has_graph(rule: Quantizer) -> bool:
    """True if a quantizer's parts are judged by enclosures of its own graph; others between ends, or to the bit."""
    return isinstance(rule, RowQuantizer) and set(rule.body_parts()) <= {*rule.parts, "y"}


def _by_ends(rule: Quantizer, arrays: Mapping[str, np.ndarray], seen: Parts, policy: Policy) -> Result:
    """Parts between the ends that the rule admits, or equal to its own; ``y`` of the candidate's own parts."""
    x, truth, found = arrays["x"], dict(truth_of(rule, arrays)), {}
    if "y" in seen and set(rule.parts) <= set(seen):
        try:
            truth["y"] = rule.dequantize(Quantized({n: seen[n] for n in rule.parts}, x.shape, x.dtype))
        except ArgumentError as error:
            raise CandidateFault("structure", str(error)) from None
    dtype = dtypes.working(x.dtype)
    reach = policy.roundings * dtypes.format_of(dtype).unit_roundoff
    wide = np.ascontiguousarray(x, dtype).reshape(x.shape)
    besides = {n: a for n, a in arrays.items() if n != "x"}
    for name in [n for n in (*rule.parts, "y") if n in seen and n in truth]:
        with np.errstate(all="ignore"):
            try:
                ends = rule.admitted(name, wide, seen, truth[name].astype(np.float64), reach, **besides)
            except KeyError as missing:  # a part that this one is judged given
                message = f"{missing.args[0]} is not given, which {name} is made with; legal: {', '.join(rule.parts)}"
                raise CandidateFault("structure", message) from None
            if ends is None and policy.nan_open and rule.parts == (name,):  # several codes stand for NaN
                decoded = (rule.dequantize(Quantized({name: a}, x.shape, x.dtype)) for a in (seen[name], truth[name]))
                judged = _equal(*decoded)
            elif ends is None:
                judged = _equal(seen[name], truth[name])
                if name == "y" and seen[name].dtype == dtype != x.dtype:
                    judged = either_branch(judged, _equal(seen[name], _unrounded(rule, seen, x.shape, dtype)))
            else:
                least = 2 * dtypes.format_of(dtype).smallest_subnormal  # what is lost below the smallest normal number
                ends = ends[0] - least, ends[1] + least
                judged = _within(seen[name], truth[name], ends, x.dtype if name == "y" else None)
        found[name] = (judged, seen[name].astype(np.float64))
    return found


def _unrounded(rule: Quantizer, seen: Parts, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """What a candidate's parts stand for before it is rounded to a narrow dtype, in that in which it is computed."""
    return rule.dequantize(Quantized({n: seen[n] for n in rule.parts}, shape, dtype))


def _within(values: np.ndarray, truth: np.ndarray, ends: Ends, dtype: np.dtype | None) -> Judged:
    """Between the ends, or these rounded where the part is kept in a narrower dtype; NaN where the truth is NaN."""
    values, truth = values.astype(np.float64), truth.astype(np.float64)
    low, high = (_shaped(np.asarray(e, np.float64), values.shape) for e in ends)
    held = (values >= low) & (values <= high)  # of a candidate that gives it in a wider dtype
    if dtype is not None:
        low, high = dtypes.round_to(low, dtype), dtypes.round_to(high, dtype)
    special = ~np.isfinite(truth)
    same = (values == truth) | (np.isnan(values) & np.isnan(truth))
    inside = np.where(special, same, held | (values >= low) & (values <= high))
    status = np.where((high == np.inf) & (low == -np.inf), UNDECIDED, np.where(inside, INSIDE, OUTSIDE))
    return Judged(status.astype(np.uint8), truth, low, high)


def _shaped(end: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """An end for each value; one number is that of a value without axes too."""
    return end.reshape(shape) if end.size == 1 and not shape else np.broadcast_to(end, shape)


def _equal(values: np.ndarray, truth: np.ndarray) -> Judged:
    own = own_numbers(values, truth)
    if own is not None:
        return own
    values, truth = values.astype(np.float64), truth.astype(np.float64)
    same = (values == truth) | (np.isnan(values) & np.isnan(truth))
    return Judged(np.where(same, INSIDE, OUTSIDE).astype(np.uint8), truth, truth, truth)


def _by_enclosure(rule: Any, x: np.ndarray, seen: Parts, policy: Policy, plans: Plans) -> Result:
    layout = rule.layout(x.shape)
    if not x.size:
        return {}
    model = replace(
        model_for(policy, x.dtype), exact_scaling=True
    )  # scales are powers of two so that nothing is rounded
    with np.errstate(all="ignore"):
        rows, ends = _given(rule, x, layout, model.charge)
        free = free_values(rows["x"].shape, {})
        plan = plans(rule, 2, free)
        free_of = dict(zip(free_names(rule, 2), free, strict=True))

        def numbers(graph: Graph) -> list[Bounded]:
            return [_literal(s, model) for s in scalars_of(plan, graph, free_of, model)]

        kept = Rows(rule, plan, layout, x, seen, policy, model, numbers)
        if kept.worth() and (screened := screened_rows.screened(kept, _careful(kept))) is not None:
            return {n: _shown(kept, n, each) for n, each in screened.items()}
        values = _values(rule, seen, layout)
        observed = {n: conditioned(a, rows["x"].dtype, model, as_stored=True) for n, a in values.items() if n != "y"}
        inputs = _inputs(rows, ends, model)
        judge = _Rows(rule, enclosure_of(plan, model), numbers(plan.graph), policy, x.dtype)
        cut = cut_of(rows["x"].shape)
        joined = _in_columns(judge, cut, (inputs, observed, rows, values))
        if joined is None:
            found: dict[str, list[Judged]] = {}
            many = _can_be_cut(plan.graph, cut, (*rows.values(), *values.values()))
            for part in cut.chunks() if many else [slice(None)]:
                there, shown = ({n: a[part] for n, a in of.items()} for of in (rows, values))
                own = Layout.flat((there["x"].size,), layout.width) if many else layout
                for name, each in judge.of((_part(inputs, part), _part(observed, part), there, shown), own).items():
                    found.setdefault(name, []).append(each)
            joined = {n: _joined(each) for n, each in found.items()}
    return {n: _arranged(joined[n], values[n], layout) for n in values}


def _inputs(rows: Mapping[str, np.ndarray], ends: Mapping[str, Ends], model: Model) -> dict[str, Bounded]:
    """What the body is handed, with what of it another program may find otherwise."""
    inputs = {n: exact(a.astype(np.float64), model) for n, a in rows.items()}
    for name, (low, high) in ends.items():
        value = inputs[name].value
        error = np.maximum(high - value, value - low)
        inputs[name] = Bounded(value, np.where(np.isfinite(error), error, 0.0))
    return inputs


def _careful(known: Rows) -> Careful:
    """What judges some rows as small arrays are, elements in a line."""

    def judged(
        graph: Graph,
        part: Part,
        folded: Mapping[int, Bounded] | None,
        plain: bool,
    ) -> dict[str, Judged] | None:
        rows, there = {"x": part.layout.cut(part.x)}, {n: a for n, a in part.seen.items() if n in graph.outputs}
        values = _values(known.rule, there, part.layout)
        with np.errstate(all="ignore"):
            observed = {
                n: conditioned(a, part.x.dtype, known.model, as_stored=True) for n, a in values.items() if n != "y"
            }
            judge = _Rows(known.rule, Enclosure(graph, known.model), known.numbers(graph), known.policy, part.x.dtype)
            how = judge.plainly if plain else judge.of
            found = how((_inputs(rows, {}, known.model), observed, rows, values), part.layout, folded)
            return found and {n: _arranged(found[n], values[n], part.layout)[0] for n in values}

    return judged


def _shown(known: Rows, name: str, judged: Judged) -> tuple[Judged, np.ndarray]:
    """An output, and the values that were judged, which are float64 numbers or others that float64 holds."""
    if isinstance(judged, Screened):
        return judged, judged.values
    return judged, known.values(name).reshape(-1).astype(np.float64)


#: inputs with their bounds, what was seen as it goes on, the rows, and the values that were seen, by name
Known = tuple[Mapping[str, Bounded], Mapping[str, Bounded], Mapping[str, np.ndarray], Mapping[str, np.ndarray]]


class _Rows(NamedTuple):
    """How some elements of rows are judged."""

    rule: Any
    enclosure: Enclosure
    scalars: list[Bounded]
    policy: Policy
    dtype: np.dtype

    def of(self, known: Known, layout: Layout, folded: Mapping[int, Bounded] | None = None) -> dict[str, Judged]:
        """Each part and ``y``, on any way through decisions; given what reductions leave, if that is at hand."""
        inputs, observed, rows, shown = known
        judged: dict[str, Judged] = {}
        for branch in self.enclosure.branches(inputs, self.scalars, observed, folded):
            new = {}
            for name, array in shown.items():
                acceptable = _as_stored(self.rule, name, branch.sets[name], layout, rows)
                new[name] = compare(acceptable, array, self.dtype if name == "y" else rows["x"].dtype, self.policy)
            judged = {n: either_branch(judged.get(n), j) for n, j in new.items()}
        return judged

    def plainly(
        self, known: Known, layout: Layout, folded: Mapping[int, Bounded] | None = None
    ) -> dict[str, Judged] | None:
        """As `of`; None where something is told of as on a grid, or is right on another way than that of the centres alone."""
        inputs, observed, rows, shown = known
        first = next(iter(self.enclosure.branches(inputs, self.scalars, observed, folded)))
        judged: dict[str, Judged] = {}
        for name, array in shown.items():
            acceptable = _as_stored(self.rule, name, first.sets[name], layout, rows)
            found = plainly(acceptable, array, self.dtype if name == "y" else rows["x"].dtype, self.policy)
            if found is None:
                return None
            judged[name] = found
        return judged

    def folds(self, known: Known) -> dict[int, Bounded]:
        """What the reductions leave, of whole rows."""
        folded: dict[int, Bounded] = {}
        for node in self.enclosure.folds():
            operand = self.enclosure.operand(node, known[0], self.scalars, known[1], folded)
            folded[node.index] = self.enclosure.fold(node, operand)
        return folded


def _in_columns(judge: _Rows, cut: Cut, known: Known) -> dict[str, Judged] | None:
    """One long row judged some elements at a time, given what its reductions leave; None where it is to be judged as a whole.

    Args:
        judge: how.
        cut: of the rows.
        known: of the whole row.
    """
    chunks = list(cut.chunks())
    if not cut.axis or cut.shape[0] > 1 or len(chunks) < 2 or not can_be_cut(judge.enclosure.graph):
        return None
    gathered, names = Gathered(cut), known[3]
    try:
        folded = judge.folds(known)
        for chunk in chunks:
            inputs, observed = ({n: cut.part_of(b, chunk) for n, b in of.items()} for of in known[:2])
            rows, shown = ({n: cut.part(a, chunk) for n, a in of.items()} for of in known[2:])
            for name, each in judge.of(
                (inputs, observed, rows, shown), Layout.whole((rows["x"].size,)), folded
            ).items():
                long = shown[name].shape[1] == rows["x"].shape[1] and names[name].shape[1] > 1
                gathered.add(name, each.parts()[:4], ELEMENT if long else ROW, chunk)
    except Ambiguous:
        return None
    return {n: Judged(*gathered.of(n, 4)) for n in names}


def _part(known: Mapping[str, Bounded], part: slice) -> dict[str, Bounded]:
    """What is known of some rows."""
    return {name: each.mapped(lambda array: array[part]) for name, each in known.items()}


def _can_be_cut(graph: Graph, cut: Cut, arrays: Iterable[np.ndarray]) -> bool:
    """True if there are many rows, no one of which sees another, so that some of them are judged at a time."""
    if cut.axis or len(list(cut.chunks())) < 2 or any(a.shape[:1] != cut.shape[:1] for a in arrays):
        return False
    return can_be_cut(graph) and all(n.axes in (ELEMENT, ROW, NUMBER) for n in graph.nodes)


def _joined(parts: list[Judged]) -> Judged:
    """The parts of an output, one below the other."""
    if len(parts) == 1:
        return parts[0]
    shape = lambda part: part.status.shape  # noqa: E731
    fields = zip(*(tuple(np.broadcast_to(a, shape(p)) for a in p.parts()[:4]) for p in parts), strict=True)
    return Judged(*(np.concatenate(each) for each in fields))


#: what was made of the last arrays: a rule that looks for an interval takes its time
_GIVEN: dict[tuple[Quantizer, int, float], tuple[np.ndarray, Any]] = {}


def _given(rule: Any, x: np.ndarray, layout: Layout, unit: float) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What the body is handed, and what of it another program may find otherwise."""
    known = _GIVEN.get((rule, id(x), unit))
    if known is None or known[0] is not x:
        while len(_GIVEN) >= 16:
            _GIVEN.pop(next(iter(_GIVEN)))
        wide = np.ascontiguousarray(x, dtypes.working(x.dtype))
        known = x, (rule.given(wide, layout), rule.ends(wide, layout, unit))
        _GIVEN[rule, id(x), unit] = known
    return known[1]


def _as_stored(rule: Any, name: str, found: Bounded, layout: Layout, rows: Mapping[str, np.ndarray]) -> Bounded:
    """What is kept of a part; of NaN, which some codes cannot say, what the rule keeps in its place."""
    nan = np.isnan(found.value)
    if name == "y" or not nan.any():
        return found
    shape = rows["x"].shape if rule.gives().get(name, ELEMENT) == ELEMENT else nan.shape
    values = np.broadcast_to(found.value, shape).astype(rows["x"].dtype)
    kept = rule.values(name, rule.stored(name, values, layout), layout).astype(np.float64)
    return found._replace(value=np.where(nan, kept, found.value), error=np.where(nan, 0.0, found.bound()))


def either_branch(one: Judged | None, other: Judged) -> Judged:
    """What either branch accepts; a part depends on no decision but its own, because those before it were observed."""
    if one is None:
        return other
    return either(one, other, (one.status == OUTSIDE) & (other.status != OUTSIDE))


def _literal(value: Bounded, model: Model) -> Bounded:
    """A number of the rule's text that the working format holds is not rounded."""
    significand = np.frexp(value.value)[0] / model.unit_roundoff
    return Bounded(value.value) if significand == np.rint(significand) else value


def _values(rule: RowQuantizer, seen: Parts, layout: Layout) -> dict[str, np.ndarray]:
    """What the parts stand for, on rows, in float64."""
    found = {}
    for name in [n for n in rule.parts if n in seen]:
        try:
            found[name] = rule.values(name, seen[name], layout).astype(np.float64)
        except ArgumentError as error:
            raise CandidateFault("structure", f"{error}{_where_legal(rule, name, seen[name], layout)}") from None
    if "y" in seen and set(rule.parts) <= set(seen):
        found["y"] = layout.cut(seen["y"].astype(np.float64))
    return found


def _where_legal(rule: RowQuantizer, name: str, part: np.ndarray, layout: Layout) -> str:
    """The named behaviour of a rule under which a part stands for something that under its own stands for nothing."""
    for label, variant in rule.variants():
        if variant.parts == rule.parts:
            with contextlib.suppress(ArgumentError):
                variant.values(name, part, layout)
                return f"; these are legal with {label}"
    return ""


def _arranged(judged: Judged, values: np.ndarray, layout: Layout) -> tuple[Judged, np.ndarray]:
    """Elements in the shape of the array, without what rows were filled up with; scales one a row."""
    shape = (layout.rows, layout.width)
    one = [judged.status, judged.truth, judged.low, judged.high, values]
    if values.shape == shape and layout.width > 1:
        arranged = [layout.joined(np.broadcast_to(a, shape)) for a in one]
    elif values.shape == shape:
        arranged = [np.broadcast_to(a, shape).reshape(-1) for a in one]
    else:
        arranged = [np.broadcast_to(a, values.shape).reshape(-1) for a in one]
    return Judged(*arranged[:4]), arranged[4]
