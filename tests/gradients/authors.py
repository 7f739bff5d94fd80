"""Authors' own code beside refgrad's rules of gradients: ``python -m tests.gradients.authors FOLDER``, a table of numbers.

FOLDER holds checkouts by their repositories' names; what is missing is left out. Grad_CAM_plus_plus is Python 2 around
TensorFlow 1: of its `grad_CAM_plus` the very lines from the sum of activations to the map are run, which are NumPy's, on the
derivatives that the lines before name, e^S times powers of the gradient.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from refgrad import gradients as g
from tests.sparsity.authors import load

A, G = np.array([[[1.0, 2.0], [0.0, 1.0]]]), np.array([[[1.0, -1.0], [0.5, 0.0]]])
#: what the lines of Grad_CAM_plus_plus begin and end with
BEGIN, END = "global_sum = ", "# Passing through ReLU"


def grad_cam_plus_plus(folder: Path) -> Callable[..., Any]:
    """The weight of each channel, and the map before ReLU, by the authors' lines; arrays are [channel, row, column]."""
    text = (folder / "misc/utils.py").read_text(encoding="utf-8").replace(" " * 8, "\t")
    body = text[text.index(BEGIN) : text.index(END)]
    lines = [line for line in ("\t" + body).splitlines() if line.strip()]
    code = compile(textwrap.dedent("\n".join(lines)), str(folder / "misc/utils.py"), "exec")

    def program(activations: np.ndarray, gradients: np.ndarray, score: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        last = [np.moveaxis(gradients**k * np.exp(score), 0, -1)[None] for k in (1, 2, 3)]
        names = {"np": np, "conv_output": np.moveaxis(activations, 0, -1)[None]}
        names |= dict(zip(("conv_first_grad", "conv_second_grad", "conv_third_grad"), last, strict=True))
        exec(code, names)
        return names["deep_linearization_weights"], names["grad_CAM_map"]

    return program


def smooth_grad_cam_plus_plus(folder: Path, name: str, before: bool = False) -> Callable[..., Any]:
    """The map of a class of `cam.py`, of a model whose target layer has given activations and gradients.

    Args:
        folder: the checkout.
        name: of the class.
        before: True for the map before ReLU and the scaling from 0 to 1, over e^S.
    """
    import torch

    code = load(folder / "cam.py")

    class Model(torch.nn.Module):
        def __init__(self, slopes: torch.Tensor) -> None:
            super().__init__()
            self.layer, self.slopes = torch.nn.Identity(), slopes

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (self.layer(x * 1.0) * self.slopes).sum().reshape(1, 1)

    def program(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        model, maps = Model(torch.tensor(gradients)[None]), []
        relu = torch.nn.functional.relu

        def seen(x: torch.Tensor) -> torch.Tensor:
            maps.append(x.detach().clone())
            return relu(x)

        with contextlib.redirect_stdout(io.StringIO()), mock.patch.object(code.F, "relu", seen):
            found, _ = getattr(code, name)(model, model.layer).forward(torch.tensor(activations)[None].requires_grad_())
        if before:
            found = maps[-1] / np.exp(np.sum(activations * gradients))
        return np.asarray(found[0, 0])

    return program


def rows(folder: Path) -> Iterator[tuple[str, Any, Any]]:
    """What was run, what it gave, and what a rule of refgrad gives."""
    random = np.random.default_rng(0)
    activations, gradients = np.abs(random.standard_normal((3, 4, 5))), random.standard_normal((3, 4, 5))
    if (at := folder / "Grad_CAM_plus_plus").is_dir():
        name, own, rule = "Grad_CAM_plus_plus 4a9faf6", grad_cam_plus_plus(at), g.GradCAMPlusPlus(shares="normalized")
        yield f"{name}, the golden's weight", own(A, G)[0], _weight(rule)
        yield f"{name}, a map", np.maximum(own(activations, gradients)[1], 0), rule(activations, gradients)
        yield f"{name}, the weight where all gradients are zero", own(A, 0 * G)[0], [0.0]
    if (at := folder / "SmoothGradCAMplusplus").is_dir():
        name, rule = "SmoothGradCAMplusplus e728e5f", g.GradCAMPlusPlus(denominator="sum_products", eps=1e-7)
        own, weight = (smooth_grad_cam_plus_plus(at, "GradCAMpp", before=before) for before in (False, True))
        yield f"{name} GradCAMpp, the golden's weight", weight(A, G)[0, 0] / A[0, 0, 0], _weight(rule)
        yield f"{name} GradCAMpp, a map", own(activations, gradients), _scaled(rule(activations, gradients))
        plain = smooth_grad_cam_plus_plus(at, "GradCAM")
        yield f"{name} GradCAM, a map", plain(activations, gradients), _scaled(g.GradCAM()(activations, gradients))
        yield f"{name} GradCAM, a constant map", plain(np.ones((1, 2, 2)), np.ones((1, 2, 2))), [np.nan] * 4

    if (at := folder / "byzantine-robust-optimizer").is_dir():
        yield from robust_rows(at)
    if (at := folder / "intrinsic-properties").is_dir():
        yield from sharpness_rows(at)
    if (at := folder / "TangleNAS").is_dir():
        yield from entangled_rows(at)


def robust_rows(folder: Path) -> Iterator[tuple[str, Any, Any]]:
    """Aggregations of byzantine-robust-optimizer, of lists of tensors."""
    import torch

    name, package = "byzantine-robust-optimizer 288417f", types.ModuleType("codes")
    package.__path__ = [str(folder / "codes")]
    utils = types.SimpleNamespace(log=print, log_dict=lambda what: None)
    with (
        mock.patch.dict(sys.modules, {"codes": package, "codes.utils": utils}),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        krum, trimmed, median, rfa = (
            importlib.import_module(f"codes.aggregator.{module}")
            for module in ("krum", "trimmed_mean", "coordinatewise_median", "rfa")
        )
        one, two, three = krum.Krum(11, 3, 1), trimmed.TM(1), trimmed.TM(2)
        several, smoothed = krum.Krum(11, 3, 4), rfa.RFA(3)
        coordinate = median.CM()
    sets = np.random.default_rng(0).standard_normal((2000, 11, 4))
    theirs = [one(list(torch.tensor(rows))).numpy() for rows in sets]
    other = np.mean([not np.array_equal(t, g.Krum(faults=3)(rows)) for t, rows in zip(theirs, sets, strict=True)])
    yield (
        f"{name} Krum, squares of squares, {100 * other:.1f} percent other rows than the publication's",
        theirs,
        [g.Krum(faults=3, distance="fourth")(rows) for rows in sets],
    )
    yield f"{name} Krum of four, over their mean", several(list(torch.ones(11, 2))).numpy(), [4.0, 4.0]
    for faults, program, large in ((1, two, -1e20), (2, three, 1e20)):
        rows = np.float32([[1], [2], [3], [1e20], [large]])
        rule = g.TrimmedMean(faults=faults)
        yield (
            f"{name} TM({faults}) of 1, 2, 3, 1e20 and {large:g}, where the rule gives {rule(rows)[0]:g}",
            program(list(torch.tensor(rows))).numpy(),
            [0.0 if faults == 1 else -1.0],
        )
    even = sets[0, :10]
    yield f"{name} CM of ten rows", coordinate(list(torch.tensor(even))).numpy(), g.CoordinateMedian()(even)
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [10.0, 10.0]])
    yield (
        f"{name} RFA(3) of corners",
        smoothed(list(torch.tensor(corners))).numpy(),
        g.WeiszfeldSteps(start="zero")(corners),
    )


def sharpness_rows(folder: Path) -> Iterator[tuple[str, Any, Any]]:
    """Label sharpness of intrinsic-properties of two classes, in batches of one, so that all pairs are looked at."""
    import torch

    stub = types.SimpleNamespace(
        estimate_intrinsic_dim=None, LayerActivationsDataset=None, tqdm=lambda each, **how: each
    )
    stubs = {"src": stub, "src.dimensionality": stub, "src.nnutils": stub, "tqdm": stub}
    code = load(folder / "datasetproperties.py", **stubs)
    points, labels = np.random.default_rng(0).standard_normal((8, 3)), np.arange(8) % 2
    data = [(torch.tensor(p)[:, None, None], torch.tensor(int(y))) for p, y in zip(points, labels, strict=True)]
    with mock.patch.object(code, "makelogdir"):
        found = code.compute_labelsharpness(data, batchsize=1, M=8, device="cpu")
    own = g.LabelSharpness()(points, labels)
    name = "intrinsic-properties e4aec43 compute_labelsharpness of two classes"
    yield f"{name}, where the rule gives {own:.6g}", found, g.LabelSharpness(pairs="equal")(points, labels)


def entangled_rows(folder: Path) -> Iterator[tuple[str, Any, Any]]:
    """Kernels of TangleNAS of which choices of size have a part, seen through an image of one bright pixel."""
    import torch

    code = load(folder / "toy_search_spaces/conv_macro/mixture_operations.py")
    random = np.random.default_rng(0)
    kernel, shares, sizes = random.standard_normal((7, 7)), random.dirichlet(np.ones(3)), (3, 5, 7)
    layer = torch.nn.Conv2d(1, 1, 7, padding=3, dtype=torch.float64)
    layer.weight.data[:], layer.bias.data[:] = torch.tensor(kernel), 0.0
    image = torch.zeros(1, 1, 7, 7, dtype=torch.float64)
    image[0, 0, 3, 3] = 1.0

    def seen(module: Any, *arguments: Any) -> np.ndarray:
        with torch.no_grad():
            return np.asarray(module(image, *arguments)[0, 0])[::-1, ::-1]

    arrays = kernel, shares, np.array(sizes) - 1
    mixture = seen(code.ConvMixtureFixedInCh(layer, [1], list(sizes)), torch.tensor(shares))
    name = "TangleNAS 20aa4b1"
    yield f"{name} ConvMixtureFixedInCh, the mixed kernel", mixture, g.EntangledKernel(crop="centered")(*arrays)
    one = seen(code.ConvSuperFixedInCh(layer, 1, 3))[2:5, 2:5]
    corner = g.EntangledKernel(crop="corner")(kernel, np.ones(1), np.array([2]))[:3, :3]
    yield f"{name} ConvSuperFixedInCh, the kernel of the choice 3", one, corner


def _scaled(found: Any) -> Any:
    """A map from 0 to 1."""
    return g.MinMaxMap()(np.reshape(found, (1, -1)))[0]


def _weight(rule: Any) -> Any:
    """The weight that a rule gives the golden's channel."""
    return [rule(A, G)[0, 0] / A[0, 0, 0]]


def main() -> int:
    """Print what each program gave; 1 if one is apart from its rule by more than a millionth."""
    if len(sys.argv) != 2:
        sys.exit(re.split(r"\n\n", __doc__ or "")[0])
    wrong = 0
    for name, theirs, ours in rows(Path(sys.argv[1])):
        theirs, ours = np.ravel(theirs), np.ravel(ours)
        apart = np.max(np.abs(theirs - ours), initial=0.0)
        same = bool(apart <= 1e-6) or (np.isnan(theirs).all() and np.isnan(ours).all())
        wrong += not same
        print(f"{name}: {np.round(theirs[:6], 8).tolist()}, apart by {apart:.2g}{'' if same else '  <<<'}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
