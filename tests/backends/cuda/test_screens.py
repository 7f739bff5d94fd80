"""Judging kernels in CUDA, emulated, beside those that judge on the CPU: the same bits, clear or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from refgrad.oracle.acceptance import judging_place, screening
from refgrad.oracle.acceptance.judge import Step
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.screened_outputs import Screened, summary
from tests.backends.cuda.conftest import needs_compiler
from tests.backends.cuda.devices import Emulated
from tests.oracle.acceptance import test_screened_folds as folds
from tests.oracle.acceptance.test_screening import changed, narrow_step, step_of

#: steps by what is seen of them, with how many chunks are not clear
STEPS: Mapping[str, tuple[Callable[[], Step], int]] = {
    "clear": (step_of, 0),
    "wrong": (lambda: changed(step_of(), "p", slice(5, 9), 1e3), 1),
    "narrow": (lambda: narrow_step("bfloat16"), 1),
    "reductions": (lambda: folds.step_of("LAMB"), 0),
}


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("name", STEPS)
def test_a_screen_in_cuda_says_what_the_one_on_the_cpu_says(
    name: str, emulated: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, most = STEPS[name]
    step, policy = made(), Policy()
    assert screening.why_not(step, policy) is None
    wanted = screening.screened(step, policy, threads=1)
    monkeypatch.setattr(judging_place, "WORTH", 1)
    launched = emulated.launches
    with judging_place.on(emulated):
        found = screening.screened(step, policy)
    assert emulated.launches - launched == (3 if name == "reductions" else 1)  # of which it folds two
    assert set(found) == set(wanted)
    for output, judged in found.items():
        values, host = step.after[output], wanted[output]
        assert summary(judged, values, values.dtype) == summary(host, values, values.dtype)
        assert isinstance(judged, Screened)
        assert isinstance(host, Screened)
        there, here, clear = judged.screen, host.screen, host.screen.clear
        assert (there.clear == clear).all()
        assert len(here.unclear) <= most
        for attribute in ("rough", "worst"):
            assert getattr(there, attribute)[clear].tobytes() == getattr(here, attribute)[clear].tobytes()
        assert (there.counts == here.counts).all()
        assert there.largest.tobytes() == here.largest.tobytes()


def test_small_arrays_are_judged_here(emulated: Emulated) -> None:
    with judging_place.on(emulated):
        assert judging_place.place_for(judging_place.WORTH - 1) is None
        assert judging_place.place_for(judging_place.WORTH) is emulated
    assert judging_place.place_for(judging_place.WORTH) is None
