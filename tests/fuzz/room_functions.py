"""The functions of rooms that are no rules and no methods of rules, each with arguments that are right."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np

import refgrad
from refgrad import quantizers, schedules
from refgrad.arithmetic.function_arguments import gate_of
from refgrad.estimators.rotation import Rotation
from refgrad.gradients.boosting import Unit
from refgrad.optimizers import AdamW
from refgrad.quantizers import Quantized
from refgrad.rule import ROOMS
from refgrad.sparsity import compressed
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
    "refgrad.estimators.on_device.differentiate": "it computes on a device; `refgrad.estimators.base` calls it by its name",
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

#: the name of a gated function -> arguments that are right, made anew each time
ARGUMENTS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "refgrad.hadamard": lambda: {"x": ordinary("hadamard", 3, 4)},
    "refgrad.logsumexp": lambda: {"x": ordinary("logsumexp", 3, 5)},
    "refgrad.one_hot": lambda: {"labels": np.asarray([0, 2]), "count": 3},
    "refgrad.segment_sum": lambda: {"x": x("segment_sum", 3, 2), "labels": np.asarray([0, 2, 0]), "count": 3},
    "refgrad.softmax": lambda: {"x": ordinary("softmax", 3, 5)},
    "refgrad.take": lambda: {"x": x("take", 2, 3), "labels": np.asarray([0, 2])},
    "refgrad.top_k": lambda: {"x": x("top_k", 2, 5), "count": 2},
    "refgrad.gradients.boosting.assembled": lambda: {"units": [_unit(), _unit()], "steps": [0.5, -1.25], "start": 0.3},
    "refgrad.gradients.boosting.first_binary_score": lambda: {"labels": [1, -1, 1]},
    "refgrad.gradients.coding.multiplexed_load": lambda: {"workers": 7, "bursts": 2, "window": 3, "stragglers": 1},
    "refgrad.gradients.coding.multiplexed_repeat": lambda: {
        "straggles": ordinary("multiplexed", 6, 4) > 0,
        "bursts": 2,
        "window": 3,
        "stragglers": 1,
    },
    "refgrad.gradients.coding.selective_repeat": lambda: {
        "straggles": ordinary("straggles", 6, 4) > 0,
        "bursts": 2,
        "stragglers": 1,
    },
    "refgrad.gradients.complexity.closest_distance": lambda: {
        "distances": np.abs(ordinary("distances", 9)) + np.float32(0.1),
        "pairs": 50,
        "order": 3,
    },
    "refgrad.gradients.complexity.inductive_bias_bits": lambda: {
        "examples": 50,
        "dimension": 3,
        "radius": 7.3,
        "distance": 0.9,
        "outputs": 4,
    },
    "refgrad.gradients.complexity.log_harmonics": lambda: {"dimension": 2.7, "degree": 3.3},
    "refgrad.gradients.complexity.resolution_degree": lambda: {"dimension": 4, "radius": 7.3, "distance": 0.3},
    "refgrad.gradients.convex_networks.activation_patterns": lambda: {
        "x": ordinary("examples", 4, 3),
        "directions": ordinary("units", 3, 5),
    },
    "refgrad.gradients.convex_networks.convex_relu": lambda: {
        "x": ordinary("convex", 3, 2),
        "target": ordinary("target", 3),
        "patterns": [[0, 1], [1, 1], [0, 0]],
        "beta": 0.1,
        "most": 20,
    },
    "refgrad.gradients.points.error_boxes": lambda: {
        "mask": np.array([[1, 0, 1], [0, 1, 1]]),
        "patch": 2,
        "share": 0.5,
    },
    "refgrad.gradients.convex_networks.most_patterns": lambda: {"examples": 8, "rank": 3},
    "refgrad.gradients.directions.conjugate_directions": lambda: {
        "matrix": [[2.3, 0.1], [0.1, 1.7]],
        "right": ordinary("right", 2),
        "model": lambda residual: residual,
        "most": 5,
    },
    "refgrad.gradients.equilibrium.fixed_point": lambda: {
        "change": lambda u: np.cos(u) - u,
        "start": ordinary("state", 3),
        "most": 50,
    },
    "refgrad.gradients.covariance_filter": lambda: {"gradients": ordinary("filtered", 5, 3), "faults": 1},
    "refgrad.gradients.functionals.helmholtz": lambda: {"places": 6},
    "refgrad.gradients.critical_rate": lambda: {"rows": ordinary("rows", 4, 3), "batch": 2},
    "refgrad.gradients.intrinsic_scatter": lambda: {
        "x": ordinary("abscissas", 6),
        "y": ordinary("ordinates", 6),
        "sigma": np.maximum(x("errors", 6, positive=True), np.float32(0.125)),
    },
    "refgrad.gradients.perception.covariance_path": lambda: {
        "start": [[2.3, 0.1], [0.1, 1.7]],
        "end": [[1.1, -0.2], [-0.2, 0.9]],
        "place": 0.3,
    },
    "refgrad.gradients.perception.frequency_scale": lambda: {
        "frequency": np.abs(ordinary("frequency", 3, 2)) + np.float32(0.1),
        "start": 0.7,
        "end": 16.0,
    },
    "refgrad.gradients.perception.gaussian_fisher_information": lambda: {
        "mean_slope": ordinary("slope", 2),
        "covariance": [[2.3, 0.1], [0.1, 1.7]],
        "covariance_slope": [[0.3, 0.1], [0.1, 0.7]],
        "ridge": 1e-6,
    },
    "refgrad.gradients.quadrature": lambda: {"diagonal": x("diagonal", 5), "beside": x("beside", 4)},
    "refgrad.gradients.score_dimension": lambda: {"scores": x("scores", 7, 3)},
    "refgrad.gradients.search.depth_program": lambda: {"evaluate": sum, "layers": 4, "removed": 2},
    "refgrad.gradients.search.linear_temperature": lambda: {"epoch": 3, "epochs": 7, "first": 9.7},
    "refgrad.gradients.second_moment_map": lambda: {"rows": x("moments", 4, 3), "lr": 0.1, "batch": 2},
    "refgrad.gradients.subspaces.intrinsic_dimension": lambda: {
        "dimensions": [50, 200, 750],
        "performances": [0.31, 0.87, 0.95],
        "baseline": 0.96,
    },
    "refgrad.gradients.subspaces.walsh_hadamard": lambda: {"x": x("walsh", 8)},
    "refgrad.gradients.transport.exact_transport": lambda: {"cost": ordinary("costs", 3, 3)},
    "refgrad.gradients.transport.sinkhorn": lambda: {"cost": ordinary("costs", 3, 4), "epsilon": 0.7, "most": 50},
    "refgrad.quantizers.PercentileClipping.__call__": lambda: {
        "self": quantizers.PercentileClipping(),
        "g": x("clipped", 7),
        "history": (0.1, 0.3),
    },
    "refgrad.quantizers.eight_bit.xavier_limit": lambda: {"words": 7, "width": 5},
    "refgrad.quantizers.error_feedback": lambda: {
        "rule": quantizers.SignSGD(),
        "g": x("gradient", 8),
        "error": x("error", 8),
    },
    "refgrad.quantizers.hadamard": lambda: {"x": x("hadamard", 2, 8)},
    "refgrad.quantizers.hessian": lambda: {"activations": ordinary("hessian", 6, 4)},
    "refgrad.quantizers.lsq_plus_scale": lambda: {"x": x("lsq+", 9), "bits": 4},
    "refgrad.quantizers.lsq_scale": lambda: {"x": x("lsq", 9), "highest": 7},
    "refgrad.quantizers.majority_vote": lambda: {"codes": [np.asarray([1, -1], np.int8), np.asarray([1, 1], np.int8)]},
    "refgrad.quantizers.smooth_scales": lambda: {
        "activations": ordinary("activations", 6, 4),
        "weights": ordinary("weights", 3, 4),
    },
    "refgrad.quantizers.stable_embedding": lambda: {
        "weight": ordinary("embedding", 5, 4),
        "indices": np.asarray([0, 3]),
        "gain": ordinary("gain", 4),
        "bias": ordinary("bias", 4),
    },
    "refgrad.quantizers.ternary.xnor_activation_scale": lambda: {"x": x("images", 3, 5, 4), "height": 2, "width": 3},
    "refgrad.sparsity.allocation.uniform": lambda: {"shapes": [(3, 5), (7, 2)], "sparsity": 0.3, "dense": [1]},
    "refgrad.sparsity.allocation.erdos_renyi": lambda: {"shapes": [(30, 50), (7, 20)], "sparsity": 0.7},
    "refgrad.sparsity.allocation.lamp_scores": lambda: {"w": x("lamp", 9)},
    "refgrad.sparsity.allocation.lamp": lambda: {"ws": [x("first", 9), x("second", 8)], "sparsity": 0.4},
    "refgrad.sparsity.compressed.compress": lambda: {"w": HALVES["w"], "mask": HALVES["mask"]},
    "refgrad.sparsity.compressed.prune": lambda: {"w": ordinary("pruned", 32, 64).astype(np.float16), "threads": 1},
    "refgrad.sparsity.compressed.decompress": lambda: {"packed": compressed.compress(HALVES["w"], HALVES["mask"])},
    "refgrad.sparsity.compressed.reordered": lambda: {"metadata": METADATA},
    "refgrad.sparsity.compressed.restored": lambda: {"metadata": METADATA},
    "refgrad.sparsity.permutation.kept_magnitude": lambda: {"w": ordinary("kept", 3, 8), "n": 2, "m": 4},
    "refgrad.sparsity.permutation.exhaustive": lambda: {"w": ordinary("every", 3, 8)},
    "refgrad.sparsity.permutation.swaps": lambda: {"w": ordinary("swaps", 3, 8)},
    "refgrad.sparsity.permutation.orders": lambda: {"columns": 8, "m": 4},
    "refgrad.sparsity.schedules.cubic": lambda: {"t": 5, "begin": 1, "end": 9, "final": 0.9},
    "refgrad.sparsity.schedules.is_mask_step": lambda: {"t": 3, "begin": 1, "end": 9, "freq": 2},
    "refgrad.sparsity.schedules.decay": lambda: {"t": 3, "rate": 0.1, "form": "exponential"},
    "refgrad.sparsity.schedules.stepwise": lambda: {"n": 2, "m": 8},
    "refgrad.sparsity.schedules.geometric": lambda: {"n": 2, "m": 16, "frames": 3},
    "refgrad.sparsity.schedules.densify": lambda: {"n": 2, "m": 16},
    "refgrad.sparsity.schedules.frames": lambda: {"patterns": [(2, 4), (1, 4)], "epochs": 10},
    "refgrad.sparsity.schedules.exponential_density": lambda: {"i": 3, "steps": 7, "density": 0.1},
    "refgrad.sparsity.schedules.linear_density": lambda: {"i": 3, "steps": 7, "density": 0.1},
    "refgrad.sparsity.schedules.movement_density": lambda: {"step": 7, "total": 19, "warmup": 2, "final": 0.1},
    "refgrad.sparsity.schedules.training_cost": lambda: {"densities": [(0.3, 0.1), (0.7, 0.3)]},
    "refgrad.estimators.indicators.estimating_error": lambda: {"z": x("estimated", 9), "o": 2.7},
    "refgrad.estimators.indicators.gradient_stability": lambda: {"gradient": x("stability", 3, 4)},
    "refgrad.estimators.indicators.laplace_quantization_error": lambda: {"frequency": 20.3, "b": 0.07},
    "refgrad.estimators.indicators.quantization_error": lambda: {"w": ordinary("weights", 3, 4), "frequency": 20.3},
    "refgrad.estimators.rotation.learned_rotation": lambda: {"w": ordinary("filters", 3, 6), "rotation": _rotation()},
    "refgrad.estimators.rotation.rotate": lambda: {"w": ordinary("filters", 3, 6), "rotation": _rotation()},
    **{
        f"refgrad.quantizers.tables.{name}": lambda: {"signed": True, "total_bits": 4}
        for name in ("dynamic", "dynamic_float32", "linear")
    },
    "refgrad.quantizers.tables.quantile": lambda: {"sample": ordinary("sample", 9), "total_bits": 3},
    "refgrad.estimators.rotation.sides": lambda: {"n": 36},
    **{
        f"refgrad.estimators.schedules.{name}": lambda: {"epoch": 3, "epochs": 7}
        for name in ("ede", "rbnn", "reste", "recu")
    },
    "refgrad.estimators.schedules.biper": lambda: {"epoch": 3, "epochs": 7, "tau_min": 0.03, "tau_max": 0.07},
}


def function_of(name: str) -> Callable[..., Any]:
    """The function of a qualified name.

    Args:
        name: as in `ARGUMENTS`.
    """
    module, _, own = name.removesuffix(".__call__").rpartition(".")
    found = getattr(importlib.import_module(module), own)
    return cast(Callable[..., Any], vars(found)["__call__"] if name.endswith(".__call__") else found)


def plain_result(found: Any) -> Any:
    """What a function gives as arrays and numbers in tuples and dicts.

    Args:
        found: its result.
    """
    if isinstance(found, Quantized):
        return dict(found.arrays)
    if isinstance(found, compressed.Compressed):
        return found.values, found.metadata, found.layout
    if isinstance(found, tuple | list):
        return tuple(map(plain_result, found))
    return dict(found) if isinstance(found, Mapping) else found


def called(name: str) -> Callable[[], Any]:
    """A call of a gated function with arguments that are right.

    Args:
        name: as in `ARGUMENTS`.
    """
    return lambda: plain_result(function_of(name)(**_once(name)))


@functools.cache  # as the arrays are that they are made of
def _once(name: str) -> dict[str, Any]:
    return ARGUMENTS[name]()


#: name -> a call with arguments that are right
CALLS: Mapping[str, Callable[[], Any]] = {
    **{name: called(name) for name in ARGUMENTS},
    "refgrad.sets": lambda: _sets(),
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


def _unit() -> Any:
    return Unit(ordinary("hidden", 2, 3), ordinary("biases", 3), ordinary("weights", 3), 0.3)


def _rotation() -> Rotation:
    turned = np.asarray([[0.6, -0.8], [0.8, 0.6]])
    return Rotation(turned, np.eye(3)[[2, 0, 1]])


def public() -> Iterator[tuple[str, Callable[..., Any]]]:
    """The name and the function of every public one that is no rule, each once.

    These are what rooms name, what docs name, what the modules that rooms, docs and `MODULES` name have, and of all modules of
    rooms of rules what has a gate, or is never mentioned in the package, so that it is there for those who use it.
    """
    found: dict[Callable[..., Any], str] = {}
    for name, function in _everywhere():
        found.setdefault(function, name)
    yield from ((name, function) for function, name in found.items())


def _everywhere() -> Iterator[tuple[str, Callable[..., Any]]]:
    for room in ("refgrad", *(f"refgrad.{name}" for name in ROOMS)):
        module = importlib.import_module(room)
        for name in module.__all__:
            found = getattr(module, name)
            if is_function(found):
                yield f"{room}.{name}", found
            elif isinstance(found, ModuleType) and not hasattr(found, "__path__"):
                yield from _of_module(found)
    for place in MODULES:
        yield from _of_module(importlib.import_module(place))
    yield from documented()
    known = mentioned()
    for room in ROOMS:
        package = importlib.import_module(f"refgrad.{room}")
        for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for name, function in _of_module(importlib.import_module(each.name)):
                if gate_of(function) is not None or function.__name__ not in known:
                    yield name, function


def is_function(found: object) -> bool:
    """True of functions, and of what wraps one, such as a cache; no classes.

    Args:
        found: anything that a module has.
    """
    return inspect.isfunction(found) or (inspect.isroutine(inspect.unwrap(found)) and hasattr(found, "__wrapped__"))  # type: ignore[arg-type]


def documented() -> Iterator[tuple[str, Callable[..., Any]]]:
    """The functions of rooms of rules that the docs name, and those of modules of rooms that they name."""
    root = Path(__file__).parents[2]  # the package may be installed without them
    pages = [path for path in (root / "docs").rglob("*.md") if "build" not in path.parts]
    text = "\n".join(path.read_text(encoding="utf-8") for path in (*pages, root / "README.md"))
    for name in sorted(set(re.findall(rf"refgrad\.(?:{'|'.join(ROOMS)})(?:\.[a-z_]\w*)+", text))):
        try:
            found = pkgutil.resolve_name(name)
        except (ImportError, AttributeError):  # what a page counts up, or a file
            continue
        if isinstance(found, ModuleType) and not hasattr(found, "__path__"):
            yield from _of_module(found)
        elif is_function(found):
            yield name, found


def mentioned() -> set[str]:
    """Every name that the package's own code uses, but for where it is defined."""
    found: set[str] = set()
    for path in Path(refgrad.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Name | ast.Attribute):
                found.add(node.id if isinstance(node, ast.Name) else node.attr)
            elif isinstance(node, ast.ImportFrom) and path.name != "__init__.py":
                found.update(each.name for each in node.names)
    return found


def _of_module(module: ModuleType) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, found in vars(module).items():
        if is_function(found) and found.__module__ == module.__name__ and not name.startswith("_"):
            yield f"{module.__name__}.{name}", found
