"""One cell of a survey: what an implementation is found to be, and what is needed to reproduce it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from refgrad.oracle.acceptance.ulp_errors import Binades, Errors
from refgrad.oracle.engine.reproduce import called
from refgrad.oracle.engine.verdict import Verdict
from refgrad.rule import Rule, short_name
from refgrad.rule_text import as_python
from refgrad.surveys.implementations.record import Implementation

CONFORMS, VARIANT, DIFFERS = "conforms", "named variant", "differs"
CRASHED, HUNG, UNJUDGED = "crashed", "hung", "not judged"

#: what a cell can say, best first, with a sentence each
OUTCOMES: Mapping[str, str] = {
    CONFORMS: "every value lies in its acceptance set",
    VARIANT: "not the rule as claimed, but a departure of it that has a name, under which every value lies inside",
    DIFFERS: "values lie outside, and no departure that was tried explains all of them",
    CRASHED: "it raised an exception, or ended its process",
    HUNG: "it did not return in time",
    UNJUDGED: "it could not be built or seen, and nothing is said of it",
}


@dataclass(frozen=True)
class Attempt:
    """One verdict on the way to a cell's outcome."""

    #: what was asked: "as claimed", "under scalars=float32", ...
    what: str
    outcome: str
    outside: int
    total: int


@dataclass(frozen=True)
class Cell:
    """What one implementation is found to be; plain data that goes to JSON and back."""

    key: str
    rule: str
    kind: str
    claim: str
    package: str
    column: str
    called: str
    version: str
    outcome: str
    #: what it is instead, as ``field=value``, and what that means
    variant: str = ""
    sentence: str = ""
    #: what had to be granted, such as ``scalars=float32`` or ``subnormals=either``
    conditions: tuple[str, ...] = ()
    #: why it crashed, hung or was not judged
    message: str = ""
    note: str = ""
    #: lines of Python that give the verdict again
    reproduce: str = ""
    attempts: tuple[Attempt, ...] = ()
    #: the verdict that decided, as text
    report: str = ""
    errors: Mapping[str, Errors] = field(default_factory=dict)
    #: the largest distance from the truth over the half-width of the acceptance set
    tightest: float | None = None
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; infinity as a string."""
        return _plain(asdict(self))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Cell:
        """The cell that `to_dict` gave."""
        known = {n: v for n, v in data.items() if n in cls.__dataclass_fields__}
        known["conditions"] = tuple(known.get("conditions", ()))
        known["attempts"] = tuple(Attempt(**a) for a in known.get("attempts", ()))
        known["errors"] = {n: _errors(e) for n, e in known.get("errors", {}).items()}
        return cls(**known)


def expected(row: Implementation) -> tuple[str, str]:
    """The outcome and the variant that a survey is to find of an implementation, as the table has it.

    Args:
        row: of the table.
    """
    if row.searched:
        return VARIANT, row.searched
    if not row.explained:
        return DIFFERS, ""
    named = ", ".join(f"{n}={value}" for n, value in row.variant.items()) if row.reached else ""
    return (VARIANT, named) if named else (CONFORMS, "")


def blank(row: Implementation, outcome: str, message: str = "", seconds: float = 0.0) -> Cell:
    """A cell of an implementation of which nothing but its outcome is known."""
    return Cell(
        key=row.key,
        rule=short_name(type(row.claim)),
        kind=row.claim.kind,
        claim=str(row.claim),
        package=row.package,
        column=row.column,
        called=row.called,
        version=row.version() or "",
        outcome=outcome,
        message=message,
        note=row.note,
        reproduce=reproduction(row, row.claim, dict(row.policy), row.candidate_text()),
        seconds=seconds,
    )


def reproduction(row: Implementation, rule: Rule, policy: Mapping[str, Any], *candidates: str) -> str:
    """Lines of Python that give a verdict on an implementation again; on each of the ways in which it is driven."""
    given = {"options": dict(row.options), "policy": dict(policy)}
    extra = "".join(f", {word}={as_python(value)}" for word, value in given.items() if value)
    if row.device:
        extra += f", device={row.device!r}"
    if row.steps != 10:
        extra += f", steps={row.steps}"
    modules = sorted({m for text in candidates if (m := text.partition(".")[0]).isidentifier()})  # else it is a target
    if row.inputs:
        modules.append("inputs")
        extra += f", inputs=inputs.{row.inputs}()"
    lines = ["import refgrad"] + [f"from refgrad.surveys.implementations import {m}" for m in modules]
    head = [f"{n}={v}" for n, v in row.environment.items()]
    comment = [f"# with {' '.join(head)} in the environment"] if head else []
    calls = [f"print(refgrad.verify({text}, {called(rule)}{extra}))" for text in candidates]
    return "\n".join([*comment, *lines, *calls])


def tightest(verdict: Verdict) -> float | None:
    """The largest share of its allowance that any value took."""
    return max(verdict.tightest.values(), default=None)


def _errors(data: Mapping[str, Any]) -> Errors:
    magnitudes = {
        int(low): Binades(b["low"], b["count"], b["outside"], float(b["largest"]))
        for low, b in data.get("magnitudes", {}).items()
    }
    return Errors(tuple(data["bins"]), tuple(data["outside"]), magnitudes)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
