"""Hex floats as other programs write them: what C's ``%a`` prints and ``strtod`` reads, and nothing that looks like a decimal."""

from __future__ import annotations

import re

from refgrad.errors import shown

#: a hex float with its prefix, an infinity, or NaN; ``float.fromhex`` alone takes "abc" for 2748, and "1.5" for 1.3125
WRITTEN = re.compile(r"[+-]?(0x([0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)(p[+-]?[0-9]+)?|inf(inity)?|nan)", re.IGNORECASE)
LEGAL = "a hex float with 0x, such as 0x1.8p+0 for 1.5, or inf, -inf, nan"


def read(text: str) -> float:
    """The number that a hex float says.

    Args:
        text: with the prefix ``0x``, or the name of an infinity or of NaN.

    Returns:
        The number.

    Raises:
        ValueError: it is none; the text names what is legal.
        OverflowError: it is larger than any float.

    >>> read("0x1.8p+0"), read("-inf")
    (1.5, -inf)
    >>> read("abc")
    Traceback (most recent call last):
        ...
    ValueError: 'abc' is no number; legal: a hex float with 0x, such as 0x1.8p+0 for 1.5, or inf, -inf, nan
    """
    if not WRITTEN.fullmatch(text):
        raise ValueError(f"{shown(text[:40])} is no number; legal: {LEGAL}")
    return float.fromhex(text)
