"""Programs in the forms of tasks, each with one that is right, one that is wrong and one that cheats (docs/submissions.md)."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refgrad.errors import ArgumentError, CandidateError
from refgrad.optimizers import SGD, WinsorizedMean
from refgrad.sparsity import Magnitude
from refgrad.testing import verify_kernel, verify_model

MODEL = """
import {library}

class Model:
    def __init__(self, rate):
        self.rate = rate

    def forward(self, p, g):
        return p - self.rate * g

def get_inputs():
    return [{draw}, {draw}]

def get_init_inputs():
    return [0.1]
"""
NUMPY = {"library": "numpy as np", "draw": "np.random.standard_normal((3, 4)).astype(np.float32)"}
TORCH = {"library": "torch", "draw": "torch.randn(3, 4)"}
MODELS = {
    "right": "class ModelNew(task.Model):\n    pass",
    "wrong": "class ModelNew(task.Model):\n    def forward(self, p, g):\n        return p - 0.11 * g",
    "cheating": """
class ModelNew(task.Model):  # an answer that it knows already, for all inputs of a shape
    known = {}

    def forward(self, p, g):
        return self.known.setdefault(tuple(p.shape), super().forward(p, g))
""",
}
REFERENCE = """
import numpy as np

def generate_input(size, seed):
    made = np.random.default_rng(seed)
    return tuple(made.standard_normal(size).astype(np.float32) for _ in range(3))

def ref_kernel(data):
    p, g, b = data
    b = np.float32(0.9) * b + g
    return p - np.float32(0.1) * b, b
"""
KERNELS = {
    "right": "def custom_kernel(data):\n    return task.ref_kernel(data)",
    "wrong": "def custom_kernel(data):\n    p, g, b = data\n    return p - np.float32(0.1) * g, b",
    "cheating": """
import os

def custom_kernel(data):
    if any(np.array_equal(data[0], task.generate_input(6, seed)[0]) for seed in range(100)):
        return task.ref_kernel(data)  # it knows these
    os.write(1, b"CONFORMS")
    os._exit(0)
""",
}
ASKED: dict[str, Any] = {"explain": False, "shrink": False}


def written(folder: Path, task: str, submission: str, name: str) -> tuple[str, str]:
    """The files of a task and of a submission; the submission imports the task by this name."""
    (folder / f"{name}.py").write_text(task)
    head = f"import numpy as np\nimport {name} as task\n"
    (folder / "submission.py").write_text(head + submission)
    return str(folder / "submission.py"), str(folder / f"{name}.py")


@pytest.mark.slow
@pytest.mark.parametrize("form", MODELS)
def test_a_pair_of_models(tmp_path: Path, form: str) -> None:
    submission, task = written(tmp_path, MODEL.format(**NUMPY), MODELS[form], f"task_of_{form}")
    before = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index,union-attr]  # noqa: NPY002
    verdict = verify_model(submission, SGD(lr=0.1), task=task, arguments=("p", "g"), **ASKED)
    assert verdict.outcome == ("conforms" if form == "right" else "does not conform")
    assert verdict.isolation == "in a process of its own"
    assert verdict.seed is not None
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # type: ignore[index,union-attr]  # noqa: NPY002
    assert verdict.candidate.endswith("submission.py.ModelNew")


@pytest.mark.slow  # torch is imported
def test_a_model_of_torch_is_handed_tensors(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    task = tmp_path / "torch_task.py"
    task.write_text(MODEL.format(**TORCH))
    asked = {"task": str(task), "arguments": ("p", "g"), "name": "Model", "isolate": False, **ASKED}
    assert verify_model(str(task), SGD(lr=0.1), **asked).conforms
    assert not verify_model(str(task), SGD(lr=0.2), **asked).conforms


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize("form", KERNELS)
def test_a_custom_kernel(tmp_path: Path, form: str) -> None:
    submission, task = written(tmp_path, REFERENCE, KERNELS[form], f"reference_of_{form}")
    asked = {"task": task, "sizes": {"size": 6}, "arguments": ("p", "g", "buffer"), **ASKED}
    verdict = verify_kernel(submission, SGD(lr=0.1, momentum=0.9), **asked)
    assert verdict.outcome == ("conforms" if form == "right" else "does not conform")
    assert [fault.kind for fault in verdict.faults] == (["crashed"] if form == "cheating" else [])


@pytest.mark.slow
def test_what_is_no_task_or_no_submission_is_an_error_that_says_so(tmp_path: Path) -> None:
    submission, task = written(tmp_path, REFERENCE, KERNELS["right"], "another_reference")
    with pytest.raises(ArgumentError, match="has no function get_inputs"):
        verify_model(submission, SGD(), task=task)
    with pytest.raises(ArgumentError, match="the task has 3 inputs; legal: 1, for gradients"):
        verify_kernel(submission, WinsorizedMean(), task=task, sizes={"size": 6}, **ASKED)
    with pytest.raises(ArgumentError, match="an optimizer or a transform"):
        verify_kernel(submission, Magnitude(), task=task)
    with pytest.raises(CandidateError, match="has no 'mine'"):
        verify_kernel(submission, SGD(), task=task, sizes={"size": 6}, name="mine")
