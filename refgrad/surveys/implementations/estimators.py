"""Straight-through estimators and surrogate gradients: torch's fake quantization, snntorch, spikingjelly, brevitas."""

from __future__ import annotations

from typing import Any

from refgrad import estimators as e
from refgrad.estimators.base import Estimator
from refgrad.surveys.implementations.record import Implementation

#: surrogates that are found to be nothing with a name
WRONG = ("snntorch.sigmoid", "snntorch.triangular")


def surrogate(package: str, name: str, claim: Estimator, arguments: dict[str, Any], **variant: Any) -> Implementation:
    """A surrogate gradient that is made by a call with its slope."""
    module = {"snntorch": "snntorch.surrogate", "spikingjelly": "spikingjelly.activation_based.surrogate"}[package]
    return Implementation(
        package=package,
        target=f"{module}:{name}",
        claim=claim,
        variant=variant,
        through="drivers.made",
        arguments=arguments,
        name=f"{package}.{name}",
        explained=f"{package}.{name}" not in WRONG,
    )


TORCH = [
    Implementation(
        package="torch",
        target="torch:fake_quantize_per_tensor_affine",
        claim=e.RoundingSTE(scale=scale, zero_point=3.0),
        through="drivers.fake_quantize",
        arguments={"scale": scale, "zero_point": 3},
    )
    for scale in (0.0625, 0.1)
]

#: brevitas' functions: the sign of NaN is -1 there
BREVITAS = [
    Implementation(
        package="brevitas",
        target="brevitas.function:binary_sign_ste",
        claim=e.IdentitySTE(),
        variant={"sign_of_nan": "minus"},
        reached=False,
    ),
    Implementation(
        package="brevitas",
        target="brevitas.function:ternary_sign_ste",
        claim=e.IdentitySTE(),
        variant={"sign_at_zero": "zero", "sign_of_nan": "zero"},
    ),
]

SPIKES = [
    surrogate("snntorch", "fast_sigmoid", e.FastSigmoid(), {"slope": 25}, step_at_zero="zero"),
    surrogate("snntorch", "atan", e.ArcTan(), {"alpha": 2.0}, step_at_zero="zero"),
    surrogate("snntorch", "sigmoid", e.SigmoidSpike(alpha=25.0), {"slope": 25}, step_at_zero="zero"),
    surrogate("snntorch", "triangular", e.Triangular(gamma=1.0), {}, step_at_zero="zero"),
    surrogate("spikingjelly", "ATan", e.ArcTan(), {"alpha": 2.0}),
    surrogate("spikingjelly", "Sigmoid", e.SigmoidSpike(), {"alpha": 4.0}),
    surrogate("spikingjelly", "SoftSign", e.SoftSign(), {"alpha": 2.0}),
    surrogate("spikingjelly", "PiecewiseQuadratic", e.Triangular(gamma=2.0, width=0.5), {"alpha": 2.0}),
    surrogate("spikingjelly", "PiecewiseExp", e.PiecewiseExponential(), {"alpha": 1.0}),
    surrogate("spikingjelly", "Erf", e.GaussianSpike(), {"alpha": 2.0}),
    surrogate("spikingjelly", "Rect", e.Rectangular(), {"alpha": 1.0}),
    surrogate("spikingjelly", "SuperSpike", e.FastSigmoid(k=1.0), {"alpha": 1.0}),
]

ROWS = [*TORCH, *BREVITAS, *SPIKES]
