"""Optimizers' own authors' code beside refgrad's rules: ``python -m tests.optimizers.authors FOLDER``, a table of distances.

FOLDER holds checkouts by their repositories' names; what is missing is left out. Each class takes 24 steps in float64 beside its
rule, with a rate that varies, parameters of no axis to three, and numbers off their defaults, as in
`tests.surveys.implementations.over_time`.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from refgrad import optimizers as o
from tests.surveys.implementations.over_time import RATES, SHAPES, STEPS, Shapes, gap, rated

LR, DECAY = 0.01, 0.1
MOMENTS = {"beta1": 0.8, "beta2": 0.95, "eps": 1e-3}


@dataclass(frozen=True)
class Author:
    """A class of a rule's authors.

    Args:
        file: the repository's name and the file in it.
        name: the class.
        rule: what it is; its ``lr`` is `LR`.
        options: what the class is built with besides ``lr``.
        shapes: those of the parameters.
        mended: texts of the file that do not run, and what they are replaced by.
    """

    file: str
    name: str
    rule: Any
    options: Mapping[str, Any]
    shapes: Shapes = SHAPES
    mended: Mapping[str, str] = field(default_factory=dict)


def of(file: str, name: str, rule: type, changes: Mapping[str, Any], /, **options: Any) -> Author:
    """A row whose rule has the numbers of `MOMENTS` and a decay, and its class too."""
    adam = {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": DECAY}
    return Author(file, name, rule(lr=LR, weight_decay=DECAY, **{**MOMENTS, **changes}), {**adam, **options})


UNCORRECTED = {"eps_placement": "uncorrected"}
ROWS = [
    of("Grams/grams/src/grams.py", "Grams", o.Grams, UNCORRECTED),
    of(
        "C-Optim/c_adamw.py",
        "AdamW",
        o.CautiousAdamW,
        {**UNCORRECTED, "rescaling": "at_least"},
        foreach=False,
        no_deprecation_warning=True,
    ),
    Author(
        "C-Optim/c_lion.py",
        "Lion",
        o.CautiousLion(lr=LR, beta1=0.8, beta2=0.95, weight_decay=DECAY),
        {"betas": (0.8, 0.95), "weight_decay": DECAY},
    ),
    of("adopt/src/adopt/adopt.py", "ADOPT", o.ADOPT, {}, decouple=True, foreach=False),
    of(
        "ml-ademamix/pytorch/ademamix.py",
        "AdEMAMix",
        o.AdEMAMix,
        {"beta3": 0.99, "alpha": 3.0},
        betas=(0.8, 0.95, 0.99),
        alpha=3.0,
    ),
    of(
        "RAdam/radam/radam.py",
        "RAdam",
        o.RAdam,
        {**UNCORRECTED, "threshold": "author", "decay": "before", "before": "still"},
    ),
    of("diffGrad/diffGrad_v2.py", "diffgrad", o.DiffGrad, UNCORRECTED),
    of("LaProp-Optimizer/laprop.py", "LaProp", o.LaProp, {"decay": "fixed"}),
    of(
        "Adan/adan.py",
        "Adan",
        o.Adan,
        {"beta3": 0.9, "start": "corrected", "eps_placement": "outside"},
        betas=(0.8, 0.95, 0.9),
        foreach=False,
    ),
    of("AdamP/adamp/adamp.py", "AdamP", o.AdamP, {"test": "author"}),
    Author(
        "AdamP/adamp/sgdp.py",
        "SGDP",
        o.SGDP(lr=LR, momentum=0.8, dampening=0.1, eps=1e-3, weight_decay=DECAY, test="author", kept="projected"),
        {"momentum": 0.8, "dampening": 0.1, "eps": 1e-3, "weight_decay": DECAY},
    ),
    Author(
        "CAME/came_pytorch/CAME.py",
        "CAME",
        o.CAME(lr=LR, beta1=0.8, beta2=0.95, beta3=0.99, eps1=1e-3, eps2=1e-4, weight_decay=DECAY),
        {"betas": (0.8, 0.95, 0.99), "eps": (1e-3, 1e-4), "weight_decay": DECAY},
        SHAPES[:3],
    ),
    Author("fromage/fromage.py", "Fromage", o.Fromage(lr=LR), {}),
    Author(
        "AggMo/aggmo.py",
        "AggMo",
        o.AggMo(lr=LR, beta1=0.1, beta2=0.8, beta3=0.95, weight_decay=DECAY),
        {"betas": [0.1, 0.8, 0.95], "weight_decay": DECAY},
    ),
    Author(
        "automl/lion/lion_pytorch.py",
        "Lion",
        o.Lion(lr=LR, beta1=0.8, beta2=0.95, weight_decay=DECAY),
        {"betas": (0.8, 0.95), "weight_decay": DECAY},
    ),
    Author(
        "EXAdam/exadam.py",
        "EXAdam",
        o.EXAdam(lr=LR, weight_decay=DECAY, **MOMENTS),
        {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": DECAY},
        mended={"import torch\n": "import torch\nimport numpy as np\n"},
    ),
    Author(
        "Simplified-AdEMAMix/simplified_AdEMAMix.py",
        "SimAdEMAMix",
        o.SimplifiedAdEMAMix(lr=LR, weight_decay=DECAY, alpha=0.5, **MOMENTS),
        {"betas": (0.8, 0.95), "alpha": 0.5, "eps": 1e-3, "weight_decay": DECAY},
        mended={"if not 0.0 <= betas[2] < 1.0:": "if False:"},
    ),
    Author(
        "MARS/MARS/optimizers/mars.py",
        "MARS",
        o.MARS(lr=LR, weight_decay=DECAY, gamma=0.1, first_change="from_zero", **MOMENTS),
        {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": DECAY, "gamma": 0.1, "optimize_1d": True, "lr_1d": LR},
    ),
    Author(
        "SOAP/soap.py",
        "SOAP",
        o.SOAP(lr=LR, weight_decay=DECAY, shampoo_beta=0.85, interval=3, **MOMENTS),
        {"betas": (0.8, 0.95), "shampoo_beta": 0.85, "eps": 1e-3, "weight_decay": DECAY, "precondition_frequency": 3},
        ((5,), (5, 5)),
    ),
]


@contextmanager
def old_signatures() -> Iterator[None]:
    """Torch with the numbers first that it once took first: ``x.add_(a, y)``, ``x.addcmul_(a, y, z)``."""

    def first(name: str) -> Any:
        method = getattr(torch.Tensor, name)

        def call(self: Any, *given: Any, **named: Any) -> Any:
            if len(given) == (3 if name.startswith("addc") else 2) and not torch.is_tensor(given[0]):
                number, *given = given  # type: ignore[assignment]
                named["value" if name.startswith("addc") else "alpha"] = number
            return method(self, *given, **named)

        return mock.patch.object(torch.Tensor, name, call)

    with first("add"), first("add_"), first("sub_"), first("addcmul_"), first("addcdiv_"):
        yield


def class_of(row: Author, folder: Path) -> Any:
    """The authors' class, of the file with what does not run in it mended."""
    path = folder / row.file
    text = path.read_text(encoding="utf-8")
    for what, by in row.mended.items():
        text = text.replace(what, by)
    module = types.ModuleType(f"{path.parent.name}.{path.stem}")
    module.__package__ = path.parent.name
    sys.path.insert(0, str(path.parent.parent))
    try:
        exec(compile(text, str(path), "exec"), vars(module))
    finally:
        sys.path.remove(str(path.parent.parent))
    return getattr(module, row.name)


