"""The first thing to run: the AdamW implementations on this machine, judged against AdamW."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from refgrad.layout import Table
from refgrad.optimizers import AdamW
from refgrad.oracle.acceptance.findings import Count
from refgrad.oracle.engine.verdict import Verdict
from refgrad.oracle.engine.verdict_text import explanation
from refgrad.oracle.verify import verify
from refgrad.surveys.implementations import known


@dataclass(frozen=True)
class Case:
    """A candidate by its target string, with options for its constructor."""

    target: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def installed(self) -> bool:
        """True if its package is on this machine; nothing is imported to find out."""
        return find_spec(self.target.partition(":")[0].partition(".")[0]) is not None


FRAMEWORKS = (
    Case("torch.optim:AdamW", {"foreach": False}),
    Case("torch.optim:AdamW", {"foreach": True}),
    Case("torch.optim:AdamW", {"fused": True}),
    Case("optax:adamw"),
)
#: what there is without any framework
RIGHT = Case("refgrad.examples.numpy_adamw:adamw")
#: judged everywhere, so that a failing verdict is seen
WRONG = Case("refgrad.examples.numpy_adamw:adamw_eps_inside")


@dataclass(frozen=True)
class Judged:
    """A verdict, and what was granted for it: nothing, or what the survey grants the implementation."""

    verdict: Verdict
    granted: tuple[str, ...] = ()


def cases() -> list[Case]:
    """The frameworks' implementations that are installed, or an example that is right; and an example that is wrong."""
    return [*([case for case in FRAMEWORKS if case.installed] or [RIGHT]), WRONG]


def judged() -> Iterator[Judged]:
    """Each case's verdict, as it comes; under what the survey grants where it does not conform without."""
    for case in cases():
        scalars, policy = _needs(case.target)
        granted = bool(scalars or policy)
        found = _verdict(case, AdamW(), {}, explain=not granted)
        if found.conforms or not granted:
            yield Judged(found)
            continue
        told = tuple(f"{name}={value}" for name, value in {**scalars, **policy}.items())
        yield Judged(_verdict(case, AdamW(**scalars), policy, explain=True), told)


def _verdict(case: Case, rule: AdamW, policy: Mapping[str, Any], explain: bool) -> Verdict:
    return verify(case.target, rule, options=dict(case.options), policy=policy, explain=explain, shrink=False)


def _needs(target: str) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """The precision of scalars and the policy that the survey grants an implementation of AdamW."""
    row = next((r for r in known() if r.target == target and r.claim == AdamW()), None)
    if row is None:
        return {}, {}
    return ({"scalars": row.scalars} if row.scalars != AdamW().scalars else {}), row.policy


def table(found: list[Judged]) -> Table:
    """One row a verdict, within 80 columns."""
    rows = [(j.verdict.candidate, j.verdict.outcome, _outside(j.verdict.total)) for j in found]
    return Table(("candidate", "outcome", "outside"), tuple(rows))


def _outside(count: Count) -> str:
    return f"{count.outside} of {count.total}"


def remarks(found: list[Judged]) -> list[str]:
    """One line for each candidate that needs a word: what was granted, or what it is instead, as far as is known."""
    lines = []
    for one in found:
        verdict = one.verdict
        if one.granted and verdict.conforms:
            lines.append(f"{verdict.candidate} conforms given {', '.join(one.granted)}, which the survey grants it too")
        if not verdict.conforms:
            lines.append(f"{verdict.candidate}: {explanation(verdict) or 'see refgrad verify'}")
    return lines
