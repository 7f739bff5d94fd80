"""Rules of installed packages, of every kind that users write: found by name, judged from the command line."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from refgrad.cli import main
from refgrad.cli.completion import complete_rule
from refgrad.errors import ArgumentError
from refgrad.installed_rules import GROUP, names
from refgrad.rule import REGISTRY, find

PACKAGE = """
import numpy as np
import refgrad
from refgrad import estimators, optimizers, quantizers, sparsity
from refgrad.rule import Citation, NonNegative

OURS = Citation("We 2026", "Our own", "equation 1")


class HeavyBall(optimizers.Optimizer):
    lr: NonNegative = 0.1
    citation = OURS

    def update(self, p, g, t):
        return (p - self.lr * g,)


class Grid(quantizers.Affine):
    citation = OURS


class Gate(estimators.ClippedSTE):
    citation = OURS


class Largest(sparsity.Magnitude):
    citation = OURS


@refgrad.formula(x="n")
def doubled(x):
    return 2 * x


@refgrad.opaque(x="n")
def halved(x):
    return np.array([each / 2 for each in x])


ball = lambda p, g, lr: p - np.float32(lr) * g
grid, gate, largest = quantizers.Affine(), estimators.ClippedSTE(), sparsity.Magnitude()
twice = lambda x: x + x
half = lambda x: x * x.dtype.type(0.5)
number = 3
"""
KERNELS = {
    "HeavyBall": "ball",
    "Grid": "grid",
    "Gate": "gate",
    "Largest": "largest",
    "doubled": "twice",
    "halved": "half",
}

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Have a package installed: its module, and the entry points that its metadata has."""
    before = set(REGISTRY)

    def made(package: str, **points: str) -> None:
        (tmp_path / f"{package}.py").write_text(PACKAGE)
        (tmp_path / f"{package}-1.0.dist-info").mkdir()
        (tmp_path / f"{package}-1.0.dist-info" / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n"
        )
        lines = [f"[{GROUP}]", *(f"{name} = {place}" for name, place in points.items())]
        (tmp_path / f"{package}-1.0.dist-info" / "entry_points.txt").write_text("\n".join(lines))
        importlib.invalidate_caches()

    monkeypatch.syspath_prepend(tmp_path)
    yield made
    for name in set(REGISTRY) - before:
        del REGISTRY[name]
    for name in ("ours_a", "ours_b"):
        sys.modules.pop(name, None)


def test_every_kind_is_found_by_its_name_and_by_its_place(install: Install) -> None:
    install("ours_a", **{name: f"ours_a:{name}" for name in KERNELS})
    assert set(names()) >= set(KERNELS)
    assert "HeavyBall" in [item.value for item in complete_rule(None, None, "heavy")]
    assert "ours_a" not in sys.modules  # nothing was imported for that
    for name in KERNELS:
        assert find(name) is find(f"ours_a:{name}"), name


@pytest.mark.slow
@pytest.mark.sample(quick=2, suite=3)
@pytest.mark.parametrize("named", [True, False], ids=["name", "place"])
@pytest.mark.parametrize(("name", "kernel"), KERNELS.items())
def test_the_command_line_judges_by_it(install: Install, name: str, kernel: str, named: bool) -> None:
    install("ours_a", **{name: f"ours_a:{name}"})
    rule = name if named else f"ours_a:{name}"
    run = CliRunner().invoke(main, ["verify", f"ours_a:{kernel}", "--as", rule, "--steps", "2", "--json"])
    assert run.exit_code == 0, run.output
    found: Any = json.loads(run.output)
    assert found["outcome"] == "conforms"
    assert found["rule"].partition("(")[0] == name


def test_the_list_has_them_with_their_places(install: Install) -> None:
    install("ours_a", HeavyBall="ours_a:HeavyBall", doubled="ours_a:doubled")
    of_word, every = (CliRunner().invoke(main, ["list", *words]).output for words in (["heavyball"], []))
    expected = ["of installed packages", "  HeavyBall    ours_a:HeavyBall, of ours_a 1.0"]
    assert [" ".join(line.split()) for line in of_word.splitlines()[-2:]] == [" ".join(e.split()) for e in expected]
    assert "ours_a:doubled, of ours_a 1.0" in every
    assert "AdamW" in every
    assert "ours_a" not in sys.modules
    assert "ours_a" not in CliRunner().invoke(main, ["list", "--kind", "mask"]).output


def test_a_name_of_refgrads_own_stays_what_it_is(install: Install) -> None:
    own = find("AdamW")
    install("ours_a", AdamW="ours_a:HeavyBall")
    assert find("AdamW") is own


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("ours_a:number", "the entry point 'Mine' of refgrad.rules, 'ours_a:number', is 3; legal: the class of a rule"),
        ("ours_a:nothing", "the entry point 'Mine' of refgrad.rules is 'ours_a:nothing', and loading it raised Attr"),
        ("no_such_module:Mine", "loading it raised ModuleNotFoundError"),
    ],
)
def test_what_is_no_rule_is_said(install: Install, place: str, message: str) -> None:
    install("ours_a", Mine=place)
    with pytest.raises(ArgumentError, match=message):
        find("Mine")


def test_of_two_packages_one_is_to_be_chosen(install: Install) -> None:
    install("ours_a", Mine="ours_a:HeavyBall")
    install("ours_b", Mine="ours_b:HeavyBall")
    with pytest.raises(
        ArgumentError, match="2 installed packages have a rule 'Mine'; legal: 'ours_a:HeavyBall' or 'ours_b"
    ):
        find("Mine")
    with pytest.raises(ArgumentError, match="no rule is called 'Mime'; did you mean 'Mine'"):
        find("Mime")
