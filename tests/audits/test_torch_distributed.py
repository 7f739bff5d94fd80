"""Shards of FSDP and of torch.distributed.checkpoint are read as wholes; what is missing, cut or malicious is named."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.audits import formats, inert_pickle
from refgrad.audits.stored import RecordError
from refgrad.optimizers import AdamW
from tests.audits.steps import Step

torch = pytest.importorskip("torch")
dcp = pytest.importorskip("torch.distributed.checkpoint")

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """What two processes saved of a step."""
    folder = tmp_path_factory.mktemp("fsdp")
    command = [sys.executable, "-m", "tests.audits.fsdp_ranks", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, check=True, cwd=ROOT, env=environment, capture_output=True, timeout=300)
    return folder


def saved(folder: Path, kind: str, moment: str) -> list[Path]:
    ranks = [folder / f"{moment}-rank{rank}.pt" for rank in range(2)]
    return ranks if kind == "ranks" else [folder / f"{moment}-{kind}"]


@pytest.mark.parametrize("kind", ["nested", "flat", "ranks"])
def test_fsdp(trained, kind):
    """A step of FSDP in shards is judged as the same step in one file, to the bits; so are its hyperparameters."""
    files = {moment: saved(trained, kind, moment) for moment in ("before", "after")}
    names = {"order": ["0.weight", "0.bias", "1.weight", "1.bias"]}
    wholes = refgrad.audit(
        AdamW, before=trained / "before-full.pt", after=trained / "after-full.pt", grads=trained / "grads.npz"
    )
    found = refgrad.audit(AdamW, **files, grads=trained / "grads.npz", map=names if kind == "ranks" else None)
    assert (found.outcome, found.rule, found.tensors) == ("conforms", "AdamW(lr=0.01)", wholes.tensors)
    one, other = (formats.read(paths, "before") for paths in (files["after"], trained / "after-full.pt"))
    for name in found_names(other):
        key = next(key for key in one.arrays if key.endswith(name))
        assert one.arrays[key].read().tobytes() == other.arrays[f"model.{name}"].read().tobytes()


def found_names(contents: Any) -> list[str]:
    return [key.removeprefix("model.") for key in contents.arrays if key.startswith("model.")]


def test_placements(trained):
    """Tensors cut by rows, by columns or not at all are the same, in every stretch of them."""
    ranks = [trained / f"placements-{rank}.pt" for rank in range(2)]
    for paths in ([trained / "placements"], ranks):
        found = formats.read(paths, "before").arrays
        assert set(found) == {"columns", "rows", "copies"}
        for stored in found.values():
            wanted = np.arange(stored.size, dtype=np.float32)
            assert stored.shape == (6, 5)
            for start in range(stored.size):
                for stop in range(start, stored.size + 1):
                    assert stored.read(start, stop).tobytes() == wanted[start:stop].tobytes()


def test_a_rank_is_missing(trained):
    with pytest.raises(RecordError, match=r"elements are in no shard; legal: all shards"):
        formats.read([trained / "before-rank0.pt"], "before")
    with pytest.raises(RecordError, match="have elements in common"):
        formats.read([trained / "before-rank1.pt", trained / "before-rank1.pt"], "before")


def checkpoint(folder: Path, **more: Any) -> Path:
    """A folder of one process."""
    dcp.save(
        {"w": torch.arange(12.0).reshape(3, 4), "n": torch.tensor(2.0), **more}, checkpoint_id=folder, no_dist=True
    )
    return folder


def table(folder: Path, change: Any) -> None:
    """Change the table of a folder."""
    path = folder / ".metadata"
    found = pickle.loads(path.read_bytes())
    change(found)
    path.write_bytes(pickle.dumps(found))


def test_one_process(tmp_path):
    found = formats.read(checkpoint(tmp_path / "a", epoch=3, rates=[0.5]), "before")
    assert found.arrays["w"].shape == (3, 4)
    assert found.arrays["n"].read().tolist() == [2.0]
    assert found.numbers == {"epoch": 3, "rates.0": 0.5}
    assert {os.path.basename(path) for path, _, _ in found.files} == {".metadata", "__0_0.distcp"}


def test_numbered_parameters(tmp_path):
    """A plain ``state_dict()`` of an optimizer, whose numbers become texts in the table."""
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.5)
    files: dict[str, Any] = {}
    for moment in ("first", "before", "after"):
        model(torch.ones(1, 3)).square().sum().backward()
        files[moment] = checkpoint(tmp_path / moment, model=model.state_dict(), optim=optimizer.state_dict())
        if moment != "after":
            grads = {name: p.grad.numpy().copy() for name, p in model.named_parameters()}
            np.savez(tmp_path / f"{moment}.npz", **grads)
            optimizer.step()
            optimizer.zero_grad()
    found = refgrad.audit(
        AdamW,
        before=files["before"],
        after=files["after"],
        grads=tmp_path / "before.npz",
        map={"order": ["weight", "bias"]},
    )
    assert (found.outcome, found.rule, found.tensors[0].step) == ("conforms", "AdamW(lr=0.5)", 2)


def test_missing_and_cut_shards(tmp_path):
    folder = checkpoint(tmp_path / "a")
    shard = folder / "__0_0.distcp"
    kept = shard.read_bytes()
    shard.write_bytes(kept[:-10])
    with pytest.raises(RecordError, match=r"__0_0\.distcp: this shard was cut"):
        formats.read(folder, "before")
    shard.unlink()
    with pytest.raises(RecordError, match=r"__0_0\.distcp: this shard is missing"):
        formats.read(folder, "before")
    shard.write_bytes(bytes(len(kept)))
    with pytest.raises(RecordError, match="is no tensor that torch"):
        formats.read(folder, "before").arrays["w"].read()


def test_tables_that_do_not_fit(tmp_path):
    """What the table says is held against the files and the tensors."""

    def sizes(found: Any) -> None:
        found.state_dict_metadata["w"].chunks[0].sizes = torch.Size([3, 3])

    def dtype(found: Any) -> None:
        found.state_dict_metadata["w"].properties.dtype = torch.float64

    def elsewhere(found: Any) -> None:
        for info in found.storage_data.values():
            info.relative_path = "../x.distcp"

    def compressed(found: Any) -> None:
        for info in found.storage_data.values():
            info.transform_descriptors = ["zstd"]

    def nowhere(found: Any) -> None:
        found.storage_data.clear()

    def empty(found: Any) -> None:
        found.storage_data = None

    says = {
        sizes: "3 of its 12 elements are in no shard",
        dtype: "is not what .metadata says",
        elsewhere: "no file beside the table",
        compressed: "compressed or encrypted",
        nowhere: "lies in no file",
        empty: "no table of",
    }
    for number, (change, message) in enumerate(says.items()):
        folder = checkpoint(tmp_path / str(number))
        table(folder, change)
        with pytest.raises(RecordError, match=message):
            formats.read(folder, "before").arrays["w"].read()


class Bomb:
    """What writes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return (open, (self.path, "w"))


