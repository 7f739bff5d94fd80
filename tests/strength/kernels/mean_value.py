"""``python -m tests.strength.kernels.mean_value``: the mean-value form of bounds, held against right programs and faults.

An element is off by no more than the sum, over all operations, of what each adds by itself times the size of the element's
derivative by its result. `refgrad` judges by bounds that go from operand to result; where errors cancel, these are wider.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from refgrad.arithmetic.dtypes import whole_numbers
from refgrad.arithmetic.explorer import Explorer
from refgrad.arithmetic.left_out import NONE, Marks
from refgrad.arithmetic.ranged import Ranged
from refgrad.arithmetic.reverse import Receives, Record
from refgrad.arithmetic.running_error import Bounded, exact
from refgrad.errors import RefgradError
from refgrad.kinds.table import kind_of
from refgrad.oracle.acceptance.bodies import named
from refgrad.oracle.acceptance.comparing import model_for
from refgrad.oracle.acceptance.policy import Policy
from tests.strength.kernels import faults
from tests.strength.kernels.__main__ import right
from tests.strength.kernels.program import Program, called

#: cases of each program, and the worst elements of each that are looked at
CASES, WORST = 7, 3
#: the faults that sets accept
ACCEPTED = ("log2 e cut", "1e-6 is added", "1e-7 is added")


class Local(Record):
    """A record that keeps what each operation adds by itself: its operands count as exact."""

    def __init__(self) -> None:
        super().__init__()
        self.local: dict[int, np.ndarray] = {}

    def noted(self, inner: Any, receives: Sequence[tuple[Any, Receives]]) -> Any:
        """As `Record.noted`, without the bound of the value, which is kept."""
        if not isinstance(inner, Ranged):
            return super().noted(inner, receives)
        bound = np.broadcast_to(inner.known.bound(), inner.shape)
        found = super().noted(inner.of(Bounded(np.array(np.broadcast_to(inner.known.value, inner.shape)))), receives)
        if found.entry is not None:
            self.local[found.entry] = bound
        return found

    def sizes(self, entry: int, one: Any) -> Mapping[int, np.ndarray]:
        """The size of the derivative by each operation's result.

        Args:
            entry: the operation whose result is differentiated.
            one: what it receives: one at the element, and zero elsewhere.
        """
        received, marks, found = {entry: one}, {entry: NONE}, dict[int, np.ndarray]()
        for number in range(entry, -1, -1):
            if number not in received:
                continue
            upstream, given = received.pop(number), marks.pop(number)
            found[number] = np.abs(upstream.known.value if isinstance(upstream, Ranged) else np.asarray(upstream))
            for parent, get in self.entries[number].parents:
                gradient, own = get.of(upstream, given), get.marks(given)
                received[parent] = received[parent] + gradient if parent in received else gradient
                marks[parent] = _met(marks, parent, own)
        return found


def _met(marks: Mapping[int, Marks], parent: int, own: Marks) -> Marks:
    return marks[parent].met(own) if parent in marks else own


def bounds(
    body: Callable[..., Any], arrays: Mapping[str, np.ndarray], places: Iterable[tuple[str, tuple[int, ...]]]
) -> list[float]:
    """The mean-value form, to first order, of some elements of a body's results.

    Args:
        body: the body.
        arrays: what it is handed, of float32.
        places: results, each with an index.

    Returns:
        How far each element may be off.
    """
    model, record, explorer = model_for(Policy(), np.dtype(np.float32)), Local(), Explorer(())
    given = [
        a.copy() if whole_numbers(a) else record.variable(Ranged(exact(a.astype(np.float64), model), model, explorer))
        for a in arrays.values()
    ]
    like = next(x.inner for x in given if not isinstance(x, np.ndarray))
    found = []
    with np.errstate(all="ignore"):
        results = named(body(*given))
        for name, index in places:
            one = np.zeros(results[name].shape)
            one[index] = 1.0
            sizes = record.sizes(results[name].entry, like.of(Bounded(one)))
            parts = [np.where(b == 0, 0.0, b * sizes[n]) for n, b in record.local.items() if n in sizes]
            found.append(float(sum(np.sum(part) for part in parts)))
    return found


def measured(program: Program) -> tuple[float, float, float, float]:
    """How far a program goes.

    Args:
        program: of float32.

    Returns:
        The largest error over the mean-value form, and that over the acceptance set; the median of set over form, and the
        largest where the set is no whole line.
    """
    rule, form, of_set, wider = program.rule, 0.0, 0.0, list[float]()
    policy = Policy.of(dict(program.policy))
    # what is smaller than the smallest normal number may be zero where the policy says so, which is no rounding
    least = 2.0**-126 if policy.subnormals != Policy().subnormals else 2.0**-149
    kind: Any = kind_of(rule)
    for arrays in kind.generate(rule, CASES, np.dtype(np.float32), 0).arrays:
        own = named(rule(*arrays.values()))
        got = {n: np.reshape(a, np.shape(own[n])) for n, a in zip(own, called(program, arrays), strict=True)}
        for name, (judged, values) in kind.judge(rule, arrays, got, policy).items():
            error, half = np.abs(np.asarray(values, np.float64) - judged.truth), (judged.high - judged.low) / 2
            with np.errstate(all="ignore"):
                share = np.nan_to_num(error / half, posinf=0.0)
            places = [np.unravel_index(i, share.shape) for i in np.argsort(share.ravel())[::-1][:WORST]]
            for place, bound in zip(places, bounds(rule.apply, arrays, ((name, p) for p in places)), strict=True):
                width = bound + 2.0**-24 * abs(judged.truth[place]) + least
                form, of_set = max(form, error[place] / width), max(of_set, float(share[place]))
                wider.append(half[place] / width)
    return form, of_set, float(np.median(wider)), max(w for w in wider if w < np.inf)


def main(only: Sequence[str]) -> None:
    """Print a line for each right program, and for each fault that sets accept.

    Args:
        only: the formulas whose programs are measured; none for all.
    """
    accepted = (each for each in faults.programs() if any(part in each.name for part in ACCEPTED))
    for program in itertools.chain(right(), accepted):
        if program.dtype == "float32" and program.of in (only or (program.of,)):
            try:
                with np.errstate(all="ignore"):
                    form, of_set, wider, widest = measured(program)
            except RefgradError as error:
                print(f"{program.id}: {error}")
            else:
                print(
                    f"{program.id}: {form:.3f} of the form, {of_set:.3f} of the set, which is {wider:.2f} times as wide, "
                    f"and {widest:.4g} times at one element"
                )


if __name__ == "__main__":
    main(sys.argv[1:])
