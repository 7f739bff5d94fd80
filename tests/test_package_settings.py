"""Packages through their outermost entry points, over several shapes and with settings off their defaults.

A comparison is a row: what of a package is called with a setting, and the rule that it is. Estimators and masks are judged by
the oracle on each shape; quantizers are compared to the code, bit or byte.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad import estimators as e
from refgrad import quantizers as q
from refgrad import sparsity as s

F = np.float32
#: no axes, one, two, three, and a row and a column alone
SHAPES: tuple[tuple[int, ...], ...] = ((), (7,), (6, 8), (2, 3, 4), (1, 5), (5, 1))


@dataclass(frozen=True)
class Compared:
    """One function of a package, and the rule that it is.

    Args:
        package: the module that has to be there.
        name: what the row is called.
        theirs: from the module and the setting to what is called.
        ours: from the setting to the rule.
        settings: hyperparameters, of which none is the package's default alone.
        shapes: the shapes of arrays.
        options: from the setting to what the package is told besides.
    """

    package: str
    name: str
    theirs: Callable[[Any, Mapping[str, Any]], Any]
    ours: Callable[[Mapping[str, Any]], Any]
    settings: Sequence[Mapping[str, Any]]
    shapes: Sequence[tuple[int, ...]] = field(default=SHAPES)
    options: Callable[[Mapping[str, Any]], Mapping[str, Any]] = field(default=lambda h: {})


def fake_quantized(torch: Any, h: Mapping[str, Any]) -> Any:
    return lambda x: torch.fake_quantize_per_tensor_affine(x, h["scale"], h["zero"], h["low"], h["high"])


def clamped(torch: Any, h: Mapping[str, Any]) -> Any:
    """The sign, through a clamp whose gradient autograd takes."""
    return lambda x: x.clamp(-h["clip"], h["clip"]) + (torch.sign(x) - x.clamp(-h["clip"], h["clip"])).detach()


def jelly(name: str, rule: Callable[[float], Any]) -> Compared:
    """A surrogate of spikingjelly at slopes that are not its own."""
    slopes = [{"alpha": 0.5}, {"alpha": 1.5}, {"alpha": 3.0}]
    theirs = lambda m, h: getattr(m, name)(**h)  # noqa: E731
    return Compared("spikingjelly.activation_based.surrogate", name, theirs, lambda h: rule(h["alpha"]), slopes)


JUDGED = [
    Compared(
        "torch",
        "fake_quantize_per_tensor_affine",
        fake_quantized,
        lambda h: e.RoundingSTE(scale=h["scale"], zero_point=float(h["zero"]), low=h["low"], high=h["high"]),
        [
            {"scale": 0.3, "zero": -2, "low": -4, "high": 3},
            {"scale": 0.0625, "zero": 100, "low": 0, "high": 255},
            {"scale": 1.7, "zero": 0, "low": -128, "high": 127},
        ],
    ),
    Compared(
        "torch",
        "clamp",
        clamped,
        lambda h: e.ClippedSTE(clip=h["clip"], sign_at_zero="zero", sign_of_nan="zero"),
        [{"clip": 0.5}, {"clip": 2.0}],
    ),
    jelly("ATan", lambda a: e.ArcTan(alpha=a)),
    jelly("Sigmoid", lambda a: e.SigmoidSpike(alpha=a)),
    jelly("SoftSign", lambda a: e.SoftSign(alpha=a)),
    jelly("PiecewiseQuadratic", lambda a: e.Triangular(gamma=a, width=1 / a)),
    jelly("PiecewiseExp", lambda a: e.PiecewiseExponential(alpha=a)),
    jelly("Erf", lambda a: e.GaussianSpike(alpha=a)),
    jelly("Rect", lambda a: e.Rectangular(width=1 / a)),
    jelly("SuperSpike", lambda a: e.FastSigmoid(k=1.0, height=a)),
    Compared(
        "snntorch.surrogate",
        "fast_sigmoid",
        lambda m, h: m.fast_sigmoid(**h),
        lambda h: e.FastSigmoid(k=h["slope"], step_at_zero="zero"),
        [{"slope": 2.0}, {"slope": 10.0}],
    ),
    Compared(
        "snntorch.surrogate",
        "atan",
        lambda m, h: m.atan(**h),
        lambda h: e.ArcTan(alpha=h["alpha"], step_at_zero="zero"),
        [{"alpha": 0.5}, {"alpha": 3.0}],
    ),
    Compared(
        "torch.nn.utils.prune",
        "l1_unstructured",
        lambda m, h: m.l1_unstructured,
        lambda h: s.Magnitude(sparsity=h["sparsity"]),
        [{"sparsity": 0.1}, {"sparsity": 0.37}, {"sparsity": 0.9}],
        ((7,), (6, 8), (2, 3, 4), (3, 2, 2, 2)),
    ),
    Compared(
        "torch.nn.utils.prune",
        "ln_structured",
        lambda m, h: m.ln_structured,
        lambda h: {1: s.L1Filters, 2: s.L2Filters}[h["n"]](sparsity=h["sparsity"], axis=h["dim"]),
        [
            {"n": n, "dim": dim, "sparsity": sparsity}
            for n, dim, sparsity in ((1, 0, 0.3), (1, 1, 0.5), (2, 0, 0.6), (2, 1, 0.25))
        ],
        ((6, 8), (4, 3, 4), (5, 4, 2, 2), (7, 6)),
        lambda h: {"n": h["n"], "dim": h["dim"]},
    ),
    Compared(
        "torch.ao.pruning",
        "WeightNormSparsifier",
        lambda m, h: m.WeightNormSparsifier,
        lambda h: s.NOfM(n=h["m"] - h["zeros"], m=h["m"]),
        [{"m": 4, "zeros": 1}, {"m": 4, "zeros": 3}, {"m": 8, "zeros": 5}],
        ((6, 8), (1, 16), (5, 24)),
        lambda h: {"sparsity_level": 1.0, "sparse_block_shape": (1, h["m"]), "zeros_per_block": h["zeros"], "norm": 1},
    ),
]


def exactly(x: np.ndarray, cotangent: np.ndarray, rule: Any) -> refgrad.Cases:
    """One case of a rule's primary array, and the cotangent if it is an estimator."""
    given = {"w": x} if rule.kind == "mask" else {"cotangent": cotangent, "x": x}
    return refgrad.Cases([given])


