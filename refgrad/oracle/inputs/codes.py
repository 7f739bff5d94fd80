"""What a decoder is judged on: every code of a quantizer, whether or not its own encoder makes it, random bytes, and the
parts that the rule gives of the arrays of an encoder.

A case has the rule's parts beside ``x``, which is what they stand for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from refgrad.errors import ArgumentError
from refgrad.oracle.inputs.cases import Cases
from refgrad.quantizers.base import Quantized, Quantizer

#: enough for four of each code of eight bits, in whole blocks of every format
SHAPE = (4, 256)
#: the most codes that are tried one by one
MOST = 256


def is_of_codes(rule: Quantizer, arrays: Mapping[str, np.ndarray]) -> bool:
    """True if a case hands over parts, of which the array is asked for."""
    return set(rule.parts) <= set(arrays)


def given_parts(rule: Quantizer, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The parts that a case hands over for codes to be made under them; none where it hands over all.

    Args:
        rule: the quantizer.
        arrays: those of the case.
    """
    return {} if is_of_codes(rule, arrays) else {n: a for n, a in arrays.items() if n in rule.parts}


#: what the rule's own scales are multiplied by, from case to case: codes fill their range, are cut off at its ends, fill half
FACTORS = (1.0, 0.25, 2.0)


def under_given_parts(rule: Quantizer, cases: Cases, names: Sequence[str]) -> Cases:
    """Cases with scales, and what else codes are made under: the rule's own, some of them smaller and some larger.

    Args:
        rule: the quantizer.
        cases: those of a quantizer.
        names: the parts that are handed over; where there is one number for all, as a number.
    """
    made, kept = [], [i for i, arrays in enumerate(cases.arrays) if arrays["x"].size]  # of nothing there is no scale
    for number, arrays in enumerate(cases.arrays[i] for i in kept):
        own = rule.quantize(arrays["x"], **{n: a for n, a in arrays.items() if n != "x"}).arrays
        factor = FACTORS[number % len(FACTORS)]
        parts = {n: own[n] * own[n].dtype.type(factor) if own[n].dtype.kind == "f" else own[n] for n in names}
        whole = getattr(rule, "granularity", "tensor") == "tensor"
        made.append({**arrays, **{n: a.reshape(()) if whole and a.size == 1 else a for n, a in parts.items()}})
    return replace(cases, arrays=made, names=[cases.name(i) for i in kept])


def of_own_parts(rule: Quantizer, cases: Cases) -> Cases | None:
    """The parts that a rule gives of the arrays of some cases, for a decoder; None if there are none.

    Args:
        rule: the quantizer.
        cases: those of a quantizer: of many shapes, of small and large scales, of groups with NaN.
    """
    made, names = [], []
    for number, arrays in enumerate(cases.arrays):
        try:
            own = rule.quantize(**arrays)
            made.append({**arrays, **own.arrays, "x": np.asarray(rule.dequantize(own))})
            names.append(cases.name(number))
        except ArgumentError:
            continue
    return replace(cases, arrays=made, names=names) if made else None


def parts_of_nan(rule: Quantizer, cases: Cases) -> Cases | None:
    """The parts that a rule gives of arrays with NaN, then with every code in place of theirs; None where none stands for NaN.

    A group whose scale is NaN stands for NaN whatever its codes are, which a decoder shows on codes of numbers alone.

    Args:
        rule: the quantizer.
        cases: those with NaN.
    """
    own = of_own_parts(rule, cases)
    if own is None or not any(np.isnan(np.asarray(arrays["x"], np.float64)).any() for arrays in own.arrays):
        return None
    made, names = list(own.arrays), list(own.names)
    for arrays in own.arrays:
        kept = Quantized({n: arrays[n] for n in rule.parts}, arrays["x"].shape, arrays["x"].dtype)
        for name, parts in _with_codes(rule, kept):
            made.append({**arrays, **parts, "x": np.asarray(rule.dequantize(replace(kept, arrays=parts)))})
            names.append(name)
    return replace(own, arrays=made, names=names)


def every_code(rule: Quantizer, dtype: np.dtype, seed: int) -> Cases | None:
    """The parts of an ordinary array with every legal code of up to eight bits in place of its own; of a packed format random
    bytes besides. None if the rule has no such codes.

    Args:
        rule: the quantizer.
        dtype: of the array.
        seed: of the array whose scales are taken, and of the bytes.
    """
    random = np.random.Generator(np.random.Philox(seed))
    x = random.standard_normal(SHAPE).astype(dtype)
    x = np.abs(x) if rule.nonnegative else x
    try:
        own = rule.quantize(x, **rule.besides(x, random))
    except ArgumentError:
        return None
    made = [*_with_codes(rule, own), *_of_bytes(rule, own, random)]
    cases = [{"x": rule.dequantize(Quantized(parts, x.shape, x.dtype)), **parts} for _, parts in made]
    return Cases(cases, [name for name, _ in made], seed) if cases else None


def _with_codes(rule: Quantizer, own: Quantized) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    codes = own.arrays.get("codes")
    if codes is None or codes.dtype.kind not in "ui" or codes.dtype.itemsize != 1:
        return
    tried = np.arange(MOST).astype(np.uint8).view(codes.dtype)
    legal = [c for c in tried if _decodes(rule, {**own.arrays, "codes": np.full_like(codes, c)}, own)]
    if legal:
        yield "every code", {**own.arrays, "codes": np.resize(np.asarray(legal, codes.dtype), codes.shape)}


def _of_bytes(
    rule: Quantizer, own: Quantized, random: np.random.Generator
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    pack, unpack = getattr(rule, "pack", None), getattr(rule, "unpack", None)
    if pack is None or unpack is None:
        return
    packed = pack(own)
    try:
        parts = dict(unpack(random.integers(0, 256, packed.shape, np.uint8)).arrays)
    except ArgumentError:  # not every byte is legal
        return
    if _decodes(rule, parts, own):
        yield "random bytes", parts


def _decodes(rule: Quantizer, parts: dict[str, np.ndarray], own: Quantized) -> bool:
    try:
        rule.dequantize(Quantized(parts, own.shape, own.dtype))
    except ArgumentError:
        return False
    return True
