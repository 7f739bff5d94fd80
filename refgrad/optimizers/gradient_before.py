"""What is done to a gradient before a rule sees it, by itself: clipping, centralization, normalization; NaN made zero."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.errors import bad_argument
from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.transform import Transform, check_same
from refgrad.optimizers.wrapper import Wrapper
from refgrad.optimizers.wrappers import ClipByGlobalNorm
from refgrad.rule import Citation, Nested


class GradientBefore(Transform):
    """The gradient as a rule around another hands it to the inner one: ``GradientBefore(of=ClipByNorm(max_norm=0.5))``.

    ``p`` and ``g`` [...]: one parameter and its gradient; a rule that couples parameters sees this one alone. Source: that of
    ``of``; Pascanu et al. 2013 for its default.
    """

    of: Annotated[Optimizer, Nested("optimizer")] = ClipByGlobalNorm()
    citation = ClipByGlobalNorm.citation
    unspecified = "nothing: the rule around another says what it hands on"
    shapes: ClassVar[Mapping[str, str]] = {"p": "n d", "g": "n d"}
    any_axes = True
    #: what is clipped is the gradient: it is the one that is large, zero or no number
    primary = "g"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.of, Wrapper) or self.of.state:
            raise bad_argument(
                "GradientBefore.of", str(self.of), "a rule around another that keeps no state of its own"
            )
        if self.of.scalars != "float64":
            raise bad_argument(
                "GradientBefore.of", str(self.of), "a rule with scalars='float64': its body has plain numbers"
            )

    def check(self, *arrays: np.ndarray) -> None:
        check_same(arrays[1], "g", arrays[0].shape, "the shape of p")

    def apply(self, p: Any, g: Any) -> Any:
        handed: list[Any] = []

        def step(p: Any, g: Any) -> Any:
            handed.append(g)
            return p

        self.of.update(p, g, step, 1)
        return handed[0]


class ZeroNaNs(Transform):
    """A gradient with zero in place of NaN; infinities stay. Source: optax, ``zero_nans``."""

    citation = Citation(
        "Babuschkin et al. 2020",
        "The DeepMind JAX Ecosystem",
        "optax.zero_nans",
        read="authors' code",
        source="optax 0.2.8 zero_nans",
    )
    unspecified = "infinities: they stay, as in optax"
    shapes: ClassVar[Mapping[str, str]] = {"g": "n d"}
    about_nan = True
    any_axes = True

    def apply(self, g: Any) -> Any:
        return np.where(np.isnan(g), 0.0, g)
