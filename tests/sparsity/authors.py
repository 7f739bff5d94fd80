"""Authors' own code judged as refgrad's rules: ``python -m tests.sparsity.authors FOLDER``, a table of verdicts.

FOLDER holds checkouts by their repositories' names, of those in `CHECKOUTS`; what is missing is left out, and jaxpruner must be
installed besides. Functions that sit in the middle of a longer one are called through the smallest stand-ins that reach them (a
layer, a namespace of arguments).
"""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import refgrad
from refgrad.oracle.inputs.estimators import generate
from refgrad.sparsity import (
    ASP,
    MDGF,
    SRSTE,
    Block,
    Magnitude,
    MDGFGradient,
    Movement,
    NOfM,
    SoftMovement,
    SparseGPT,
    SRSTEGradient,
    Wanda,
    WandaNOfM,
)
from refgrad.sparsity.allocation import lamp
from refgrad.sparsity.base import Mask

Case = tuple[str, Callable[..., Any], Mask]


def load(path: Path, name: str = "author", **stubs: Any) -> Any:
    """A module from a file, with stand-ins for the modules that it imports and does not need."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with mock.patch.dict(sys.modules, stubs):
        spec.loader.exec_module(module)
    return module


def nm_sparsity(folder: Path) -> Iterator[Case]:
    """The straight-through function's mask, seen through weights without zeros."""
    import torch

    stub = types.SimpleNamespace(container_abcs=None)
    code = load(folder / "devkit/sparse_ops/sparse_ops.py", **{"torch._six": stub})

    def linear(w: torch.Tensor, n: int, m: int) -> torch.Tensor:
        # the context keeps the mask; zeros in w would hide it in the output
        context = types.SimpleNamespace(save_for_backward=lambda *tensors: None)
        code.Sparse.forward(context, w, n, m)
        return context.mask

    def convolution(w: torch.Tensor, n: int, m: int) -> torch.Tensor:
        context = types.SimpleNamespace(save_for_backward=lambda *tensors: None)
        code.Sparse_NHWC.forward(context, w, n, m)
        return context.mask

    yield "NM-sparsity Sparse", linear, SRSTE()
    yield "NM-sparsity Sparse, 1:16", linear, SRSTE(n=1, m=16)
    yield "NM-sparsity Sparse_NHWC", convolution, SRSTE(along="channel")


def progressive(folder: Path) -> Iterator[Case]:
    """The mask, at commit 450d744: the head does not compile."""
    import torch

    code = load(folder / "timm/sparse_pruning/sparse_functions.py")

    def rows(w: torch.Tensor, n: int, m: int) -> torch.Tensor:
        return code.get_sparse_mask(w, n, m)

    def columns(w: torch.Tensor, n: int, m: int) -> torch.Tensor:
        return code.get_sparse_mask(w, n, m, sparse_dim=1)

    def rate(w: torch.Tensor, sparsity: float) -> torch.Tensor:
        return code.get_sparse_mask(w, 2, 4, sparsity_rate=sparsity)

    yield "progressive_gradient_flow, rows", rows, MDGF()
    yield "progressive_gradient_flow, columns", columns, MDGF(along="first")
    yield "progressive_gradient_flow, prune_rate", rate, Magnitude(sparsity=0.3, rounding="floor", counted="kept")


