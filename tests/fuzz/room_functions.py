"""The functions of rooms that are no rules and no methods of rules, each with arguments that are right."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import numpy as np

import refgrad
from refgrad import gradients, quantizers, schedules
from refgrad.estimators import schedules as epochs
from refgrad.optimizers import AdamW
from refgrad.rule import ROOMS
from refgrad.sparsity import allocation, compressed, permutation
from refgrad.sparsity import schedules as masking
from tests.bits.inputs import Source

#: modules whose functions are public, which no room names
MODULES = ("refgrad.schedules", "refgrad.estimators.schedules")
#: public functions that are asserted elsewhere: they judge, or hand on what they are given
ELSEWHERE: Mapping[str, str] = {
    "refgrad.audit": "tests/test_float_environment.py: it guards as `verify` does",
    "refgrad.compare": "tests/test_float_environment.py: it guards as `verify` does",
    "refgrad.identify": "tests/test_float_environment.py",
    "refgrad.tolerances": "tests/test_float_environment.py: it guards as `verify` does",
    "refgrad.verify": "tests/test_float_environment.py",
    "refgrad.survey": "every implementation is judged in a process of its own, by `verify`",
    "refgrad.formula": "it makes a rule, whose methods are asserted as those of every rule",
    "refgrad.opaque": "it makes a rule of a function, as refgrad.formula does",
    "refgrad.record": "it copies a foreign optimizer's numbers as they are",
    "refgrad.stop_gradient": "it returns what it is handed",
    "refgrad.stored": "it returns what it is handed",
}


@functools.cache  # so that a call in another environment is handed the numbers of the standard one
def x(salt: str, *shape: int, positive: bool = False) -> np.ndarray:
    """Numbers of many magnitudes, subnormal ones among them, finite."""
    found = np.nan_to_num(Source(salt).wide(shape, np.float32), nan=1.0, posinf=2.0, neginf=-2.0)
    return np.abs(found) if positive else found


@functools.cache
def ordinary(salt: str, *shape: int) -> np.ndarray:
    """Ordinary numbers of both signs."""
    return Source(salt).signed(shape, np.float32)


#: half of the numbers of 16 bits, of which the hardware's format keeps two of four
HALVES = {"w": ordinary("halves", 32, 64).astype(np.float16), "mask": np.tile([True, True, False, False], (32, 16))}
METADATA = np.arange(64 * 2, dtype=np.uint16).reshape(64, 2)

#: name -> a call with arguments that are right
CALLS: Mapping[str, Callable[[], Any]] = {
    "refgrad.softmax": lambda: refgrad.softmax(ordinary("softmax", 3, 5)),
    "refgrad.logsumexp": lambda: refgrad.logsumexp(ordinary("logsumexp", 3, 5)),
    "refgrad.one_hot": lambda: refgrad.one_hot(np.asarray([0, 2]), 3),
    "refgrad.take": lambda: refgrad.take(x("take", 2, 3), np.asarray([0, 2])),
    "refgrad.top_k": lambda: refgrad.top_k(x("top_k", 2, 5), 2),
    "refgrad.sets": lambda: _sets(),
    "refgrad.gradients.critical_rate": lambda: gradients.critical_rate(x("rows", 4, 3), 2),
    "refgrad.gradients.intrinsic_scatter": lambda: gradients.intrinsic_scatter(
        ordinary("abscissas", 6), ordinary("ordinates", 6), np.maximum(x("errors", 6, positive=True), np.float32(0.125))
    ),
    "refgrad.gradients.quadrature": lambda: gradients.quadrature(x("diagonal", 5), x("beside", 4)),
    "refgrad.gradients.score_dimension": lambda: gradients.score_dimension(x("scores", 7, 3)),
    "refgrad.gradients.second_moment_map": lambda: gradients.second_moment_map(x("moments", 4, 3), 0.1, 2),
    "refgrad.quantizers.error_feedback": lambda: _with_feedback(x("gradient", 8), x("error", 8)),
    "refgrad.quantizers.hadamard": lambda: quantizers.hadamard(x("hadamard", 2, 8)),
    "refgrad.quantizers.hessian": lambda: quantizers.hessian(ordinary("hessian", 6, 4)),
    "refgrad.quantizers.lsq_plus_scale": lambda: quantizers.lsq_plus_scale(x("lsq+", 9), 4),
    "refgrad.quantizers.lsq_scale": lambda: quantizers.lsq_scale(x("lsq", 9), 7),
    "refgrad.quantizers.majority_vote": lambda: quantizers.majority_vote(
        [np.asarray([1, -1], np.int8), np.asarray([1, 1], np.int8)]
    ),
    "refgrad.quantizers.smooth_scales": lambda: quantizers.smooth_scales(
        ordinary("activations", 6, 4), ordinary("weights", 3, 4)
    ),
    "refgrad.quantizers.stable_embedding": lambda: quantizers.stable_embedding(
        ordinary("embedding", 5, 4), np.asarray([0, 3]), ordinary("gain", 4), ordinary("bias", 4)
    ),
    "refgrad.quantizers.PercentileClipping": lambda: quantizers.PercentileClipping()(x("clipped", 7), (0.1, 0.3)),
    "refgrad.sparsity.allocation.uniform": lambda: allocation.uniform([(3, 5), (7, 2)], 0.3),
    "refgrad.sparsity.allocation.erdos_renyi": lambda: allocation.erdos_renyi([(30, 50), (7, 20)], 0.7),
    "refgrad.sparsity.allocation.lamp_scores": lambda: allocation.lamp_scores(x("lamp", 9)),
    "refgrad.sparsity.allocation.lamp": lambda: allocation.lamp([x("first", 9), x("second", 8)], 0.4),
    "refgrad.sparsity.compressed.compress": lambda: compressed.compress(HALVES["w"], HALVES["mask"]).values,
    "refgrad.sparsity.compressed.prune": lambda: compressed.prune(ordinary("pruned", 32, 64).astype(np.float16)).values,
    "refgrad.sparsity.compressed.decompress": lambda: compressed.decompress(
        compressed.compress(HALVES["w"], HALVES["mask"])
    ),
    "refgrad.sparsity.compressed.reordered": lambda: compressed.reordered(METADATA),
    "refgrad.sparsity.compressed.restored": lambda: compressed.restored(METADATA),
    "refgrad.sparsity.permutation.kept_magnitude": lambda: permutation.kept_magnitude(ordinary("kept", 3, 8), 2, 4),
    "refgrad.sparsity.permutation.exhaustive": lambda: permutation.exhaustive(ordinary("every", 3, 8)),
    "refgrad.sparsity.permutation.swaps": lambda: permutation.swaps(ordinary("swaps", 3, 8)),
    "refgrad.sparsity.permutation.orders": lambda: permutation.orders(8, 4),
    "refgrad.sparsity.schedules.cubic": lambda: [masking.cubic(t, begin=1, end=9, final=0.9) for t in range(11)],
    "refgrad.sparsity.schedules.is_mask_step": lambda: masking.is_mask_step(3, begin=1, end=9, freq=2),
    "refgrad.sparsity.schedules.decay": lambda: [
        masking.decay(t, 0.1, f) for t in (3, 7) for f in ("linear", "exponential")
    ],
    "refgrad.sparsity.schedules.stepwise": lambda: masking.stepwise(2, 8),
    "refgrad.sparsity.schedules.geometric": lambda: masking.geometric(2, 16),
    "refgrad.sparsity.schedules.densify": lambda: masking.densify(2, 16),
    "refgrad.sparsity.schedules.frames": lambda: dict(masking.frames([(2, 4), (1, 4)], 10)),
    "refgrad.sparsity.schedules.exponential_density": lambda: masking.exponential_density(3, 7, 0.1),
    "refgrad.sparsity.schedules.linear_density": lambda: masking.linear_density(3, 7, 0.1),
    "refgrad.sparsity.schedules.movement_density": lambda: masking.movement_density(7, total=19, warmup=2, final=0.1),
    "refgrad.sparsity.schedules.training_cost": lambda: masking.training_cost([(0.3, 0.1), (0.7, 0.3)]),
    "refgrad.estimators.schedules.ede": lambda: epochs.ede(3, 7),
    "refgrad.estimators.schedules.rbnn": lambda: epochs.rbnn(3, 7),
    "refgrad.estimators.schedules.reste": lambda: epochs.reste(3, 7),
    "refgrad.estimators.schedules.recu": lambda: epochs.recu(3, 7),
    "refgrad.estimators.schedules.biper": lambda: epochs.biper(3, 7, 0.03, 0.07),
    "refgrad.schedules.constant": lambda: schedules.constant(3, base=0.1),
    "refgrad.schedules.linear": lambda: schedules.linear(3, base=0.1, final=0.01, total=7),
    "refgrad.schedules.polynomial": lambda: schedules.polynomial(3, base=0.1, final=0.01, total=7, power=3),
    "refgrad.schedules.exponential": lambda: schedules.exponential(3, base=0.1, rate=0.9, every=7),
    "refgrad.schedules.piecewise_constant": lambda: schedules.piecewise_constant(3, base=0.1, factors=[(2, 0.3)]),
    "refgrad.schedules.cosine": lambda: schedules.cosine(3, base=0.1, total=7, final=0.01),
    "refgrad.schedules.cosine_restarts": lambda: schedules.cosine_restarts(33, base=0.1, period=7, growth=1.3),
    "refgrad.schedules.inverse_square_root": lambda: schedules.inverse_square_root(30, base=0.1, warmup=7),
    "refgrad.schedules.warmup_stable_decay": lambda: schedules.warmup_stable_decay(
        12, base=0.1, warmup=3, stable=7, decay=7
    ),
    "refgrad.schedules.one_cycle": lambda: schedules.one_cycle(5, peak=0.1, total=11),
    "refgrad.schedules.triangular": lambda: schedules.triangular(12, base=0.01, peak=0.1, up=3, down=4, gamma=0.9),
    "refgrad.schedules.warmup": lambda: schedules.warmup(
        3, steps=7, base=0.1, then=functools.partial(schedules.constant, base=0.1)
    ),
    "refgrad.schedules.join": lambda: schedules.join(3, schedules=[lambda t: t / 7, lambda t: t / 3], boundaries=[2]),
    "refgrad.Cases.of": lambda: refgrad.Cases.of(x=[0.1, "0x1p-149", 1e23]).arrays[0],
    "refgrad.Inputs.of": lambda: refgrad.Inputs.of([0.1, 0.3], [[0.7, 1e-40]]).arrays[0],
    "refgrad.Inputs": lambda: refgrad.Inputs([x("p", 3)], [[x("g", 3)]], extras=[{"loss": 0.1}]).arrays[0],
    "refgrad.Policy.of": lambda: str(refgrad.Policy.of({"roundings": 4})),
}


def _sets() -> Any:
    arrays = {"p": x("p", 5), "g": x("g", 5), "t": 3}
    found = refgrad.sets(AdamW(lr=0.1), arrays)
    ends = {n: [s.low, s.high, s.truth, s.reference, s.contains(s.truth)] for n, s in found.items()}
    return {**ends, "wide": [s.wide for s in found.values() if s.wide]}


def _with_feedback(g: np.ndarray, error: np.ndarray) -> Any:
    kept, error = quantizers.error_feedback(quantizers.SignSGD(), g, error)
    return dict(kept.arrays), error


def public() -> Iterator[tuple[str, Callable[..., Any]]]:
    """The name and the function of every public one that is no rule: of rooms, of their modules, and of `MODULES`."""
    for room in ("refgrad", *(f"refgrad.{name}" for name in ROOMS)):
        module = importlib.import_module(room)
        for name in module.__all__:
            found = getattr(module, name)
            if inspect.isfunction(found):
                yield f"{room}.{name}", found
            elif isinstance(found, ModuleType) and not hasattr(found, "__path__"):
                yield from _of_module(found)
    for place in MODULES:
        yield from _of_module(importlib.import_module(place))


def _of_module(module: ModuleType) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, found in vars(module).items():
        if inspect.isfunction(found) and found.__module__ == module.__name__ and not name.startswith("_"):
            yield f"{module.__name__}.{name}", found
