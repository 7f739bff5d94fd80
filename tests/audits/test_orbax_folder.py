"""Checkpoints of Orbax are read by TensorStore; what is missing, broken or not written to its end is named."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.audits import formats
from refgrad.audits.stored import RecordError
from refgrad.errors import ArgumentError
from refgrad.optimizers import AdamW


@pytest.fixture
def orbax() -> Any:
    return pytest.importorskip("orbax.checkpoint")


def test_tensorstore_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (tmp_path / "_METADATA").write_text("{}")
    with pytest.raises(ArgumentError, match=r"tensorstore is not installed; legal: install refgrad\[orbax\]"):
        formats.read(tmp_path, "before")


#: how a tree is saved: one store, the folders of zarr 2 and 3, and a step of a manager
WAYS = ("store", "zarr", "zarr3", "manager")


def save(orbax: Any, folder: Path, tree: Any, way: str) -> Path:
    if way == "manager":
        with orbax.CheckpointManager(folder) as manager:
            manager.save(1, args=orbax.args.StandardSave(tree))
        return folder / "1"
    options = {"use_ocdbt": way == "store", "use_zarr3": way == "zarr3"}
    with orbax.Checkpointer(orbax.PyTreeCheckpointHandler(**options)) as checkpointer:
        checkpointer.save(folder, tree)
    return folder


def trained(folder: Path, orbax: Any, way: str) -> dict[str, Path]:
    """The second step of optax' AdamW, before and after it."""
    import jax
    import optax

    transform = optax.inject_hyperparams(optax.adamw)(learning_rate=0.25)
    params: Any = {"dense": {"kernel": jax.numpy.arange(12.0).reshape(3, 4), "bias": jax.numpy.ones(4)}, "scale": 2.0}
    params = jax.tree.map(jax.numpy.asarray, params)
    state, found = transform.init(params), dict[str, Path]()
    grads = jax.tree.map(lambda p: 0.5 * p + 1.0, params)
    for moment in ("first", "before", "after"):
        found[moment] = save(orbax, folder / f"{way}-{moment}", {"params": params, "opt_state": state}, way)
        updates, state = transform.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    flat = {"dense.kernel": grads["dense"]["kernel"], "dense.bias": grads["dense"]["bias"], "scale": grads["scale"]}
    np.savez(folder / "grads.npz", **{name: np.asarray(array) for name, array in flat.items()})
    return {"before": found["before"], "after": found["after"], "grads": folder / "grads.npz"}


@pytest.mark.parametrize("way", WAYS)
def test_a_step(tmp_path, orbax, way):
    files = trained(tmp_path, orbax, way)
    found = refgrad.audit(AdamW(scalars="float32"), **files)
    assert (found.outcome, found.tensors[0].step, {t.name for t in found.tensors}) == (
        "conforms",
        2,
        {"dense.kernel", "dense.bias", "scale"},
    )
    wrong = refgrad.audit(AdamW(scalars="float32", lr=0.5), **files)
    assert wrong.outcome == "does not conform"


@pytest.mark.parametrize("way", WAYS)
def test_every_stretch(tmp_path, orbax, way):
    """Any part of an array has the numbers that were saved; zeros, bfloat16 and whole numbers too."""
    import ml_dtypes

    tree = {
        "w": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "zeros": np.zeros((3, 2), np.float32),
        "narrow": np.arange(5).astype(ml_dtypes.bfloat16),
        "count": np.int32(7),
    }
    found = formats.read(save(orbax, tmp_path / "a", tree, way), "before").arrays
    assert set(found) == set(tree)
    for name, stored in found.items():
        wanted = np.asarray(tree[name])
        assert (stored.shape, stored.dtype) == (wanted.shape, wanted.dtype)
        for start in range(stored.size):
            for stop in range(start, stored.size + 1):
                assert stored.read(start, stop).tobytes() == wanted.reshape(-1)[start:stop].tobytes()


def test_broken_folders(tmp_path, orbax):
    tree = {"w": np.arange(6, dtype=np.float32), "v": np.ones(3, np.float32)}
    chunks = save(orbax, tmp_path / "chunks", tree, "zarr")
    os.remove(chunks / "w" / "0")
    with pytest.raises(RecordError, match="!w: a part is missing or broken"):
        formats.read(chunks, "before").arrays["w"].read()
    shutil.rmtree(chunks / "v")
    with pytest.raises(RecordError, match="'v' cannot be opened"):
        formats.read(chunks, "before")
    store = save(orbax, tmp_path / "store", tree, "store")
    for data in store.rglob("d/*"):
        data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    with pytest.raises(RecordError, match=r"cannot be opened|missing or broken"):
        [each.read() for each in formats.read(store, "before").arrays.values()]
    unfinished = tmp_path / "step.orbax-checkpoint-tmp-1"
    shutil.copytree(chunks, unfinished)
    with pytest.raises(RecordError, match="has not written it to its end"):
        formats.read(unfinished, "before")
    for text in ("no json", "[]", json.dumps({"tree_metadata": {"a": {}}})):
        (store / "_METADATA").write_text(text)
        with pytest.raises(RecordError, match="no tree that Orbax wrote"):
            formats.read(store, "before")
    os.remove(store / "_METADATA")
    with pytest.raises(RecordError, match="no _METADATA"):
        formats.read(store, "before")
