"""Where public implementations are the rule to the last code, counted: the second table of `tests.quantizers.disagreements`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

import refgrad
from refgrad.arithmetic.minifloats import MINIFLOATS
from refgrad.optimizers import SGD, Adagrad, Adam, AdamW, AdEMAMix, Lion, RMSprop
from refgrad.quantizers import AF4, MX, NF4, Affine, Blockwise, Cast, EightBit
from tests.quantizers.exhaustive import points

F = np.float32
Count = tuple[int, int]


def differ(theirs: np.ndarray, ours: np.ndarray) -> Count:
    """How many numbers differ, and of how many; NaN is NaN."""
    different = (theirs != ours) & ~((theirs != theirs) & (ours != ours))
    return int(different.sum()), int(different.size)


def bitsandbytes_on_grid(heavy: bool = False) -> Count:
    """The rule with search="grid", to the code."""
    import torch
    from bitsandbytes import functional

    found = [0, 0]
    for signed in (True, False):
        for scale in (1.0, 3.0):
            x = np.random.default_rng(1).standard_normal(1 << 20)
            x = (np.exp(scale * x) if scale > 1 else np.abs(x) if not signed else x).astype(F)
            x[5000:5600] = 0
            codes, _ = functional.quantize_blockwise(
                torch.from_numpy(x), code=functional.create_dynamic_map(signed), blocksize=256
            )
            name = "bitsandbytes" if signed else "bitsandbytes_unsigned"
            rule = Blockwise(map=name, block_size=256, normalize="reciprocal", search="grid")
            different, count = differ(codes.numpy(), rule.quantize(x).codes)
            found[0], found[1] = found[0] + different, found[1] + count
    return found[0], found[1]


def bitsandbytes_nf4() -> Count:
    import torch
    from bitsandbytes import functional

    x = np.random.default_rng(2).standard_normal(1 << 20).astype(F)
    packed = functional.quantize_4bit(torch.from_numpy(x), blocksize=64, quant_type="nf4")[0].numpy().ravel()
    codes = np.stack([packed >> 4, packed & 15], 1).ravel()
    return differ(codes, NF4(normalize="reciprocal", ties="bitsandbytes_4bit").quantize(x).codes)


def bitsandbytes_af4() -> Count:
    from bitsandbytes import functional

    return differ(functional.get_4bit_type("af4", device="cpu").numpy()[::-1], np.asarray(AF4().table(), F))


def judged_optimizer(name: str, rule: Any, part: str) -> Count:
    """How many of a kind of tensor are outside over five steps of bitsandbytes' optimizer."""
    signed, unsigned = (
        Blockwise(map=m, block_size=256, normalize="reciprocal") for m in ("bitsandbytes", "bitsandbytes_unsigned")
    )
    eight = EightBit(rule, signed, signed if name.startswith(("RMS", "Adagrad")) else unsigned)
    verdict = refgrad.verify(f"bitsandbytes.optim:{name}", eight, steps=5, explain=False, shrink=False)
    counts = [c for n, c in verdict.counts.items() if n == part or n.endswith(f".{part}")]
    return sum(c.outside for c in counts), sum(c.total for c in counts)


EIGHT_BIT = {
    "Adam8bit": Adam(), "AdamW8bit": AdamW(), "SGD8bit": SGD(momentum=0.9), "RMSprop8bit": RMSprop(), "Adagrad8bit": Adagrad(),
    "Lion8bit": Lion(), "AdEMAMix8bit": AdEMAMix(),
}  # fmt: skip


def bitsandbytes_optimizers(part: str) -> Count:
    found = [judged_optimizer(name, rule, part) for name, rule in EIGHT_BIT.items()]
    return sum(f[0] for f in found), sum(f[1] for f in found)


def _points(name: str) -> np.ndarray:
    return points(MINIFLOATS[name])


def ml_dtypes_casts() -> Count:
    found = []
    for name, form in MINIFLOATS.items():
        x = _points(name)
        x = x[(x <= 0) | (x >= 1.5 * 2.0**-127)] if name == "float8_e8m0fnu" else x
        x = x[~np.isnan(x)]  # whose sign and payload are another matter
        dtype = np.dtype(getattr(ml_dtypes, name, name))
        codes = x.astype(dtype).view(form.code_dtype) & ((1 << form.bits) - 1)
        found.append(differ(codes, Cast(format=name).quantize(x).codes))
    return sum(f[0] for f in found), sum(f[1] for f in found)


