"""Judging a mask update: the next mask given the present one, then the weights given the candidate's own next mask.

A mask is acceptable if some order of equal scores gives it. As for masks that is decided without a search: the rule itself
is run with the candidate's mask preferred among equals, and gives that mask, or differs from it where it is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.candidates.faults import check_kept, copies
from refgrad.candidates.mask_updates import resolve
from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import bad_argument
from refgrad.oracle.acceptance.judge import INSIDE, OUTSIDE, UNDECIDED, Judged
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.request import Request
from refgrad.oracle.engine.run import Answer, Arrays, Claim, Record
from refgrad.oracle.engine.time_limit import Call
from refgrad.oracle.engine.verdict import Finding, Verdict
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.masks import FAMILIES
from refgrad.oracle.mask_shrink import smallest
from refgrad.sparsity.dynamic import MaskUpdate

SHAPE = (12, 16)


def judge(request: Request) -> Verdict:
    """The verdict on a candidate that claims to be a mask update."""
    rule = request.rule
    assert isinstance(rule, MaskUpdate)
    taken = ", ".join([*rule.takes(), "t"])
    cases = request.own(Cases, f" with {taken}") or generate(rule, request.dtype, request.seed)
    for arrays in cases.arrays:
        for name in rule.takes():
            if name not in arrays or arrays[name].shape != arrays.get("w", arrays[name]).shape:
                raise bad_argument("inputs", sorted(arrays), f"{', '.join(rule.takes())} of one shape, and t")
    return _Claim(resolve(request.candidate, request.options), rule, request).verdict(cases)


def generate(rule: MaskUpdate, dtype: np.dtype, seed: int) -> Cases:
    """A case for each family of weights and step: the mask keeps about half, and is full or empty once each."""
    random = np.random.Generator(np.random.Philox(seed))
    facts, arrays, names = dtypes.format_of(dtype), [], []
    families = {n: draw for n, draw in FAMILIES.items() if n != "NaN and infinities"}
    for number, (name, draw) in enumerate(families.items()):
        for t in rule.steps():
            w = draw(random, SHAPE, facts)
            share = (0.0, 1.0)[number] if t == rule.steps()[0] and number < 2 else 0.5
            case = {"w": w, "mask": (random.random(SHAPE) < share) * 1.0}
            for other, what in rule.inputs.items():
                few = random.integers(0, 4, SHAPE) / 4 * random.choice([-1.0, 1.0], SHAPE)
                case[other] = (
                    random.random(SHAPE) if what == "uniform" else few if number % 2 else draw(random, SHAPE, facts)
                )
            case["t"] = np.full(1, float(t))
            arrays.append({n: dtypes.round_to(a, dtype).astype(dtype) if n != "t" else a for n, a in case.items()})
            names.append(f"{name}, t={t}")
    return Cases(arrays, names, seed)


def handed(rule: MaskUpdate, arrays: Arrays) -> tuple[dict[str, np.ndarray], int]:
    """The arrays as rules take them, masks as booleans, and the step."""
    given = copies({n: arrays[n] for n in rule.takes()})
    return {**given, "mask": given["mask"] != 0}, int(arrays["t"].reshape(-1)[0]) if "t" in arrays else 0


class _Claim(Claim):
    mode = "the next mask, then the weights given it"
    counted = False

    def start(self, call: Call) -> Callable[[Arrays], Mapping[str, np.ndarray]]:
        def ask(arrays: Arrays) -> Mapping[str, np.ndarray]:
            given, t = handed(self.rule, arrays)
            before = copies(given)
            seen = call(lambda: self.subject.next(self.rule, given, t), self.subject.name)
            check_kept(given, before, self.subject.name)
            for name, array in seen.items():
                if array.shape != arrays["w"].shape:
                    raise CandidateFault("shape", f"{name} has shape {array.shape}; legal: {arrays['w'].shape}")
            if not np.all((seen["mask"] == 0) | (seen["mask"] == 1)):
                raise CandidateFault("structure", "the mask has values besides 0 and 1")
            return {**seen, "mask": seen["mask"].astype(bool)}

        return ask

    def notes(self, record: Record) -> list[str]:
        untold = record.seen and "w" not in record.seen[0]
        return [f"{self.subject.name} gives no weights, which are not judged"] if untold else []

    def judge_one(self, rule: MaskUpdate, arrays: Arrays, seen: Mapping[str, np.ndarray], policy: Policy) -> Answer:
        return judge_move(rule, arrays, seen)

    def comparable(self, rule: MaskUpdate, record: Record) -> bool:
        return rule.takes() == self.rule.takes()

    def unit_of(self, name: str, x: np.ndarray, values: np.ndarray) -> np.dtype:
        return np.dtype(bool) if name == "mask" else x.dtype

    def smallest(self, record: Record, first: Finding) -> Cases:
        fails = lambda arrays: self.fails(Cases([arrays], [""]))  # noqa: E731
        return Cases([smallest(record.cases.arrays[first.step - 1], fails)], [""])


def judge_move(rule: MaskUpdate, arrays: Arrays, seen: Mapping[str, np.ndarray]) -> Answer:
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
