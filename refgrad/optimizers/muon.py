"""Muon: momentum whose singular values are brought near to one by Newton-Schulz iterations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from refgrad.arithmetic.primitives import length, newton_schulz, tree_sum
from refgrad.optimizers.base import Optimizer
from refgrad.rule import Choice, Citation, Decay, Flag, NonNegative, Positive, Real, State, Whole, by, zeros_like_param

_POLAR_EXPRESS = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
    (1.8750014808534479, -1.2500016453999487, 0.3750001645474248),
)
_LIMIT = (1.875, -1.25, 0.375)

#: the coefficients of each step, by the name of the set; the last stand for all further steps
COEFFICIENTS: Mapping[str, tuple[tuple[float, ...], ...]] = {
    "cubic": ((1.5, -0.5),),
    "stepwise": (
        (4.0848, -6.8946, 2.9270),
        (3.9505, -6.3029, 2.6377),
        (3.7418, -5.5913, 2.3037),
        (2.8769, -3.1427, 1.2046),
        (2.8366, -3.0525, 1.2012),
    ),
    "polar_express": (*((a / 1.01, b / 1.01**3, c / 1.01**5) for a, b, c in _POLAR_EXPRESS), _LIMIT),
    "polar_express_1": (
        (8.237312490495555, -23.157747414558198, 16.680568411445915),
        (4.082441999064835, -2.893047735332586, 0.5252849256975648),
        (3.9263479922546582, -2.8547468034765298, 0.5318022422894988),
        (3.2982187133085143, -2.424541981026706, 0.48632008358844075),
        (2.2970369434552573, -1.63662558125903, 0.4002628455953627),
        (1.8763805351440397, -1.2347896577722228, 0.35891887501668385),
        (1.8564423485617974, -1.2132449880935525, 0.3568003487825883),
        (1.8749994008682747, -1.2499988017229169, 0.3749994008546422),
    ),
    "polar_express_2": (
        (8.156554524902461, -22.48329292557795, 15.878769915207462),
        (4.0429299351667245, -2.808917465908704, 0.5000178451051299),
        (3.8916678022926563, -2.7724841532176825, 0.5060648178503389),
        (3.285753657755658, -2.3681294933425394, 0.46449024233003117),
        (2.3005307116270983, -1.6111665557258408, 0.3833374427545273),
        (1.8631210546382593, -1.2042160621002727, 0.3421879560523383),
        (1.8382572152247512, -1.1779263289537742, 0.3396513038637379),
        (1.8749999923301852, -1.2499999836060613, 0.374999991275876),
    ),
    "cans": (
        (5.182503604966906, -5.178098480082684),
        (2.586120737395915, -0.6479542005271643),
        (2.567364126726186, -0.6454968804392178),
        (2.520560084348265, -0.6393528082067044),
        (2.410759275435182, -0.6248683598710716),
        (2.1883348130094173, -0.5952022073798908),
        (1.8595760874873613, -0.5504490972723968),
        (1.589020160467417, -0.5126569802066718),
        (1.5051653981684994, -0.5007377068751799),
        (1.5, -0.5),
    ),
}


class Muon(Optimizer):
    """A step along the momentum whose singular values all are brought near to one: X <- a X + (b A + c A A) X, A = X X^T.

    A parameter is the matrix of its first axis (rows, outputs) by all others. ``a``, ``b`` and ``c`` are read by
    ``coefficients=constant`` alone. Source: Jordan et al. 2024 (a page, and its code); the momentum and the decay are those
    of the code's present version. One NaN reaches the whole tensor.
    """

    lr: NonNegative = 2e-2
    momentum: Decay = 0.95
    weight_decay: NonNegative = 0.0
    eps: NonNegative = 1e-7
    safety: Positive = 1.0
    a: Real = 3.4445
    b: Real = -4.7750
    c: Real = 2.0315
    ns_steps: Annotated[int, Whole(0, 99)] = 5
    coefficients: Annotated[
        str,
        Choice(
            constant=by("a, b and c at every step: Jordan's quintic, unless they are set", "torch", "optax", "Keras"),
            cubic="1.5 and -0.5 at every step: the classical iteration, which converges to a polar factor",
            stepwise=by("five sets of three, one a step", "optax: preset dion", "timm: quintic", "heavyball"),
            polar_express=by(
                "seven sets, each for numbers 1.01 times as large, then their limit",
                "elsewhere: Amsel et al. 2025, arXiv:2505.16932, Algorithm 1",
            ),
            polar_express_1=by(
                "eight sets computed with a safety of 1%", "timm: polar_express", "pytorch-optimizer: polar_express"
            ),
            polar_express_2=by(
                "eight sets computed with a safety of 2%", "modded-nanogpt: the first five", "timm: polar_express_safer"
            ),
            cans=by("nine cubic sets, then 1.5 and -0.5", "elsewhere: Grishina et al. 2025, arXiv:2506.10935"),
        ),
    ] = "constant"
    buffer: Annotated[
        str,
        Choice(
            average=by("the momentum is an exponential average", "authors: the present version", "torch", "optax"),
            sum=by(
                "the gradient is added whole: momentum * m + g",
                "published: the page",
                "authors: the first version",
                "Keras",
            ),
        ),
    ] = "average"
    nesterov: Annotated[bool, Flag("the step looks ahead: the gradient joins the momentum once more")] = True
    correction: Annotated[
        bool,
        Flag(
            by(
                "gradient and momentum are corrected for their start at zero, as in Nadam if the step looks ahead",
                "optax",
            )
        ),
    ] = False
    eps_placement: Annotated[
        str,
        Choice(
            added=by("eps is added to the norm", "published: the page", "optax"),
            clamp=by("the norm is at least eps", "torch", "timm", "pytorch-optimizer", "heavyball"),
        ),
    ] = "added"
    scale: Annotated[
        str,
        Choice(
            tall=by("the square root of rows over columns, at least one", "authors", "torch: original"),
            wide=by("the square root of columns over rows, at least one", "optax: matrices are inputs by outputs"),
            rms=by(
                "0.2 times the square root of the larger number",
                "elsewhere: Moonlight",
                "torch: match_rms_adamw",
                "Keras",
            ),
            ratio=by("the square root of rows over columns", "elsewhere: Scion", "timm: rms_to_rms"),
            none="one",
        ),
    ] = "tall"
    internals: Annotated[
        str,
        Choice(
            working=by("the iteration is done in the working precision", "optax", "Keras"),
            bfloat16=by(
                "from the matrix on, every operation of the iteration may be rounded to bfloat16",
                "authors",
                "torch",
                "timm",
                "pytorch-optimizer",
            ),
        ),
    ] = "working"

    scaling = "invariant"
    citation = Citation(
        "Jordan et al. 2024",
        "Muon: An optimizer for hidden layers in neural networks",
        "kellerjordan.github.io/posts/muon; Liu et al. 2025, arXiv:2502.16982",
        read="authors' code",
        source="KellerJordan/Muon 00ba60d",
    )
    default_reasons = {
        "buffer": "the authors' code as it is now, torch and optax have the average; the steps are the same but for eps"
    }
    unspecified = (
        "parameters of fewer than two axes, which all implementations give to Adam: here a vector is one column"
    )
    state = State(m=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, t: Any) -> tuple[Any, ...]:
        gain = 1 - self.momentum if self.buffer == "average" else 1.0
        m = self.momentum * m + gain * g
        now, late = m, gain * g
        if self.correction:
            now, late = now / (1 - self.momentum ** (t + self.nesterov)), late / (1 - self.momentum**t)
        u = self.momentum * now + late if self.nesterov else now
        norm = self.safety * np.sqrt(tree_sum(u * u))
        x = u / (norm + self.eps if self.eps_placement == "added" else np.maximum(norm, self.eps))
        o = newton_schulz(x, self._polynomials(), self.internals)
        return p - self.lr * (self._scale(p) * o + self.weight_decay * p), m

    def _polynomials(self) -> list[tuple[Any, ...]]:
        if self.coefficients == "constant":
            return [(self.a, self.b, self.c)] * self.ns_steps
        known = COEFFICIENTS[self.coefficients]
        return [known[min(step, len(known) - 1)] for step in range(self.ns_steps)]

    def _scale(self, p: Any) -> Any:
        """What the step is multiplied by for the parameter's shape."""
        if self.scale == "none" or not p.ndim:
            return 1.0
        rows, columns = length(p, "column"), length(p, "row")
        if self.scale == "rms":
            return 0.2 * np.sqrt(np.maximum(rows, columns))
        if self.scale == "wide":
            rows, columns = columns, rows
        ratio = np.sqrt(rows / np.maximum(columns, 1))
        return ratio if self.scale == "ratio" else np.maximum(1.0, ratio)
