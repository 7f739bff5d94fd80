"""A kernel is the same machine code by the stages that it needs and by Numba's decorators."""

from __future__ import annotations

import llvmlite.binding as llvm
import numpy as np
import pytest

from refgrad.backends import compiler, numba_stages
from refgrad.backends.numba_backend import kernel_sources
from refgrad.backends.source import KernelSource
from refgrad.optimizers import DiffGrad, Lion, Optimizer


@pytest.fixture
def unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numba is built otherwise than the versions that are known, as far as refgrad can tell."""
    monkeypatch.setattr(numba_stages, "is_known", lambda: False)


def machine_code(source: KernelSource) -> list[bytes]:
    """What a processor is given of a kernel, but for names, in which Numba counts what it compiled."""
    file = llvm.ObjectFileRef.from_data(compiler.compile_object(source))
    return [section.data() for section in file.sections() if section.is_text()]


def test_the_installed_numba_is_known() -> None:
    assert numba_stages.is_known()


# with a function of its own in float64, and without
@pytest.mark.parametrize(
    ("rule", "dtype"), [(Lion(), "float32"), pytest.param(DiffGrad(), "float64", marks=pytest.mark.slow)]
)
def test_machine_code_is_that_of_numbas_decorators(rule: Optimizer, dtype: str, request: pytest.FixtureRequest) -> None:
    (source,) = kernel_sources(rule.plan((8,), 1), np.dtype(dtype))
    code = machine_code(source)
    request.getfixturevalue("unknown")
    assert machine_code(source) == code != []


def test_numba_without_its_parts_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    from numba.core import codegen

    monkeypatch.delattr(codegen.CPUCodeLibrary, "_optimize_final_module")
    assert not numba_stages.is_known.__wrapped__()
