"""Quantizers: parts (scales, codes) judged one given those before it, then what they stand for."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.arithmetic.minifloats import MINIFLOATS
from refgrad.arithmetic.steps import FormatCodes
from refgrad.axes import ELEMENT
from refgrad.candidates.quantizer import handed_parts, resolve
from refgrad.errors import ArgumentError
from refgrad.kinds.empty_groups import groups_of
from refgrad.kinds.kind import NOT_FINITE, SETTING
from refgrad.kinds.readings import READING, READINGS, read, read_decoded, readings, told
from refgrad.kinds.record import Call, Driven, Graph, Record, Results, Situation
from refgrad.kinds.stateless import Answer, Stateless, misshapen
from refgrad.oracle.acceptance.findings import Counts
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.quantized_parts import (
    fitting,
    foresee,
    forms_of,
    has_graph,
    judge_decoded,
    judge_parts,
    shapes_of,
    truth_of,
)
from refgrad.oracle.inputs.cases import Arrays, Cases
from refgrad.oracle.inputs.codes import (
    every_code,
    given_parts,
    is_of_codes,
    of_own_parts,
    parts_of_nan,
    under_given_parts,
)
from refgrad.oracle.inputs.quantizers import generate, sizes
from refgrad.oracle.inputs.simpler import halves
from refgrad.oracle.inputs.undefined import chosen_by_infinities, followed, not_finite, of_every_nan
from refgrad.quantizers.base import Quantizer
from refgrad.quantizers.cast import Cast
from refgrad.quantizers.elements import ElementQuantizer
from refgrad.quantizers.gguf.blocks import BlockFormat
from refgrad.quantizers.gradients import OneBit
from refgrad.tracing import Plans, free_values, plan_for

#: bits of codes of which programs keep two in a byte
NARROW = 4
#: rows of the cases on which hypotheses are tried
ROWS = 4


class QuantizerKind(Stateless):
    """See `refgrad.kinds.kind`; a case is ``x``, and what the rule takes besides (a tensor's scale, random bits)."""

    name = "quantizer"
    counted = False
    results_hang_together = True
    legal_inputs = "refgrad.Cases with x"

    def resolve(
        self, candidate: Any, rule: Any, options: Mapping[str, Any], state_names: Mapping[str, str] | None
    ) -> Any:
        """The candidate, with the parts that it is handed."""
        return handed_parts(super().resolve(candidate, rule, options, state_names), rule)

    def find(self, candidate: Any, options: Mapping[str, Any]) -> Any:
        """The candidate that a thing is."""
        return resolve(candidate, options)

    def shown_otherwise(self, rule: Quantizer) -> list[Quantizer]:
        """Those of which a candidate may leave out a part that is the same for every array, or has codes of another range."""
        form = lambda each: (each.constant_parts(), getattr(each, "code_range", None))  # noqa: E731
        found = {form(rule): rule}
        for _, variant in rule.variants():
            found.setdefault(form(variant), variant)
        return list(found.values())[1:]

    def generate(self, rule: Quantizer, steps: int, dtype: np.dtype, seed: int, subject: Any = None) -> Cases:
        """One case a family; of a decoder alone every code, and the rule's parts of these cases."""
        if subject is not None and subject.given:
            if not has_graph(rule):
                raise ArgumentError(f"{rule} does not say what codes are under given {', '.join(subject.given)}")
            return under_given_parts(rule, generate(rule, dtype, seed), subject.given)
        if subject is None or subject.quantize is not None:
            return generate(rule, dtype, seed)
        cases, own = every_code(rule, dtype, seed), of_own_parts(rule, generate(rule, dtype, seed))
        if cases is None:
            if own is None:
                raise ArgumentError(f"{rule} gives no parts of generated arrays; legal: inputs with x and the parts")
            return own
        return cases.with_more(own)

    def promised(self, subject: Any) -> tuple[str, ...]:
        """NaN and infinities, of who quantizes."""
        return () if subject.quantize is None else NOT_FINITE

    def situations(self, rule: Quantizer, asked: Driven) -> Iterator[Situation]:
        """Every code that can be handed to a decoder, then those of every kind, and NaN and infinities.

        A decoder alone is handed the rule's parts of the arrays that an encoder is driven with.

        Of a group with NaN or an infinity a scale is judged that is a sum or a maximum of what is in it. What becomes of codes,
        and of scales that are powers of two or chosen among candidates, programs settle in several ways.
        """
        if asked.subject is not None and asked.subject.given:
            for each in super().situations(rule, asked):
                # another setting has its cases of the candidate already
                made = (
                    each.cases
                    if each.name == SETTING
                    else under_given_parts(each.rule, each.cases, asked.subject.given)
                )
                yield dataclasses.replace(each, cases=made)
            return
        if asked.subject is None or asked.subject.dequantize is not None:
            cases = every_code(rule, asked.dtype, asked.seed)
            if cases is not None:
                yield Situation("codes", cases, rule)
        if asked.subject is None or asked.subject.quantize is not None:
            yield from super().situations(rule, asked)
            yield from self._not_finite(rule, asked)
        elif asked.subject is not None:
            for each in super().situations(rule, asked):
                # another setting has its cases of the candidate already
                cases = each.cases if each.name == SETTING else of_own_parts(each.rule, each.cases)
                if cases is not None:
                    yield dataclasses.replace(each, cases=cases)
        if asked.subject is not None and asked.subject.dequantize is not None:
            yield from self._parts_of_nan(rule, asked)

    def _parts_of_nan(self, rule: Quantizer, asked: Driven) -> Iterator[Situation]:
        """For a way back: the parts of groups with NaN, where each element of such a group stands for NaN."""
        cases = self.sizes(rule, asked.dtype, asked.seed)
        made = {} if cases is None else not_finite(cases, rule.primary, functools.partial(self._takes, rule))
        parts = parts_of_nan(rule, made["NaN"]) if "NaN" in made else None
        if parts is not None:
            yield Situation("NaN", parts, rule)

    def _not_finite(self, rule: Quantizer, asked: Driven) -> Iterator[Situation]:
        cases = self.sizes(rule, asked.dtype, asked.seed)
        made = {} if cases is None else not_finite(cases, rule.primary, functools.partial(self._takes, rule))
        for name, each in made.items():
            outputs = _followed(rule, name, each.arrays[0])
            if outputs:
                yield Situation(name, dataclasses.replace(each, outputs=outputs, nan_open=True), rule)
            if name == "NaN" and isinstance(
                rule, Cast
            ):  # elements are cast by themselves: there may be any number of NaN
                every = dataclasses.replace(each.mapped(of_every_nan), names=["every NaN"])
                yield Situation(name, dataclasses.replace(every, outputs=outputs, nan_open=True), rule)

    def sizes(self, rule: Quantizer, dtype: np.dtype, seed: int) -> Cases | None:
        """A case a shape."""
        return sizes(rule, dtype, seed, large=not rule.searches)

    def checked(self, rule: Quantizer, cases: Cases) -> Cases:
        """Cases that have ``x``, with what the rule takes besides."""
        for arrays in cases.arrays:
            if "x" not in arrays:
                raise ArgumentError(f"inputs have {sorted(arrays)}, and no 'x'; legal: {self.legal_inputs}")
        return Cases([_whole(rule, dict(arrays)) for arrays in cases.arrays], cases.names, cases.seed)

    def expected(self, rule: Quantizer) -> tuple[str, ...]:
        """The parts, and what they stand for."""
        return (*rule.parts, "y")

    def start(self, subject: Any, rule: Quantizer, call: Call) -> Callable[[Arrays], Any]:
        """Both ways at once: the parts of ``x``, and ``y``, what the candidate makes of them."""
        return lambda arrays: call(functools.partial(_both_ways, subject, rule, arrays), subject.name)

    def forms(self, rule: Quantizer, arrays: Arrays) -> Any:
        """Shapes and dtypes of the parts, in which they are handed to the way back."""
        with contextlib.suppress(ArgumentError):  # which is raised where the answer is read
            return None if is_of_codes(rule, arrays) else forms_of(rule, arrays)
        return None

    def foresee(self, rule: Quantizer, arrays: Arrays, forms: Any) -> None:
        """Know these without the parts."""
        foresee(rule, arrays["x"], forms)

    def results(self, rule: Quantizer, arrays: Arrays, returned: Any, name: str) -> Results:
        """Parts in the rule's shapes; of a decoder ``y`` alone."""
        if "y" in returned and returned["y"].shape != arrays["x"].shape:
            raise misshapen("the dequantized array", returned["y"].shape, arrays["x"].shape)
        return dict(returned) if is_of_codes(rule, arrays) else fitting(returned, rule, arrays)

    def judge(self, rule: Quantizer, arrays: Arrays, seen: Results, policy: Policy, plans: Plans = plan_for) -> Answer:
        """Each part that was seen, then ``y``."""
        if is_of_codes(rule, arrays):
            return judge_decoded(rule, arrays, seen["y"], policy, plans)
        given = given_parts(rule, arrays)
        if not given:
            return judge_parts(rule, arrays, dict(seen), policy, plans)
        rest, shapes = {n: a for n, a in arrays.items() if n not in given}, shapes_of(rule, arrays)
        parts = {n: a.reshape(shapes[n]) for n, a in given.items()}
        judged = judge_parts(rule, rest, {**parts, **seen}, policy, plans)
        return {n: found for n, found in judged.items() if n not in given}

    def departures(self, rule: Quantizer) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """What becomes of numbers before they are quantized, and of codes after."""
        for reading in readings(rule):
            yield reading.name, reading.sentence, {READING: reading.name if reading.name in READINGS else reading}

    def told_departures(self, rule: Quantizer, record: Record) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """What becomes of small numbers, and of large ones, as a run tells it."""
        pairs = zip(record.cases.arrays, record.seen, strict=True)
        shown = [(a["x"], seen) for a, seen in pairs if seen is not None and not is_of_codes(rule, a)]
        for reading in told(rule, shown):
            yield reading.name, reading.sentence, {READING: reading}

    def read(self, rule: Quantizer, arrays: Arrays, seen: Results, how: Mapping[str, Any]) -> tuple[Arrays, Results]:
        """A case and its parts with a departure undone; where parts are decoded alone, one of decoders."""
        if READING not in how:
            return arrays, seen
        if is_of_codes(rule, arrays):
            return arrays, read_decoded(arrays, seen, how[READING])
        return read(rule, arrays, seen, how[READING])

    def exactly(self, rule: Quantizer, record: Record, digits: int) -> dict[str, Any]:
        """The numbers that are one a row: scales, which come first."""
        graph = self.graph(rule, record.cases.arrays[-1])
        if graph is None or not record.cases.arrays[-1]["x"].size:
            return {}
        try:
            found = graph.exactly(rule, digits)
        except ArgumentError:  # a package's own thresholds have no exact midpoints
            return {}
        return {n: np.reshape(found[n], -1) for n in rule.gives() if n in found}

    def unit(self, rule: Quantizer, name: str, arrays: Arrays, values: np.ndarray) -> np.dtype:
        """The dtype in which parts are computed."""
        return dtypes.working(arrays["x"].dtype)

    def notes(self, subject: Any, record: Record, counts: Counts) -> Iterator[str]:
        """The parts that are handed over, because of what arguments are called; and that packing is not judged."""
        given = getattr(subject, "given", ())
        if given:
            yield (
                f"{subject.name} is handed {', '.join(given)}, since it takes what is called so, and its codes are judged under "
                "these; an argument that means something else needs another name"
            )
        elif subject.quantize is not None and _share_bytes(record.rules[0]):
            yield "one code an element is judged; how a program packs several into a byte is not"

    def mode(self, tensors: Iterable[str], record: Record) -> str:
        """Part by part."""
        return "part by part, each given those before it"

    def comparable(self, rule: Quantizer, other: Quantizer, record: Record) -> bool:
        """The same parts in the same shapes, of the same arrays."""
        first = record.cases.arrays[0]
        besides = other.besides(first["x"], np.random.Generator(np.random.Philox(0)))
        if other.parts != rule.parts or set(first) - set(rule.parts) != {"x", *besides}:
            return False
        try:
            return all(shapes_of(other, a) == shapes_of(rule, a) for a in record.cases.arrays)
        except ArgumentError:
            return False

    def smaller(self, rule: Quantizer, cases: Cases, index: tuple[int, ...]) -> Iterator[Cases]:
        """Axes that are cut, which groups may be made of, halves of a flat array, and the element that failed alone.

        Alone is beside those that scales are made of. Of codes there are none.
        """
        if is_of_codes(rule, cases.arrays[0]):
            return
        given = given_parts(rule, cases.arrays[0])
        if any(a.ndim for a in given.values()):  # of which each stands for a group
            return
        yield from (_case(rule, part, given) for part in _fewer_lines(cases.arrays[0]["x"]))
        x = cases.arrays[0]["x"].reshape(-1)
        half = x.size // 2
        if half:
            yield from (_case(rule, part.copy(), given) for part in (x[:half], x[half:]))
        shape = cases.arrays[0]["x"].shape
        if len(index) == len(shape) and all(i < n for i, n in zip(index, shape, strict=True)):
            at = int(np.ravel_multi_index(index, shape))
            for ends in ((int(np.abs(x).argmax()),), (int(x.argmin()), int(x.argmax()))):
                few = x[[*ends, at]].copy()
                if few.size < x.size:
                    yield _case(rule, few, given)

    def reduced(self, record: Record) -> Cases | None:
        """The first rows of every case, where the rule takes them."""
        cases, rule = record.cases, record.rules[0]
        return Cases([_few(rule, dict(arrays)) for arrays in cases.arrays], cases.names, cases.seed)

    def grouped(self, rule: Quantizer, array: np.ndarray) -> np.ndarray | None:
        """The numbers that share a scale."""
        return groups_of(rule, array)

    def graph(self, rule: Any, arrays: Arrays) -> Graph | None:
        """Rows, of quantizers that are written as a body on rows."""
        if not has_graph(rule):
            return None
        x = arrays["x"]
        wide = x if x.dtype == np.float64 else np.ascontiguousarray(x, dtypes.working(x.dtype))
        rows = rule.given(np.ascontiguousarray(wide), rule.layout(x.shape))
        return Graph(rows, rows["x"].shape)

    def literal(self, rule: Quantizer, arrays: Arrays, plans: Plans = plan_for) -> list[np.ndarray]:
        """What the graph gives, or the parts themselves where there is none."""
        wide = {n: np.asarray(a, np.float64) for n, a in arrays.items()}
        if has_graph(rule):
            return super().literal(rule, wide, plans)
        return [np.asarray(a, np.float64) for a in truth_of(rule, wide).values()]

    def laws(self, rule: Quantizer) -> tuple[Any, ...]:
        """Those of quantizers."""
        from refgrad.kinds.laws.quantizer import LAWS

        return LAWS


def _whole(rule: Quantizer, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A case with what the rule takes besides ``x``, made where it is not there."""
    made = rule.besides(arrays["x"], np.random.Generator(np.random.Philox(0)))
    return {**made, **arrays}


def _few(rule: Quantizer, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The first rows of a case; all of it if the rule does not take them alone."""
    x = arrays["x"]
    if x.ndim < 2 or len(x) <= ROWS or is_of_codes(rule, arrays) or given_parts(rule, arrays):
        return arrays
    few = x[:ROWS].copy()
    try:
        made = {"x": few, **rule.besides(few, np.random.Generator(np.random.Philox(0)))}
        rule.quantize(**made)
    except ArgumentError:
        return arrays
    return made


def _fewer_lines(x: np.ndarray) -> Iterator[np.ndarray]:
    """An array of several axes with each of them cut."""
    for axis, length in enumerate(x.shape if x.ndim > 1 else ()):
        for part in halves(length):
            yield np.ascontiguousarray(x[(*[slice(None)] * axis, part)])


def _case(rule: Quantizer, x: np.ndarray, given: Arrays) -> Cases:
    return Cases([{**_whole(rule, {"x": x}), **given}], [""])


def _followed(rule: Quantizer, name: str, arrays: Arrays) -> frozenset[str]:
    """The parts of an array with NaN or an infinity that are judged: numbers of a group, and the codes of formats.

    Of quantizers without a graph those that are NaN because an element is; formats of llama.cpp, whose programs leave
    undefined what becomes of it, have none, nor has a choice of the largest or by sign, where programs count NaN or do not.
    """
    if isinstance(rule, Cast):
        return frozenset(rule.parts)
    if has_graph(rule):
        graph = plan_for(rule, 2, free_values((2, 2), {})).graph  # type: ignore[arg-type]
        numbers = {n for n in rule.parts if graph.outputs[n].axes != ELEMENT}
        found = (followed(graph, rule.primary, _said(rule)) & frozenset(numbers)) | _chosen(rule, name)
        return found - set(rule.constant_parts())  # which programs write down without looking at the array
    if isinstance(rule, ElementQuantizer) and name != "NaN":
        return _chosen(rule, name)
    if name != "NaN" or isinstance(rule, BlockFormat | OneBit) or "indices" in rule.parts:
        return frozenset()
    parts = {n: a for n, a in truth_of(rule, arrays).items() if a.dtype.kind == "f" and a.size < arrays["x"].size}
    return frozenset(n for n, a in parts.items() if np.isnan(a).any())


def _chosen(rule: Any, name: str) -> frozenset[str]:
    """The parts of a rule with a body that are chosen by comparisons with an infinity."""
    if name == "NaN":
        return frozenset()
    graph = plan_for(rule, 2, free_values((2, 2), {})).graph
    return chosen_by_infinities(graph, rule.primary, _said(rule)) & frozenset(rule.parts)


def _said(rule: Any) -> frozenset[str]:
    """The scales that are kept as codes of a format one of which says NaN, as the rule does of a group without a number."""
    kept = getattr(rule, "kept_scales", {}).items()
    return frozenset(
        n for n, form in kept if isinstance(form, FormatCodes) and form.nan == MINIFLOATS[form.format].nan_code
    )


def _share_bytes(rule: Quantizer) -> bool:
    """True if several codes fit into a byte, which the rule itself leaves to others."""
    least, most = rule.legal_codes or getattr(rule, "code_range", None) or (0, 255)
    return most - least < 1 << NARROW and not hasattr(rule, "unpack")


def _both_ways(subject: Any, rule: Quantizer, arrays: Arrays) -> dict[str, np.ndarray]:
    x, besides = arrays["x"], {n: a for n, a in arrays.items() if n != "x"}
    if is_of_codes(rule, arrays):
        return {"y": np.asarray(subject.dequantize(rule, {n: arrays[n].copy() for n in rule.parts}, x.copy()))}
    parts = dict(subject.quantize(rule, x, **besides))
    whole = {**given_parts(rule, arrays), **parts}
    if subject.dequantize is not None and set(rule.parts) <= set(whole):
        # in the rule's shapes, as the rule's own parts are
        handed = {n: a.copy() for n, a in fitting(whole, rule, arrays).items() if n != "y"}
        parts["y"] = np.asarray(subject.dequantize(rule, handed, x.copy()))
    return parts


KIND = QuantizerKind()
