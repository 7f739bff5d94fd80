"""Where public implementations are not the rule, counted: `python -m tests.quantizers.disagreements`.

Needs ml_dtypes, torch, bitsandbytes, torchao, gfloat, gguf and onnx; a row whose package is missing is left out.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import ml_dtypes
import numpy as np

from refgrad.optimizers import LAMB, LARS
from refgrad.quantizers import FP4, MX, NF4, Affine, Blockwise, Cast
from tests.quantizers.agreements import (
    AGREEMENTS,
    Count,
    F,
    bitsandbytes_optimizers,
    differ,
    judged_optimizer,
    microxcaling,
)


def e8m0_subnormal() -> Count:
    x = np.linspace(2.0**-127, 1.5 * 2.0**-127, 1002)[1:-1].astype(F)
    return differ(x.astype(ml_dtypes.float8_e8m0fnu).view(np.uint8), Cast(format="float8_e8m0fnu").quantize(x).codes)


def double_rounding() -> Count:
    x = np.random.default_rng(0).standard_normal(1 << 22)
    return differ(x.astype(ml_dtypes.bfloat16).view(np.uint16), Cast(format="bfloat16").quantize(x).codes)


def torch_e4m3_overflow() -> Count:
    import torch

    x = np.asarray([464.0001, 480, 1e30, np.inf, -np.inf], F)
    codes = torch.from_numpy(x).to(torch.float8_e4m3fn).view(torch.uint8).numpy()
    return differ(codes, Cast(format="float8_e4m3fn").quantize(x).codes)


def torch_e8m0_zero() -> Count:
    import torch

    x = np.asarray([0.0, -1.0, -2.5], F)
    codes = torch.from_numpy(x).to(torch.float8_e8m0fnu).view(torch.uint8).numpy()
    return differ(codes, Cast(format="float8_e8m0fnu").quantize(x).codes)


def gfloat_e8m0_ties() -> Count:
    import gfloat
    from gfloat import formats

    x = 1.5 * np.exp2(np.arange(-120, 120).astype(F))
    theirs = np.asarray([gfloat.round_float(formats.format_info_ocp_e8m0, float(v)) for v in x], F)
    return differ(theirs, Cast(format="float8_e8m0fnu").round_trip(x.astype(F)))


def bitsandbytes_grid(heavy: bool) -> Count:
    import torch
    from bitsandbytes import functional

    x = np.random.default_rng(0).standard_normal(1 << 20)
    x = np.exp(3 * x).astype(F) if heavy else x.astype(F)
    codes, _ = functional.quantize_blockwise(
        torch.from_numpy(x), code=functional.create_dynamic_map(True), blocksize=256
    )
    rule = Blockwise(map="bitsandbytes", block_size=256, normalize="reciprocal")
    return differ(codes.numpy(), rule.quantize(x).codes)


def bitsandbytes_fp4_zero() -> Count:
    import torch
    from bitsandbytes import functional

    x = np.random.default_rng(0).standard_normal(1 << 20).astype(F)
    packed = functional.quantize_4bit(torch.from_numpy(x), blocksize=64, quant_type="fp4")[0].numpy().ravel()
    codes = np.stack([packed >> 4, packed & 15], 1).ravel()
    return differ(codes, FP4(normalize="reciprocal").quantize(x).codes)


def bitsandbytes_zero_tail() -> Count:
    import torch
    from bitsandbytes import functional

    x = np.zeros(96, F)
    absmax = functional.quantize_4bit(torch.from_numpy(x), blocksize=64, quant_type="nf4")[1].absmax.numpy()
    return differ(absmax, NF4().quantize(x)["absmax"])


def bitsandbytes_rows() -> Count:
    import torch
    from bitsandbytes import functional

    x = np.random.default_rng(0).standard_normal((4, 96)).astype(F)
    packed, state = functional.quantize_4bit(torch.from_numpy(x), blocksize=64, quant_type="nf4")
    codes = np.stack([packed.numpy().ravel() >> 4, packed.numpy().ravel() & 15], 1).reshape(x.shape)
    theirs = dataclasses.replace(NF4().quantize(x), arrays={"absmax": state.absmax.numpy(), "codes": codes})
    return differ(functional.dequantize_4bit(packed, state).numpy(), NF4().dequantize(theirs))


def bitsandbytes_nan() -> Count:
    import torch
    from bitsandbytes import functional

    x = np.full(256, np.nan, F)
    x[1:] = 1
    codes, state = functional.quantize_blockwise(
        torch.from_numpy(x), code=functional.create_dynamic_map(True), blocksize=256
    )
    y = functional.dequantize_blockwise(codes, state).numpy()
    rule = Blockwise(map="bitsandbytes", block_size=256, search="grid", normalize="reciprocal")
    return differ(np.isnan(y), np.isnan(rule.round_trip(x)))


def torchao_qmap_ties() -> Count:
    import torch
    from torchao.optim import quant_utils

    rule = Blockwise(map="bitsandbytes", ties="upper", block_size=256)
    values = np.asarray(rule.table())
    x = ((values[1:] + values[:-1]) / 2).astype(F)
    theirs = quant_utils.quantize_8bit_with_qmap(
        torch.from_numpy(x), torch.tensor(quant_utils.create_dynamic_map(True))
    )
    return differ(theirs.numpy(), rule.nearest.rank(x))


def torchao_rceil() -> Count:
    import torch
    from torchao.prototype.mx_formats import mx_tensor

    at = (448.0 * np.exp2(np.arange(-60, 60))).astype(F)
    amax = np.concatenate([at, np.nextafter(at, F(0)), np.nextafter(at, F(np.inf))])
    x = np.zeros((amax.size, 32), F)
    x[:, 0] = amax
    mode = mx_tensor.ScaleCalculationMode.RCEIL
    scale, _ = mx_tensor.to_mx(torch.from_numpy(x), torch.float8_e4m3fn, 32, mode)
    return differ(scale.view(torch.uint8).numpy().ravel(), MX(scale_rule="rceil").quantize(x)["scale"])


def torch_zero_point_order() -> Count:
    import torch

    x = (np.arange(-250, 250) * 0.5).astype(F)
    codes = torch.quantize_per_tensor(torch.from_numpy(x), 1.0, 3, torch.qint8).int_repr().numpy()
    ties = x % 1 != 0
    return differ(codes[ties], Affine().quantize_with(x, 1.0, 3)[ties])


def onnx_reference_overflow() -> Count:
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    value = helper.make_tensor_value_info
    inputs = [value("x", TensorProto.FLOAT, [3]), value("s", TensorProto.FLOAT, []), value("z", TensorProto.INT8, [])]
    node = helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"])
    graph = helper.make_graph([node], "one", inputs, [value("q", TensorProto.INT8, [3])])
    x = np.asarray([1e10, 1e20, np.inf], F)
    feed = {"x": x, "s": np.asarray(1.0, F), "z": np.asarray(0, np.int8)}
    theirs = ReferenceEvaluator(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)])).run(None, feed)[
        0
    ]
    return differ(theirs, Affine().quantize_with(x, 1.0, 0))


def bitsandbytes_lars() -> Count:
    return judged_optimizer("LARS8bit", LARS(), "p")


def bitsandbytes_lamb() -> Count:
    return judged_optimizer("LAMB8bit", LAMB(), "p")


def torch_fused() -> Count:
    import torch

    x = np.random.default_rng(4).standard_normal(1 << 20).astype(F)
    rule = Affine(zero_point_added="before", normalize="reciprocal")
    scale, zero = 0.0123, 3
    codes = torch.quantize_per_tensor(torch.from_numpy(x), scale, zero, torch.qint8).int_repr().numpy()
    inverse = float(F(1) / F(scale))
    fused = np.rint((x.astype(np.float64) * inverse + zero).astype(F))  # the product of two float32 is exact
    assert np.array_equal(codes, np.clip(fused, -128, 127))
    return differ(codes, rule.quantize_with(x, scale, zero))


ROWS: list[tuple[str, str, Callable[[], Count]]] = [
    ("ml_dtypes", "float8_e8m0fnu: what lies between 2**-127 and 1.5 * 2**-127 becomes 2**-126, not 2**-127", e8m0_subnormal),
    ("ml_dtypes", "float64 to bfloat16 goes by way of float32 and rounds twice (of 4M normal numbers)", double_rounding),
    ("torch", "float8_e4m3fn saturates, infinities as well; ml_dtypes gives NaN (policy `saturate`)", torch_e4m3_overflow),
    ("torch", "float8_e8m0fnu: zero becomes 2**-127 and negative numbers lose their sign; NaN here", torch_e8m0_zero),
    ("gfloat", "E8M0: ties go to the even code; to the larger number by IEEE 754, 4.3.1 (of 240 ties)", gfloat_e8m0_ties),
    ("bitsandbytes", "CPU 8-bit codes are looked up on a grid of 65536 steps, N(0, 1)", lambda: bitsandbytes_grid(False)),
    ("bitsandbytes", "the same, exp(3 N(0, 1))", lambda: bitsandbytes_grid(True)),
    ("bitsandbytes", "FP4 on the CPU: small positive numbers get the code of minus zero", bitsandbytes_fp4_zero),
    ("bitsandbytes", "a short last block of zeros keeps absmax 1e-38, not 0", bitsandbytes_zero_tail),
    ("bitsandbytes", "CPU 4-bit codes of shape (4, 96) are restored by other blocks' absmax", bitsandbytes_rows),
    ("bitsandbytes", "CPU 8-bit codes: a block with one NaN is restored without any", bitsandbytes_nan),
    ("bitsandbytes", "CPU 8-bit optimizers: codes of the new state, by that grid", lambda: bitsandbytes_optimizers("codes")),
    ("bitsandbytes", "LARS8bit steps without the trust ratio from 4096 elements on (as SGD): parameters", bitsandbytes_lars),
    ("bitsandbytes", "LAMB8bit: the same (as Adam)", bitsandbytes_lamb),
    ("torchao", "8-bit codes at the midpoints of the map, rounded to float32: not always up", torchao_qmap_ties),
    ("torchao", "MX rceil by a float32 logarithm: scales of 448 * 2**k and its float32 neighbours", torchao_rceil),
    ("torch", "quantize_per_tensor adds the zero point before it rounds: exact ties, zero point 3", torch_zero_point_order),
    ("torch", "quantize_per_tensor multiplies and adds the zero point in one fused operation, N(0, 1)", torch_fused),
    ("mx", "microxcaling's default rounding is half away from zero: MXFP4 at ties", lambda: microxcaling("nearest")),
    ("mx", "its exponents are of a float32 logarithm: maxima just below powers of two", lambda: microxcaling("logarithm")),
    ("onnx", "reference QuantizeLinear: beyond 2**31 steps the lowest code, not the highest", onnx_reference_overflow),
]  # fmt: skip


def main() -> None:
    """Print the table."""
    for title, rows in (("differs from the rule", ROWS), ("agrees with the rule", AGREEMENTS)):
        print(f"| package | version | what {title} | differ | of | function |\n|---|---|---|---|---|---|")
        _print(rows)
        print(flush=True)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "a checkout"


def _print(rows: list[tuple[str, str, Callable[[], Count]]]) -> None:
    for package, what, measure in rows:
        try:
            importlib.import_module(package)
        except ImportError:
            continue
        with np.errstate(all="ignore"):
            differ, total = measure()
        name = measure.__code__.co_names[0] if measure.__name__ == "<lambda>" else measure.__name__
        print(f"| {package} | {_version(package)} | {what} | {differ} | {total} | `{name}` |", flush=True)


if __name__ == "__main__":
    main()
