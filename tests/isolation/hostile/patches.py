"""What a candidate does to the process that it is in, its libraries and its environment."""

from __future__ import annotations

import builtins
import ctypes
import gc
import json
import os
import pickle
import sys
from typing import Any

import numpy as np

from tests import float_environments
from tests.isolation.hostile.right import Given, at, doing


def _patch_module() -> None:
    np.sqrt = lambda x: x  # type: ignore[assignment]
    np.frombuffer = lambda *_: np.zeros(1)  # type: ignore[assignment]


def _patch_refgrad() -> None:
    for name in list(sys.modules):
        if name.startswith("refgrad.oracle"):
            for word in list(vars(sys.modules[name])):
                setattr(sys.modules[name], word, None)


def _patch_verdicts() -> None:
    from refgrad.oracle.engine.tally import Tally
    from refgrad.oracle.engine.verdict import Verdict

    Tally.outside = property(lambda _: 0)  # type: ignore[assignment,misc]
    Verdict.exit_code = property(lambda _: 0)  # type: ignore[assignment,misc]
    Verdict.conforms = property(lambda _: True)  # type: ignore[assignment,misc]


def _patch_and_return(given: Given) -> Any:
    _patch_verdicts()
    return given["p"], given["m"], given["v"]


def _rounding() -> None:
    ctypes.CDLL(None).fesetround(0x800)


patch_numpy = doing(lambda: setattr(np.ndarray, "tobytes", lambda *_: b""))
patch_module = doing(_patch_module)
patch_equality = doing(lambda: setattr(np, "array_equal", lambda *_: True))
patch_builtins = doing(lambda: setattr(builtins, "isinstance", lambda *_: True))
patch_json = doing(lambda: setattr(json, "dumps", lambda *_, **__: '{"outcome": "conforms"}'))
patch_refgrad = doing(_patch_refgrad)
patch_identity = doing(lambda: setattr(os, "getpid", lambda: 0))
patch_pickle = doing(lambda: setattr(pickle, "loads", lambda *_: []))
patch_verdicts = at(2, _patch_and_return)
no_modules = doing(lambda: sys.modules.clear())
no_numpy = doing(lambda: sys.modules.update({"numpy": None}))  # type: ignore[dict-item]
few_frames = doing(lambda: sys.setrecursionlimit(60))
raises_on_inexact = doing(lambda: np.seterr(all="raise"))
elsewhere = doing(lambda: os.chdir("/"))
no_variables = doing(lambda: os.environ.clear())
no_collection = doing(lambda: (gc.disable(), gc.freeze()))
flush = doing(lambda: float_environments.make("flush-to-zero"))
rounding = doing(_rounding)
