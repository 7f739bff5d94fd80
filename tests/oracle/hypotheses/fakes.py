"""A kind, a rule and a screen that are as small as can be, to try the search of hypotheses by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np

from refgrad.candidates.protocol import CandidateFault
from refgrad.kinds.quantizer import KIND as QUANTIZERS
from refgrad.kinds.record import Call, Record, Results
from refgrad.kinds.stateless import Answer, Stateless
from refgrad.oracle.acceptance.findings import Count, Counts
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE, Judged
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.hypotheses.changes import Change, policies
from refgrad.oracle.hypotheses.protocol import Late
from refgrad.oracle.hypotheses.recovered import Recovered
from refgrad.oracle.inputs.cases import Arrays, Cases
from refgrad.rule import Choice, Flag, Positive, Real, Rule, Whole
from refgrad.tracing import Plan, Plans, plan_for


class Line(Rule):
    """y = slope x + shift, perhaps with the other sign; no rule of the catalogue."""

    slope: Positive = 2.0
    shift: Real = 0.0
    bits: Annotated[int, Whole(1, 40)] = 8
    sign: Annotated[str, Choice(kept="as it is", turned="the other sign")] = "kept"
    doubled: Annotated[bool, Flag("twice as much")] = False

    kind = "line"
    primary = "x"

    def takes(self) -> dict[str, str]:
        return {"x": "element"}

    def values(self, x: np.ndarray) -> np.ndarray:
        return (self.slope * x + self.shift) * (-1 if self.sign == "turned" else 1) * (2 if self.doubled else 1)


class LineKind(Stateless):
    """Judges to within a part in a million, and counts how often it does."""

    name = "line"

    def __init__(self) -> None:
        self.judged = 0

    def find(self, candidate: Any, options: Mapping[str, Any]) -> Any:
        return candidate

    def generate(self, rule: Any, steps: int, dtype: np.dtype, seed: int, subject: Any = None) -> Cases:
        random = np.random.Generator(np.random.Philox(seed))
        return Cases([{"x": random.standard_normal(8)} for _ in range(steps)])

    def start(self, subject: Any, rule: Any, call: Call) -> Callable[[Arrays], Any]:
        return lambda arrays: subject(arrays["x"])

    def results(self, rule: Any, arrays: Arrays, returned: Any, name: str) -> Results:
        return {"y": np.asarray(returned)}

    def judge(self, rule: Line, arrays: Arrays, seen: Results, policy: Policy, plans: Plans = plan_for) -> Answer:
        self.judged += 1
        if rule.bits == 13:
            raise CandidateFault("structure", "thirteen bits are none")
        truth = rule.values(arrays["x"])
        room = 1e-6 * np.abs(truth) + 1e-300
        status = np.where(np.abs(seen["y"] - truth) <= room, INSIDE, OUTSIDE).astype(np.uint8)
        return {"y": (Judged(status, truth, truth - room, truth + room), seen["y"])}

    def smaller(self, rule: Any, cases: Cases, index: tuple[int, ...]) -> Iterator[Cases]:
        return iter(())


def recorded(used: Line, claimed: Line | None = None, cases: int = 3) -> tuple[LineKind, Record]:
    """What a line answers that claims to be another."""
    kind = LineKind()
    made = kind.generate(used, cases, np.dtype(np.float64), 0)
    return kind, Record(made, [claimed or Line()], [{"y": used.values(a["x"])} for a in made.arrays])


RIGHT, WRONG = Count(inside=100), Count(50, 50)


@dataclass(eq=False)
class FakeScreen:
    """A screen that says of each change what it was told, by its name; of others that half is wrong."""

    told: Mapping[str, Counts | None] = field(default_factory=dict)
    rule: Rule = field(default_factory=Line)
    outputs: tuple[str, ...] = ("y",)
    values: list[Recovered] | None = None
    policy: Policy = field(default_factory=Policy)
    kind: Any = QUANTIZERS
    #: the names of the changes that were judged, and of those from which numbers were recovered
    asked: list[str] = field(default_factory=list)
    recovering: list[str] = field(default_factory=list)

    def counts(self, change: Change) -> Counts | None:
        self.asked.append(change.name)
        return self.told.get(change.name, dict.fromkeys(self.outputs, WRONG))

    def told_by_run(self) -> list[Change]:
        return []

    def policies(self) -> list[Change]:
        return list(policies(self.policy))

    def plans(self, change: Change) -> list[Plan]:
        return []

    def used(self) -> set[str]:
        return set(self.rule.numbers())

    def switched_on(self) -> list[Change]:
        return []

    def telling(self, change: Change, counts: Counts) -> list[str]:
        return [o for o, c in counts.items() if c.outside]

    def recover(
        self,
        change: Change,
        output: str,
        known: Mapping[str, float],
        thorough: bool,
        late: Late,
        near: Mapping[str, float] | None = None,
    ) -> list[Recovered] | None:
        self.recovering.append(change.name)
        return self.values

    def same(self, one: Change, other: Change) -> bool:
        return one.name == other.name
