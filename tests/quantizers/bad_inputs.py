"""What every quantizer does with bad input: ``python -m tests.quantizers.bad_inputs`` prints the table of docs/quantizers.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from refgrad.errors import ArgumentError
from refgrad.quantizers import EightBit, Quantized, Quantizer
from refgrad.rule import rules

SHAPE = (4, 256)
#: the place of the one bad element
AT = (2, 77)

HEAD = (
    "rule",
    "zeros",
    "all 1.5",
    "1e-42",
    "3e38",
    "one NaN",
    "one infinity",
    "0-d",
    "empty",
    "1013 elements",
    "codes outside",
)


def ordinary() -> np.ndarray:
    """Numbers of both signs."""
    return np.random.default_rng(6).standard_normal(SHAPE).astype(np.float32)


def with_one(value: float) -> np.ndarray:
    """Ordinary numbers but one."""
    x = ordinary()
    x[AT] = value
    return x


def refused(error: ArgumentError) -> None:
    """An error has to say what is legal."""
    if "legal" not in str(error):
        raise AssertionError(error)


def round_trip(rule: Quantizer, x: np.ndarray) -> np.ndarray | None:
    """The array again, or None where the rule refuses it; what it gives has its shape and dtype."""
    try:
        y = rule.round_trip(x)
    except ArgumentError as error:
        refused(error)
        return None
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    return y


def magnitudes(rule: Quantizer, size: float) -> str:
    """What becomes of numbers up to a size."""
    x = ordinary()
    y = round_trip(rule, (x / np.abs(x).max() * np.float32(size)).astype(np.float32))
    if y is None:
        return "error"
    if np.isnan(y).all():
        return "NaN"
    if np.isfinite(y).all():
        return "zeros" if not y.any() else "finite"
    return "infinite" if not np.isnan(y).any() else "infinite and NaN"


def constant(rule: Quantizer) -> str:
    """What becomes of 1.5 everywhere."""
    y = round_trip(rule, np.full(SHAPE, 1.5, np.float32))
    if y is None:
        return "error"
    values = np.unique(y)
    return "kept" if np.array_equal(values, [1.5]) else ", ".join(f"{v:.5g}" for v in values[:2])


def poisoned(rule: Quantizer, value: float) -> str:
    """How far one number that is not finite reaches."""
    y = round_trip(rule, with_one(value))
    if y is None:
        return "error"
    bad = ~np.isfinite(y)
    count = int(bad.sum())
    kind = "NaN" if np.isnan(y[bad]).all() else "infinity" if np.isinf(y[bad]).all() else "infinity, NaN"
    if count == 0:
        return f"counts as {y[AT]:.3g}"
    if count == 1 and bad[AT]:
        return f"itself: {kind}"
    return f"{'all' if count == y.size else f'{count} elements'}: {kind}"


def outside(rule: Quantizer) -> str:
    """What dequantize says of the largest code that the codes' dtype holds."""
    kept = rule.quantize(ordinary())
    if "codes" not in kept.arrays:
        return "no codes"
    answers = []
    for code in (np.iinfo(kept.codes.dtype).max, np.iinfo(kept.codes.dtype).min):
        codes = kept.codes.copy()
        codes.reshape(-1)[5] = code
        try:
            rule.dequantize(Quantized({**kept.arrays, "codes": codes}, kept.shape, kept.dtype))
            answers.append("a number")
        except ArgumentError as error:
            refused(error)
            answers.append("error")
    return "error" if "error" in answers else "all stand for numbers"


def row(rule: Quantizer) -> tuple[str, ...]:
    """The cells of a rule."""
    zeros = round_trip(rule, np.zeros(SHAPE, np.float32))
    taken = {
        name: "error" if round_trip(rule, x) is None else "taken"
        for name, x in {
            "0-d": np.float32(0.5).reshape(()),
            "empty": np.zeros((0, 256), np.float32),
            "tail": ordinary().reshape(-1)[:1013],
        }.items()
    }
    return (
        f"`{type(rule).__name__}`",
        "error" if zeros is None else "zeros" if not zeros.any() else f"{np.abs(zeros).max():.3g}",
        constant(rule),
        magnitudes(rule, 1e-42),
        magnitudes(rule, 3e38),
        poisoned(rule, np.nan),
        poisoned(rule, np.inf),
        taken["0-d"],
        taken["empty"],
        taken["tail"],
        outside(rule),
    )


def known() -> Mapping[str, Quantizer]:
    """Every quantizer with its defaults, and those of which a default hides something."""
    return {name: cls() for name, cls in rules(Quantizer).items() if cls is not EightBit}


def rows() -> Iterator[str]:
    """The table, line by line."""
    for cells in (HEAD, ("---",) * len(HEAD), *(row(rule) for rule in known().values())):
        yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print("\n".join(rows()))
