"""From a plan to numbers: each backend overwrites the arrays that are the plan's outputs.

A runner is called with a plan, the values of the plan's free names, C-contiguous arrays of one working dtype by name (for
an optimizer ``p``, ``g`` and the array slots; else what the rule takes and what it gives), and a number of threads. All
runners give the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from refgrad.arguments import BACKEND
from refgrad.tracing import Plan, Step

Runner = Callable[[Plan, tuple[float, ...], Mapping[str, np.ndarray], "int | None"], None]
#: the same of the arrays of each leaf of a tree
LeavesRunner = Callable[[Plan, tuple[float, ...], Sequence[Mapping[str, np.ndarray]], "int | None"], None]

#: below this many elements a kernel that is not compiled yet is not worth the wait for the compiler
WORTH_COMPILING = 1 << 16


def worth_compiling(size: int) -> bool:
    """True if an array is long enough for a kernel to be worth the wait for the compiler: all that is decided by that asks here.

    Args:
        size: how many elements it has.

    Returns:
        Whether it has `WORTH_COMPILING` of them.
    """
    return size >= WORTH_COMPILING


def runner(name: str) -> Runner:
    """The backend of a name.

    Args:
        name: "auto" (a kernel where one is at hand or worth compiling, else NumPy), "numpy" or "numba".

    Returns:
        A function of a plan, the values of its free names in order, C-contiguous arrays of one working dtype by name, and a
        number of threads (None for all); it overwrites the arrays that are the plan's outputs.

    Raises:
        ArgumentError: there is no such backend; the error names the nearest.

    >>> import numpy as np
    >>> from refgrad.optimizers import SGD
    >>> rule, arrays = SGD(lr=0.5), {"p": np.ones(2), "g": np.ones(2)}
    >>> runner("numpy")(rule.plan((2,), 1), (1.0, 2.0, 1.0, 2.0), arrays, None)
    >>> arrays["p"]
    array([0.5, 0.5])
    """
    return _RUNNERS[name if type(name) is str and name in _RUNNERS else BACKEND.check("backend", name)]


def _numpy(plan: Plan, free: tuple[float, ...], arrays: Mapping[str, np.ndarray], threads: int | None) -> None:
    from refgrad.backends import numpy_backend

    numpy_backend.run(plan, free, arrays)


def _numba(plan: Plan, free: tuple[float, ...], arrays: Mapping[str, np.ndarray], threads: int | None) -> None:
    from refgrad.backends import numba_backend

    numba_backend.run(plan, free, arrays, threads)


@cache
def _compiled() -> Any:
    """The backend of kernels: an import statement at each step would take as long as the step's other checks."""
    from refgrad.backends import numba_backend

    return numba_backend


def _auto(plan: Plan, free: tuple[float, ...], arrays: Mapping[str, np.ndarray], threads: int | None) -> None:
    """A kernel where one is at hand or worth compiling, else NumPy: small arrays never wait for the compiler."""
    if _compiled().run_ready(plan, free, arrays, threads):  # the common case, at each step of each parameter
        return
    p = arrays[plan.rule.primary]
    if _worth_a_kernel(plan, p.dtype, p.shape):
        _compiled().run(plan, free, arrays, threads)
    else:
        _numpy(plan, free, arrays, threads)


def in_turn(name: str, steps: Sequence[Step], threads: int | None) -> None:
    """Run a backend over several leaves, one after the other.

    Args:
        name: the backend.
        steps: of each leaf a plan, the values of its free names in order, and its arrays by name, as a runner takes them.
        threads: how many; None for as many as are worth it.

    Raises:
        ArgumentError: there is no such backend.
    """
    run = runner(name)
    if run is _auto:
        _compiled().run_in_turn(steps, threads, _auto)
        return
    for step in steps:
        run(*step, threads)


def _worth_a_kernel(plan: Plan, dtype: np.dtype, shape: tuple[int, ...]) -> bool:
    return worth_compiling(math.prod(shape)) or _compiled().at_hand(plan, dtype, shape)


_RUNNERS: dict[str, Any] = {"auto": _auto, "numpy": _numpy, "numba": _numba}


def over_leaves(name: str, plan: Plan, dtype: np.dtype, size: int) -> LeavesRunner | None:
    """What runs a plan over the leaves of a tree where they are; None where they are joined into one vector first.

    Args:
        name: the backend.
        plan: a plan for vectors.
        dtype: the working dtype.
        size: how many elements all leaves have.

    Returns:
        A function of the plan, the values of its free names, the arrays of each leaf by name, and a number of threads.
    """
    if name == "numpy" or not size or not _compiled().takes_leaves(plan, dtype):
        return None
    return _compiled().run_leaves if name == "numba" or _worth_a_kernel(plan, dtype, (size,)) else None
