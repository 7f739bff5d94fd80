"""What a verdict may come to, and what it says besides counts: departures, and the smallest input that fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from refgrad.oracle.acceptance.findings import Counts

CONFORMS, DIFFERS, UNJUDGED = "conforms", "does not conform", "could not be judged"
EXIT_CODES: Mapping[str, int] = {CONFORMS: 0, DIFFERS: 1, UNJUDGED: 2}


#: the share of an output's elements that may be undecided; with more of them its verdict says too little (docs/enclosure.md)
MOST_UNDECIDED = 0.9
#: the share from which on the first line says it
TOLD_UNDECIDED = 0.1


def much_undecided(counts: Counts) -> str:
    """The output of which most is undecided, with its share; empty if that is little.

    Args:
        counts: what became of the elements of each output.

    >>> from refgrad.oracle.acceptance.findings import Count
    >>> much_undecided({"p": Count(inside=6, undecided=4), "m": Count(inside=10)})
    '40% of p undecided'
    >>> much_undecided({"p": Count(inside=10)})
    ''
    """
    shares = {name: c.undecided / c.total for name, c in counts.items() if c.total}
    most = max(shares, key=lambda name: shares[name], default="")
    return f"{shares[most]:.0%} of {most} undecided" if most and shares[most] >= TOLD_UNDECIDED else ""


def why_unjudged(counts: Counts, undecided_nan: int) -> str:
    """Why a run in which nothing is outside says too little for "conforms"; empty if it does not.

    Args:
        counts: what became of the elements of each output.
        undecided_nan: how many of those that are undecided are NaN.
    """
    if not any(c.inside + c.outside for c in counts.values()):
        return "nothing of what it returned could be decided"
    if undecided_nan:
        return f"{undecided_nan} elements are NaN where nothing tells whether the rule gives NaN"
    for name, c in counts.items():
        if c.undecided > MOST_UNDECIDED * c.total:
            return (
                f"{c.undecided} of {c.total} elements of {name} are undecided, more than {MOST_UNDECIDED:.0%}: under this "
                "policy nearly anything could be right there"
            )
    return ""


#: the note, and the second line, where a search found nothing of a formula
UNEXPLAINED = "no known departure explains it"

#: how sure an explanation is: a fact; one that may be, because of a doubt that is told with it; or none, but near
FACT, MAY_BE, NEAR = "fact", "may be", "near"


def sureness(outside: int, doubt: str) -> str:
    """How sure an explanation is, from how many elements are outside under it, and what speaks against it."""
    return NEAR if outside else MAY_BE if doubt else FACT


@dataclass(frozen=True)
class Departure:
    """A named variant of the rule, or of the policy, under which the same observations were judged again.

    ``doubt`` says why one that explains all may yet not be what the candidate is; empty for a fact. ``known`` says whose rule
    of the claim's name is known to be that, such as ``optax.nadam``; empty of others. ``another`` is True of another rule, whose
    sentence says "it is ..." in place of what departs from the claim. ``sure`` is `FACT`, `MAY_BE` or, where elements are
    outside, `NEAR`, and follows.
    """

    name: str
    sentence: str
    outside: int
    total: int
    doubt: str = ""
    known: str = ""
    another: bool = False
    sure: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sure", sureness(self.outside, self.doubt))

    @property
    def place(self) -> bool:
        """True if it says where elements are wrong, and not what the candidate is instead."""
        return "wrong, and no others" in self.sentence

    @property
    def explains(self) -> bool:
        """True if no element is outside under it."""
        return self.outside == 0


@dataclass(frozen=True)
class Counterexample:
    """The smallest failing input found, as hex floats.

    Of an optimizer the parameter before the first step, each step's gradient, and each step's ``extras`` by name; of other
    rules ``arrays`` by name. ``events`` say what happens besides: gradients that are absent, state that is saved and loaded,
    a setting of its own.
    """

    dtype: str
    shape: tuple[int, ...]
    p: tuple[str, ...] = ()
    g: tuple[tuple[str, ...], ...] = ()
    arrays: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    extras: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    events: tuple[str, ...] = ()
