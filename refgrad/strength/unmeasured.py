"""Rules of which no random program can be made: why, and what is checked of them instead, so that none is left out unsaid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: judged by arithmetic that they name themselves, each written once more by hand
BY_HAND = (
    *("APoT", "AdaRound", "DoReFaGradient", "GPTQ", "INQ", "KMeans", "LogQuantizer", "N2UQ", "NUQSGD"),
    *("NaturalCompression", "OneBit", "OptimalCodebook", "ProductQuantizer", "QSGD", "RandomK", "RoundToNearest"),
    *("SignSGD", "TTQ", "TernGrad", "TopK", "WAGEError", "WAGEGradient"),
)
PACKED = (
    *("IQ4_NL", "Q2_K", "Q3_K", "Q4_0", "Q4_1", "Q4_K", "Q5_0", "Q5_1", "Q5_K"),
    *("Q6_K", "Q8_0", "TQ1_0", "TQ2_0"),
)


@dataclass(frozen=True)
class Unmeasured:
    """Rules, why nothing of them is measured, what is checked of them, where, and the label of that."""

    rules: tuple[str, ...]
    why: str
    checked: str
    where: str
    label: str


UNMEASURED: Sequence[Unmeasured] = (
    Unmeasured(
        ("Cast",),
        "one rounding: a program is right to the bit, or wrong",
        "every number and midpoint of every format of at most 8 bits, and their neighbours, in every rounding, three ways",
        "`tests/quantizers/exhaustive.py`",
        "exhaustive",
    ),
    Unmeasured(
        BY_HAND,
        "they sort, search or draw, so that there is no graph; judged between ends that they name themselves, or to the bit",
        "each written otherwise by hand, accepted, and with a fault, rejected; one element off in any part, rejected",
        "`tests/oracle/quantizer_rewrites.py`, `tests/kinds/test_quantizer.py`",
        "searched",
    ),
    Unmeasured(
        PACKED,
        "packed bytes, which are right to the bit or wrong",
        "the bytes of ggml, by digests; formats without a search restated in rationals; one element off, rejected",
        "`tests/quantizers/gguf`, `tests/kinds/test_quantizer.py`",
        "searched",
    ),
    Unmeasured(
        ("AWQ", "HQQ", "PowerSGD"),
        "a search, a fixed point and an orthonormal basis: there is no graph; judged to the bit, or by ends of their own",
        "restated in rational arithmetic, or beside torch's hook; one element off in any part, rejected",
        "`tests/quantizers`, `tests/kinds/test_quantizer.py`",
        "searched",
    ),
)
