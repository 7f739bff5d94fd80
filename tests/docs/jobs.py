"""The three jobs of docs/three-jobs.md: their commands, and the pictures of what these show.

``python -m tests.docs.jobs`` runs all of them, each in a folder of its own, and draws docs/jobs/*.svg anew; with ``lion``
behind it that one alone. A C compiler is needed for the first, JAX for the second, matplotlib for the curves.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import refgrad
from refgrad.optimizers import AdamW, Lion
from refgrad.oracle.engine.verdict import Verdict
from refgrad.quantizers import Affine
from refgrad.report.picture import svg

FOLDER = Path(__file__).parents[2] / "docs" / "jobs"
BUILD = "cc -O2 -shared -fPIC fused.c -lm -o fused.so"


class Job(NamedTuple):
    """A command that the page shows with its picture.

    Args:
        command: what a reader types.
        target: the candidate.
        rule: what it is judged as.
        policy: the policy's fields.
        build: what is run before.
    """

    command: str
    target: str
    rule: Any
    policy: dict[str, Any]
    build: str = ""


JOBS = {
    "fused": Job("refgrad verify fused.py:step --as AdamW", "fused.py:step", AdamW(), {}, BUILD),
    "fused-tail": Job(
        "refgrad verify fused.py:step --as AdamW scalars=float32",
        "fused.py:step",
        AdamW(scalars="float32"),
        {},
        BUILD,
    ),
    "lion": Job(
        "refgrad verify lion_jax.py:my_lion --as Lion weight_decay=0.1 --policy subnormals=either",
        "lion_jax.py:my_lion",
        Lion(weight_decay=0.1),
        {"subnormals": "either"},
    ),
    "int8": Job(
        "refgrad verify int8.py:quantize --as Affine symmetric=true", "int8.py:quantize", Affine(symmetric=True), {}
    ),
}
#: of which job the page shows the distances step by step too
PLOTTED = "fused"


def judged(job: Job, **options: Any) -> Verdict:
    """The verdict of a job's command, from the files of the page in a folder of their own; ``options`` are those of `verify`."""
    with tempfile.TemporaryDirectory() as folder:
        for path in [*FOLDER.glob("*.py"), *FOLDER.glob("*.c")]:
            shutil.copy(path, folder)
        with contextlib.chdir(folder):
            if job.build:
                subprocess.run(job.build.split(), check=True)
            return refgrad.verify(job.target, job.rule, policy=job.policy, isolate=True, **options)


def draw(name: str) -> Iterator[Path]:
    """Draw a job's pictures; gives the files."""
    job, path = JOBS[name], FOLDER / f"{name}.svg"
    verdict = judged(job)
    path.write_text(svg(verdict, job.command) + "\n", encoding="utf-8")
    yield path
    if name == PLOTTED:
        import matplotlib

        path = FOLDER / f"{name}-steps.svg"
        # the same bytes from every run
        with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "refgrad"}):
            verdict.plot().savefig(path, format="svg", metadata={"Date": None})
        lines = path.read_text(encoding="utf-8").splitlines()
        path.write_text("\n".join(line.rstrip() for line in lines) + "\n", encoding="utf-8")
        yield path


if __name__ == "__main__":
    for chosen in sys.argv[1:] or JOBS:
        for drawn in draw(chosen):
            print(drawn.relative_to(FOLDER.parents[1]))
