"""How long a candidate is waited for."""

from __future__ import annotations

import threading

import pytest

from refgrad.candidates.protocol import CandidateFault
from refgrad.oracle.engine.time_limit import watched


def test_what_takes_longer_than_was_said_is_given_up_though_it_would_end_by_itself() -> None:
    ended = threading.Event()
    with watched(0.15) as call:
        with pytest.raises(CandidateFault, match=r"it did not return within 0\.15 s"):
            call(lambda: ended.wait(1.0), "it")
        ended.set()
