"""Masks: the candidate's scores, if it shows them, then its mask given the scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from refgrad.candidates.masks import MaskSeen, resolve_mask
from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import bad_argument
from refgrad.kinds import former_masks
from refgrad.kinds.record import Call, Driven, Graph, Record, Results, Wanted
from refgrad.kinds.stateless import Answer, Stateless
from refgrad.oracle.acceptance.findings import Fault, Output
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.selections import judge_mask, like_units
from refgrad.oracle.inputs.cases import Arrays, Cases
from refgrad.oracle.inputs.masks import generate, sizes
from refgrad.oracle.inputs.simpler import ranked, stretches
from refgrad.oracle.inputs.sizes import ODD
from refgrad.sparsity.base import Mask
from refgrad.tracing import Plans, plan_for


class MaskKind(Stateless):
    """See `refgrad.kinds.kind`; a case is ``w``, and whatever else the rule's scores are made of."""

    name = "mask"
    counted = False
    legal_inputs = "refgrad.Cases with w"

    def find(self, candidate: Any, options: Mapping[str, Any]) -> Any:
        """The candidate that a thing is."""
        return resolve_mask(candidate, options)

    def generate(self, rule: Mask, steps: int, dtype: np.dtype, seed: int, subject: Any = None) -> Cases:
        """One case a family, of the rule's example shape."""
        return generate(rule, dtype, seed)

    def few(self, rule: Mask, asked: Driven) -> Cases:
        """Those of every kind, and lengths of which a share is no whole number."""
        return super().few(rule, asked).with_more(sizes(rule, asked.dtype, asked.seed, ODD))

    def sizes(self, rule: Mask, dtype: np.dtype, seed: int) -> Cases | None:
        """A case a shape."""
        return sizes(rule, dtype, seed)

    def checked(self, rule: Mask, cases: Cases) -> Cases:
        """Cases that have ``w``."""
        for arrays in cases.arrays:
            if "w" not in arrays:
                raise bad_argument("inputs", sorted(arrays), "arrays by name, w among them")
        return cases

    def expected(self, rule: Mask) -> tuple[str, ...]:
        """The scores and the mask."""
        return ("scores", "mask")

    def start(self, subject: Any, rule: Mask, call: Call) -> Callable[[Arrays], Any]:
        """The candidate as it is."""
        return lambda arrays: call(lambda: subject.prune(rule, arrays), subject.name)

    def results(self, rule: Mask, arrays: Arrays, returned: Any, name: str) -> Results:
        """A mask of booleans, and scores as the rule arranges its own."""
        shape = arrays["w"].shape
        found = {"mask": booleans(np.asarray(returned.mask), shape)}
        if returned.scores is None:
            return found
        return {"scores": like_units(np.asarray(returned.scores), rule, shape), **found}

    def judge(self, rule: Mask, arrays: Arrays, seen: Results, policy: Policy, plans: Plans = plan_for) -> Answer:
        """The scores, then the mask given them."""
        judged = judge_mask(rule, arrays, MaskSeen(seen["mask"], seen.get("scores")), policy, plans)
        return {name: (statuses, seen[name]) for name, statuses in judged.items()}

    def beside(self, rule: Mask, arrays: Arrays, values: np.ndarray) -> Arrays:
        """What broadcasts to the weights."""
        w = arrays["w"]
        return {n: np.broadcast_to(a, w.shape) for n, a in arrays.items()} if values.shape == w.shape else {}

    def fault_of(self, record: Record, output: Output) -> Fault | None:
        """A mask that keeps another number of entries than the rule says."""
        if output.tensor != "mask":
            return None
        kept, legal = int(output.values.sum()), int(output.judged.truth.sum())
        if kept == legal:
            return None
        name = record.cases.name(output.leaf)
        message = f"{kept} of {output.values.size} entries are kept on {name!r}; legal: {legal}"
        return Fault("count", output.step, message)

    def departures(self, rule: Mask) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """What masks keep of those before them."""
        for name, way in former_masks.WAYS.items():
            yield name, way.sentence, {former_masks.FORMER: name}

    def outputs(self, record: Record, rules: list[Mask], wanted: Wanted) -> Iterator[Output]:
        """Scores and mask of each case that was answered; with the masks before it, where one keeps something of them."""
        if former_masks.FORMER in wanted.how:
            known = former_masks.before(zip(record.cases.arrays, record.seen, strict=False))
            found = former_masks.FormerMasks(wanted.how[former_masks.FORMER], known)
            wanted = replace(wanted, how={**wanted.how, former_masks.FORMER: found})
        yield from super().outputs(record, rules, wanted)

    def read(self, rule: Mask, arrays: Arrays, seen: Results, how: Mapping[str, Any]) -> tuple[Arrays, Results]:
        """A case with its mask as it were but for those before it."""
        if former_masks.FORMER not in how:
            return arrays, seen
        return arrays, {**seen, "mask": how[former_masks.FORMER].undone(rule, arrays, seen["mask"])}

    def mode(self, tensors: Iterable[str], record: Record) -> str:
        """What was judged: the scores too, if they were shown."""
        return "the scores, then the mask given the scores" if "scores" in set(tensors) else "the mask"

    def comparable(self, rule: Mask, other: Mask, record: Record) -> bool:
        """Scores made of the same arrays."""
        return rule.takes().keys() == other.takes().keys()

    def smaller(self, rule: Mask, cases: Cases, index: tuple[int, ...]) -> Iterator[Cases]:
        """Fewer rows and columns, and plain numbers in the same order."""
        yield from (Cases([arrays], [""]) for arrays in smaller(cases.arrays[0]))

    def graph(self, rule: Mask, arrays: Arrays) -> Graph | None:
        """What the scores are made of."""
        given = rule.prepare(arrays["w"], {n: a for n, a in arrays.items() if n != "w"})
        return Graph(given, given["w"].shape)

    def literal(self, rule: Mask, arrays: Arrays, plans: Plans = plan_for) -> list[np.ndarray]:
        """The mask."""
        wide = {n: np.asarray(a, np.float64) for n, a in arrays.items()}
        found = self.graph(rule, wide)
        assert found is not None
        scores = np.asarray(found.evaluated(rule, plans)["scores"], np.float64)
        return [rule.select(np.broadcast_to(scores, rule.score(**wide).shape)).astype(np.float64)]

    def laws(self, rule: Mask) -> tuple[Any, ...]:
        """Those of masks."""
        from refgrad.kinds.laws.mask import LAWS

        return LAWS