def rows(table: Sequence[Compared]) -> list[Any]:
    """Each row at each of its settings."""
    return [
        pytest.param(row, setting, id=f"{row.name}-{'-'.join(f'{n}={v}' for n, v in setting.items())}")
        for row in table
        for setting in row.settings
    ]


@pytest.mark.parametrize(("row", "setting"), rows(JUDGED))
def test_estimators_and_masks(row: Compared, setting: Mapping[str, Any]) -> None:
    module = pytest.importorskip(row.package, reason=f"compares with {row.package}")
    rule, candidate = row.ours(setting), row.theirs(module, setting)
    random = np.random.default_rng(5)
    for shape in row.shapes:
        x = np.asarray(2 * random.standard_normal(shape), F)
        cases = exactly(x, np.asarray(random.standard_normal(shape), F), rule)
        verdict = refgrad.verify(
            candidate, rule, inputs=cases, options=row.options(setting), explain=False, shrink=False
        )
        outside = {name: count.outside for name, count in verdict.counts.items() if count.outside}
        assert not outside, f"{shape}: {verdict}"
        assert sum(count.inside for count in verdict.counts.values()) > 0


# --- quantizers, to the code


def four_bits(kind: str) -> Callable[[Any, Mapping[str, Any]], Any]:
    """bitsandbytes' codes of 4 bits, by its outermost function."""

    def call(module: Any, h: Mapping[str, Any]) -> Any:
        import torch

        def codes(x: np.ndarray) -> np.ndarray:
            packed = module.quantize_4bit(torch.from_numpy(x.copy()), blocksize=h["block"], quant_type=kind)[0]
            flat = packed.numpy().ravel()
            return np.stack([flat >> 4, flat & 15], 1).ravel()[: x.size]

        return codes

    return call


def eight_bits(module: Any, h: Mapping[str, Any]) -> Any:
    """bitsandbytes' codes of 8 bits, by its outermost function."""
    import torch

    code = module.create_dynamic_map(h["signed"])
    return lambda x: module.quantize_blockwise(
        torch.from_numpy(x if h["signed"] else np.abs(x)), code=code, blocksize=h["block"]
    )[0].numpy()


