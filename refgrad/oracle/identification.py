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

    ``explanations`` have nothing outside, the simplest first; where there are several, they differ in real arithmetic only
    on other inputs than were seen. ``nearest`` are those that come nearest where nothing explains the candidate, else empty.
    ``faults`` are what the candidate did wrong besides values: with one, the outcome is "misbehaves", and ``explanations``
    are of what was seen nevertheless.
    """

    outcome: str
    candidate: str
    #: the rule that was asked for, or None where all were tried
    claim: str | None
    explanations: tuple[Explanation, ...]
    nearest: tuple[Explanation, ...]
    #: the rule that the best explanation changes, as it is
    itself: Explanation | None
    #: rules that could be tried, and hypotheses that were
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
        """All of it as strict JSON."""
        return json.dumps(self.to_dict(), allow_nan=False, **options)

    def __str__(self) -> str:
        return render_sections(identification_text.sections(self))

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return render_html(identification_text.sections(self))
