"""The verdict: frozen, machine-readable, and explicit about where, by how much, and on which input."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from refgrad.arithmetic.dtypes import shortest
from refgrad.errors import VerdictError
from refgrad.oracle.acceptance.ulp_errors import Errors

SCHEMA = "refgrad-verdict-1"

CONFORMS, DIFFERS, UNJUDGED = "conforms", "does not conform", "could not be judged"
#: the modes of a rule with state, where all of it is read and where it is not, and of rules that have none
LOCKED, FREE, CASES = "step-locked", "free-running", "case by case"
EXIT_CODES: Mapping[str, int] = {CONFORMS: 0, DIFFERS: 1, UNJUDGED: 2}


@dataclass(frozen=True)
class Count:
    """How many elements of one tensor are inside, outside, or undecided (every answer seen is acceptable)."""

    inside: int = 0
    outside: int = 0
    undecided: int = 0

    @property
    def total(self) -> int:
        """All elements that were judged."""
        return self.inside + self.outside + self.undecided

    def __add__(self, other: Count) -> Count:
        return Count(self.inside + other.inside, self.outside + other.outside, self.undecided + other.undecided)


@dataclass(frozen=True)
class Finding:
    """One element outside its acceptance set.

    ``tensor`` is ``p`` or a state slot, ``leaf`` the path in the pytree; ``low`` and ``high`` bound the acceptance set;
    ``ulps`` is the distance from the truth in units in the last place of the truth (infinite for a wrong class, such as
    NaN); ``inputs`` are the values that the element was computed from (``t`` among them).
    """

    step: int
    tensor: str
    leaf: str
    index: tuple[int, ...]
    dtype: str
    value: float
    truth: float
    low: float
    high: float
    ulps: float
    inputs: Mapping[str, float]


@dataclass(frozen=True)
class Fault:
    """Something wrong besides a value: ``kind`` is a key of `FAULTS`."""

    kind: str
    step: int
    message: str


FAULTS: Mapping[str, str] = {
    "raised": "the candidate raised an exception",
    "shape": "an output has another shape than its parameter",
    "dtype": "an output has another dtype than its input had",
    "mutated": "the candidate changed its gradient or, though it is pure, its inputs",
    "aliased": "the candidate's state changes when the caller reuses the gradient's memory",
    "structure": "the candidate returned something that is not a parameter and its state",
    "hung": "the candidate did not return in time",
    "biased": "rounding by chance does not go up as often as the distances say, each time anew",
    "count": "a mask keeps another number of entries than the rule says",
}


@dataclass(frozen=True)
class Departure:
    """A named variant of the rule, or of the policy, under which the same observations were judged again."""

    name: str
    sentence: str
    outside: int
    total: int

    @property
    def explains(self) -> bool:
        """Whether no element is outside under it."""
        return self.outside == 0


@dataclass(frozen=True)
class Counterexample:
    """The smallest failing input found, as hex floats.

    Of an optimizer the parameter before the first step, each step's gradient, and each step's ``extras`` by name; of other
    rules ``arrays`` by name.
    """

    dtype: str
    shape: tuple[int, ...]
    p: tuple[str, ...] = ()
    g: tuple[tuple[str, ...], ...] = ()
    arrays: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    extras: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)


class WrongImplementationError(VerdictError):
    """Raised by `Verdict.raise_if_wrong`; its text is the rendered verdict."""


@dataclass(frozen=True)
class Verdict:
    """What the oracle says of a candidate; see `refgrad.verify`."""

    outcome: str
    candidate: str
    rule: str
    policy: Mapping[str, Any]
    #: how it was judged: `LOCKED` (from the candidate's own state at each step), perhaps with more words, `FREE` (enclosures
    #: carried from the start), or for a rule without state `CASES` or other words; ``steps`` and `Finding.step` then count cases
    mode: str
    steps: int
    dtype: str
    seed: int | None
    counts: Mapping[str, Count] = field(default_factory=dict)
    first: Finding | None = None
    faults: tuple[Fault, ...] = ()
    departures: tuple[Departure, ...] = ()
    counterexample: Counterexample | None = None
    reproduce: str = ""
    #: largest distance from the truth over half-width of the acceptance set, by tensor; at most 1 where all are inside
    tightest: Mapping[str, float] = field(default_factory=dict)
    #: distances from the truth in ulps, by tensor, of rules whose results are numbers
    errors: Mapping[str, Errors] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def conforms(self) -> bool:
        """Whether the candidate is the rule, as far as was seen."""
        return self.outcome == CONFORMS

    @property
    def exit_code(self) -> int:
        """0 conforms, 1 does not, 2 could not be judged."""
        return EXIT_CODES[self.outcome]

    @property
    def total(self) -> Count:
        """The counts of all tensors together."""
        return sum(self.counts.values(), Count())

    @property
    def explanation(self) -> Departure | None:
        """The first departure that explains all that was seen, if any does."""
        return next((d for d in self.departures if d.explains), None)

    def raise_if_wrong(self) -> Verdict:
        """The verdict itself if the candidate conforms; else `WrongImplementationError` with the whole report."""
        if not self.conforms:
            raise WrongImplementationError(str(self))
        return self

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain data; every float also as a hex float, infinities and NaN as strings.

        A finding's floats have besides the shortest decimal that reads back in the tensor's dtype.
        """
        found = self.first and {"first": plain(asdict(self.first), self.first.dtype)}
        return {"schema": SCHEMA, "exit_code": self.exit_code, **plain(asdict(self)), **(found or {})}

    def to_json(self, **options: Any) -> str:
        """The verdict as strict JSON."""
        return json.dumps(self.to_dict(), allow_nan=False, **options)

    def __str__(self) -> str:
        from refgrad.report.text import render

        return render(self)


def plain(value: Any, dtype: str | None = None) -> Any:
    """A record's fields as what JSON holds; with a dtype, floats also as its shortest decimals."""
    if isinstance(value, Mapping):
        return {str(k): plain(v, dtype) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v, dtype) for v in value]
    if isinstance(value, float):
        number = {"value": value if math.isfinite(value) else str(value), "hex": value.hex()}
        return number if dtype is None else {**number, "decimal": shortest(value, dtype)}
    return value
