"""`audit`: was this recorded step right?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from refgrad.audits import ahead, consecutive, recorded, remote
from refgrad.audits.found import Audit, Meaning, Tensor, merged
from refgrad.audits.judging import CHUNK, Leaf, judged, same
from refgrad.audits.log import Log, digest, packed, unpacked
from refgrad.audits.naming import Names
from refgrad.audits.recorded import Recorded
from refgrad.float_environment import guarded
from refgrad.kinds.table import rule_of
from refgrad.legal import Whole
from refgrad.oracle.acceptance import screening
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.request import check_explain
from refgrad.rule import stated

#: the step that is audited, which enters arithmetic of float64
FIRST = Whole(1, 2**53)
#: is told how many elements are done, of how many, and of which tensor the last ones were
Progress = Callable[[int, int, str], None]


@guarded
def audit(
    rule: Any,
    *,
    before: Any,
    after: Any,
    grads: Any = None,
    map: Any = None,
    step: int | None = None,
    policy: Policy | Mapping[str, Any] | None = None,
    explain: bool | float = True,
    log: Any = None,
    progress: Progress | None = None,
    scheduler: Any = None,
) -> Audit:
    """Judge one recorded step of training: the parameters and the state after it, from what stood before it and the gradients.

    Files are read a chunk at a time, and judged by the sets that `refgrad.verify` judges by. Nothing in them is executed.

    Args:
        rule: the rule that the step claims to be, such as ``refgrad.optimizers.AdamW(lr=1e-3)``, or its class. What it does not
            name is taken from the parameter groups that are saved, if any are.
        before: the path of a file or folder, or a list of such: parameters and the optimizer's state before the step
            (docs/audit.md has the formats).
        after: the same after it.
        grads: the same of the gradients that the step took; None says of two checkpoints what can be said without.
        map: names that the files use, as a dict or the path of a TOML file (docs/audit.md).
        step: which step it is, counted from 1, where the state does not say.
        policy: what counts as correct; a `Policy`, or a dict of its fields.
        explain: look for what tensors that are wrong are instead. A number is the seconds of processor time that this may take.
        log: the path of a file that each chunk is written to, so that an audit that is killed goes on where it was.
        progress: is told how many elements are done, of how many, and the tensor.
        scheduler: the address of a Dask scheduler, such as "tcp://host:8786", or a ``dask.distributed.Client``: chunks are
            judged by its workers, which see the same files under the same paths. What is found is the same.

    Returns:
        What was found, tensor by tensor.

    Raises:
        ArgumentError: an argument is not legal.
        RecordError: a file cannot be read, or it cannot be told which array is what.

    >>> import numpy as np, os, tempfile
    >>> from refgrad.optimizers import SGD
    >>> folder, rule = tempfile.mkdtemp(), SGD(lr=0.5)
    >>> files = {name: os.path.join(folder, f"{name}.npz") for name in ("before", "after", "grads")}
    >>> for name, w in (("before", [1.0, 2.0]), ("grads", [1.0, 1.0]), ("after", [0.5, 1.0])):
    ...     np.savez(files[name], w=np.float32(w))
    >>> found = audit(rule, **files, step=1)
    >>> found.outcome, found.tensors[0].counts["p"], found.tensors[0].first["p"].value
    ('does not conform', Count(inside=1, outside=1, undecided=0), 1.0)
    """
    claim = recorded.check(rule_of(rule))
    names, policy = Names.of(map, claim), Policy.of(policy)
    step = None if step is None else FIRST.check("step", step)
    seconds = check_explain(explain)
    moments = recorded.read(before, after, grads, claim, names)
    if moments.grads is None:
        return consecutive.found(moments, claim, names, policy)
    given = recorded.put_together(moments, claim, names, step)
    asked = {
        "files": given.files,
        "rules": [(leaf.name, str(leaf.rule), leaf.rule.scalars, leaf.t) for leaf in given.leaves],
        "policy": policy.changed(),
        "chunk": CHUNK,
        "explain": seconds,
        "map": [names.order, names.names, names.state],
    }
    with Log.open(log, asked) as written:
        if scheduler is not None:
            paths = tuple(remote.absolute(each) for each in (before, after, grads))
            shared = remote.Shared(digest(asked), paths, claim, names, step, policy, _much(given), given.files)
            _judge_remotely(given, shared, scheduler, written, progress)
            progress = None  # who was told of everything is told once
        tensors = _judged(given, policy, written, progress)
        still = _still(given, written)
        tensors = _explained(tensors, given, policy, seconds, written)
    return merged(stated(claim), policy, given, tensors, still)


def _much(given: Recorded) -> bool:
    """True if there is so much to judge that kernels are worth compiling."""
    return sum(math.prod(leaf.shape) for leaf in given.leaves if leaf.apart) >= screening.WORTH_COMPILING


def _judge_remotely(
    given: Recorded, shared: remote.Shared, scheduler: Any, log: Log, progress: Progress | None
) -> None:
    """Every chunk that the log does not have, on a cluster, into the log."""
    chunks = {_key(leaf, chunk): (leaf.name, chunk) for leaf in given.leaves for chunk in leaf.chunks()}
    total = sum(stop - start for _, (start, stop) in chunks.values())
    wanted = {key: each for key, each in chunks.items() if key not in log.found}
    done = total - sum(stop - start for _, (start, stop) in wanted.values())
    for key, found in remote.parts(scheduler, shared, wanted):
        log.add(key, found)
        name, (start, stop) = wanted[key]
        done += stop - start
        if progress is not None:
            progress(done, total, name)


def _judged(given: Recorded, policy: Policy, log: Log, progress: Progress | None) -> list[Tensor]:
    """Every tensor, chunk by chunk; what the log has is not judged again."""
    total, done = sum(math.prod(leaf.shape) for leaf in given.leaves), 0
    compiled, chunks = _much(given), [(leaf, chunk) for leaf in given.leaves for chunk in leaf.chunks()]
    read = ahead.steps([each for each in chunks if _key(*each) not in log.found])
    tensors = []
    for leaf in given.leaves:
        parts = []
        for chunk in leaf.chunks():
            if _key(leaf, chunk) not in log.found:
                log.add(_key(leaf, chunk), packed(judged(leaf, chunk, policy, compiled, next(read))))
            parts.append(unpacked(log.found[_key(leaf, chunk)]))
            done += chunk[1] - chunk[0]
            if progress is not None:
                progress(done, total, leaf.name)
        tensors.append(Tensor.of(leaf, parts))
    return tensors


def _key(leaf: Leaf, chunk: tuple[int, int]) -> str:
    """What the log calls a chunk."""
    return f"{chunk[0]} {leaf.name}"


def _still(given: Recorded, log: Log) -> dict[str, bool]:
    """Of each array that has no gradient whether it is as it was."""
    found = {}
    for name, (one, other, _) in given.still.items():
        key = f"still {name}"
        if key not in log.found:
            log.add(key, {"same": same(one, other)})
        found[name] = bool(log.found[key].get("same"))
    return found


def _explained(tensors: list[Tensor], given: Recorded, policy: Policy, seconds: float, log: Log) -> list[Tensor]:
    wrong = [(tensor, leaf) for tensor, leaf in zip(tensors, given.leaves, strict=True) if tensor.outside]
    if not wrong or not seconds:
        return tensors
    from refgrad.audits.explaining import Explainer  # the search, without which what conforms does

    explainer, leaves = Explainer(policy, seconds), [leaf for _, leaf in wrong]
    told = {}
    for tensor, leaf in wrong:
        key = f"explained {leaf.name}"
        if key not in log.found:
            meanings = _meanings(explainer, leaf, tensor, leaves)
            log.add(key, {"meanings": [vars(meaning) for meaning in meanings]})
        told[leaf.name] = tuple(Meaning(**each) for each in log.found[key].get("meanings", ()))
    return [tensor.explained(told.get(tensor.name, ())) for tensor in tensors]


def _meanings(explainer: Any, leaf: Leaf, tensor: Tensor, leaves: list[Leaf]) -> tuple[Meaning, ...]:
    """What explains a tensor; a search that fails costs the explanation, not the audit."""
    try:
        found: tuple[Meaning, ...] = explainer.meanings(leaf, tensor.places, leaves)
        return found
    except Exception as error:  # whatever it is, what was judged stands without it
        return (Meaning("", f"the search for what it is instead failed with {type(error).__name__}: {error}", 1, 1),)
