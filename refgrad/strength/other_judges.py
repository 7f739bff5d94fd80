"""The comparisons that tests use where refgrad is not, each with its own defaults.

They are written as their formulas, all at once, because millions of arrays are compared; that the functions themselves
answer so is tested in tests/strength/test_other_judges.py.
"""

from __future__ import annotations

import numpy as np

from refgrad.oracle.frontier import TOLERANCES

#: GoogleTest's ASSERT_FLOAT_EQ takes numbers of at most this distance for equal
ULPS = 4
ULP_JUDGE = f"{ULPS} ulps"

OTHER_JUDGES = (*TOLERANCES, ULP_JUDGE)


def ulp_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How many float32 numbers it is from one to the other, both zeros being one number.

    Args:
        a, b: float32 arrays of one shape, without NaN.

    Returns:
        An int64 array of that shape.
    """

    def ordinal(x: np.ndarray) -> np.ndarray:
        bits = np.ascontiguousarray(x, np.float32).view(np.int32).astype(np.int64)
        return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)

    return np.abs(ordinal(a) - ordinal(b))


def rejected_by(a: np.ndarray, b: np.ndarray) -> set[str]:
    """The judges that do not take an array for the expected one; NaN equals NaN.

    Args:
        a: what a program gave, a float32 array.
        b: what is expected, a float32 array of its shape.

    Returns:
        Names among `OTHER_JUDGES`.
    """
    with np.errstate(all="ignore"):
        other = ~((a == b) | (np.isnan(a) & np.isnan(b)))
        if not other.any():
            return set()
        a, b = a[other], b[other]
        distance, size = np.abs(a - b), np.abs(b)
        finite = np.isfinite(size)
        found = set()
        for name, (relative, absolute) in TOLERANCES.items():
            if not (finite & (distance <= np.float32(absolute) + np.float32(relative) * size)).all():
                found.add(name)
        if np.isnan(distance).any() or (ulp_distance(a, b) > ULPS).any():
            found.add(ULP_JUDGE)
        return found
