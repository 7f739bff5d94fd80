"""What a planted fault is: where a rule's own program is changed, and what it knows of the call that it is changed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Results = dict[str, np.ndarray]
Arrays = Mapping[str, np.ndarray]

#: the situations of programs in use, and what is wrong there
SITUATIONS: Mapping[str, str] = {
    "shape": "a tail, an element beyond 2^16, a row or a stride is forgotten",
    "claim": "a number is taken and ignored, or is built in",
    "default": "what a neutral number hides is left out or wrong",
    "part": "a result or a state is not set, stale, or wrong in one element",
    "call": "what happens between calls: steps, counts, absent gradients, saved state",
    "leaf": "what happens between parameters: groups, state, counts",
    "value": "NaN, infinities, zeros, ties and ranges that are symmetric",
    "time": "late steps, and steps beyond a warm-up or an end",
}


@dataclass
class At:
    """The call that a program is in.

    Attributes:
        rule: the rule as the program follows it.
        given: the arrays that it was handed, by the rule's names.
        t: the step, counted from 1, as the rule counts it; of rules without steps the number of the call.
        call: the number of the call, counted from 1.
        leaf, leaves: which parameter, and of how many; 0 and 1 where there are none.
        memory: what the program keeps from call to call, by leaf.
    """

    rule: Any
    given: Arrays
    t: int
    call: int
    leaf: int = 0
    leaves: int = 1
    memory: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Fault:
    """A change of a rule's own program.

    Attributes:
        situation: a key of `SITUATIONS`.
        kind: what it is, such as "tail"; figures are added up by it.
        name: what it is in full.
        claim: what the program claims to be; None for the rule as it is.
        settings: from the rule that the program is told to the one that it follows.
        given: from the arrays that it is handed to those that it uses.
        result: from its results, what stood there before, and the call, to what it gives.
        count: the step that it takes this one for.
        left_out: whether it leaves a parameter as it is in this call.
        loaded: from a state that was saved, by slot with ``t``, to what is loaded.
        absent: what it does where there is no gradient: "advances" the state as if it were zero, "counts", or nothing.
        one_group: True if it uses the settings of the first group for all.
        state_of: the leaf whose state it uses for another; None for its own.
        reach: why no default run can find it; empty if one should.
    """

    situation: str
    kind: str
    name: str
    claim: Any = None
    settings: Callable[[Any], Any] = lambda rule: rule
    given: Callable[[Arrays], Arrays] | None = None
    result: Callable[[Results, Arrays, At], Results] | None = None
    count: Callable[[At], int] | None = None
    left_out: Callable[[At], bool] | None = None
    loaded: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    absent: str = ""
    one_group: bool = False
    state_of: int | None = None
    reach: str = ""


def only(names: frozenset[str], change: Callable[[np.ndarray, np.ndarray, At], np.ndarray]) -> Any:
    """A change of some results alone.

    Args:
        names: of the results; all if there are none.
        change: from a result, what stood there before (zeros of a rule without state) and the call to what is given.
    """

    def changed(new: Results, old: Arrays, at: At) -> Results:
        wanted = [n for n in new if not names or n in names]
        return {n: change(new[n], before(n, new[n], old), at) if n in wanted else new[n] for n in new}

    return changed


def before(name: str, new: np.ndarray, old: Arrays) -> np.ndarray:
    """What stood in the place of a result before; zeros where nothing did."""
    known = old.get(name)
    return np.zeros_like(new) if known is None or known.shape != new.shape else known


def spoilt(values: np.ndarray) -> np.ndarray:
    """Other values in the place of some: the other truth, the next code, or far from what is right."""
    if values.dtype == bool:
        return ~values
    if values.dtype.kind in "iu":
        return values ^ np.ones_like(values)
    with np.errstate(all="ignore"):
        return values * np.asarray(2, values.dtype) + np.asarray(1, values.dtype)
