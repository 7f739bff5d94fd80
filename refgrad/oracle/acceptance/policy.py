"""What the oracle counts as correct: the declared family of programs, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, cast

import numpy as np

from refgrad.arguments import all_texts, is_a, several
from refgrad.arithmetic.dtypes import as_dtype
from refgrad.errors import ArgumentError, bad_argument, nearest, shown
from refgrad.legal import as_text
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
        blocked="as any, and what is within the bound of runs of 32 terms in turn and a balanced tree of the runs is told "
        "from what is not: a verdict says so in a note",
        online="as any, and what was added up may be multiplied at each addition by an exponential, as a running maximum asks "
        "for: that factor is off by four units in the last place and its roundings, and the product is rounded",
        pairwise="sums are added by a balanced tree: ceil(log2 n) + 1 roundings of the sum of magnitudes",
    ),
    "precision": Choice(
        wide="arrays narrower than float32 are widened to float32, computed, and rounded once when they are stored",
        storage="every operation is rounded to the dtype of the parameter",
        sums="as storage, but sums over elements, the terms made for them, and the numbers made of them (a norm, a factor) "
        "are computed as wide",
    ),
    "accumulate": Choice(
        own="sums are added up in the format that is computed in",
        float32="sums, and products that are added up, are computed in float32 and rounded once, unless they are anyway",
        float64="the same in float64",
    ),
    "result": Choice(
        own="results of transforms and formulas have the dtype of the arrays that are handed in",
        float32="they are float32 whatever the arrays are, as of a product of bfloat16 matrices that is not rounded again",
        float64="they are float64",
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
        sums: "any", "blocked", "online" or "pairwise".
        precision: "wide", "storage" or "sums"; matters for dtypes narrower than float32.
        accumulate: "own", "float32" or "float64": in what sums are added up.
        result: "own", "float32" or "float64": the dtype of the results of a formula or another transform.
        stored: of a formula, the places (`refgrad.stored`) at which a program may round its numbers, each with the name of a
            format, as in ``{"p": "bfloat16"}``; kept as pairs.
    """

    roundings: int = 3
    scalar_roundings: int = 2
    subnormals: str = "keep"
    sums: str = "any"
    precision: str = "wide"
    accumulate: str = "own"
    result: str = "own"
    stored: Any = ()

    def __post_init__(self) -> None:
        for name in ("roundings", "scalar_roundings"):
            object.__setattr__(self, name, ROUNDINGS.check(f"Policy.{name}", getattr(self, name)))
        for name, choice in CHOICES.items():
            choice.check(f"Policy.{name}", getattr(self, name))
        object.__setattr__(self, "stored", _places(self.stored))

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
        if is_a(value, cls):
            return cast("Policy", value)
        if not is_a(value, Mapping):
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
        found = {n: v for n, v in asdict(self).items() if v != getattr(Policy(), n)}
        return found | ({"stored": dict(self.stored)} if self.stored else {})

    def results_in(self, dtype: np.dtype) -> np.dtype:
        """The dtype of results.

        Args:
            dtype: that of the arrays that were handed in.

        Returns:
            The same, or the one that the policy names.
        """
        return dtype if self.result == "own" else np.dtype(self.result)

    def checked(self, rule: Any) -> Policy:
        """The same policy, for a rule.

        Args:
            rule: what is judged by it.

        Returns:
            The policy.

        Raises:
            ArgumentError: it names a place that the rule does not have, or a dtype of results of another kind of rule.
        """
        if self.result != "own" and getattr(rule, "kind", "") != "transform":
            legal = "own: of formulas and other transforms alone are results in another dtype"
            raise bad_argument(f"Policy.result for {rule}", self.result, legal)
        known = rule.stored_places() if self.stored and hasattr(rule, "stored_places") else frozenset()
        for place, _ in self.stored:
            if place not in known:
                legal = ", ".join(sorted(known)) or "none: no place is named by refgrad.stored in it"
                raise ArgumentError(
                    f"Policy.stored names {place!r}, no place of {rule}{nearest(place, known)}; legal: {legal}"
                )
        return self


def _places(stored: Any) -> tuple[tuple[str, str], ...]:
    """Places with formats, in the order of their names."""
    what = "places with formats, or a dict of them, such as {'p': 'bfloat16'}"
    legal = f"a sequence of {what}"
    try:
        given = stored.items() if isinstance(stored, Mapping) else stored
        pairs = [
            tuple(map(as_text, several("Policy.stored", pair, "a place and a format", most=2)))
            for pair in several("Policy.stored", given, what, ordered=False)
        ]
        found: dict[Any, Any] = {place: dtype for place, dtype in pairs}  # noqa: C416  # a pair of another length is none
    except ArgumentError:
        raise
    except Exception:  # whatever the code of others raises
        raise bad_argument("Policy.stored", stored, legal) from None
    if not all_texts([*found, *found.values()]):
        raise bad_argument("Policy.stored", stored, legal)
    for place, name in found.items():
        as_dtype(name, f"Policy.stored[{place!r}]")
    return tuple(sorted(found.items()))


class _Opened(Policy):
    nan_open = True
