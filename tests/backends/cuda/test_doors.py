"""Every rule on arrays of CuPy's: real ones, in the host's memory, with kernels emulated; no driver is asked."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refgrad.backends.cuda import doors
from refgrad.errors import OnHostWarning
from refgrad.rule import rules
from tests.backends.cuda.conftest import needs_compiler
from tests.test_foreign_arrays import mapped
from tests.used import used

cupy = pytest.importorskip("cupy", reason="CuPy is not installed (tox -e cuda has it)")
cupy_on_host = pytest.importorskip("tests.backends.cuda.cupy_on_host")
on_host, seen = cupy_on_host.on_host, cupy_on_host.seen

#: the rules of which docs/cuda.md says that they run on the host, with their methods
PAGE = Path(__file__).parents[3] / "docs" / "cuda.md"


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Any:
    monkeypatch.setattr(doors, "_SAID", set())
    return cupy_on_host.installed(monkeypatch, tmp_path_factory)


class Handed:
    """A rule that is handed CuPy's arrays, and whose results are read as NumPy's again."""

    def __init__(self, rule: Any) -> None:
        self.rule = rule
        self.returned: set[type] = set()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.rule, name)
        return (lambda *args, **more: self._asked(name, *args, **more)) if name in self.rule.computing else found

    def __call__(self, *args: Any) -> Any:
        return self._asked("__call__", *args)

    def step_(self, p: np.ndarray, g: np.ndarray, state: dict[str, Any], **more: Any) -> None:
        placed, after = on_host(p.copy()), mapped(state, on_host)
        self.rule.step_(placed, on_host(g), after, **mapped(more, on_host))
        p[...] = seen(placed)
        state.clear()
        state.update(mapped(after, self._back))

    def _asked(self, name: str, *args: Any, **more: Any) -> Any:
        given = [mapped([value], on_host)[0] for value in args]
        found = getattr(self.rule, name)(*given, **mapped(more, on_host))
        return mapped(found, self._back)

    def _back(self, leaf: Any) -> np.ndarray:
        self.returned.add(type(leaf))
        return np.array(seen(leaf))


def on_the_host() -> set[tuple[str, str]]:
    """What the page says of rules and methods that run on the host."""
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \| ", PAGE.read_text(), re.MULTILINE)
    return {(name, method) for name, methods in rows for method in re.findall(r"`(\w+)`", methods)}


@needs_compiler
@pytest.mark.sample(quick=4, suite=40)
@pytest.mark.parametrize("name", sorted(rules()))
def test_every_rule_takes_cupy_arrays_and_gives_the_bits_of_numpy(name: str, device: Any) -> None:
    rule = rules()[name]()
    handed, wanted = Handed(rule), used(rule)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", OnHostWarning)
        found = used(handed)  # type: ignore[arg-type]
    assert [(a.dtype, a.shape) for a in found] == [(b.dtype, b.shape) for b in wanted]
    assert all(a.tobytes() == b.tobytes() for a, b in zip(found, wanted, strict=True))
    assert handed.returned <= {cupy.ndarray}
    assert handed.returned or rule.kind in ("transform", "scaling")  # which may return numbers
    warned = {
        (match.group(1), match.group(2))
        for each in said
        if (match := re.match(r"(\w+)\.(\w+) runs on the host", str(each.message)))
    }
    assert warned == {each for each in on_the_host() if each[0] == name}
