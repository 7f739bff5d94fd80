"""What is kept of each training, and whether a training in some way is the one that is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from refgrad.optimizers.base import Optimizer
from tests.bits.digests import OF_THE_MACHINE, PROBE, probe
from tests.trajectories import training

FILE = Path(__file__).with_name("trajectories.json")
#: how steps are taken: by the literal body, and by the kernels
WAYS: Mapping[str, training.Step] = {
    "NumPy": training.LITERAL,
    "Numba, serial": training.by(backend="numba", threads=1),
    "Numba, two threads": training.by(backend="numba", threads=2),
}


class Kept(NamedTuple):
    """One training.

    Attributes:
        factor: what the rule's default learning rate is multiplied by.
        curve: the mean loss of each round through the digits, four digits as text.
        digests: by step, of every parameter, state and loss up to it.
    """

    factor: float
    curve: list[str]
    digests: dict[str, str]


def entry(factor: float, found: training.Trajectory) -> Kept:
    """What is kept of a training.

    Args:
        factor: of the learning rate.
        found: the training.
    """
    return Kept(factor, [f"{loss:.4g}" for loss in training.epochs(found.losses)], found.digests)


@cache
def read() -> dict[str, Kept]:
    """What the file holds, by rule."""
    found = json.loads(FILE.read_text())
    return {name: Kept(**each) for name, each in found.items() if name != PROBE}


def write(entries: Mapping[str, Kept]) -> None:
    """Write the file: one line a rule, and the machine's own bits."""
    every: dict[str, Any] = {PROBE: probe()} | {n: each._asdict() for n, each in entries.items()}
    lines = [f"{json.dumps(name)}: {json.dumps(every[name])}" for name in sorted(every)]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


@cache
def comparable(name: str) -> bool:
    """True if a rule's bits are those of the file here: on another processor, LAPACK gives others."""
    return name not in OF_THE_MACHINE or json.loads(FILE.read_text())[PROBE] == probe()


def rule_of(name: str) -> Optimizer:
    """The rule that was trained: with its learning rate as it is kept."""
    return training.rated(training.rules_trained()[name], read()[name].factor)


def agrees(name: str, step_by: training.Step, steps: int = training.STEPS) -> bool:
    """True if a training has the bits that are kept.

    Args:
        name: of the rule.
        step_by: how a step is taken.
        steps: how many of the steps.
    """
    found = training.train(rule_of(name), steps, step_by).digests
    wanted = read()[name].digests if comparable(name) else training.train(rule_of(name), steps).digests
    return found == {step: wanted[step] for step in found}
