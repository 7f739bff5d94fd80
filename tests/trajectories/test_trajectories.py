"""Trainings have the bits that are kept, in every way in which steps are taken; and the page shows what is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad.backends.cuda.run import run
from refgrad.optimizers.base import Optimizer
from refgrad.tracing import free_values, plan_for
from tests.backends.cuda.conftest import emulated, needs_compiler
from tests.backends.cuda.devices import Emulated
from tests.depth import at_depth
from tests.trajectories import kept, model, page, training
from tests.trajectories.model import Arrays

__all__ = ["emulated"]  # a fixture

pytestmark = pytest.mark.skipif(model.digits_file() is None, reason="scikit-learn is not installed")

#: rules of one loop over the elements, of reductions and of products of matrices, whose kernels other tests have compiled
SAMPLE = ("AdamW", "Lion", "LAMB", "Muon")
STEPS = at_depth(quick=1, suite=20, thorough=training.STEPS)
NAMES = [n if n in SAMPLE else pytest.param(n, marks=pytest.mark.thorough) for n in training.rules_trained()]


def test_every_optimizer_is_trained() -> None:
    assert set(kept.read()) == set(training.rules_trained())


@pytest.mark.sample(quick=3)
@pytest.mark.parametrize("way", kept.WAYS)
@pytest.mark.parametrize("name", NAMES)
def test_a_training_has_the_bits_that_are_kept(name: str, way: str) -> None:
    assert kept.agrees(name, kept.WAYS[way], STEPS)


def test_another_rate_in_its_last_bit_has_other_bits() -> None:
    rule = kept.rule_of("AdamW")
    other = rule.replace(lr=float(np.nextafter(np.float32(rule.numbers()["lr"]), np.float32(1))))
    assert training.train(other, 1).digests != {"1": kept.read()["AdamW"].digests["1"]}


def emulating(device: Emulated) -> training.Step:
    """A step by CUDA kernels that are compiled for the host."""

    def step(rule: Optimizer, p: Arrays, g: Arrays, state: dict[str, Any], extras: dict[str, Any]) -> Any:
        t, new, slots = state["t"] + 1, dict[str, np.ndarray](), {n: dict[str, Any]() for n in rule.slots()}
        for leaf, array in p.items():
            arrays = {"p": array, "g": g[leaf], **{n: state[n][leaf] for n in slots}}
            own = {n: device.put(a) for n, a in arrays.items()}
            free = free_values(array.shape, {"t": t})
            run(plan_for(rule, array.ndim, free), free, own, device)
            new[leaf] = own["p"]
            for name in slots:
                slots[name][leaf] = own[name]
        return new, {"t": t, **slots}

    return step


@needs_compiler
@pytest.mark.thorough  # each kernel is compiled by the C++ compiler
@pytest.mark.parametrize("name", ["AdamW", "Lion", "RMSprop", "LAMB", "NovoGrad"])
def test_cuda_kernels_that_are_emulated_have_the_bits_that_are_kept(name: str, emulated: Emulated) -> None:
    assert kept.agrees(name, emulating(emulated))


def test_the_gradient_and_the_curvature_are_those_of_the_loss() -> None:
    """By differences of the loss, which between kinks is of the second degree in each number alone."""
    p = {n: a.astype(np.float64) for n, a in model.first().items()}
    x, wanted = model.batch(1)
    found, curved, h = model.evaluate(p, x, wanted), model.curvature(p, x), 2.0**-12
    for name, at in (("w1", (37, 3)), ("b1", (5,)), ("w2", (3, 7)), ("b2", (9,))):
        losses = []
        for change in (-h, 0.0, h):
            moved = {n: a.copy() for n, a in p.items()}
            moved[name][at] += change
            losses.append(model.evaluate(moved, x, wanted).loss)
        assert found.gradient[name][at] == pytest.approx((losses[2] - losses[0]) / (2 * h), rel=1e-6, abs=1e-9)
        second = (losses[2] - 2 * losses[1] + losses[0]) / h**2
        assert curved[name][at] == pytest.approx(second, rel=1e-5, abs=1e-8)


def test_the_page_shows_what_is_kept() -> None:
    for name, text in (("trajectories.md", page.text()), ("trajectories.svg", page.picture())):
        path = page.DOCS / name
        assert path.read_text(encoding="utf-8") == text, "python -m tests.trajectories --page"
