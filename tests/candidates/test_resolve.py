from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from refgrad import CandidateError
from refgrad.candidates.protocol import Observation
from refgrad.candidates.resolve import load, resolve
from refgrad.optimizers import AdamW

FILE = """
import neighbour

def step(p, g, lr):
    return p - np_lr(lr) * g

np_lr = neighbour.same
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "neighbour.py").write_text("def same(x):\n    return x\n")
    (tmp_path / "mine.py").write_text(FILE)
    (tmp_path / "broken.py").write_text("import does_not_exist_anywhere\n")
    (tmp_path / "raising.py").write_text("raise SystemExit(3)\n")
    return tmp_path / "mine.py"


def test_a_file_is_loaded_with_its_neighbours(file: Path) -> None:
    candidate = resolve(f"{file}:step")
    assert candidate.name == f"{file}:step"
    assert str(file.parent) not in sys.path


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("numpy.linagl:norm", "there is no module 'numpy.linagl'; did you mean 'linalg'?"),
        ("no:norm", "there is no module 'no'; legal: one that is installed here, or a file"),
        ("numpyy:norm", "there is no module 'numpyy'; did you mean 'numpy'?"),
        ("refgrad.examples.numpy_adamw:adamv", "has no 'adamv'; did you mean 'adamw'?"),
        ("refgrad.optimizers:AdamW.lrr", "refgrad.optimizers:AdamW has no 'lrr'; did you mean 'lr'?"),
        ("refgrad.optimizers.AdamW", "did you mean 'refgrad.optimizers:AdamW'?"),
        ("nothing", "candidate is 'nothing'; legal: 'package.module:name' or 'path/to/file.py:name'"),
        ("3", "candidate is '3'"),
        ("not/there.py:f", "there is no file 'not/there.py'"),
        ("math:pi", "math:pi is a float; legal: a torch.optim.Optimizer class"),
    ],
)
def test_what_is_not_found_is_named_with_what_is_near(target: str, message: str) -> None:
    with pytest.raises(CandidateError) as raised:
        resolve(target)
    assert message in str(raised.value)


def test_a_shared_library_without_a_signature_is_told_apart_from_a_module(tmp_path: Path) -> None:
    library = tmp_path / "lib.so"
    library.write_bytes(b"")
    with pytest.raises(CandidateError, match=r"shared library, which does not say .* legal: --signature"):
        load(f"{library}:f")


def test_what_goes_wrong_in_a_module_is_told_apart_from_a_module_that_is_missing(file: Path) -> None:
    with pytest.raises(CandidateError, match="needs a module 'does_not_exist_anywhere', which is not installed"):
        load(f"{file.parent / 'broken.py'}:f")
    with pytest.raises(CandidateError, match="raised SystemExit: 3"):
        load(f"{file.parent / 'raising.py'}:f")


def test_nothing_is_imported_on_behalf_of_the_user() -> None:
    source = (
        "import sys\n"
        "from refgrad.candidates.resolve import resolve\n"
        "resolve('refgrad.examples.numpy_adamw:adamw'); resolve('refgrad.optimizers:AdamW')\n"
        "print(sorted({'torch', 'jax', 'optax', 'numba', 'rich'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class Ready:
    name = "mine"

    def start(self, rule: object, params: object) -> Ready:
        return self

    def step(self, grads: object) -> None: ...

    def observe(self) -> Observation:
        return Observation([], [])


def test_a_candidate_by_the_protocol_is_taken_as_it_is() -> None:
    ready = Ready()
    assert resolve(ready) is ready
    with pytest.raises(CandidateError, match="legal options: none, not lr"):
        resolve(ready, {"lr": 1})


def test_a_function_of_neither_kind_is_described() -> None:
    def misfit(lr: float) -> float:
        return lr

    if "optax" in sys.modules:
        with pytest.raises(CandidateError, match=r"legal: an optax.GradientTransformation"):
            resolve(misfit).start(AdamW(), [np.ones(2, np.float32)])
    else:
        with pytest.raises(CandidateError, match=r"a function with arguments \(lr\)"):
            resolve(misfit)
