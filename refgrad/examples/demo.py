"""The first thing to run: the AdamW implementations on this machine, judged against AdamW."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from refgrad.layout import Table
from refgrad.oracle.engine.verdict import Verdict
from refgrad.oracle.engine.verdict_text import explanation


@dataclass(frozen=True)
class Case:
    """A candidate by its target string, with options for its constructor."""

    target: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def installed(self) -> bool:
        """Whether its package is on this machine; nothing is imported to find out."""
        return find_spec(self.target.partition(":")[0].partition(".")[0]) is not None


FRAMEWORKS = (
    Case("torch.optim:AdamW", {"foreach": False, "fused": False}),
    Case("torch.optim:AdamW", {"foreach": True}),
    Case("torch.optim:AdamW", {"fused": True}),
    Case("optax:adamw"),
)
#: what there is without any framework: one that is right, one that is not
EXAMPLES = (Case("refgrad.examples.numpy_adamw:adamw"), Case("refgrad.examples.numpy_adamw:adamw_eps_inside"))


def cases() -> list[Case]:
    """The frameworks' implementations that are installed, or the examples if none is."""
    return [case for case in FRAMEWORKS if case.installed] or list(EXAMPLES)


def verdicts() -> Iterator[Verdict]:
    """Each case's verdict, as it comes."""
    import refgrad

    for case in cases():
        yield refgrad.verify(case.target, refgrad.optimizers.AdamW(), options=dict(case.options))


def table(judged: list[Verdict]) -> Table:
    """One row a verdict."""
    rows = []
    for verdict in judged:
        total = verdict.total
        row = (verdict.candidate, verdict.outcome, str(total.inside), str(total.outside), str(total.undecided))
        rows.append(row)
    return Table(("candidate", "outcome", "inside", "outside", "undecided"), tuple(rows))


def remarks(judged: list[Verdict]) -> list[str]:
    """One line for each candidate that does not conform: what it is instead, as far as is known."""
    return [f"{v.candidate}: {explanation(v) or 'see refgrad verify'}" for v in judged if not v.conforms]
