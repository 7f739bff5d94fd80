"""Axes have names: what a value has axes of, which of them a fold takes, and what a product of matrices does to them.

A value's axes are a tuple of names, a place each, as NumPy aligns them: from the last one. A place of length one is `ONE`.
Where values meet, each place has one name, or is of length one; two names in one place are an error, at tracing. A fold takes
axes by name and leaves places of length one; a product of matrices folds the axis that its operands share.

A rule sees a parameter as a matrix: ``i`` is the parameter's first axis, ``j`` all of its others together. One number a row is
then ``("i", "1")``, which broadcasts against the parameter. A prime marks an axis that stands beside another of the same length.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache

from refgrad.errors import TraceError, bad_argument

#: the names of a value's axes, in order
Axes = tuple[str, ...]

#: a place of length one
ONE = "1"

#: a number that is no array
NUMBER: Axes = ()
ELEMENT: Axes = ("i", "j")
#: one number for each ``x[i, ...]``
ROW: Axes = ("i", ONE)
#: one number for each ``x[:, ...]``
COLUMN: Axes = (ONE, "j")
TENSOR: Axes = (ONE, ONE)
#: a square matrix that stands to the left, or to the right, of the parameter
LEFT: Axes = ("i'", "i")
RIGHT: Axes = ("j", "j'")
#: a basis of a subspace of a parameter's longer or shorter side, and the parameter seen in it: which of its axes is then the
#: basis's depends on their lengths
THIN: Axes = ("side", "rank")
LOW: Axes = ("low i", "low j")

#: numbers that are read by their places, of which there may be any number
TABLE: Axes = ("place",)

#: what a fold takes to leave one number a row, or one a column
EACH_ROW: Axes = ("j",)
EACH_COLUMN: Axes = ("i",)

#: a rule's words for what it has one number of
WORDS = {"element": ELEMENT, "row": ROW, "column": COLUMN, "tensor": TENSOR}


def named(word: str) -> Axes:
    """The axes of what there is one number of.

    Args:
        word: "element", "row", "column" or "tensor".

    >>> named("row")
    ('i', '1')
    """
    return WORDS[word]


def described(axes: Axes) -> str:
    """What a value of these axes is, to readers.

    >>> described(ROW), described(LEFT)
    ('one number a row', 'a square matrix of the rows')
    """
    known = {
        ELEMENT: "one number an element",
        LEFT: "a square matrix of the rows",
        RIGHT: "a square matrix of the columns",
        THIN: "a basis of a subspace",
        LOW: "an array in a subspace",
        TABLE: "a table",
    }
    return known.get(axes) or f"one number a {one_of(axes)}"


def one_of(axes: Axes) -> str:
    """The word for what there is one number of: "row" for one a row; of other arrays, their axes."""
    return next((word for word, known in WORDS.items() if known == axes), " ".join(axes))


def names(axes: Axes) -> Axes:
    """The names among them, without places of length one.

    >>> names(ROW), names(TENSOR)
    (('i',), ())
    """
    return tuple(name for name in axes if name != ONE)


def broadcasts(axes: Axes) -> bool:
    """True if a value broadcasts against the parameter: False of a square matrix, and of what a subspace has."""
    return set(axes) <= {*ELEMENT, ONE}


def fineness(axes: Axes) -> tuple[int, bool, Axes]:
    """A key that sorts axes: what has fewer names, and is thus one number for more of the parameter, comes first.

    >>> sorted([ELEMENT, ROW, TENSOR, COLUMN], key=fineness) == [TENSOR, COLUMN, ROW, ELEMENT]
    True
    """
    return len(names(axes)), broadcasts(axes), axes


def joint(many: Iterable[Axes]) -> Axes:
    """The axes of what is computed element by element from values of these.

    Raises:
        TraceError: two names meet in one place.

    >>> joint([ROW, COLUMN]), joint([("batch", "feature"), ("feature",)])
    (('i', 'j'), ('batch', 'feature'))
    """
    return _joint(tuple(many))


@lru_cache(maxsize=4096)  # each operation of each graph that is traced or rewritten asks, always of the same few
def _joint(values: tuple[Axes, ...]) -> Axes:
    count = max(map(len, values), default=0)
    places = zip(*((ONE,) * (count - len(axes)) + axes for axes in values), strict=True)
    return tuple(_one_name(place) for place in places)


def _one_name(place: Axes) -> str:
    found = tuple(dict.fromkeys(names(place)))
    if len(found) > 1:
        raise TraceError(
            f"axes {' and '.join(found)} meet in one place; legal: one name, or a length of one; matrices meet by `matmul`"
        )
    return found[0] if found else ONE


def within(axes: Axes, whole: Axes) -> bool:
    """True if a value of some axes can be given as one of others: it broadcasts to them, and they say all of its names."""
    try:
        return joint([axes, whole]) == whole
    except TraceError:
        return False


#: what `folded` gives, which every sum asks
_FOLDED: Mapping[str, Axes] = {
    over: tuple(name for name in ELEMENT if name not in WORDS[over]) for over in ("tensor", "row", "column")
}


def folded(over: str) -> Axes:
    """The names of the axes that a reduction folds to leave one number for each of something.

    Args:
        over: "tensor", "row" or "column".

    Raises:
        ArgumentError: another word.

    >>> folded("row")
    ('j',)
    """
    found = _FOLDED.get(over) if isinstance(over, str) else None
    if found is None:
        raise bad_argument("over", over, "'tensor', 'row' or 'column'")
    return found


def left_by(fold: Axes) -> str:
    """What a fold of the parameter leaves one number of: the inverse of `folded`."""
    return one_of(after(ELEMENT, fold))


def after(axes: Axes, fold: Axes) -> Axes:
    """The axes of what a fold leaves, which broadcasts against what was folded.

    Args:
        axes: those of its operand.
        fold: the names that it folds; those that its operand lacks have nothing to fold.

    >>> after(ELEMENT, ("j",)), after(("batch", "feature"), ("batch",))
    (('i', '1'), ('1', 'feature'))
    """
    return tuple(ONE if name in fold else name for name in axes)


def places(fold: Axes, ndim: int, batch: int = 0) -> tuple[int, ...]:
    """The numbers of the axes that a fold takes of a parameter's array.

    Args:
        fold: names among ``i`` and ``j``.
        ndim: the number of axes of the array.
        batch: how many of them, in front, parameters are stacked along.

    >>> places(("j",), 3), places(("i", "j"), 4, batch=1)
    ((1, 2), (1, 2, 3))
    """
    every = range(batch, ndim)
    return tuple(axis for axis in every if ("i" if axis == batch else "j") in fold)


def terms(fold: Axes, shape: tuple[int, ...]) -> int:
    """How many terms a fold joins to each number, of an array of a shape.

    >>> terms(("j",), (4, 3, 2))
    6
    """
    return math.prod(shape[axis] for axis in places(fold, len(shape)))


def axes_shape(axes: Axes, p: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a value that belongs to a parameter: one that broadcasts against it, or a square matrix.

    Args:
        axes: those of the value.
        p: the parameter's shape.

    >>> axes_shape(ROW, (4, 3, 2)), axes_shape(COLUMN, (4, 3, 2)), axes_shape(RIGHT, (4, 3, 2))
    ((4, 1, 1), (1, 3, 2), (6, 6))
    """
    if not p:
        return p
    if not broadcasts(axes):
        lengths = {"i": p[0], "j": math.prod(p[1:])}
        return tuple(lengths[_plain(name)] for name in axes)
    return tuple(length if ("j" if axis else "i") in axes else 1 for axis, length in enumerate(p))


def product(a: Axes, b: Axes) -> Axes:
    """The axes of a product of matrices, which folds the last axis of one with the first of the other.

    A square matrix has one axis twice, so that a prime is no matter.

    Raises:
        TraceError: they share no such axis.

    >>> product(LEFT, ELEMENT), product(ELEMENT, RIGHT), product(LEFT, LEFT)
    (('i', 'j'), ('i', 'j'), ("i'", 'i'))
    """
    matrices = len(a) == len(b) == 2 and ONE not in (*a, *b)
    if not matrices or _plain(a[-1]) != _plain(b[0]):
        raise TraceError(
            f"a product is of axes {' '.join(a) or 'none'} and {' '.join(b) or 'none'}; legal: matrices, of which the first "
            "ends in the axis that the second begins with"
        )
    return a if a == b else (_plain(a[0]), _plain(b[-1]))


def is_square(axes: Axes) -> bool:
    """True of a matrix that has one axis twice.

    >>> is_square(LEFT), is_square(ELEMENT)
    (True, False)
    """
    return len(axes) == 2 and ONE not in axes and _plain(axes[0]) == _plain(axes[1])


def _plain(name: str) -> str:
    return name.rstrip("'")