def test_nothing_is_executed(tmp_path):
    folder, mark = checkpoint(tmp_path / "a"), tmp_path / "mark"
    for data in (pickle.dumps(Bomb(mark)), pickle.dumps(Bomb(mark), 0), b"\x80\x04\x95", b"no pickle", b""):
        (folder / ".metadata").write_bytes(data)
        with pytest.raises(RecordError, match=r"refused: it names \w+\.open|one that was cut"):
            formats.read(folder, "before")
    folder = checkpoint(tmp_path / "b", client=Bomb(mark), more={"a": Bomb(mark)})
    mark.unlink(missing_ok=True)
    assert set(formats.read(folder, "before").arrays) == {"w", "n"}  # what is no number is left out
    shard = folder / "__0_0.distcp"
    stream = io.BytesIO()
    torch.save(Bomb(mark), stream)
    mark.unlink(missing_ok=True)

    def bombs(found: Any) -> None:
        for info in found.storage_data.values():
            info.offset, info.length = 0, len(stream.getvalue())

    table(folder, bombs)
    shard.write_bytes(stream.getvalue().ljust(shard.stat().st_size, b"\0"))
    with pytest.raises(RecordError, match="is no tensor that torch"):
        formats.read(folder, "before").arrays["w"].read()
    assert not mark.exists()


def test_a_step_in_a_folder(tmp_path):
    """What is wrong is said of the same elements as in one file."""
    step = Step()
    step.new["first.weight"][3, 4] += 1.0
    files = step.write(tmp_path)
    for moment in ("before", "after"):
        arrays = {name: torch.tensor(array) for name, array in step.flat(moment).items()}
        dcp.save(arrays, checkpoint_id=tmp_path / moment, no_dist=True)
    folders = {"before": tmp_path / "before", "after": tmp_path / "after", "grads": files["grads"]}
    found, wholes = (refgrad.audit(step.rule, **given) for given in (folders, files))
    assert found.tensors == wholes.tensors
    assert found.tensors[0].first["p"].place == 3 * 9 + 4
    shutil.rmtree(tmp_path / "after")


@pytest.mark.parametrize(
    "fields", [b"}X\x01\x00\x00\x00aK\x01s", b"(N}X\x01\x00\x00\x00aK\x01st"], ids=["a dict", "slots"]
)
@pytest.mark.parametrize("stands", [inert_pickle.value, inert_pickle.Record], ids=["value", "record"])
def test_no_pickle_sets_fields_of_what_its_names_lead_to(stands: Any, fields: bytes) -> None:
    data = b"\x80\x02csome\nname\n" + fields + b"b."
    with pytest.raises(RecordError, match="no table, or one that was cut"):
        inert_pickle.read("state.pkl", data, lambda module, name: stands, "table")
    assert not hasattr(stands, "a")