def booleans(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A mask of zeros and ones of any dtype as booleans; a `CandidateFault` if it is none."""
    if mask.shape != shape:
        raise CandidateFault("shape", f"the mask has shape {mask.shape}; legal: {shape}, that of w")
    if not np.all((mask == 0) | (mask == 1)):
        raise CandidateFault("structure", "the mask has values besides 0 and 1")
    return mask.astype(bool)


def smaller(arrays: Arrays) -> Iterator[dict[str, np.ndarray]]:
    """Fewer rows and columns of all arrays, then plain numbers in the same order for each array."""
    shape = arrays["w"].shape
    for axis, length in enumerate(shape):
        for part in stretches(length):
            yield {n: _cut(a, shape, axis, part) for n, a in arrays.items()}
    for name, array in arrays.items():
        plain = ranked(array)
        if plain.tobytes() != np.ascontiguousarray(array).tobytes():
            yield {**arrays, name: plain}


def _cut(array: np.ndarray, shape: tuple[int, ...], axis: int, part: slice) -> np.ndarray:
    """Part of an array along an axis of the weights, which it broadcasts to."""
    own = axis - (len(shape) - array.ndim)
    if own < 0 or array.shape[own] == 1 < shape[axis]:
        return array
    return np.ascontiguousarray(array[(slice(None),) * own + (part,)])


KIND = MaskKind()
