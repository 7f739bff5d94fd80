"""Files of recorded steps: broken, foreign and malicious ones give one clear error, and nothing in them is executed."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from refgrad.audits import formats, safetensors_file
from refgrad.audits.stored import RecordError
from refgrad.errors import ArgumentError


class Bomb:
    """What writes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return (open, (self.path, "w"))


def safetensors(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(**more: Any) -> dict[str, Any]:
    return {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **more}}


BROKEN = {
    "empty.safetensors": b"",
    "long.safetensors": struct.pack("<Q", 1 << 60) + b"{}",
    "text.safetensors": safetensors(b"{ no"),
    "list.safetensors": safetensors([1]),
    "deep.safetensors": safetensors(b"[" * 100_000),
    "twice.safetensors": safetensors(b'{"a": 1, "a": 2}'),
    "dtype.safetensors": safetensors(entry(dtype="F99"), bytes(8)),
    "shape.safetensors": safetensors(entry(shape=[3]), bytes(8)),
    "negative.safetensors": safetensors(entry(shape=[-1, -2]), bytes(8)),
    "beyond.safetensors": safetensors(entry(), bytes(4)),
    "metadata.safetensors": safetensors({"__metadata__": {"a": 1}, **entry()}, bytes(8)),
    "shared.safetensors": safetensors({**entry(), "b": entry()["w"]}, bytes(8)),
    "text.npz": b"no zip",
    "text.npy": b"no array",
    "unclosed.npy": b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f4', 'fortran_order': (".ljust(117) + b"\n",
    "object.npy": b"\x93NUMPY\x01\x00v\x00"
    + b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117)
    + b"\n",
    "version.npy": b"\x93NUMPY\x03\x00v\x00\x00\x00"
    + b"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }".ljust(117)
    + b"\n",
    "less.npy": b"\x93NUMPY\x01\x00v\x00"
    + b"{'descr': '<f4', 'fortran_order': False, 'shape': (9,), }".ljust(117)
    + b"\n",
    "below.npy": b"\x93NUMPY\x01\x00v\x00"
    + b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }".ljust(117)
    + b"\n",
    "words.safetensors.index.json": b'{"weight_map": {"w": 3}}',
    "broken.safetensors.index.json": b"{",
    "dots.bin.index.json": b'{"weight_map": {"w": ".."}}',
    "index.safetensors.index.json": b'{"weight_map": {"w": "../../etc/passwd"}}',
    "none.safetensors.index.json": b"[]",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_gives_one_clear_error(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(BROKEN[name])
    with pytest.raises(RecordError, match=name.split(".")[0]):
        formats.read(path, "before")


def test_every_array_is_read_in_part(tmp_path: Path) -> None:
    arrays = {
        "a": np.arange(12, dtype=np.float32).reshape(3, 4),
        "b": np.arange(5, dtype=np.float16),
        "c": np.arange(7).astype(ml_dtypes.bfloat16),
        "d": np.asarray(2.5),
        "e": np.zeros((0, 3), np.float32),
    }
    safetensors_file.write(str(tmp_path / "x.safetensors"), arrays, {"note": "x"})
    np.savez(tmp_path / "x.npz", **arrays)
    np.savez_compressed(tmp_path / "y.npz", **arrays)
    np.save(tmp_path / "a.npy", arrays["a"])
    for name in ("x.safetensors", "x.npz", "y.npz", "a.npy"):
        found = formats.read(tmp_path / name, "before").arrays
        for key, stored in found.items():
            want = arrays[key]
            assert (stored.shape, stored.dtype) == (want.shape, want.dtype), (name, key)
            assert stored.read().tobytes() == want.tobytes()
            assert stored.read(1, 3).tolist() == want.reshape(-1)[1:3].tolist() if want.size > 3 else True
            assert stored.read(0, 1).tolist() == want.reshape(-1)[0:1].tolist() if want.size else True
    assert formats.read(tmp_path / "x.safetensors", "before").metadata == {"note": "x"}


def test_the_package_of_safetensors_reads_what_is_written(tmp_path: Path) -> None:
    package = pytest.importorskip("safetensors.numpy")
    arrays = {"w": np.float32([1, 2]), "n": np.asarray(3.0)}
    safetensors_file.write(str(tmp_path / "x.safetensors"), arrays)
    loaded = package.load_file(str(tmp_path / "x.safetensors"))
    assert {n: a.tolist() for n, a in loaded.items()} == {"w": [1.0, 2.0], "n": 3.0}


def test_pickles_in_arrays_are_refused(tmp_path: Path) -> None:
    hit = tmp_path / "hit"
    np.save(tmp_path / "x.npy", np.array([Bomb(hit)], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        file.write(tmp_path / "x.npy", "w.npy")
    for name in ("x.npy", "x.npz"):
        with pytest.raises(RecordError, match="objects are pickled"):
            formats.read(tmp_path / name, "before")
    assert not hit.exists()


def test_pickles_of_torch_are_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    hit = tmp_path / "hit"
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Bomb(hit)))
    torch.save({"w": torch.ones(2), "more": Bomb(hit)}, tmp_path / "zip.pt")
    torch.save({"w": torch.ones(2)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    torch.save({"w": torch.ones(1000)}, tmp_path / "cut.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "cut.pt").read_bytes()[:-900])
    for name in ("plain.pt", "zip.pt", "old.pt", "cut.pt"):
        with pytest.raises(RecordError, match=name):
            formats.read(tmp_path / name, "before")
    assert not hit.exists()


def test_complex_numbers_are_refused_by_every_reader(tmp_path: Path) -> None:
    """Of which a float would be the real part alone."""
    number = np.full(4, 1 + 5j, np.complex64)
    np.savez(tmp_path / "c.npz", w=number)
    np.save(tmp_path / "c.npy", number)
    with pytest.raises(RecordError, match="'w' has dtype complex64"):
        safetensors_file.write(str(tmp_path / "c.safetensors"), {"w": number})
    (tmp_path / "c.safetensors").write_bytes(safetensors(entry(dtype="C64", shape=[1]), bytes(8)))
    names = ["c.npz", "c.npy", "c.safetensors"]
    if importlib.util.find_spec("torch") is not None:
        torch = importlib.import_module("torch")
        torch.save({"w": torch.full((4,), 1 + 5j)}, tmp_path / "c.pt")
        names.append("c.pt")
    for name in names:
        with pytest.raises(RecordError, match=r"has dtype (complex64|'C64'); legal: "):
            formats.read(tmp_path / name, "before")


def test_keys_that_are_one_name_are_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    w = torch.ones(2)
    groups = [{"params": [0], "lr": 0.1}]
    for number, twice in enumerate(
        [
            {1: w, "1": w},
            {"a.b": w, "a": {"b": w}},
            {"a.b": 1.0, "a": {"b": w}},
            {"w": w, "optimizer": {"state": {0: {1: w, "1": w}}, "param_groups": groups}},
            {"w": w, "optimizer": {"state": {}, "param_groups": [{**groups[0], 1: 0.1, "1": 0.2}]}},
        ]
    ):
        torch.save(twice, tmp_path / f"{number}.pt")
        with pytest.raises(RecordError, match=rf"{number}.pt: .*('1'|'a.b') (is there )?twice"):
            formats.read(tmp_path / f"{number}.pt", "before")


def test_a_file_that_is_cut_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    safetensors_file.write(str(path), {"w": np.zeros(1000, np.float32)})
    stored = formats.read(path, "before").arrays["w"]
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(RecordError, match="ends within the array"):
        stored.read()


def test_a_member_whose_name_is_no_text(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", w=np.zeros(3))
    data = (tmp_path / "x.npz").read_bytes()
    end = data.rindex(b"PK\x01\x02")
    flagged = data[: end + 8] + b"\x00\x08" + data[end + 10 :]  # names are said to be UTF-8
    (tmp_path / "x.npz").write_bytes(flagged[:end] + flagged[end:].replace(b"w.npy", b"\x85.npy"))
    with pytest.raises(RecordError, match=r"x\.npz"):
        formats.read(tmp_path / "x.npz", "before")


def test_a_member_that_is_damaged(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", w=np.random.default_rng(0).normal(size=4000))
    data = bytearray((tmp_path / "x.npz").read_bytes())
    data[5000:5100] = bytes(100)
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(RecordError, match=r"x\.npz"):
        formats.read(tmp_path / "x.npz", "before").arrays["w"].read()


@pytest.mark.parametrize(
    ("path", "words"), [(3, "before is 3"), ([], "before is"), ("gone.npz", "which is not there"), (".", "no file")]
)
def test_paths(path: Any, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArgumentError, match=words):
        formats.read(path, "before")


def test_a_folder_and_arrays_that_are_there_twice(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", w=np.zeros(2))
    np.save(tmp_path / "b.npy", np.zeros(3))
    assert set(formats.read(tmp_path, "before").arrays) == {"w", "b"}
    np.savez(tmp_path / "y.npz", w=np.zeros(2))
    with pytest.raises(RecordError, match="there twice"):
        formats.read(tmp_path, "before")


def test_arrays_that_lie_otherwise_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "columns.npy", np.asfortranarray(np.zeros((2, 3))))
    np.save(tmp_path / "w", np.zeros(2))
    with zipfile.ZipFile(tmp_path / "twice.npz", "w") as file:
        file.write(tmp_path / "w.npy", "w.npy")
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.write(tmp_path / "w.npy", "w.npy")
    with zipfile.ZipFile(tmp_path / "longer.npz", "w") as file:
        file.writestr("w.npy", (tmp_path / "w.npy").read_bytes() + b"x")
    for name, words in (
        ("columns.npy", "ascontiguousarray"),
        ("twice.npz", "there twice"),
        ("longer.npz", "145 bytes"),
    ):
        with pytest.raises(RecordError, match=words):
            formats.read(tmp_path / name, "before")
    assert formats.read(tmp_path / "w.npy", "before").arrays["w"].shape == (2,)


def test_a_member_that_is_packed_is_read_from_any_place(tmp_path: Path) -> None:
    want = np.random.default_rng(0).normal(size=4000)
    np.savez_compressed(tmp_path / "x.npz", w=want)
    stored = formats.read(tmp_path / "x.npz", "before").arrays["w"]
    for start, stop in ((3000, 3010), (3500, 4000), (0, 5), (17, 17)):
        assert stored.read(start, stop).tolist() == want[start:stop].tolist()


def test_an_index_names_what_its_shards_hold(tmp_path: Path) -> None:
    for number, names in enumerate((("a",), ("b", "c"))):
        arrays = {name: np.float32([number]) for name in names}
        safetensors_file.write(str(tmp_path / f"{number}.safetensors"), arrays)
    index = tmp_path / "model.safetensors.index.json"
    for mapped, words in (
        ({"a": "0.safetensors", "d": "1.safetensors"}, "'d' is not in the shard"),
        ({"a": "1.safetensors", "b": "0.safetensors", "c": "1.safetensors"}, "is not in the shard"),
        ({"a": "gone.safetensors"}, "a shard of .* which is not there"),
        ({"a": "sub/0.safetensors"}, "no file beside the index"),
    ):
        index.write_text(json.dumps({"weight_map": mapped}))
        with pytest.raises((RecordError, ArgumentError), match=words):
            formats.read(index, "before")
    index.write_text(json.dumps({"weight_map": {"a": "0.safetensors", "b": "1.safetensors", "c": "1.safetensors"}}))
    for path in (index, tmp_path):
        assert set(formats.read(path, "before").arrays) == {"a", "b", "c"}


def test_files_of_torch_need_torch_and_folders_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.pt").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.npy").mkdir()
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None)
    for name, words in (("x.pt", r"install refgrad\[torch\]"), ("empty", "has no file"), ("a.npy", "has no file")):
        with pytest.raises(ArgumentError, match=words):
            formats.read(tmp_path / name, "before")


def test_a_file_that_the_system_does_not_give_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: str) -> Any:
        raise PermissionError(13, "Permission denied", path)

    np.save(tmp_path / "b.npy", np.zeros(1))
    monkeypatch.setattr(formats, "READERS", {".npy": refused})
    with pytest.raises(RecordError, match=r"b\.npy: Permission denied"):
        formats.read(tmp_path / "b.npy", "before")


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
def test_what_lies_within_files_of_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    nested: Any = {"model": [{"w": torch.ones(2, 3).T}, (torch.ones(1),)], "epoch": 3, "name": "x", "none": None}
    sgd = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=torch.tensor(0.5), momentum=0.9)
    sgd.param_groups[0]["params"][0].grad = torch.ones(2)
    sgd.step()
    torch.save({**nested, "optimizer": sgd.state_dict()}, tmp_path / "x.pt")
    found = formats.read(tmp_path / "x.pt", "before")
    assert {n: a.shape for n, a in found.arrays.items()} == {"model.0.w": (3, 2), "model.1.0": (1,)}
    assert found.arrays["model.0.w"].read().tolist() == [1.0] * 6
    assert found.numbers == {"epoch": 3, "name": "x"}
    (optimizer,) = found.optimizers
    assert (optimizer["param_groups"][0]["lr"], optimizer["state"][0]["momentum_buffer"].shape) == (0.5, (2,))
    deep: Any = torch.ones(1)
    for _ in range(100):
        deep = [deep]
    for thing, words in (
        (deep, "more than .* deep"),
        (torch.ones(2).to_sparse(), "no dense tensor"),
        (torch.ones(2, dtype=torch.complex32), "has dtype torch.complex32, which NumPy has not"),
    ):
        torch.save({"w": thing}, tmp_path / "y.pt")
        with pytest.raises(RecordError, match=words):
            formats.read(tmp_path / "y.pt", "before")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with a name")
def test_a_pipe_among_files_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "shard.safetensors")
    index = tmp_path / "index.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"w": "shard.safetensors"}}))
    with pytest.raises(RecordError, match="no regular file"):
        formats.read(index, "before")
    index.unlink()
    os.mkfifo(index)
    with pytest.raises(RecordError, match="no regular file"):
        formats.read(tmp_path, "before")