def blockwise(h: Mapping[str, Any]) -> Any:
    name = "bitsandbytes" if h["signed"] else "bitsandbytes_unsigned"
    return q.Blockwise(map=name, block_size=h["block"], normalize="reciprocal", search="grid")


def block_bytes(name: str) -> Callable[[Any, Mapping[str, Any]], Any]:
    return lambda module, h: lambda x: module.quants.quantize(x, module.GGMLQuantizationType[name]).ravel()


def affine_codes(torch: Any, h: Mapping[str, Any]) -> Any:
    dtype = torch.qint8 if h["signed"] else torch.quint8
    return lambda x: (
        torch.quantize_per_tensor(torch.from_numpy(x.copy()), h["scale"], h["zero"], dtype).int_repr().numpy()
    )


def block_floats(module: Any, h: Mapping[str, Any]) -> Any:
    import torch

    def codes(x: np.ndarray) -> np.ndarray:
        mode = getattr(module.ScaleCalculationMode, h["rule"].upper())
        return (
            module.to_mx(torch.from_numpy(x.copy()), getattr(torch, h["format"]), 32, mode)[1].view(torch.uint8).numpy()
        )

    return codes


BLOCKS: tuple[tuple[int, ...], ...] = ((256,), (3, 256), (2, 2, 256), (1, 512))

#: the rule's own codes, or bytes, from the rule and an array
Codes = Callable[[Any, np.ndarray], np.ndarray]
CODES: list[tuple[Compared, Codes]] = [
    (
        Compared(
            "bitsandbytes.functional",
            "quantize_4bit nf4",
            four_bits("nf4"),
            lambda h: q.NF4(block_size=h["block"], normalize="reciprocal", ties="bitsandbytes"),
            [{"block": 64}, {"block": 128}, {"block": 256}],
            BLOCKS,
        ),
        lambda rule, x: rule.quantize(x).codes,
    ),
    (
        Compared(
            "bitsandbytes.functional",
            "quantize_blockwise",
            eight_bits,
            blockwise,
            [{"signed": True, "block": 64}, {"signed": True, "block": 256}, {"signed": False, "block": 128}],
            ((512,), (3, 256), (2, 5, 64), (1000,)),
        ),
        lambda rule, x: rule.quantize(np.abs(x) if "unsigned" in rule.map else x).codes,
    ),
    *(
        (
            Compared("gguf", name, block_bytes(name), lambda h, name=name: getattr(q, name)(), [{}], BLOCKS),
            lambda rule, x: rule.pack(rule.quantize(x)),
        )
        for name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "TQ1_0", "TQ2_0")
    ),
    (
        Compared(
            "torch",
            "quantize_per_tensor",
            affine_codes,
            lambda h: q.Affine(signed=h["signed"], zero_point_added="before", normalize="reciprocal"),
            [
                {"signed": True, "scale": 0.05, "zero": 7},
                {"signed": False, "scale": 0.125, "zero": 128},
                {"signed": True, "scale": 0.25, "zero": -100},
            ],
        ),
        lambda rule, x: x,
    ),
    (
        Compared(
            "torchao.prototype.mx_formats.mx_tensor",
            "to_mx",
            block_floats,
            lambda h: q.MX(format=h["format"], scale_rule=h["rule"]),
            [
                {"format": f"float8_{f}", "rule": rule}
                for f in ("e4m3fn", "e5m2")
                for rule in ("floor", "ceil", "even", "rceil")
            ],
            BLOCKS,
        ),
        lambda rule, x: rule.quantize(x).codes,
    ),
]


@pytest.mark.parametrize(("row", "setting"), rows([row for row, _ in CODES]))
def test_quantizers_to_the_code(row: Compared, setting: Mapping[str, Any]) -> None:
    module = pytest.importorskip(row.package, reason=f"compares with {row.package}")
    module = importlib.import_module(row.package)
    ours = next(codes for other, codes in CODES if other is row)
    rule, theirs = row.ours(setting), row.theirs(module, setting)
    random = np.random.default_rng(6)
    for shape in row.shapes:
        x = np.asarray(2 * random.standard_normal(shape), F)
        wanted = np.asarray(theirs(x))
        found = rule.quantize_with(x, setting["scale"], setting["zero"]) if "zero" in setting else ours(rule, x)
        assert np.array_equal(np.ravel(wanted), np.ravel(found)), f"{row.name} {setting} {shape}"
