"""What an audit of a large step costs: a synthetic step of AdamW, made in pieces, audited, and removed again.

python -m tests.benchmarks.audit_scale FOLDER 1e7 3e7 1e8    # or 5e8: 14 GB of files, for which the disk must have room
python -m tests.benchmarks.audit_scale FOLDER 5e8 --save docs/benchmarks/audit-scale.json

Each size is judged in a process of its own that may have 4 GiB of data, after its files have left the page cache. Beside it stand
the rate at which the same files are read from the disk from end to end, and that at which the kernel judges in memory.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from refgrad.audits import judging, recorded
from refgrad.audits.naming import Names
from refgrad.optimizers import AdamW
from refgrad.oracle.acceptance.policy import Policy
from tests.benchmarks import kept

RULE, STEP = AdamW(), 10
#: elements that are made at a time, and that the kernel judges in memory
PIECE, IN_MEMORY = 1 << 22, 10_000_000
#: bytes that are read and written for an element, and those that a process may have for its data
BYTES, MOST = 28, 4 << 30
#: the size up to which the line is drawn
FAR = 2e9

ARRAYS = {"before": ("w", "state/w/m", "state/w/v"), "after": ("w", "state/w/m", "state/w/v"), "grads": ("w",)}


def make(folder: Path, size: int) -> dict[str, Path]:
    """The files of a right step, of dense numbers that all differ, written a piece at a time.

    Args:
        folder: where they are written.
        size: of how many elements the parameter is.

    Returns:
        The paths by moment.
    """
    paths = {moment: folder / f"{moment}.safetensors" for moment in ARRAYS}
    places = {moment: _begin(path, ARRAYS[moment], size, moment) for moment, path in paths.items()}
    files = {moment: os.open(path, os.O_WRONLY) for moment, path in paths.items()}
    try:
        for number, start in enumerate(range(0, size, PIECE)):
            for moment, arrays in _piece(number, min(PIECE, size - start)).items():
                for name, array in arrays.items():
                    _write(files[moment], array, places[moment][name] + 4 * start)
        for file in files.values():
            os.fsync(file)
    finally:
        for file in files.values():
            os.close(file)
    return paths


def _piece(number: int, size: int) -> dict[str, dict[str, np.ndarray]]:
    random = np.random.Generator(np.random.Philox(number))
    p, g, m, v = (random.standard_normal(size, np.float32) for _ in range(4))
    state: dict[str, Any] = {"m": m * np.float32(0.1), "v": v * v * np.float32(0.1), "t": STEP - 1}
    new, after = RULE.step(p, g, state)
    found = {"grads": {"w": g}}
    for moment, w, of in (("before", p, state), ("after", new, after)):
        found[moment] = {"w": np.asarray(w), "state/w/m": np.asarray(of["m"]), "state/w/v": np.asarray(of["v"])}
    return found


def _begin(path: Path, names: Sequence[str], size: int, moment: str) -> dict[str, int]:
    """A safetensors file with its header alone; where in it each array begins."""
    step = {"before": STEP - 1, "after": STEP}.get(moment)
    header: dict[str, Any] = {}
    for number, name in enumerate(names):
        header[name] = {"dtype": "F32", "shape": [size], "data_offsets": [4 * size * number, 4 * size * (number + 1)]}
    end = 4 * size * len(names)
    if step is not None:
        header["state/w/step"] = {"dtype": "F64", "shape": [], "data_offsets": [end, end + 8]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
        if step is not None:
            file.seek(0, os.SEEK_END)
            file.write(struct.pack("<d", step))
    return {name: 8 + len(text) + 4 * size * number for number, name in enumerate(names)}


def _write(file: int, array: np.ndarray, place: int) -> None:
    data = memoryview(np.ascontiguousarray(array)).cast("B")
    while data:
        count = os.pwrite(file, data, place)
        data, place = data[count:], place + count


def leave_cache(paths: Mapping[str, Path]) -> None:
    """Files that are read from the disk again."""
    for path in paths.values():
        file = os.open(path, os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def read_through(paths: Mapping[str, Path]) -> None:
    """All of them, from end to end."""
    room = bytearray(1 << 23)
    for path in paths.values():
        with path.open("rb", buffering=0) as file:
            while file.readinto(room):
                pass


def timed(call: Any) -> dict[str, float]:
    """Seconds that a call takes by the clock, and of the processor in all threads."""
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return {"seconds": time.perf_counter() - wall, "processor": time.process_time() - processor}


#: what the process runs that audits, and prints in one line
AUDITS = """
import json, re, resource, sys, time
from pathlib import Path
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[4]),) * 2)
import refgrad
from refgrad.optimizers import AdamW
before, after, grads = sys.argv[1:4]
wall, processor = time.perf_counter(), time.process_time()
found = refgrad.audit(AdamW(), before=before, after=after, grads=grads)
print(json.dumps({
    "seconds": time.perf_counter() - wall,
    "processor": time.process_time() - processor,
    "outcome": found.outcome,
    # of this program alone: what getrusage says begins with what the one had that started it
    "peak": 1024 * int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]),
}))
"""


def audited(paths: Mapping[str, Path]) -> dict[str, Any]:
    """An audit in a process of its own: seconds, the outcome, and bytes that it had in memory at most."""
    command = [sys.executable, "-c", AUDITS, *(str(paths[moment]) for moment in ARRAYS), str(MOST)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert found["outcome"] == "conforms", found
    return found


def in_memory(paths: Mapping[str, Path], size: int) -> dict[str, float]:
    """What an audit does with as much as it judges at a time, once it is read, and its kernel compiled."""
    moments = recorded.read(paths["before"], paths["after"], paths["grads"], RULE, Names())
    (leaf,) = recorded.put_together(moments, RULE, Names(), None).leaves
    step, turns = leaf.step((0, min(judging.CHUNK, size))), max(1, IN_MEMORY // judging.CHUNK)
    chunk = (0, step.after["p"].size)
    judging.judged(leaf, chunk, Policy(), True, step)
    found = timed(lambda: [judging.judged(leaf, chunk, Policy(), True, step) for _ in range(turns)])
    return {kind: seconds * size / (turns * step.after["p"].size) for kind, seconds in found.items()}


def measured(folder: Path, size: int) -> dict[str, Any]:
    """One size: the files are made, read, audited and removed.

    Args:
        folder: where the files are for so long.
        size: how many elements.

    Raises:
        SystemExit: the disk has no room for them.
    """
    free = shutil.disk_usage(folder).free
    if free < 1.1 * BYTES * size:
        raise SystemExit(f"{folder} has {free / 1e9:.0f} GB free; {size:.0e} elements take {BYTES * size / 1e9:.0f} GB")
    place = folder / f"step-{size}"
    place.mkdir()
    try:
        paths = make(place, size)
        memory = in_memory(paths, size)
        leave_cache(paths)
        read = timed(lambda: read_through(paths))
        leave_cache(paths)
        return {"size": size, "read": read, "memory": memory, "audit": audited(paths)}
    finally:
        shutil.rmtree(place)


def line(found: Sequence[Mapping[str, Any]], kind: str) -> tuple[float, float]:
    """The seconds that an audit takes at once and for an element, fitted so that relative distances are least.

    Args:
        found: of each size what `measured` gave, of two sizes at least.
        kind: "seconds" or "processor".
    """
    sizes, seconds = (np.asarray(list(of), float) for of in zip(*_points(found, kind), strict=True))
    matrix = np.stack([1.0 / seconds, sizes / seconds], axis=1)
    fixed, each = np.linalg.lstsq(matrix, np.ones(len(sizes)), rcond=None)[0]
    return float(fixed), float(each)


def _points(found: Sequence[Mapping[str, Any]], kind: str) -> list[tuple[float, float]]:
    return [(each["size"], each["audit"][kind]) for each in found]


def told(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is printed of some sizes: million elements a second by the clock and of processor time, and the line."""
    yield "| elements | audit, M/s | read cold, M/s | judged in memory, M/s | of the lower | by processor time | peak, MB |"
    yield "|---|---|---|---|---|---|---|"
    for each in found:
        size, shares, rates = each["size"], [], []
        for kind in ("seconds", "processor"):
            audit, read, memory = (size / each[what][kind] / 1e6 for what in ("audit", "read", "memory"))
            # processor time has no waiting for a disk in it
            shares.append(audit / (min(read, memory) if kind == "seconds" else memory))
            rates = rates or [audit, read, memory]
        columns = [f"{size:.0e}", *(f"{rate:.1f}" for rate in rates), *(f"{share:.2f}" for share in shares)]
        yield f"| {' | '.join([*columns, format(each['audit']['peak'] / 1e6, '.0f')])} |"
    if len(found) > 1:
        for kind in ("seconds", "processor"):
            fixed, each_ = line(found, kind)
            far = fixed + each_ * FAR
            yield f"fitted, not measured: {kind} = {fixed:.2f} + {each_ * 1e9:.2f} n / 1e9; {far:.0f} at {FAR:.0e} elements"


def main(arguments: Sequence[str]) -> None:
    """Measure some sizes, print what was found, and keep it if that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("sizes", nargs="+", type=lambda text: math.floor(float(text)))
    parser.add_argument("--save", type=Path, help="a JSON file, in which other sizes stay as they are")
    given = parser.parse_args(arguments)
    found = []
    for size in given.sizes:
        found.append(measured(given.folder, size))
        print(json.dumps(found[-1]), flush=True)  # so that what was measured is not lost if a later size fails
    if given.save is not None:
        known = kept.read(given.save)["results"] if given.save.exists() else []
        found = sorted([*(e for e in known if e["size"] not in given.sizes), *found], key=lambda each: each["size"])
        kept.write(given.save, found)
    print(*told(found), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
