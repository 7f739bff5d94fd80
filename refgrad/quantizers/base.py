"""What every quantizer can do: turn an array into codes and scales, and those back into an array."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from refgrad.arithmetic.arrays import as_array, as_it_is
from refgrad.arithmetic.dtypes import as_dtype, working
from refgrad.arithmetic.rounding import all_within
from refgrad.axes import ELEMENT, Axes
from refgrad.errors import ArgumentError, bad_argument, nearest, with_article
from refgrad.quantizers.parts import Part, fitted, is_kept, kept_array, shape_of, short_way
from refgrad.rule import Rule

#: the ends of what is admissible, element by element
Ends = tuple[np.ndarray, np.ndarray]


@np.errstate(all="ignore")
def rounded_to(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Values in a dtype, of which NumPy does not say that they are too large or too small for it.

    Args:
        values: an array of a float dtype.
        dtype: another one.

    Returns:
        An array of that dtype.
    """
    return values.astype(dtype)


def around(value: np.ndarray, error: np.ndarray) -> Ends:
    """What lies within an error of a value.

    Args:
        value: an array of floats.
        error: how far it reaches on either side, not negative, of the same shape.

    Returns:
        The least and the largest, element by element.
    """
    return value - error, value + error


@dataclass(frozen=True, eq=False)
class Quantized:
    """What a quantizer made of an array.

    ``arrays`` has a rule's `Quantizer.parts` by name (``codes``, ``scale``, ``absmax``, ``zero_point``, ...); ``shape``
    and ``dtype`` are those of the array that was quantized.
    """

    arrays: Mapping[str, np.ndarray]
    shape: tuple[int, ...]
    dtype: np.dtype

    def __getitem__(self, part: str) -> np.ndarray:
        return self.arrays[part]

    @property
    def codes(self) -> np.ndarray:
        """The codes, shaped as the rule says."""
        return self.arrays["codes"]


#: how a subclass writes its codes
ENCODED = "`def encode(self, x): return {'codes': codes, 'scale': scale}`"


