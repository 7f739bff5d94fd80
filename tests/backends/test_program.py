"""What is run of a plan is made once for each dtype, language, and way to store what comes out."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.backends.program import program_of
from refgrad.optimizers import LAMB, AdamW, Muon, Optimizer

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


@pytest.mark.parametrize(("rule", "loop"), [(AdamW(), True), (LAMB(), False)], ids=str)
def test_each_dtype_has_its_program(rule: Optimizer, loop: bool) -> None:
    plan = rule.plan((4, 4), 3)
    programs = {dtype: program_of(plan, dtype) for dtype in (F32, F64)}
    for dtype, program in programs.items():
        assert (program.loop is not None, bool(program.passes)) == (loop, not loop)
        assert program.sources
        assert {source.dtype for source in program.sources} == {dtype}
        assert program_of(plan, dtype) is program


def test_numpy_does_what_has_products_of_matrices() -> None:
    program = program_of(Muon().plan((4, 4), 3), F32)
    assert (program.loop, program.passes, program.sources) == (None, (), ())
