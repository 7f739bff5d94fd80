"""Judging kernels in CUDA, emulated, beside those that judge on the CPU: the same bits, clear or not."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.backends.cuda import screens
from refgrad.backends.screen_source import screen_source, widest
from refgrad.oracle.acceptance import screening
from refgrad.oracle.acceptance.policy import Policy
from tests.backends.cuda.conftest import needs_compiler
from tests.backends.cuda.devices import Emulated
from tests.oracle.acceptance.test_screening import changed, step_of


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("wrong", [False, True])
def test_a_screen_in_cuda_says_what_the_one_on_the_cpu_says(wrong: bool, emulated: Emulated) -> None:
    step = step_of()
    step = changed(step, "p", slice(5, 9), 1e3) if wrong else step
    shared, source, _ = screening._ready(step, Policy(), threads=1)
    found, names = shared.found, shared.found.names
    chunks, rooms = len(shared.chunks), widest({name: shared.after[name].dtype for name in names})
    assert shared.few.hold(found.loop)
    failed, worst = np.zeros(chunks + 1, np.int64), np.zeros((chunks + 1, len(names), 2))
    totals = screening._room(len(names), rooms)
    shared.run(source, found.loop, [(failed, 1), (worst, 2 * len(names))], lambda: totals)
    types = {name: array.dtype for name, array in shared.arrays.items()}
    printed = screen_source(found, types, "in CUDA", screens.DIALECT)
    seen = screens.run(
        printed,
        [emulated.put(shared.arrays[name]) for name in found.loop.reads],
        [shared.few.number(node) for node in found.loop.numbers],
        (shared.size, shared.chunk, shared.columns),
        len(names),
        rooms,
        emulated,
    )
    assert (seen.failed == failed[:chunks]).all()
    assert (seen.failed > 0).any() == wrong
    clear = seen.failed == 0
    assert seen.worst[clear].tobytes() == worst[:chunks][clear].tobytes()
    assert (seen.counts == totals[0]).all()
    assert seen.largest.tobytes() == totals[1].tobytes()
