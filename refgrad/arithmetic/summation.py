"""How many roundings a term of a sum meets on its way to the sum: what orders of addition are told apart by.

A program that adds n numbers is a tree with n leaves, and a term takes one rounding at each addition above it. If no term is
below more than h additions, the sum is off by (1 + u)^h - 1 of the sum of magnitudes at most, which h u (1 + h u) is no less
than while h u is below one. Whatever the tree, (n - 1) u is enough (Jeannerod and Rump 2013, "Improved error bounds for inner
products in floating-point arithmetic").

An online sum of exponentials is multiplied at each addition by another one, of what the running maximum has risen by. A term then
takes a multiplication and the factor's own error as well; what the rises are rounded by adds up to no more than the rounding of a
term's whole distance from the maximum, which its exponential is charged.
"""

from __future__ import annotations

import math

from refgrad.arithmetic.bounded import Model

#: terms of a run that is added in turn, where sums are "blocked"
RUN = 32

#: what a factor of an online sum may be off by besides its roundings, in units roundoff: four units in the last place
FACTOR = 8.0
#: a logarithm of a number that float64 has
LARGEST = 700.0


def height(terms: int) -> int:
    """Additions that a term of a blocked sum is below at most: those of a run, of a balanced tree of runs, and one more.

    The one is for trees that are not quite balanced, such as NumPy's, and for what is left over beside whole lanes.

    Args:
        terms: how many are added.

    Returns:
        A whole number; that of a sum in turn, where there are few terms.

    >>> height(33), height(128), height(65536)
    (32, 34, 43)
    """
    runs = -(-terms // RUN)
    levels = math.ceil(math.log2(runs)) if runs > 1 else 0
    return max(min(terms - 1, RUN - 1 + levels + 1), 0)


def steps(terms: int, model: Model) -> float:
    """The error of a sum over its magnitude, in units of the roundoff in which it is added up.

    Args:
        terms: how many are added to one number.
        model: says in which orders, and in which format.

    Returns:
        The number of roundings, or a little more.
    """
    if model.sums == "any":
        return max(terms - 1, 0)
    if model.sums == "pairwise":
        return math.ceil(math.log2(terms)) + 1 if terms > 1 else 0
    if model.sums == "online":
        met = max(terms - 1, 0) * (2.0 + FACTOR + model.charge / model.unit_roundoff) * model.of_adding
        return math.expm1(min(met, LARGEST)) / model.of_adding
    high = height(terms)
    return min(max(terms - 1, 0), high * (1.0 + high * model.of_adding))
