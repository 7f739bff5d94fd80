"""Chunks of an audit that are judged on a cluster: each worker reads the headers of the files once, and its own parts of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from refgrad import cluster
from refgrad.audits import recorded
from refgrad.audits.judging import Leaf, judged
from refgrad.audits.log import packed
from refgrad.audits.naming import Names
from refgrad.audits.stored import RecordError
from refgrad.errors import RefgradError
from refgrad.float_environment import guarded
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance.policy import Policy
from refgrad.version import VERSION


@dataclass(frozen=True)
class Shared:
    """What all chunks of an audit are judged with, as it goes to workers.

    Attributes:
        digest: what tells one audit from another, by which two are the same.
        paths: of the files before and after the step, and of the gradients.
        claim: the rule.
        names: what is stated of names.
        step: which step it is; None where the state says so.
        policy: what counts as correct.
        compiled: whether kernels are compiled.
        files: each file's path, size and time of change, as the one who asks sees them.
        version: refgrad's.
    """

    digest: str
    paths: tuple[tuple[str, ...], ...] = field(compare=False)
    claim: Optimizer = field(compare=False)
    names: Names = field(compare=False)
    step: int | None = field(compare=False)
    policy: Policy = field(compare=False)
    compiled: bool = field(compare=False)
    files: tuple[tuple[str, int, int], ...] = field(compare=False)
    version: str = field(default=VERSION, compare=False)


def absolute(paths: Any) -> tuple[str, ...]:
    """Paths that mean the same to another process.

    Args:
        paths: one, or a list of them.
    """
    several = paths if isinstance(paths, list | tuple) else [paths]
    return tuple(os.path.abspath(os.fspath(path)) for path in several)


def parts(
    scheduler: Any, shared: Shared, wanted: Mapping[str, tuple[str, tuple[int, int]]]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What judging each chunk came to, as `refgrad.audits.log` packs it, in the order in which they are done.

    Args:
        scheduler: as of `refgrad.cluster.done`.
        shared: the audit.
        wanted: by key the parameter and the chunk.
    """
    return cluster.done(scheduler, part, {key: (shared, name, chunk) for key, (name, chunk) in wanted.items()})


@guarded
def part(shared: Shared, name: str, chunk: tuple[int, int]) -> Mapping[str, Any]:
    """One chunk judged, packed; what runs on a worker.

    Args:
        shared: the audit.
        name: of the parameter.
        chunk: its first element and one past its last.

    Raises:
        RecordError: the worker does not see the same files.
        RefgradError: it has another version of refgrad.
    """
    if shared.version != VERSION:
        raise RefgradError(f"a worker has refgrad {VERSION}, and the audit is one of {shared.version}; legal: the same")
    return packed(judged(_leaves(shared)[name], chunk, shared.policy, shared.compiled))


@lru_cache(maxsize=2)
def _leaves(shared: Shared) -> dict[str, Leaf]:
    """The parameters of an audit, of whose files the headers were read."""
    before, after, grads = (list(paths) for paths in shared.paths)
    moments = recorded.read(before, after, grads, shared.claim, shared.names)
    for seen, own in zip(moments.files, shared.files, strict=True):
        if seen != own:
            raise RecordError(
                f"{own[0]} is another file to a worker: {seen} and not {own}; legal: the same files for all"
            )
    given = recorded.put_together(moments, shared.claim, shared.names, shared.step)
    return {leaf.name: leaf for leaf in given.leaves}
