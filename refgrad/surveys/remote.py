"""Cells of a survey that are judged on a cluster: a batch a task, within which each worker has processes of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from refgrad import cluster
from refgrad.surveys.cell import Cell
from refgrad.surveys.implementations.record import Implementation
from refgrad.surveys.worker import table_of
from refgrad.surveys.workers import WorkerPool, batches


def judged(scheduler: Any, table: str, limits: tuple[float, float], rows: Sequence[Implementation]) -> Iterator[Cell]:
    """Each cell as its batch is done.

    Args:
        scheduler: as of `refgrad.cluster.done`.
        table: the implementations, as the survey is given it; workers can import it too.
        limits: seconds that one may take, and those of it for the search for what it is.
        rows: those to judge.
    """
    tasks = {str(i): (table, limits, [row.key for row in batch]) for i, batch in enumerate(batches(rows))}
    for _, cells in cluster.done(scheduler, batch_judged, tasks):
        yield from map(Cell.from_dict, cells)


def batch_judged(table: str, limits: tuple[float, float], keys: Sequence[str]) -> list[dict[str, Any]]:
    """The cells of a batch; what runs on a worker.

    Args:
        table, limits: as of `judged`.
        keys: of the rows.
    """
    rows = {row.key: row for row in table_of(table)}
    pool = WorkerPool(table, 1, *limits, begun=lambda row: None)
    return [cell.to_dict() for cell in pool.judged([rows[key] for key in keys])]
