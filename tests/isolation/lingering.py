"""Candidates that are right, and leave something for the next one that no look at the modules' own names would show."""

from __future__ import annotations

import _thread
import os
import resource
import sys
import time
from collections.abc import Callable
from importlib import machinery
from typing import Any

import numpy as np

from refgrad.candidates.numpy_function import FunctionRun
from refgrad.examples.numpy_adamw import adamw as right
from tests.isolation.hostile.right import doing


class Hook:
    """Finds nothing."""

    @staticmethod
    def find_spec(*_: Any) -> machinery.ModuleSpec | None:
        return None


def _called(self: Any, *args: Any, **given: Any) -> Any:
    self._function = right
    return _CALL(self, *args, **given)


_CALL: Callable[..., Any] = FunctionRun._call

#: what each does
LEFT: dict[str, Callable[[], Any]] = {
    "method": lambda: setattr(FunctionRun, "_call", _called),
    "new_method": lambda: setattr(
        FunctionRun, "__getattribute__", lambda self, name: object.__getattribute__(self, name)
    ),
    "numpy_module": lambda: setattr(np.linalg, "norm", lambda *_, **__: 0.0),
    "hook": lambda: sys.meta_path.insert(0, Hook),  # type: ignore[arg-type]
    "code": lambda: setattr(FunctionRun._call, "__code__", _called.__code__),
    "defaults": lambda: setattr(np.linalg.norm.__wrapped__, "__defaults__", (2, None, True)),  # type: ignore[attr-defined]
    "hidden": lambda: setattr(sys.modules["refgrad.isolation.child"], "len", lambda _: 0),
    "profile": lambda: sys.setprofile(lambda *_: None),
    "thread": lambda: (_thread.start_new_thread(time.sleep, (600,)), time.sleep(0.05)),  # it is counted once it runs
    "module": lambda: sys.modules.update({"json": sys}),
    "limit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (0, resource.getrlimit(resource.RLIMIT_NOFILE)[1])),
    "folder": lambda: os.chdir(os.sep),
}

method = doing(LEFT["method"])
thread = doing(LEFT["thread"])
