"""Work on a cluster of Dask: results come as tasks are done, and what a worker had that died is done again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from refgrad.errors import ArgumentError, RefgradError, shown

#: seconds in which a scheduler must answer, and how often a task is tried again that failed for want of a file or a connection
ANSWERING, AGAIN = 30, 3
LEGAL = "the address of a Dask scheduler, such as 'tcp://host:8786', or a dask.distributed.Client"


def done(scheduler: Any, function: Callable[..., Any], tasks: Mapping[str, Sequence[Any]]) -> Iterator[tuple[str, Any]]:
    """What each task gives, in the order in which they are done.

    Args:
        scheduler: the address of a Dask scheduler, or a client of one, which stays open.
        function: of a module that workers can import.
        tasks: by name the arguments of each call, which can be pickled.

    Returns:
        An iterator over names and results. If the caller stops, the tasks that are left are cancelled.

    Raises:
        ArgumentError: ``scheduler`` is none, or dask.distributed is not installed.
        RefgradError: a task ended several workers, one after the other.
    """
    if not tasks:
        return
    with _connected(scheduler) as (distributed, client):
        names = {}
        for name, arguments in tasks.items():
            future = client.submit(function, *arguments, pure=False, retries=AGAIN)
            names[future.key] = (name, future)
        try:
            for future in distributed.as_completed([future for _, future in names.values()]):
                name, _ = names.pop(future.key)
                yield name, _result(distributed, name, future)
        finally:
            client.cancel([future for _, future in names.values()])


def _result(distributed: Any, name: str, future: Any) -> Any:
    try:
        return future.result()
    except distributed.scheduler.KilledWorker as error:
        raise RefgradError(f"the task {name!r} ended the workers that had it: {error}") from None


@contextmanager
def _connected(scheduler: Any) -> Iterator[tuple[Any, Any]]:
    """The package, and a client."""
    try:
        import distributed
    except ImportError:
        raise ArgumentError(
            f"scheduler is {shown(scheduler)}, for which dask.distributed is needed; legal: to install refgrad[cluster]"
        ) from None
    if isinstance(scheduler, distributed.Client):
        yield distributed, scheduler
        return
    if not isinstance(scheduler, str) or "://" not in scheduler:
        raise ArgumentError(f"scheduler is {shown(scheduler)}; legal: {LEGAL}")
    try:
        client = distributed.Client(scheduler, timeout=ANSWERING)
    except (OSError, ValueError, TimeoutError) as error:
        raise ArgumentError(
            f"scheduler is {shown(scheduler)}, which does not answer: {error}; legal: {LEGAL}"
        ) from None
    with client:
        yield distributed, client
