"""The survey as its table has it: what each implementation was found to be when its row was last checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from refgrad.surveys.attempts import SHIELDS, sentences
from refgrad.surveys.cell import CONFORMS, DIFFERS, VARIANT, Cell, blank, reproduction
from refgrad.surveys.implementations.record import Implementation


def expected(rows: Iterable[Implementation], versions: Mapping[str, str]) -> tuple[Cell, ...]:
    """A cell a row without judging it: nothing is imported and nothing runs.

    Args:
        rows: of the table, such as `refgrad.surveys.implementations.known` gives them.
        versions: the versions that the rows were checked with, by package.

    Returns:
        Cells with outcome, variant, what has to be granted and the lines that reproduce them; without verdicts.

    >>> from refgrad.surveys.implementations import known
    >>> cells = expected(known(), {"torch": "2.13.0"})
    >>> next((c.outcome, c.version) for c in cells if c.called == "torch.optim.AdamW(fused=True)")
    ('conforms', '2.13.0')
    """
    return tuple(_cell(row, versions.get(row.package, "")) for row in rows)


def _cell(row: Implementation, version: str) -> Cell:
    outcome = DIFFERS if not row.explained else VARIANT if row.variant else CONFORMS
    scalars = [f"scalars={row.scalars}"] if row.scalars != row.claim.scalars else []
    policy = [f"{name}={value}" for name, value in row.policy.items()]
    shield = row.through in SHIELDS or row.mutates
    copied = ["gradient=copied"] if shield else []
    bare, through = repr(row.target), row.candidate_text()
    shielded = f"drivers.on_copies({row.target!r})" if row.mutates else through
    texts = (bare, shielded) if shield else (through,)
    return dataclasses.replace(
        blank(row, outcome),
        version=version,
        variant=", ".join(f"{name}={value}" for name, value in row.variant.items()),
        sentence=sentences(row.claim, row.variant),
        conditions=(*scalars, *policy, *copied),
        reproduce=reproduction(row, row.claim, {}, *texts),
    )