def wanda(folder: Path) -> Iterator[Case]:
    """The branches of `prune_magnitude` and `prune_wanda`, on a stand-in of a model with one layer and no samples."""
    import torch

    class Anything(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            return mock.MagicMock()

    beside = ("lib", "lib.sparsegpt", "lib.layerwrapper", "lib.data", "lib.ablate")
    code = load(folder / "lib/prune.py", "lib.prune", **{n: Anything(n) for n in beside})

    class Watched:
        """Weights that remember the mask by which they were set to zero."""

        def __init__(self, w: torch.Tensor) -> None:
            self.w = w
            self.mask = torch.zeros(0)

        def __setitem__(self, mask: torch.Tensor, value: int) -> None:
            self.mask = mask.clone()

        def numel(self) -> int:
            return self.w.numel()

        @classmethod
        def __torch_function__(cls, function: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
            return function(*(a.w if isinstance(a, cls) else a for a in args), **(kwargs or {}))

    def kept(function: Any, w: torch.Tensor, a: Any, sparsity: float, n: int, m: int) -> torch.Tensor:
        watched = Watched(w)
        layer = mock.MagicMock()
        layer.weight.data = watched
        code.find_layers = lambda _: {"only": layer}
        code.WrappedGPT = lambda _: types.SimpleNamespace(scaler_row=a)
        code.prepare_calibration_input = lambda *_: ([], [], None, None)
        code.get_loaders = lambda *_, **__: (None, None)
        model = mock.MagicMock()
        model.model.layers, model.hf_device_map = [layer], {}
        arguments = types.SimpleNamespace(sparsity_ratio=sparsity, nsamples=0, seed=0, use_variant=False)
        with mock.patch.object(torch.Tensor, "cuda", lambda self: self):
            function(arguments, model, mock.MagicMock(), torch.device("cpu"), n, m)
        return ~watched.mask

    def magnitude(w: torch.Tensor, sparsity: float) -> torch.Tensor:
        return kept(code.prune_magnitude, w, None, sparsity, 0, 0)

    def magnitude_groups(w: torch.Tensor, n: int, m: int) -> torch.Tensor:
        return kept(code.prune_magnitude, w, None, 0.5, n, m)

    def weighed(w: torch.Tensor, a: torch.Tensor, sparsity: float) -> torch.Tensor:
        return kept(code.prune_wanda, w, a, sparsity, 0, 0)

    def weighed_groups(w: torch.Tensor, a: torch.Tensor, n: int, m: int) -> torch.Tensor:
        return kept(code.prune_wanda, w, a, 0.5, n, m)

    yield "wanda prune_magnitude, 2:4", magnitude_groups, NOfM()
    yield "wanda prune_magnitude, 2:8", magnitude_groups, NOfM(n=2, m=8)
    yield "wanda prune_magnitude, unstructured", magnitude, Magnitude(sparsity=0.3)
    yield "wanda prune_wanda, unstructured", weighed, Wanda(sparsity=0.3)
    yield "wanda prune_wanda, 2:8", weighed_groups, WandaNOfM(n=2, m=8)


def apex(folder: Path) -> Iterator[Case]:
    """Pattern sums, on the CPU."""
    import torch

    code = load(folder / "apex/contrib/sparsity/sparse_masklib.py")

    def m4n2_1d(w: torch.Tensor) -> torch.Tensor:
        with (
            mock.patch.object(torch.Tensor, "cuda", lambda self: self),
            mock.patch.object(torch.cuda, "IntTensor", lambda shape: torch.zeros(tuple(shape), dtype=torch.int32)),
        ):
            return code.m4n2_1d(w, 0.5)

    yield "apex m4n2_1d", m4n2_1d, ASP()


def sparsegpt_difference(folder: Path) -> str:
    """The whole algorithm on one layer: whether the masks are equal, and the largest difference of the weights."""
    import torch

    stubs = {n: types.ModuleType(n) for n in ("quant", "transformers")}
    stubs["transformers"].Conv1D = type("Conv1D", (), {})  # type: ignore[attr-defined]
    code = load(folder / "sparsegpt.py", **stubs)
    random = np.random.default_rng(0)
    w, x = random.standard_normal((32, 256)), random.standard_normal((256, 1024))
    found = []
    for rule, arguments in (
        (SparseGPT(sparsity=0.6, rounding="floor_plus_one"), {"sparsity": 0.6}),
        (SparseGPT(n=2, m=4), {"sparsity": 0.0, "prunen": 2, "prunem": 4}),
    ):
        layer = torch.nn.Linear(256, 32, bias=False, dtype=torch.float64)
        layer.weight.data = torch.from_numpy(w.copy())
        run = code.SparseGPT(layer)
        run.H = torch.from_numpy(2.0 / 1024 * (x @ x.T))
        with (
            mock.patch.object(torch.cuda, "synchronize"),
            mock.patch.object(torch.Tensor, "float", lambda t: t),
        ):
            run.fasterprune(**arguments)
        theirs, ours = layer.weight.data.numpy(), rule.prune(w, 2.0 / 1024 * (x @ x.T))
        same = int(((theirs != 0) != ours.mask).sum())
        found.append(
            f"{rule}: masks differ in {same} of {w.size}, weights by up to {np.abs(theirs - ours.w).max():.1e}"
        )
    return "; ".join(found)


def jaxpruner(folder: Path) -> Iterator[Case]:
    """The mask calculator; installed, not a checkout."""
    import jax
    from jaxpruner import mask_calculator, sparsity_types

    def magnitude(w: jax.Array, sparsity: float) -> jax.Array:
        return mask_calculator.topk_mask_calculator(abs(w), sparsity)

    def of_groups(w: jax.Array, n: int, m: int) -> jax.Array:
        return mask_calculator.get_topk_fn(sparsity_types.NByM(n, m))(abs(w), 0.5)

    def block(w: jax.Array, sparsity: float, height: int, width: int) -> jax.Array:
        return mask_calculator.get_topk_fn(sparsity_types.Block((height, width)))(abs(w), sparsity)

    yield "jaxpruner unstructured", magnitude, Magnitude(sparsity=0.3)
    yield "jaxpruner NByM 2:4", of_groups, NOfM()
    yield "jaxpruner Block (2, 3), ragged", block, Block(height=2, width=3, sparsity=0.5)


def movement(folder: Path) -> Iterator[Case]:
    """The binarizers of scores."""
    import torch

    code = load(folder / "block_movement_pruning/emmental/modules/binarizer.py")

    def top(w: torch.Tensor, s: torch.Tensor, sparsity: float) -> torch.Tensor:
        return code.TopKBinarizer.apply(s, 1.0 - sparsity)

    def transposed(w: torch.Tensor, s: torch.Tensor, sparsity: float) -> torch.Tensor:
        return code.TopKBinarizer.apply(s.t().contiguous().t(), 1.0 - sparsity)

    def soft(w: torch.Tensor, s: torch.Tensor, threshold: float) -> torch.Tensor:
        return code.ThresholdBinarizer.apply(s, threshold, True)

    yield "movement TopKBinarizer", top, Movement(sparsity=0.3, counted="kept", rounding="floor")
    yield "movement TopKBinarizer, not contiguous", transposed, Movement(sparsity=0.3, counted="kept", rounding="floor")
    yield "movement ThresholdBinarizer", soft, SoftMovement(threshold=0.4)


def training_difference(folder: Path) -> str:
    """The forward and backward passes of N:M training: bits that differ between the authors' functions and the rules."""
    import torch

    found: list[tuple[Any, Any, tuple[float, ...], dict[str, float]]] = []
    if (folder / "NM-sparsity").is_dir():
        stub = types.SimpleNamespace(container_abcs=None)
        code = load(folder / "NM-sparsity/devkit/sparse_ops/sparse_ops.py", **{"torch._six": stub})
        found.append((SRSTEGradient(), code.Sparse, (2, 4), {}))
    if (folder / "progressive_gradient_flow_nm_sparsity").is_dir():
        code = load(folder / "progressive_gradient_flow_nm_sparsity/timm/sparse_pruning/sparse_functions.py")
        for function, decay in ((code.LinearDecay, "linear"), (code.ExponentialDecay, "exponential")):
            rule = MDGFGradient(pattern=MDGF(decay=decay, rate=0.0625))
            found.append((rule, function, (2, 4, 0.0, 0.0625, 5), {"beta": rule.pattern.beta(5)}))
    lines = []
    for rule, function, arguments, numbers in found:

        def apply(x: torch.Tensor, function: Any = function, arguments: Any = arguments) -> torch.Tensor:
            return function.apply(x, *arguments)

        cases = generate(rule, 6, np.dtype(np.float32), 0)
        one = {n: np.full((1, 1), value, np.float32) for n, value in numbers.items()}
        cases = refgrad.Cases([{**arrays, **one} for arrays in cases.arrays], cases.names)
        verdict = refgrad.verify(apply, rule, inputs=cases)
        lines.append(f"{rule}: {verdict.outcome}, {verdict.total.outside} of {verdict.total.total} outside")
    return "; ".join(lines)


def lamp_difference(folder: Path) -> str:
    """How many weights a layer the authors' LAMP keeps, beside ours, and their largest score, which is exactly 1 in the paper."""
    import torch

    stub = types.ModuleType("tools.utils")
    stub.get_weights = stub.get_modules = list  # type: ignore[attr-defined]
    code = load(folder / "tools/pruners.py", **{"tools": types.ModuleType("tools"), "tools.utils": stub})
    random = np.random.default_rng(0)
    ws = [
        random.standard_normal(s).astype(np.float32) * k for s, k in (((64, 128), 1), ((256, 800), 0.1), ((10, 256), 4))
    ]
    layers = [types.SimpleNamespace(weight_mask=torch.ones(w.shape)) for w in ws]
    code.get_weights = lambda _: [torch.from_numpy(w) for w in ws]
    code.get_modules = lambda _: layers
    theirs = [round((1 - float(a)) * w.size) for a, w in zip(code._compute_lamp_amounts(None, 0.9), ws, strict=True)]
    ours = [round((1 - a) * w.size) for a, w in zip(lamp(ws, 0.9), ws, strict=True)]
    largest = [float(code._normalize_scores(torch.from_numpy(w) ** 2).max()) for w in ws]
    return f"LAMP keeps {theirs} in float32, {ours} here; largest scores in float32: {largest}"


CHECKOUTS = {
    "NM-sparsity": nm_sparsity,
    "progressive_gradient_flow_nm_sparsity": progressive,
    "wanda": wanda,
    "apex": apex,
    "block_movement_pruning": movement,
    "jaxpruner": jaxpruner,
}


def main() -> None:
    """Print the table."""
    print("| author's code | judged as | verdict | outside | explained by |")
    print("|---|---|---|---|---|")
    for name, cases in CHECKOUTS.items():
        folder = Path(sys.argv[1]) / name
        if not folder.is_dir():
            continue
        for label, function, rule in cases(folder):
            # JAX on a CPU flushes subnormal numbers to zero
            verdict = refgrad.verify(function, rule, policy={"subnormals": "either"} if name == "jaxpruner" else None)
            why = verdict.explanation.name if verdict.explanation else "; ".join(f.message for f in verdict.faults[:1])
            total = verdict.total
            print(f"| {label} | {rule} | {verdict.outcome} | {total.outside} of {total.total} | {why} |")
    print(training_difference(Path(sys.argv[1])))
    if (Path(sys.argv[1]) / "layer-adaptive-sparsity").is_dir():
        print(lamp_difference(Path(sys.argv[1]) / "layer-adaptive-sparsity"))
    if (Path(sys.argv[1]) / "sparsegpt").is_dir():
        print(sparsegpt_difference(Path(sys.argv[1]) / "sparsegpt"))


if __name__ == "__main__":
    main()
