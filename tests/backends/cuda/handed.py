"""Rules that are handed arrays of a device's, and whose results are read as NumPy's again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.test_foreign_arrays import mapped


class Handed:
    """A rule that is handed a device's arrays.

    Args:
        rule: the rule.
        put: an array of NumPy's as one of the device's.
        get: the reverse.
    """

    def __init__(self, rule: Any, put: Callable[[np.ndarray], Any], get: Callable[[Any], np.ndarray]) -> None:
        self.rule, self.put, self.get = rule, put, get
        self.returned: set[type] = set()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.rule, name)
        return (lambda *args, **more: self._asked(name, *args, **more)) if name in self.rule.computing else found

    def __call__(self, *args: Any) -> Any:
        return self._asked("__call__", *args)

    def step_(self, p: np.ndarray, g: np.ndarray, state: dict[str, Any], **more: Any) -> None:
        placed, after = self.put(p.copy()), mapped(state, self.put)
        self.rule.step_(placed, self.put(g), after, **mapped(more, self.put))
        p[...] = self.get(placed)
        state.clear()
        state.update(mapped(after, self._back))

    def _asked(self, name: str, *args: Any, **more: Any) -> Any:
        given = [mapped([value], self.put)[0] for value in args]
        found = getattr(self.rule, name)(*given, **mapped(more, self.put))
        return mapped(found, self._back)

    def _back(self, leaf: Any) -> np.ndarray:
        self.returned.add(type(leaf))
        return np.array(self.get(leaf))