def distance(row: Author, folder: Path) -> float:
    """How far apart both are at most over `STEPS` steps, in parts of a parameter's largest number."""
    random = np.random.default_rng(3)
    ours = [np.asarray(random.standard_normal(shape)) for shape in row.shapes]
    theirs = [torch.nn.Parameter(torch.from_numpy(p.copy())) for p in ours]
    optimizer = class_of(row, folder)(theirs, lr=LR, **row.options)
    states, worst = [row.rule.init(p) for p in ours], 0.0
    for t in range(STEPS):
        factor = RATES[t % len(RATES)]
        for group in optimizer.param_groups:
            group["lr"] = factor * LR
        gradients = [np.asarray(random.standard_normal(shape)) for shape in row.shapes]
        for parameter, g in zip(theirs, gradients, strict=True):
            parameter.grad = torch.from_numpy(g.copy())
        optimizer.step()
        for i, g in enumerate(gradients):
            ours[i], states[i] = rated(row.rule, factor).step(ours[i], g, states[i], backend="numpy")
            worst = max(worst, gap(ours[i], theirs[i].detach().numpy()))
    return worst


def main() -> None:
    """Print the table."""
    torch.set_default_dtype(torch.float64)
    print("| authors' code | rule | furthest apart |\n|---|---|---|")
    with old_signatures():
        for row in ROWS:
            if (Path(sys.argv[1]) / row.file).is_file():
                print(f"| {row.file} {row.name} | `{row.rule}` | {distance(row, Path(sys.argv[1])):.0e} |", flush=True)


if __name__ == "__main__":
    main()