def torch_casts() -> Count:
    import torch

    found = []
    for name in ("bfloat16", "float16", "float8_e5m2", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2fnuz"):
        x = _points(name)
        x = x[np.abs(x) <= MINIFLOATS[name].largest]
        codes = torch.from_numpy(x).to(getattr(torch, name)).view(torch.int16 if "16" in name else torch.uint8).numpy()
        found.append(
            differ(codes.astype(np.int64) & 0xFFFF if "16" in name else codes, Cast(format=name).quantize(x).codes)
        )
    return sum(f[0] for f in found), sum(f[1] for f in found)


def gfloat_rounding() -> Count:
    import gfloat
    from gfloat import RoundMode, formats

    modes = {
        "nearest_even": "TiesToEven",
        "nearest_away": "TiesToAway",
        "toward_zero": "TowardZero",
        "up": "TowardPositive",
        "down": "TowardNegative",
    }
    infos = {
        "float8_e4m3fn": formats.format_info_ocp_e4m3, "float8_e5m2": formats.format_info_ocp_e5m2,
        "float6_e2m3fn": formats.format_info_ocp_e2m3, "float6_e3m2fn": formats.format_info_ocp_e3m2,
        "float4_e2m1fn": formats.format_info_ocp_e2m1,
    }  # fmt: skip
    found = []
    for name, info in infos.items():
        x = _points(name)
        x = x[np.abs(x) <= MINIFLOATS[name].largest]
        for ours, theirs in modes.items():
            values = np.asarray([gfloat.round_float(info, float(v), RoundMode[theirs]) for v in x], F)
            found.append(differ(values, Cast(format=name, rounding=ours).round_trip(x)))
    return sum(f[0] for f in found), sum(f[1] for f in found)


def torchao_blocks() -> Count:
    import torch
    from torchao.prototype.mx_formats import mx_tensor

    x = np.random.default_rng(3).standard_normal((1024, 1024)).astype(F)
    found = []
    for name in ("float8_e4m3fn", "float8_e5m2"):
        for rule in ("floor", "ceil", "even", "rceil"):
            mode = getattr(mx_tensor.ScaleCalculationMode, rule.upper())
            scale, data = mx_tensor.to_mx(torch.from_numpy(x), getattr(torch, name), 32, mode)
            ours = MX(format=name, scale_rule=rule).quantize(x)
            found.append(differ(scale.view(torch.uint8).numpy().ravel(), ours["scale"]))
            found.append(differ(data.view(torch.uint8).numpy(), ours.codes))
    return sum(f[0] for f in found), sum(f[1] for f in found)


ELEMENTS = {
    "float8_e4m3fn": "fp8_e4m3", "float8_e5m2": "fp8_e5m2", "float6_e2m3fn": "fp6_e2m3", "float6_e3m2fn": "fp6_e3m2",
    "float4_e2m1fn": "fp4_e2m1", "int8": "int8",
}  # fmt: skip


def microxcaling(what: str) -> Count:
    """Of a checkout of github.com/microsoft/microxcaling on the path."""
    import torch
    from mx.mx_ops import _quantize_mx

    random = np.random.default_rng(8)
    normal = random.standard_normal((512, 1024)).astype(F)
    ties = (random.integers(-64, 65, (512, 1024)) / 8).astype(F)
    below = np.zeros((120, 32), F)
    below[:, 0] = np.nextafter(np.exp2(np.arange(-60, 60).astype(F)), F(0))
    cases = {"even": (normal, ties), "nearest": (ties,), "logarithm": (below,)}[what]
    found = []
    for name, element in ELEMENTS.items() if what == "even" else [("float4_e2m1fn", "fp4_e2m1")]:
        for x in cases:
            mode = "nearest" if what == "nearest" else "even"
            y = _quantize_mx(torch.from_numpy(x), 8, element, axes=[-1], block_size=32, round=mode).numpy()
            different = (
                (y != MX(format=name).round_trip(x)).any(axis=1)
                if what == "logarithm"
                else y != MX(format=name).round_trip(x)
            )
            found.append((int(different.sum()), int(different.size)))
    return sum(f[0] for f in found), sum(f[1] for f in found)


def torch_fake_quantize() -> Count:
    import torch

    rule, found = Affine(normalize="reciprocal"), []
    for scale, zero in ((0.0123, 3), (0.5, -7), (0.02, 127)):
        x = np.concatenate(
            [np.random.default_rng(5).standard_normal(1 << 18) * 4, np.arange(-600, 600) / 2 * scale]
        ).astype(F)
        given = torch.from_numpy(x).requires_grad_()
        y = torch.fake_quantize_per_tensor_affine(given, scale, zero, -128, 127)
        y.sum().backward()
        found.append(differ(y.detach().numpy(), rule.fake_quantize(x, scale, zero)))
        mask = rule.fake_quantize_backward(x, np.ones_like(x), scale, zero)
        found.append(differ(given.grad.numpy(), mask))
    return sum(f[0] for f in found), sum(f[1] for f in found)


def gguf_bytes() -> Count:
    import gguf

    from refgrad import quantizers

    x, found = np.random.default_rng(6).standard_normal((256, 1024)).astype(F), []
    for name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "TQ1_0", "TQ2_0"):
        rule = getattr(quantizers, name)()
        theirs = gguf.quants.quantize(x, gguf.GGMLQuantizationType[name])
        found.append(differ(theirs, rule.pack(rule.quantize(x))))
    return sum(f[0] for f in found), sum(f[1] for f in found)


