"""The verdict: frozen, machine-readable, and explicit about where, by how much, and on which input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from refgrad.errors import VerdictError
from refgrad.layout import Section
from refgrad.oracle.acceptance.findings import AtStep, Count, Fault, Finding
from refgrad.oracle.acceptance.ulp_errors import Errors
from refgrad.oracle.engine import verdict_text
from refgrad.oracle.engine.outcomes import CONFORMS, EXIT_CODES, Counterexample, Departure
from refgrad.oracle.engine.result import Result, plain

if TYPE_CHECKING:
    import os

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class WrongImplementationError(VerdictError):
    """Raised by `Verdict.raise_if_wrong`; its text is the rendered verdict, and ``verdict`` the verdict itself."""

    def __init__(self, text: str, verdict: Verdict | None = None) -> None:
        super().__init__(text)
        self.verdict = verdict


@dataclass(frozen=True)
class Verdict(Result):
    """What the oracle says of a candidate; see `refgrad.verify`.

    Attributes:
        outcome: "conforms", "does not conform" or "could not be judged".
        candidate: what was judged, as a text.
        rule: the rule that it was judged as, with the hyperparameters that differ from the default or are claimed.
        policy: the fields of `refgrad.Policy` by name.
        mode: how it was judged: `LOCKED` (from the candidate's own state at each step), perhaps with more words, `FREE`
            (enclosures carried from the start), or for a rule without state `CASES` or other words.
        steps: how many steps were taken; for a rule without state cases, which `Finding.step` counts then too.
        dtype: the name of the dtype of the inputs.
        seed: the seed that the inputs were made from; None where the caller gave them.
        counts: how many elements of each tensor are inside, outside and undecided.
        first: the first element that is outside, if any is.
        faults: what the candidate did wrong besides values, such as changing its inputs.
        departures: what the candidate may be instead, under which the same observations were judged again.
        counterexample: the smallest failing input that was found, if one was looked for.
        reproduce: a command or program that gives the same verdict again; empty where there is none.
        tightest: the largest distance from the truth over half-width of the acceptance set, by tensor; at most 1 where all are
            inside.
        errors: distances from the truth in ulps, by tensor, of rules whose results are numbers.
        by_step: by tensor, and by step or case of the run that the verdict is about: what `plot` draws; it is no part of the
            document.
        environment: versions of what was loaded, the machine, and how subnormals are handled, by name.
        situations: how many cases each situation had that the candidate was driven through besides ordinary ones, by name.
        situation: the one in which something is wrong, and the rule there where it is set otherwise; empty for ordinary cases.
        unexercised: what the candidate was not exercised on, and why, a sentence each.
        out_of_reach: what no run like this one finds, of a candidate that conforms; empty of others.
        settings: where the candidate is set otherwise than is claimed, and what is claimed and cannot be read of it.
        isolation: where the candidate ran, if a process of its own was asked for: that it did, or "not isolated: " and why.
        notes: what else is worth knowing, a sentence each.
    """

    schema = "refgrad-verdict-1"

    outcome: str
    candidate: str
    rule: str
    policy: Mapping[str, Any]
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
    tightest: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, Errors] = field(default_factory=dict)
    by_step: Mapping[str, Mapping[int, AtStep]] = field(default_factory=dict, repr=False)
    environment: Mapping[str, str] = field(default_factory=dict)
    situations: Mapping[str, int] = field(default_factory=dict)
    situation: str = ""
    unexercised: tuple[str, ...] = ()
    out_of_reach: str = ""
    settings: tuple[str, ...] = ()
    isolation: str = ""
    notes: tuple[str, ...] = ()

    @property
    def conforms(self) -> bool:
        """True if the candidate is the rule, as far as was seen."""
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
        """Raise an error with the whole report unless the candidate conforms.

        Returns:
            The verdict itself.

        Raises:
            WrongImplementationError: the candidate does not conform, or could not be judged.
        """
        if not self.conforms:
            raise WrongImplementationError(str(self), self)
        return self

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain data; every float also as a hex float, infinities and NaN as strings.

        A finding's floats have besides the shortest decimal that reads back in the tensor's dtype.
        """
        found = self.first and {"first": plain(asdict(self.first), self.first.dtype)}
        fields = {name: value for name, value in asdict(self).items() if name != "by_step"}
        return {"schema": self.schema, "exit_code": self.exit_code, **plain(fields), **(found or {})}

    def plot(self, ax: Axes | None = None, path: str | os.PathLike[str] | None = None) -> Figure:
        """A picture: error over allowed, by step and tensor, on a logarithmic scale; where values are outside there is a cross.

        Args:
            ax: where to draw; by default in a figure of its own.
            path: a file to write the picture to, whose suffix is its format, such as ``"verdict.png"``.

        Returns:
            The figure, which `matplotlib.pyplot` does not know of, so that nothing is shown twice.

        Raises:
            ArgumentError: matplotlib is not installed (``refgrad[plot]``), or nothing was judged step by step.
        """
        from refgrad.oracle.engine import verdict_plot

        return verdict_plot.plot(self, ax, path)

    def sections(self) -> list[Section]:
        """What the report consists of: what is printed, and what a notebook shows."""
        return verdict_text.sections(self)
