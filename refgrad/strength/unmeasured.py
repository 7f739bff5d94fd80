"""Rules of which no random program can be made: why, and what is checked of them instead, so that none is left out unsaid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.oracle import quantizer_rewrites
from tests.oracle.strength.subjects import measurable

PACKED = (
    *("IQ4_NL", "Q2_K", "Q3_K", "Q4_0", "Q4_1", "Q4_K", "Q5_0", "Q5_1", "Q5_K"),
    *("Q6_K", "Q8_0", "TQ1_0", "TQ2_0"),
)


@dataclass(frozen=True)
class Elsewhere:
    """Rules, why they are in no part of the measurement, what is checked of them, where, and the label of that."""

    rules: tuple[str, ...]
    why: str
    checked: str
    where: str
    label: str


def _by_hand() -> tuple[str, ...]:
    """Quantizers judged by the arithmetic that they name themselves, each written once more by hand, right and wrong."""
    found = {type(rule).__name__ for rule, *_ in quantizer_rewrites.REWRITES}
    return tuple(sorted(found - set(measurable()) - {"Cast"}))


def rows() -> Iterator[Elsewhere]:
    """All of them."""
    yield Elsewhere(
        ("Cast",),
        "one rounding: a program is right to the bit, or wrong",
        "every number and midpoint of every format of at most 8 bits, and their neighbours, in every rounding, three ways",
        "`tests/quantizers/exhaustive.py`",
        "exhaustive",
    )
    yield Elsewhere(
        _by_hand(),
        "they sort, search or draw, so that there is no graph; judged between ends that they name themselves, or to the bit",
        "each written otherwise by hand, accepted, and with a fault, rejected; one element off in any part, rejected",
        "`tests/oracle/quantizer_rewrites.py`, `tests/oracle/test_quantized.py`",
        "searched",
    )
    yield from REST


REST: Sequence[Elsewhere] = (
    Elsewhere(
        PACKED,
        "packed bytes, which are right to the bit or wrong",
        "the bytes of ggml, by digests; formats without a search restated in rationals; one element off, rejected",
        "`tests/quantizers/gguf`, `tests/oracle/test_quantized.py`",
        "searched",
    ),
    Elsewhere(
        ("AWQ", "HQQ", "PowerSGD"),
        "a search, a fixed point and an orthonormal basis: there is no graph; judged to the bit, or by ends of their own",
        "restated in rational arithmetic, or beside torch's hook; one element off in any part, rejected",
        "`tests/quantizers`, `tests/oracle/test_quantized.py`",
        "searched",
    ),
    Elsewhere(
        ("BatchScaledRate", "RegimeAdaptation", "SpikedRate"),
        "formulas of one number, without arrays; `refgrad.verify` takes no candidate for them",
        "their laws, and the formulas by another route",
        "`tests/optimizers/test_batch_scaling.py`",
        "searched",
    ),
)
