"""Checkpoints of DeepSpeed's ZeRO are read as wholes; a shard that is missing, cut or another's is named."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.audits import formats
from refgrad.audits.stored import RecordError
from refgrad.optimizers import AdamW
from tests.audits.steps import Step

torch = pytest.importorskip("torch")
zero_files = importlib.import_module("tests.audits.zero_files")

WAYS = [(1, False), (2, False), (2, True), (3, False)]


@pytest.fixture(autouse=True)
def deepspeed(monkeypatch):
    zero_files.foreign(monkeypatch)


def written(folder: Path, step: Step, stage: int, **more: Any) -> dict[str, Path]:
    found = {moment: zero_files.write(folder, step, moment, stage, **more) for moment in ("before", "after")}
    return {**found, "grads": step.write(folder)["grads"]}


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize(("stage", "elastic"), WAYS)
def test_whole(tmp_path, stage, elastic, ranks):
    """Each parameter and each moment has the numbers that it had before it was cut, also between any two elements."""
    step = Step()
    place = zero_files.write(tmp_path, step, "before", stage, ranks, elastic)
    found = formats.read(place, "before")
    (optimizer,) = found.optimizers
    for name, p in step.p.items():
        for stored, wanted in (
            (found.arrays[name], p),
            (optimizer["state"][name]["exp_avg"], step.state[name]["m"]),
            (optimizer["state"][name]["exp_avg_sq"], step.state[name]["v"]),
        ):
            assert stored.shape == np.shape(wanted)
            flat = np.reshape(wanted, -1)
            for start in range(0, stored.size, 37):
                for stop in {start + 1, min(start + 100, stored.size), stored.size}:
                    assert stored.read(start, stop).tobytes() == flat[start:stop].tobytes()


@pytest.mark.parametrize(("stage", "elastic"), WAYS)
def test_the_same_is_said(tmp_path, stage, elastic):
    """A step in shards is judged as the same step in one file: right or wrong, to the bits of every number."""
    step = Step()
    step.new["second.weight"][3, 4] += 1.0
    wholes = step.audit(tmp_path)
    found = refgrad.audit(step.rule, **written(tmp_path / "zero", step, stage, elastic=elastic))
    assert [(t.name, t.counts, t.worst, t.first) for t in found.tensors] == [
        (t.name, t.counts, t.worst, t.first) for t in wholes.tensors
    ]
    assert found.outcome == "does not conform"


def test_groups(tmp_path):
    """Hyperparameters that are not claimed are those of the state."""
    step = Step(AdamW(lr=0.25))
    assert refgrad.audit(AdamW, **written(tmp_path, step, 3)).rule == "AdamW(lr=0.25)"


def rank_of(path: Path, number: int) -> Path:
    return path / f"zero_pp_rank_{number}_mp_rank_00_optim_states.pt"


def test_missing_shards(tmp_path):
    places = {number: zero_files.write(tmp_path / str(number), Step(), "before", 2) for number in range(4)}
    rank_of(places[0], 1).unlink()
    with pytest.raises(RecordError, match="of rank 1 is missing"):
        formats.read(places[0], "before")
    rank_of(places[1], 2).unlink()  # the last one, of which the others tell
    with pytest.raises(RecordError, match=r"2 files .* the files of 3 ranks, 0 to 2"):
        formats.read(places[1], "before")
    (places[2] / "mp_rank_00_model_states.pt").unlink()
    with pytest.raises(RecordError, match=r"mp_rank_00_model_states\.pt .* is missing"):
        formats.read(places[2], "before")
    path = rank_of(places[3], 1)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(RecordError, match=r"zero_pp_rank_1_.* that was cut"):
        formats.read(places[3], "before")


def test_foreign_shards(tmp_path):
    """Partitions of another model, and shapes of another one, do not fit."""
    one = zero_files.write(tmp_path / "1", Step(), "before", 3)
    other = zero_files.write(
        tmp_path / "2", Step(shapes={**dict.fromkeys(sum(zero_files.GROUPS, ()), (3,))}), "before", 3
    )
    rank_of(other, 2).replace(rank_of(one, 2))
    with pytest.raises(RecordError, match="shards and param_shapes of one checkpoint"):
        formats.read(one, "before")
    model = torch.load(other / "zero_pp_rank_0_mp_rank_00_model_states.pt", weights_only=False)
    for change in ({"param_shapes": None}, {"param_shapes": [{"a": "b"}]}):
        torch.save({**model, **change}, other / "zero_pp_rank_0_mp_rank_00_model_states.pt")
        with pytest.raises(RecordError, match="param_shapes"):
            formats.read(other, "before")


def test_nothing_is_executed(tmp_path):
    """What a file names is never looked up: a record stands for it."""

    class Bomb:
        def __reduce__(self) -> Any:
            return (open, (str(tmp_path / "bomb"), "w"))

    place = zero_files.write(tmp_path, Step(), "before", 2)
    path = rank_of(place, 0)
    saved = torch.load(path, weights_only=False)
    torch.save({**saved, "client": Bomb()}, path)
    (tmp_path / "bomb").unlink(missing_ok=True)
    assert set(formats.read(place, "before").arrays) == set(Step().p)
    assert not (tmp_path / "bomb").exists()
    torch.save({"optimizer_state_dict": {"zero_stage": Bomb()}}, path)
    with pytest.raises(RecordError, match="no partitions in float32"):
        formats.read(place, "before")
    assert not (tmp_path / "bomb").exists()