def onnx_reference(opset: int) -> Count:
    """QuantizeLinear of one version of the operator, at ties and at ordinary numbers, for every integer type that it has."""
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    x = np.concatenate([np.arange(-300, 301) * 0.25, np.random.default_rng(7).standard_normal(5000) * 40]).astype(F)
    kinds = {"INT8": (8, True), "UINT8": (8, False)}
    kinds |= {"INT16": (16, True), "UINT16": (16, False), "INT4": (4, True), "UINT4": (4, False)} if opset >= 21 else {}
    value, found = helper.make_tensor_value_info, []
    for kind, (bits, signed) in kinds.items():
        dtype = getattr(TensorProto, kind)
        zero = helper.make_tensor("z", dtype, [], [3])
        node = helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"])
        inputs = [value("x", TensorProto.FLOAT, [x.size]), value("s", TensorProto.FLOAT, [])]
        graph = helper.make_graph([node], "one", inputs, [value("q", dtype, [x.size])], [zero])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        theirs = ReferenceEvaluator(model).run(None, {"x": x, "s": np.asarray(0.5, F)})[0]
        ours = Affine(bits=bits, signed=signed).quantize_with(x, 0.5, 3)
        found.append(differ(theirs.astype(np.int64), ours.astype(np.int64)))
    return sum(f[0] for f in found), sum(f[1] for f in found)


#: where there is nothing to tell: the same measure, and no difference
AGREEMENTS: list[tuple[str, str, Callable[[], Count]]] = [
    ("ml_dtypes", "casts of float32 to 13 formats: every number, midpoint and neighbour, also out of range", ml_dtypes_casts),
    ("torch", "casts to six formats, at the same points, in range", torch_casts),
    ("torch", "fake_quantize and its backward mask, ties among them: `Affine(normalize=\"reciprocal\")`", torch_fake_quantize),
    ("bitsandbytes", "CPU 8-bit codes: `Blockwise(search=\"grid\", normalize=\"reciprocal\")`, both maps", bitsandbytes_on_grid),
    ("bitsandbytes", "NF4 codes are `NF4(normalize=\"reciprocal\", ties=\"bitsandbytes_4bit\")`, N(0, 1)", bitsandbytes_nf4),
    ("bitsandbytes", "the table of AF4, which no quantizer of it takes", bitsandbytes_af4),
    ("bitsandbytes", "parameters of seven 8-bit optimizers, given their own codes", lambda: bitsandbytes_optimizers("p")),
    ("bitsandbytes", "absmax of their new state", lambda: bitsandbytes_optimizers("absmax")),
    ("torchao", "MX E4M3 and E5M2 by four scale rules, N(0, 1)", torchao_blocks),
    ("mx", "microxcaling with round=even, five formats and int8, N(0, 1) and ties", lambda: microxcaling("even")),
    ("gfloat", "five formats in five rounding modes, at the same points as casts, in range", gfloat_rounding),
    ("gguf", "bytes of seven formats, N(0, 1)", gguf_bytes),
    ("onnx", "reference QuantizeLinear of opset 10", lambda: onnx_reference(10)),
    ("onnx", "of opset 13", lambda: onnx_reference(13)),
    ("onnx", "of opset 19", lambda: onnx_reference(19)),
    ("onnx", "of opset 21, with 16 and 4 bits", lambda: onnx_reference(21)),
]  # fmt: skip
