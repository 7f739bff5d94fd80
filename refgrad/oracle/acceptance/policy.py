"""What the oracle counts as correct: the declared family of programs, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from refgrad.errors import ArgumentError, bad_argument, nearest, shown
from refgrad.rule import Choice, Whole

#: how many roundings an operation may take
ROUNDINGS = Whole(1, 64)

CHOICES: dict[str, Choice] = {
    "subnormals": Choice(
        keep="subnormal numbers are kept, as IEEE 754 says",
        flush="subnormal inputs and results are zero (flush-to-zero and denormals-are-zero)",
        either="subnormal inputs and results are kept or flushed to zero, in any mixture",
    ),
    "sums": Choice(
        any="a declared sum of n terms may be added in any order: (n - 1) roundings of the sum of magnitudes",
        pairwise="sums are added by a balanced tree: ceil(log2 n) + 1 roundings of the sum of magnitudes",
    ),
    "precision": Choice(
        wide="arrays narrower than float32 are widened to float32, computed, and rounded once when they are stored",
        storage="every operation is rounded to the dtype of the parameter",
        sums="as storage, but sums over elements, the terms made for them, and the numbers made of them (a norm, a factor) "
        "are computed as wide",
    ),
}


@dataclass(frozen=True)
class Policy:
    """The family of programs that an acceptance set covers.

    Whatever the policy: any order of a declared sum, contraction into FMA, the interpolation form of an exponential
    average, multiplication by a reciprocal, and any order of a product or quotient are covered.

    Attributes:
        roundings: roundings that one operation of the rule's body may take (kappa).
        scalar_roundings: roundings to the working dtype that a scalar may have seen before it meets an array.
        subnormals: "keep", "flush" or "either".
        sums: "any" or "pairwise".
        precision: "wide", "storage" or "sums"; matters for dtypes narrower than float32.
    """

    roundings: int = 3
    scalar_roundings: int = 2
    subnormals: str = "keep"
    sums: str = "any"
    precision: str = "wide"

    def __post_init__(self) -> None:
        for name in ("roundings", "scalar_roundings"):
            object.__setattr__(self, name, ROUNDINGS.check(f"Policy.{name}", getattr(self, name)))
        for name, choice in CHOICES.items():
            choice.check(f"Policy.{name}", getattr(self, name))

    @classmethod
    def of(cls, value: Any) -> Policy:
        """A policy from whatever stands for one.

        Args:
            value: a policy, a dict of its fields, or None for the default.

        Returns:
            The policy; one that is given is returned as it is.

        Raises:
            ArgumentError: it is something else, or a field's name or value is not legal.

        >>> Policy.of({"subnormals": "flush"}).changed(), Policy.of(None) == Policy()
        ({'subnormals': 'flush'}, True)
        """
        if value is None:
            return cls()
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            raise bad_argument("policy", value, "a Policy, a dict of its fields, or None")
        for name in value:
            if name not in cls.__dataclass_fields__:
                fields = ", ".join(cls.__dataclass_fields__)
                raise ArgumentError(
                    f"Policy has no {shown(name)}{nearest(name, cls.__dataclass_fields__)}; legal: {fields}"
                )
        return cls(**value)

    #: whether what comparisons, signs and maxima make of NaN is left open
    nan_open: ClassVar[bool] = False

    def opened(self) -> Policy:
        """The same policy where comparisons, signs, maxima and minima of NaN may give what any program makes of them."""
        return _Opened(**asdict(self))

    def changed(self) -> dict[str, Any]:
        """The fields that differ from the default."""
        return {n: v for n, v in asdict(self).items() if v != getattr(Policy(), n)}


class _Opened(Policy):
    nan_open = True
