"""The gate for what is no array: named arguments that many public functions take, each with what it may be.

What it may be are the records of `refgrad.legal`, as for hyperparameters, so that a number, a name or a choice is refused alike
wherever it is handed in, in one error that names the argument. Arrays have a gate of their own, `refgrad.arithmetic.arrays`.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Mapping, Set
from typing import Any, cast

import numpy as np

from refgrad.errors import ArgumentError, bad_argument
from refgrad.legal import NO_NUMBERS, Choice, Whole, as_number, is_numeric

#: what runs a rule
BACKEND = Choice(
    auto="a kernel where one is at hand or worth compiling, else NumPy",
    numpy="the rule's body on NumPy's arrays",
    numba="a compiled kernel",
)
#: numbers of threads, of steps that are taken, of batches and epochs
AT_LEAST_ONE = Whole(1)
#: seeds, and steps that were taken
FROM_ZERO = Whole(0)
#: steps of one run: as many as are kept in memory with what each of them brings
STEPS = Whole(1, 10_000)

#: how many things are gone through
MOST = 1_000_000

#: how large a size may make an array: so many elements, and so many times as many as it had
ENLARGED, TIMES = 2**26, 128
#: from where on a whole number is a size that memory may not be had for
LARGE = 2**16


def check_enlarged(sizes: Mapping[str, int], made: int, given: int) -> None:
    """Refuse a size that makes an array far larger than it is: one that is filled up to whole groups, or brought to a size.

    Any size is legal of an array that is large enough for it; memory for one that is not would be filled with nothing.

    Args:
        sizes: the hyperparameters that say how large it becomes, by name.
        made: elements that it would have.
        given: elements that it has.

    Raises:
        ArgumentError: these are more than `ENLARGED`, and more than `TIMES` as many as it has; with the memory that they take
            in float32.

    >>> check_enlarged({"block_size": 64}, 64, 3)
    >>> check_enlarged({"k": 2**30}, 2**30, 3)
    Traceback (most recent call last):
        ...
    refgrad.errors.ArgumentError: k is 1073741824; legal: what makes 67108864 elements at most of 3; it makes 1073741824 (4.0 GiB)
    """
    most = max(ENLARGED, TIMES * given)
    if made > most:
        names, values = " and ".join(sizes), " and ".join(map(str, sizes.values()))
        raise ArgumentError(
            f"{names} {'is' if len(sizes) == 1 else 'are'} {values}; legal: what makes {most} elements at most of {given}; "
            f"it makes {made} ({4 * made / 2**30:.1f} GiB)"
        )


def memory_error(hyperparameters: Mapping[str, Any], error: MemoryError) -> Exception:
    """What is raised where memory cannot be had: an error that names the sizes which a rule was given, if there are any.

    Args:
        hyperparameters: those of the rule, by name.
        error: what was raised.

    Returns:
        An `ArgumentError`, or the same error where no hyperparameter asks for much.

    >>> memory_error({"rank": 10**6, "lr": 0.1}, MemoryError("Unable to allocate 8.00 TiB"))
    ArgumentError('rank is 1000000; legal: what there is memory for (Unable to allocate 8.00 TiB)')
    >>> memory_error({"rank": 8}, MemoryError("full"))
    MemoryError('full')
    """
    large = {n: v for n, v in hyperparameters.items() if isinstance(v, int) and v >= LARGE}
    if not large:
        return error
    names, values = " and ".join(large), " and ".join(map(str, large.values()))
    told = f" ({error})" if str(error) else ""
    return ArgumentError(
        f"{names} {'is' if len(large) == 1 else 'are'} {values}; legal: what there is memory for{told}"
    )


def check_options(options: dict[str, Any]) -> None:
    """Check what any method that computes may be told besides arrays: ``backend`` and ``threads``.

    Args:
        options: what a method was called with by name; threads become a number of Python's, other names are not looked at.

    Raises:
        ArgumentError: an unknown backend, or threads that are no whole number from 1.
    """
    if "backend" in options:
        BACKEND.check("backend", options["backend"])
    threads = options.get("threads")
    if threads is not None and (type(threads) is not int or threads < 1):  # else it is just what is wanted
        options["threads"] = AT_LEAST_ONE.check("threads", threads)


def number(value: Any, name: str, legal: str = "a number") -> float:
    """A number as a float, infinities and NaN too: a number of Python, NumPy or another library, or an array of one element.

    Args:
        value: what was handed in.
        name: what errors call it.
        legal: what would be legal, for the error.

    Returns:
        The number.

    Raises:
        ArgumentError: it is none, such as a text or a bool, or is larger than any float.
    """
    value = value.reshape(()) if is_a(value, np.ndarray) and value.size == 1 else value
    found = as_number(value)
    if math.isnan(found) and not _is_nan(value):
        raise bad_argument(name, value, legal)
    return found


def _is_nan(value: Any) -> bool:
    """True for a number of any library that is NaN."""
    if not hasattr(type(value), "__float__"):
        return False
    try:
        if isinstance(value, NO_NUMBERS) or (isinstance(value, np.ndarray) and not is_numeric(value.dtype)):
            return False
        return math.isnan(float(value))
    except Exception:  # that it is none, or whatever the code of others raises
        return False


def flag(name: str, value: object) -> bool:
    """A value that must be true or false.

    Args:
        name: what errors call it.
        value: what was handed in.

    Returns:
        The value.

    Raises:
        ArgumentError: it is no bool.
    """
    if type(value) is not bool:
        raise bad_argument(name, value, "True or False")
    return value


def by_name(name: str, value: object, example: str) -> Mapping[str, Any]:
    """A value that must be a mapping from names.

    Args:
        name: what errors call it.
        value: what was handed in.
        example: a legal one, for the error.

    Returns:
        The value.

    Raises:
        ArgumentError: it is no mapping, or has a key that is no text.
    """
    if not is_a(value, Mapping) or not all_texts(value):
        raise bad_argument(name, value, f"values by name, such as {example}")
    return cast("Mapping[str, Any]", value)


def is_a(value: object, types: Any) -> bool:
    """`isinstance`, False of what fails when it is asked for its class.

    Args:
        value: anything.
        types: a type, or several.

    >>> is_a("a", str), is_a("a", (int, list))
    (True, False)
    """
    try:
        return isinstance(value, types)
    except Exception:  # whatever the code of others raises
        return False


def all_texts(value: Any) -> bool:
    """True if all that is gone through is texts; False of what fails at it.

    Args:
        value: a mapping, or a sequence.

    >>> all_texts({"a": 1}), all_texts([1]), all_texts(1)
    (True, False, False)
    """
    try:
        return all(isinstance(each, str) for each in itertools.islice(value, MOST))
    except Exception:  # whatever the code of others raises
        return False


def several(name: str, value: object, what: str, ordered: bool = True, most: int = MOST) -> list[Any]:
    """A value that must hold several things in order: a list, a tuple, or whatever else can be gone through, but no text.

    Args:
        name: what errors call it.
        value: what was handed in.
        what: what it holds, for the error.
        ordered: False where it does not matter which is first, so that a set is taken too.
        most: how many there are at most: what has no end would fill the memory.

    Returns:
        The things.

    Raises:
        ArgumentError: it cannot be gone through, has more things, or is a text, bytes, a mapping, or a set where the order
            matters.
    """
    if is_a(value, str | bytes | bytearray | memoryview | np.void | Mapping) or (ordered and is_a(value, Set)):
        raise bad_argument(name, value, f"a sequence of {what}")
    try:
        found = list(itertools.islice(value, most + 1))  # type: ignore[call-overload]
    except Exception as error:  # that it cannot be gone through, or whatever the code of others raises
        raise bad_argument(name, value, f"a sequence of {what}") from error
    if len(found) > most:
        raise ArgumentError(f"{name} has more than {most} things; legal: a sequence of {what}, {most} at most")
    return found


def function_of_one(name: str, value: object, what: str) -> Any:
    """A value that must be a function which can be called with one argument, and no class.

    Args:
        name: what errors call it.
        value: what was handed in.
        what: what it is called with, for the error.

    Returns:
        The value.

    Raises:
        ArgumentError: it is no function, or cannot be called with one argument.
    """
    if not callable(value) or is_a(value, type):
        raise bad_argument(name, value, f"a function of {what}")
    try:
        inspect.signature(value).bind(None)
    except ValueError:  # a function of C that does not say what it takes
        return value
    except Exception:  # that it is none, or whatever the code of others raises
        raise bad_argument(name, value, f"a function of {what}") from None
    return value
