"""Mask updates: the next mask given the present one, then the weights given the candidate's own next mask.

A mask is acceptable if some order of equal scores gives it. As for masks that is decided without a search: the rule itself
is run with the candidate's mask preferred among equals, and gives that mask, or differs from it where it is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from refgrad.candidates.faults import copies
from refgrad.candidates.mask_updates import resolve
from refgrad.errors import bad_argument
from refgrad.kinds.kind import NOT_FINITE
from refgrad.kinds.mask import booleans, smaller
from refgrad.kinds.record import Call, Driven, Record, Results, Situation
from refgrad.kinds.stateless import Answer, Stateless, misshapen
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE, UNDECIDED, Judged
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.inputs.cases import Arrays, Cases
from refgrad.oracle.inputs.mask_updates import generate, sizes
from refgrad.oracle.inputs.undefined import not_finite
from refgrad.sparsity.dynamic import MaskUpdate
from refgrad.tracing import Plans, plan_for


class MaskUpdateKind(Stateless):
    """See `refgrad.kinds.kind`; a case is ``w``, ``mask`` (zeros and ones), the rule's other arrays, and the step ``t``."""

    name = "mask-update"
    counted = False
    legal_inputs = "refgrad.Cases with w, mask, t and the rule's other arrays"

    def find(self, candidate: Any, options: Mapping[str, Any]) -> Any:
        """The candidate that a thing is."""
        return resolve(candidate, options)

    def generate(self, rule: MaskUpdate, steps: int, dtype: np.dtype, seed: int, subject: Any = None) -> Cases:
        """A case for each family of weights and step."""
        return generate(rule, dtype, seed)

    def sizes(self, rule: MaskUpdate, dtype: np.dtype, seed: int) -> Cases | None:
        """A case a shape."""
        return sizes(rule, dtype, seed)

    def promised(self, subject: Any) -> tuple[str, ...]:
        """NaN and infinities."""
        return NOT_FINITE

    def situations(self, rule: MaskUpdate, asked: Driven) -> Iterator[Situation]:
        """Those of every kind, then NaN and infinities among the weights.

        Which connections stay where a weight is NaN, programs settle in several ways; the weights under a mask they do not.
        """
        yield from super().situations(rule, asked)
        cases = sizes(rule, asked.dtype, asked.seed)
        made = {} if cases is None else not_finite(cases, rule.primary, partial(self._takes, rule), every=5)
        for name, each in made.items():
            yield Situation(name, replace(each, outputs=frozenset({"w"} if name == "NaN" else ())), rule)

    def checked(self, rule: MaskUpdate, cases: Cases) -> Cases:
        """Cases that have all arrays, of one shape."""
        for arrays in cases.arrays:
            for name in rule.takes():
                if name not in arrays or arrays[name].shape != arrays.get("w", arrays[name]).shape:
                    raise bad_argument("inputs", sorted(arrays), f"{', '.join(rule.takes())} of one shape, and t")
        return cases

    def expected(self, rule: MaskUpdate) -> tuple[str, ...]:
        """The next mask, and the weights under it."""
        return ("mask", "w")

    def start(self, subject: Any, rule: MaskUpdate, call: Call) -> Callable[[Arrays], Any]:
        """The candidate with masks as booleans, and the step as a number."""

        def ask(arrays: Arrays) -> Any:
            t = int(arrays["t"].reshape(-1)[0]) if "t" in arrays else 0
            given = {n: a for n, a in arrays.items() if n != "t"}
            return call(lambda: subject.next(rule, given, t), subject.name)

        return ask

    def handed(self, rule: MaskUpdate, arrays: Arrays) -> Arrays:
        """The rule's arrays, masks as booleans, and the step."""
        given = {n: arrays[n] for n in rule.takes()}
        return {**given, "mask": given["mask"] != 0, **({"t": arrays["t"]} if "t" in arrays else {})}

    def results(self, rule: MaskUpdate, arrays: Arrays, returned: Any, name: str) -> Results:
        """The next mask as booleans, and weights."""
        shape = arrays["w"].shape
        for result, array in returned.items():
            if array.shape != shape:
                raise misshapen(result, array.shape, shape)
        return {**returned, "mask": booleans(returned["mask"], shape)}

    def judge(self, rule: MaskUpdate, arrays: Arrays, seen: Results, policy: Policy, plans: Plans = plan_for) -> Answer:
        """The next mask, and the weights under it if they were seen."""
        return judge_update(rule, arrays, seen)

    def unit(self, rule: MaskUpdate, name: str, arrays: Arrays, values: np.ndarray) -> np.dtype:
        """That of the weights; a mask has none."""
        return np.dtype(bool) if name == "mask" else arrays["w"].dtype

    def mode(self, tensors: Iterable[str], record: Record) -> str:
        """Mask, then weights."""
        return "the next mask, then the weights given it"

    def comparable(self, rule: MaskUpdate, other: MaskUpdate, record: Record) -> bool:
        """The same arrays taken."""
        return rule.takes().keys() == other.takes().keys()

    def smaller(self, rule: MaskUpdate, cases: Cases, index: tuple[int, ...]) -> Iterator[Cases]:
        """Fewer rows and columns, and plain numbers in the same order."""
        arrays = cases.arrays[0]
        t = {n: a for n, a in arrays.items() if n == "t"}
        for part in smaller({n: a for n, a in arrays.items() if n != "t"}):
            yield Cases([{**part, **t}], [""])

    def literal(self, rule: MaskUpdate, arrays: Arrays, plans: Plans = plan_for) -> list[np.ndarray]:
        """The next mask and the weights; a mask update has no graph."""
        given, t = handed(rule, arrays)
        mask = rule.after(given, t)
        return [mask.astype(np.float64), np.asarray(rule.weights(given, mask, t), np.float64)]

    def laws(self, rule: MaskUpdate) -> tuple[Any, ...]:
        """Those of mask updates."""
        from refgrad.kinds.laws.mask_update import LAWS

        return LAWS


def handed(rule: MaskUpdate, arrays: Arrays) -> tuple[dict[str, np.ndarray], int]:
    """The arrays as rules take them, masks as booleans, and the step."""
    given = copies({n: arrays[n] for n in rule.takes()})
    return {**given, "mask": given["mask"] != 0}, int(arrays["t"].reshape(-1)[0]) if "t" in arrays else 0


def judge_update(rule: MaskUpdate, arrays: Arrays, seen: Results) -> dict[str, tuple[Judged, np.ndarray]]:
    """The next mask, and the weights under it if they were seen."""
    given, t = handed(rule, arrays)
    mask = seen["mask"]
    best, worst = rule.after(given, t, mask), rule.after(given, t, ~mask)
    status = np.where(mask != best, OUTSIDE, np.where(mask != worst, UNDECIDED, INSIDE)).astype(np.uint8)
    truth = best.astype(np.float64)
    answer = {"mask": (Judged(status, truth, truth, truth), mask.astype(np.float64))}
    if "w" in seen:
        want, values = rule.weights(given, mask, t).astype(np.float64), seen["w"].astype(np.float64)
        right = np.where((values == want) | (np.isnan(values) & np.isnan(want)), INSIDE, OUTSIDE)
        answer["w"] = (Judged(right.astype(np.uint8), want, want, want), values)
    return answer


KIND = MaskUpdateKind()
