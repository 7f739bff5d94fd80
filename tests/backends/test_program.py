"""What is run of a plan is made once for each dtype, language, and way to store what comes out."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.backends.program import program_of
from refgrad.optimizers import LAMB, AdamW, Muon, Optimizer
from refgrad.quantizers import NF4
from refgrad.tracing import free_values, plan_for

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


def test_numpy_does_what_has_a_step_function_that_no_kernel_has() -> None:
    rule = NF4(search="grid")
    plan = plan_for(rule, 2, free_values((4, 64), {}), rule.body_parts())
    assert program_of(plan, F32).sources == ()


def test_numbers_between_passes_have_kernels() -> None:
    first, last = program_of(LAMB().plan((4, 4), 3), F32).passes
    assert first.ahead is None
    assert last.ahead is not None
    assert last.sources == (last.ahead.source, last.source)
