"""Quantizers' authors' code beside refgrad's rules: ``python -m tests.quantizers.authors FOLDER``, a table of counts.

FOLDER holds checkouts by their repositories' names; what is missing is left out. All is run in float64, over several shapes and
with settings off the defaults; numbers differ that are further apart than 1e-12 (1e-9 where a matrix was inverted).
"""

from __future__ import annotations

import contextlib
import io
import itertools
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from refgrad import quantizers as q

#: two results, theirs and ours
Pair = tuple[Any, Any]
RANDOM = np.random.default_rng(0)


def module(path: Path, replaced: Mapping[str, str] | None = None, **stubs: Any) -> Any:
    """A file of the authors' as a module, with texts replaced and modules that are not there stood in for."""
    text = path.read_text(encoding="utf-8")
    for what, by in (replaced or {}).items():
        text = text.replace(what, by)
    made = types.ModuleType(path.stem)
    with mock.patch.dict(sys.modules, stubs):
        exec(compile(text, str(path), "exec"), vars(made))
    return made


def normal(*shape: int) -> np.ndarray:
    return np.asarray(RANDOM.standard_normal(shape))


def gptq_grid(folder: Path) -> Iterator[Pair]:
    code = module(folder / "quant.py")
    for bits, sym, shape in itertools.product((2, 3, 4, 8), (False, True), ((6, 8), (3, 16), (1, 5))):
        w, made = normal(*shape), code.Quantizer()
        made.configure(bits, perchannel=True, sym=sym)
        made.find_params(torch.from_numpy(w), weight=True)
        theirs = code.quantize(torch.from_numpy(w), made.scale, made.zero, made.maxq)
        yield theirs, q.RoundToNearest(bits=bits, grid="symmetric_gptq" if sym else "asymmetric").round_trip(w)


def gptq(folder: Path) -> Iterator[Pair]:
    quant = module(folder / "quant.py")
    transformers = types.ModuleType("transformers")
    transformers.Conv1D = type("Conv1D", (), {})  # type: ignore[attr-defined]
    code = module(
        folder / "gptq.py",
        {"W.float()": "W.double()", "inp.float()": "inp.double()"},
        quant=quant,
        transformers=transformers,
    )
    settings = [(-1, False, False), (-1, True, False), (8, False, False), (8, False, True), (8, True, True)]
    for bits, (group, act_order, static) in itertools.product((2, 3, 4), settings):
        w, x = normal(5, 24), normal(64, 24) * np.exp(normal(24))
        layer = torch.nn.Linear(24, 5, bias=False)
        layer.weight.data = torch.from_numpy(w.copy())
        made = code.GPTQ(layer)
        made.quantizer = quant.Quantizer()
        made.quantizer.configure(bits, perchannel=True, sym=False)
        made.add_batch(torch.from_numpy(x[None]), None)
        hessian = made.H.numpy().copy()
        with contextlib.redirect_stdout(io.StringIO()), mock.patch.object(torch.cuda, "synchronize"):
            made.fasterquant(percdamp=0.02, groupsize=group, actorder=act_order, static_groups=static)
        rule = q.GPTQ(
            bits=bits,
            damping=0.02,
            group=max(group, 0),
            act_order=act_order,
            parameters="static" if static else "stale",
        )
        yield layer.weight.data, rule.dequantize(rule.quantize(w, hessian=(hessian + hessian.T) / 2))


def ttq(folder: Path) -> Iterator[Pair]:
    path = folder / "utils/quantization.py"
    code = module(
        path,
        {
            "from .training import _accuracy": "",
            "async=True": "non_blocking=True",
            ".cuda()": "",
            ".float()": ".double()",
        },
    )
    for threshold, positive, negative in ((0.05, 1.0, 1.0), (0.2, 0.7, 1.3)):
        rule = q.TTQ(threshold=threshold, positive=positive, negative=negative)
        for shape in ((4, 6), (7,), (2, 3, 4)):
            w, g = normal(*shape), normal(*shape)
            yield code.quantize(torch.from_numpy(w), positive, negative, threshold), rule.round_trip(w)
            theirs = code.get_grads(torch.from_numpy(g), torch.from_numpy(w), positive, negative, threshold)
            yield from zip(theirs, rule.gradients(w, g), strict=True)


def n2uq(folder: Path) -> Iterator[Pair]:
    code = module(folder / "resnet/resnet.py")
    for bits in (2, 3, 4):
        layer = code.HardQuantizeConv(5, 4, bits, kernel_size=1, padding=0)
        w = normal(4, 5)
        layer.weight.data = torch.from_numpy(w[:, :, None, None].copy())
        yield layer(torch.eye(5)[:, :, None, None])[:, :, 0, 0].T, q.N2UQWeights(bits=bits).round_trip(w)
        made, a, x, g = code.LTQ(bits), np.abs(normal(2**bits - 1)) * 0.4 + 0.05, 1.5 * normal(6, 7), normal(6, 7)
        made.a.data, made.start.data = torch.from_numpy(a.copy()), torch.tensor([0.1])
        seen = torch.from_numpy(x.copy()).requires_grad_()
        y = made(seen)
        y.backward(torch.from_numpy(g))
        rule = q.N2UQ(bits=bits, start=0.1)
        yield y, rule.dequantize(rule.quantize(x, intervals=a))
        yield from zip((seen.grad, made.a.grad, made.start.grad), rule.gradients(x, g, intervals=a), strict=True)


def awq_grid(folder: Path) -> Iterator[Pair]:
    text = (folder / "awq/quantize/quantizer.py").read_text(encoding="utf-8")
    start = text.index("def pseudo_quantize_tensor")
    code: dict[str, Any] = {"torch": torch}
    exec(text[start : text.index("@torch.no_grad()", start)], code)
    for bits, group in itertools.product((3, 4), (0, 4)):
        w = normal(4, 8)
        w[0] = abs(w[0]) + 1  # a row without negative weights
        theirs = code["pseudo_quantize_tensor"](torch.from_numpy(w), n_bit=bits, q_group_size=group or -1)
        yield theirs, q.RoundToNearest(bits=bits, group=group, grid="awq").round_trip(w)


ROWS: list[tuple[str, str, Callable[[Path], Iterator[Pair]], float]] = [
    ("gptq", "quant.py: RoundToNearest, both grids", gptq_grid, 1e-12),
    ("gptq", "gptq.py: GPTQ, with and without groups and act_order", gptq, 1e-9),
    ("trained-ternary-quantization", "quantize and get_grads: TTQ", ttq, 1e-12),
    ("Nonuniform-to-Uniform-Quantization", "HardQuantizeConv: N2UQWeights; LTQ and its gradients: N2UQ", n2uq, 1e-12),
    ("llm-awq", "pseudo_quantize_tensor: RoundToNearest(grid='awq')", awq_grid, 1e-12),
]


def main() -> None:
    """Print the table."""
    torch.set_default_dtype(torch.float64)
    print("| authors' code | what is which rule | differ | of |\n|---|---|---|---|")
    for name, what, pairs, near in ROWS:
        if (Path(sys.argv[1]) / name).is_dir():
            found = [(torch.as_tensor(a).detach().numpy(), np.asarray(b)) for a, b in pairs(Path(sys.argv[1]) / name)]
            differ = sum(int(np.sum(~(np.abs(a - b) <= near * max(1.0, np.max(np.abs(b)))))) for a, b in found)
            print(f"| {name} | {what} | {differ} | {sum(b.size for _, b in found)} |", flush=True)


if __name__ == "__main__":
    main()
