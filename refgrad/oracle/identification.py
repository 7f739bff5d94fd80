"""What `identify` found: frozen, machine-readable, and explicit about what was tried."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from refgrad.layout import render_html, render_sections
from refgrad.oracle import identification_text
from refgrad.oracle.acceptance.findings import Fault
from refgrad.oracle.engine.verdict import plain
from refgrad.oracle.explanation import EXIT_CODES, Explanation

SCHEMA = "refgrad-identification-1"


@dataclass(frozen=True)
class Identification:
    """What a candidate is, as far as is known; see `refgrad.identify`.

    Attributes:
        outcome: "identified", "ambiguous", "unknown", "misbehaves" or "could not be judged".
        candidate: what was judged, as a text.
        claim: the rule that was asked for, or None where all were tried.
        explanations: those with nothing outside, the simplest first; where there are several, they differ in real arithmetic
            only on other inputs than were seen.
        nearest: those that come nearest where nothing explains the candidate, else empty.
        itself: the rule that the best explanation changes, as it is.
        rules: the names of the rules that could be tried.
        hypotheses: how many hypotheses were tried.
        mode: how it was judged, as in `refgrad.Verdict`.
        steps: how many steps were taken; for rules without state cases.
        dtype: the name of the dtype of the inputs.
        seed: the seed that the inputs were made from; None where the caller gave them.
        faults: what the candidate did wrong besides values: with one, the outcome is "misbehaves", and ``explanations`` are of
            what was seen nevertheless.
        environment: versions of what was loaded, the machine, and how subnormals are handled, by name.
        notes: what else is worth knowing, a sentence each.
    """

    outcome: str
    candidate: str
    claim: str | None
    explanations: tuple[Explanation, ...]
    nearest: tuple[Explanation, ...]
    itself: Explanation | None
    rules: tuple[str, ...]
    hypotheses: int
    mode: str
    steps: int
    dtype: str
    seed: int | None
    faults: tuple[Fault, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 identified, 1 nothing that is known, or misbehaves, 2 could not be judged."""
        return EXIT_CODES[self.outcome]

    @property
    def best(self) -> Explanation | None:
        """The simplest explanation, if there is one."""
        return self.explanations[0] if self.explanations else None

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data; every float also as a hex float."""
        return {"schema": SCHEMA, "exit_code": self.exit_code, **plain(asdict(self))}

    def to_json(self, **options: Any) -> str:
        """All of it as strict JSON; see `to_dict`.

        Args:
            options: keyword arguments of `json.dumps`, such as ``indent=2``.

        Returns:
            JSON text without NaN or infinities, which are strings in it.
        """
        return json.dumps(self.to_dict(), allow_nan=False, **options)

    def __str__(self) -> str:
        return render_sections(identification_text.sections(self))

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return render_html(identification_text.sections(self))
