"""Work on a cluster of processes: the same bits as without it, and what a worker that dies had is done again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad import cluster
from refgrad.audits import judging, remote
from refgrad.audits.stored import RecordError
from refgrad.errors import ArgumentError, RefgradError
from refgrad.optimizers import AdamW
from refgrad.surveys import remote as surveyed
from tests.audits.steps import Step

RULE = AdamW(lr=0.01)


@pytest.fixture(scope="module")
def local() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as found:
        yield found


def ends_its_process(path: str, always: bool) -> str:
    """A task that ends the worker that has it, the first time or always."""
    if always or not os.path.exists(path):
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return path


def test_a_worker_that_dies_is_retried(local: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "was here")
    tasks = {"a": (path, False), "b": (__file__, False)}
    assert dict(cluster.done(local.scheduler_address, ends_its_process, tasks)) == {"a": path, "b": __file__}
    with pytest.raises(RefgradError, match="'a' ended the workers that had it"):
        list(cluster.done(local.scheduler_address, ends_its_process, {"a": (path, True)}))


def test_what_a_scheduler_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArgumentError, match="scheduler is "):
        list(cluster.done("nowhere", len, {"a": ([],)}))
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "ANSWERING", 0.2)
    with pytest.raises(ArgumentError, match="does not answer"):
        list(cluster.done("tcp://127.0.0.1:9", len, {"a": ([],)}))


def test_an_audit_has_the_same_bits(local: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a step with a wrong tensor, in many chunks; and after one of the workers was ended."""
    monkeypatch.setattr(judging, "CHUNK", 16)
    step = Step()
    name = next(iter(step.p))
    step.new[name].reshape(-1)[3] += np.float32(1.0)
    paths, told = step.write(tmp_path, ".safetensors"), []
    want = refgrad.audit(RULE, **paths)

    def progress(done: int, total: int, name: str) -> None:
        if not told:
            worker = next(iter(local.workers.values()))
            os.kill(worker.process.process.pid, signal.SIGKILL)
        told.append((done, total, name))

    found = refgrad.audit(RULE, **paths, scheduler=local.scheduler_address, progress=progress, log=tmp_path / "log")
    assert found.to_json() == want.to_json()
    assert told[-1][0] == told[-1][1] == sum(a.size for a in step.p.values())
    assert len(told) > 4
    again = refgrad.audit(
        RULE, **paths, scheduler="tcp://127.0.0.1:9", log=tmp_path / "log"
    )  # of which nothing is left
    assert again.to_json() == want.to_json()


def test_a_worker_that_sees_something_else() -> None:
    shared = remote.Shared("a", ((), (), ()), RULE, None, None, None, False, (), version="0")  # type: ignore[arg-type]
    with pytest.raises(RefgradError, match="a worker has refgrad"):
        remote.part(shared, "w", (0, 1))


def test_a_worker_that_sees_other_files(tmp_path: Path) -> None:
    paths = Step().write(tmp_path, ".safetensors")
    places = tuple(map(remote.absolute, (paths["before"], paths["after"], paths["grads"])))
    from refgrad.audits.naming import Names
    from refgrad.audits.recorded import read
    from refgrad.oracle.acceptance.policy import Policy

    moments = read(paths["before"], paths["after"], paths["grads"], RULE, Names())
    other = tuple((path, size, time + 1) for path, size, time in moments.files)
    shared = remote.Shared("b", places, RULE, Names(), None, Policy(), False, other)
    with pytest.raises(RecordError, match="is another file to a worker"):
        remote.part(shared, "w", (0, 1))


TABLE = "tests.surveys.fakes:FEW"


def test_a_survey_has_the_same_cells(local: Any) -> None:
    want, found = (
        refgrad.survey(table=TABLE, explain=0, time_limit=60, **how)
        for how in ({"jobs": 1}, {"scheduler": local.scheduler_address})
    )
    told = lambda survey: [{**c.to_dict(), "seconds": 0} for c in survey.cells]  # noqa: E731
    assert told(found) == told(want)
    assert surveyed.batch_judged(TABLE, (60.0, 0.0), []) == []