class Quantizer(Rule):
    """A rule that represents an array by few bits an element.

    A subclass writes `encode` and `decode` on contiguous arrays of the working dtype (float64 for float64, else float32),
    and names what `encode` returns in `parts`, in the order in which they are computed: a candidate's parts are judged
    one by one, each given those before it.
    """

    kind = "quantizer"
    primary = "x"
    parts: ClassVar[tuple[str, ...]] = ("codes",)
    #: True of a rule that searches all of an array for what it encodes with, so that arrays of many elements take seconds
    searches: ClassVar[bool] = False
    computing: ClassVar[frozenset[str]] = frozenset({"quantize", "dequantize"})

    #: True if `decode` does nothing that NumPy warns of: it only places, looks up, chooses, or scales whole numbers by powers
    #: of two. Then NumPy is not told to be silent, which takes as long as many a short array
    silent: ClassVar[bool] = False

    #: the code that stands for NaN, besides those of `legal_codes`
    poison_code: ClassVar[int | None] = None

    @classmethod
    def door(cls, function: Callable[..., Any]) -> Callable[..., Any]:
        """As `Rule.door`, and the short way in for `dequantize`, unless a subclass writes it anew.

        Args:
            function: the method, as a rule's class has it.

        Returns:
            The method, as callers get it.
        """
        whole = super().door(function)
        return short_way(whole, Quantized) if function.__qualname__ == "Quantizer.dequantize" else whole

    @classmethod
    def checked_method(cls, function: Callable[..., Any]) -> Callable[..., Any]:
        """`quantize` with what it takes besides ``x`` as NumPy's own arrays of a float dtype.

        Args:
            function: a method of `computing`, as the rule's class has it.

        Returns:
            The method, which refuses what is no such array by its name.
        """
        names = tuple(inspect.signature(function).parameters)[2:]
        if function.__name__ != "quantize" or function.__qualname__ == "Quantizer.quantize":
            return function

        @functools.wraps(function)
        def quantize(self: Quantizer, x: np.ndarray, *args: Any, **keywords: Any) -> Quantized:
            if not args and not keywords:
                return _quantized(self, function(self, x))
            given = {**dict(zip(names, args, strict=False)), **keywords}
            checked = {n: as_array(v, n) if n in names and v is not None else v for n, v in given.items()}
            return _quantized(self, function(self, x, *args[len(names) :], **checked))

        return quantize

    def kept_parts(self, shape: tuple[int, ...]) -> Mapping[str, Part]:
        """What each part is, of an array of a shape: what `dequantize` lets pass. A part that is not named is not looked at.

        Args:
            shape: the shape of the array that was quantized.

        Returns:
            Name -> what the part is.

        Raises:
            ArgumentError: no array of that shape can be quantized.
        """
        return {}

    def _parts_of(self, shape: tuple[int, ...]) -> Mapping[str, Part]:
        """`kept_parts`, of which errors name the shape of what was quantized: a rule may know it as that of ``x``."""
        try:
            return self.kept_parts(shape)
        except ArgumentError as error:
            if "quantized.shape" in str(error):
                raise
            raise bad_argument("quantized.shape", shape, f"that of an array which {self} takes ({error})") from None

    def constant_parts(self) -> tuple[str, ...]:
        """The parts that are the same for every array, which a candidate may leave out of a tuple."""
        return ()

    @property
    def legal_codes(self) -> tuple[int, int] | None:
        """The least and the largest code; None where every code of their dtype is one, or `decode` looks itself."""
        return None

    @property
    def nonnegative(self) -> bool:
        """True if it is meant for arrays without negative numbers."""
        return False

    def tied(self, random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray | None:
        """Numbers on which the rule's ties decide, under scales by which nothing is rounded; None where it has none.

        Args:
            random: where they are drawn from.
            shape: the shape of the array.

        Returns:
            A float32 array of that shape, or None.
        """
        return None

    def besides(self, x: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
        """Arrays that `quantize` takes besides ``x``, to be judged with: uniforms, activations; none by default.

        Args:
            x: the array that is quantized with them.
            random: where they are drawn from.

        Returns:
            Name -> array.
        """
        return {}

    def admitted(
        self, part: str, x: np.ndarray, seen: Mapping[str, np.ndarray], own: np.ndarray, reach: float, **besides: Any
    ) -> Ends | None:
        """The least and the largest that a part, or ``y``, may be, given the parts before it; None: the rule's own bits.

        Args:
            part: its name, one of `parts`, or "y".
            x: the array that was quantized, in the working dtype.
            seen: the parts that the candidate gave, by name.
            own: what the rule itself gives, in float64.
            reach: the relative error that one operation of another program may have.
            besides: what `besides` gave.

        Returns:
            Two arrays shaped like the part. Where the ends are infinite nothing is decided.
        """
        return None

    def takes(self) -> dict[str, Axes]:
        """``x``, the array that is quantized."""
        return {"x": ELEMENT}

    def encode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """The parts of an array; a subclass writes it as the paper does.

        Args:
            x: a contiguous array of the working dtype (float64 for float64, else float32), which is not changed.

        Returns:
            Each of `parts` by name.

        Raises:
            ArgumentError: the subclass does not write it.
        """
        raise ArgumentError(f"{type(self).__name__} has no encode; write {ENCODED}")

    def decode(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """The array that parts stand for; a subclass writes it as the paper does.

        Args:
            arrays: each of `parts` by name.
            shape: the shape of the array that was quantized.

        Returns:
            An array of that many elements, float32 or float64.

        Raises:
            ArgumentError: the subclass does not write it.
        """
        raise ArgumentError(f"{type(self).__name__} has no decode; write `def decode(self, arrays, shape): return x`")

    @np.errstate(all="ignore")  # as a decorator: a short call takes less time so than by a block
    def quantize(self, x: np.ndarray) -> Quantized:
        """Codes and scales of an array.

        Args:
            x: an array of any float dtype and shape; read-only and non-contiguous arrays are read as they are.

        Returns:
            The rule's `parts` by name, codes of an integer or float dtype and scales shaped as the rule says, with the shape and
            dtype of ``x``.

        Raises:
            ArgumentError: ``x`` is not an array of a float dtype, or has a shape that the rule cannot cut into groups.
        """
        x = as_array(x, "x")
        kind = working(x.dtype)
        ready = x if as_it_is(x, kind) else np.ascontiguousarray(x, dtype=kind).reshape(x.shape)
        parts = self.encode(ready)
        if not isinstance(parts, Mapping):
            raise ArgumentError(f"{type(self).__name__}.encode returned {_spoken(parts)}; write {ENCODED}")
        return Quantized(parts, x.shape, x.dtype)

    @np.errstate(all="ignore")
    def dequantize(self, quantized: Quantized) -> np.ndarray:
        """The array that codes and scales stand for, rounded once to the dtype of the array that they were made from.

        Args:
            quantized: what `quantize` gave, or the same parts of another origin with the shape and dtype of the array.

        Returns:
            An array of ``quantized.shape`` and ``quantized.dtype``.

        Raises:
            ArgumentError: a part is missing, is none of the rule's, is no array, or is not what the rule keeps of an array of
                that shape: it has another shape, a dtype of another kind, or numbers that the rule never gives.
        """
        self.check_parts(quantized)
        arrays = {
            name: part if type(part) is np.ndarray and is_kept(part.dtype) else kept_array(part, name)
            for name, part in quantized.arrays.items()
        }
        shape, dtype = shape_of(quantized.shape), as_dtype(quantized.dtype, "quantized.dtype")
        known = self._parts_of(shape)
        arrays = {
            name: fitted(known[name], name, array, dtype) if name in known else array for name, array in arrays.items()
        }
        self._check_codes(arrays)
        try:
            return self.decoded(arrays, shape, dtype)
        except ArgumentError:
            raise
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # parts that do not go together
            found = ", ".join(f"{name} {array.dtype}{list(array.shape)}" for name, array in arrays.items())
            legal = f"the parts that {self}.quantize gives of an array of shape {shape}"
            raise ArgumentError(f"quantized has the parts {found}; legal: {legal} ({error})") from error

    def decoded(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """What `decode` gives, rounded once to a dtype; or the same bits by a faster way.

        Args:
            arrays: each of `parts` by name.
            shape: the shape of the array that was quantized.
            dtype: its dtype.

        Returns:
            An array of that shape and dtype.
        """
        values = self.decode(arrays, shape)
        values = values if values.shape == shape else values.reshape(shape)
        if values.dtype == dtype:
            return values
        return rounded_to(values, dtype) if self.silent else values.astype(dtype)

    def check_parts(self, quantized: Quantized) -> None:
        """Check that no part is missing, and that each is one of the rule's.

        Args:
            quantized: what is to be dequantized.

        Raises:
            ArgumentError: one is not, or these are no parts at all.
        """
        whole = isinstance(quantized, Quantized)
        if not whole or (type(quantized.arrays) is not dict and not isinstance(quantized.arrays, Mapping)):
            raise bad_argument("quantized", quantized, f"what {type(self).__name__}.quantize gives")
        for part in self.parts:
            if part not in quantized.arrays:
                legal = ", ".join(self.parts)
                hint = nearest(part, quantized.arrays)
                raise ArgumentError(
                    f"quantized has no {part!r}{hint}; legal: the parts of {type(self).__name__}: {legal}"
                )
        for part in quantized.arrays:
            if part not in self.parts:
                hint, legal = nearest(part, self.parts), ", ".join(self.parts)
                raise ArgumentError(
                    f"quantized has {part!r}{hint}; legal: no other parts than those of {type(self).__name__}: {legal}"
                )

    def _check_codes(self, arrays: Mapping[str, np.ndarray]) -> None:
        """`ArgumentError` for a code that stands for nothing."""
        legal = self.legal_codes
        if legal is None:
            return
        (low, high), codes = legal, arrays["codes"]
        if codes.dtype.kind in "iu" and all_within(codes, low, high):
            return
        wrong = (codes < low) | (codes > high)
        if self.poison_code is not None:
            wrong &= codes != self.poison_code
        if wrong.any():
            besides = "" if self.poison_code is None else f", or {self.poison_code} for NaN"
            raise bad_argument("codes", int(codes[wrong].flat[0]), f"whole numbers from {low} to {high}{besides}")

    def round_trip(self, x: np.ndarray) -> np.ndarray:
        """`dequantize` of `quantize`: the array as the quantizer can represent it.

        Args:
            x: an array of any float dtype and shape.

        Returns:
            An array of the shape and dtype of ``x``.

        Raises:
            ArgumentError: what `quantize` says.
        """
        return self.dequantize(self.quantize(x))


def _spoken(found: Any) -> str:
    """What a method returned, as it is spoken."""
    return "None" if found is None else with_article(type(found).__name__)


def _quantized(rule: Quantizer, found: Any) -> Quantized:
    """What a subclass's own `quantize` gave.

    Raises:
        ArgumentError: it is something else.
    """
    if type(found) is Quantized:
        return found
    name = type(rule).__name__
    given = _spoken(found)
    raise ArgumentError(
        f"{name}.quantize returned {given}; write `encode` and `decode` in its place, or return a Quantized"
    )
