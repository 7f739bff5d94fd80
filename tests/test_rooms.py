"""A room's names are those that it has, and its modules wait until one of them is asked for."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from refgrad.rooms import load, names_of
from refgrad.rule import ROOMS


@pytest.mark.parametrize("room", [f"refgrad.{room}" for room in ROOMS])
def test_a_room_has_the_names_that_it_says(room: str) -> None:
    module = importlib.import_module(room)
    assert set(names_of(room)) == set(module.__all__) <= set(dir(module))
    assert all(getattr(module, name) is not None for name in module.__all__)
    load(room)
    assert set(names_of(room).values()) <= set(sys.modules)
    with pytest.raises(AttributeError, match="no attribute 'AdamV'"):
        _ = module.AdamV


LOADED = """
import sys
from refgrad.rule import find
def loaded():
    print(sum(name.startswith("refgrad.optimizers.") for name in sys.modules))
find("AdamW")
loaded()
find("refgrad.optimizers:Lion")
loaded()
"""


def test_a_rule_is_found_without_the_others() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    first, second = map(int, done.stdout.split())
    assert first < second < 15
