"""The usual comparisons, each with its own defaults: what tests of optimizers use where refgrad is not.

They are written as their formulas, all at once, because millions of arrays are compared; that the functions themselves
answer so is tested in tests/oracle/test_strength.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from refgrad.oracle.engine.drive import Record

#: comparisons of the form |a - b| <= absolute + relative |b|, in float32, and these tolerances
TOLERANCES: Mapping[str, tuple[float, float]] = {
    "numpy.allclose": (1e-8, 1e-5),
    "numpy.testing.assert_allclose": (0.0, 1e-7),
    "torch.testing.assert_close": (1e-5, 1.3e-6),
    "chex.assert_trees_all_close": (0.0, 1e-6),
}
#: GoogleTest's ASSERT_FLOAT_EQ takes numbers of at most this distance for equal
ULPS = 4
ULP_JUDGE = f"{ULPS} ulps"

JUDGES = (*TOLERANCES, ULP_JUDGE)


def ulp_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How many float32 numbers lie between two, both zeros being one number."""

    def ordinal(x: np.ndarray) -> np.ndarray:
        bits = np.ascontiguousarray(x, np.float32).view(np.int32).astype(np.int64)
        return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)

    return np.abs(ordinal(a) - ordinal(b))


def rejected_by(a: np.ndarray, b: np.ndarray) -> set[str]:
    """The comparisons that do not take a float32 array ``a`` for the expected ``b``; NaN equals NaN."""
    with np.errstate(all="ignore"):
        other = ~((a == b) | (np.isnan(a) & np.isnan(b)))
        if not other.any():
            return set()
        a, b = a[other], b[other]
        distance, size = np.abs(a - b), np.abs(b)
        finite = np.isfinite(size)
        found = set()
        for name, (absolute, relative) in TOLERANCES.items():
            if not (finite & (distance <= np.float32(absolute) + np.float32(relative) * size)).all():
                found.add(name)
        if np.isnan(distance).any() or (ulp_distance(a, b) > ULPS).any():
            found.add(ULP_JUDGE)
        return found


def rejections(record: Record, leaf: int) -> Iterator[set[str]]:
    """For each step of a leaf, the comparisons that find it wrong.

    The candidate's new arrays are compared with those of the reference in float32, from the candidate's own last state: as
    near to refgrad's way of looking as they come.
    """
    rule, slots = record.rules[leaf], record.rules[leaf].slots()
    for t, grads in enumerate(record.inputs.g[: record.steps], 1):
        before, after = record.seen[t - 1], record.seen[t]
        arrays, numbers = record.inputs.of_leaf(t, leaf, rule)
        state = {"t": t - 1, **before.state[leaf]}
        want, state = rule.step(before.params[leaf], grads[leaf], state, backend="numpy", **arrays, **numbers)
        pairs = [(after.params[leaf], want)]
        pairs += [(after.state[leaf][n], state[n]) for n in slots if n in after.state[leaf]]
        yield set().union(*(rejected_by(np.asarray(a, np.float32), np.asarray(b, np.float32)) for a, b in pairs))
