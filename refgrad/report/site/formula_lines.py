"""Lines of mathematics that are broken where they would be wider than a phone: at a sum, a product, an operand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

#: ems of the column on a phone of 390 pixels
WIDEST = 20.0
#: what starts a line that goes on
GOES_ON = r"&\qquad "
#: where a line is broken, the loosest first; a sign stays with what follows it
SEPARATORS = (r"(?= \\text\{ (?:and|or) \})", r"(?= [+-] )", r"(?= ?\\(?:,|cdot) ?)", r"(?<=, )", r"(?<== )")
_TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|.", re.DOTALL)
#: what has a height, so that its brackets grow with it
_TALL = re.compile(r"\\(frac|sum|prod|begin|sqrt)|\^")
#: ems of a letter, of a sign that is a command, and of signs with the space around them
LETTER, COMMAND = 0.52, 0.65
WORDS = ("max", "min", "exp", "log", "tanh", "sin", "cos", "arctan", "det", "bmod")
SIGNS = {
    **dict.fromkeys(("+", "-", "=", "<", ">", "\\leq", "\\geq", "\\neq", "\\in", "\\leftarrow", "\\cdot"), 1.25),
    **dict.fromkeys((" ", "&", "}", "\\left", "\\right", "\\mathrm", "\\operatorname", "\\text", "\\hat"), 0.0),
    **dict.fromkeys(("(", ")", "|", ".", ","), 0.4),
    **{f"\\{word}": LETTER * len(word) for word in WORDS},
    **{"\\,": 0.2, "\\quad": 1.0, "\\qquad": 2.0, "\\sum": 1.3, "\\sqrt": 0.9, "'": 0.3},
}
#: a script beside a letter is smaller
SCRIPT = 0.7


def broken(line: str, widest: float = WIDEST) -> list[str]:
    r"""A line of an ``aligned`` block as lines that are no wider than a column, as far as it can be broken.

    Args:
        line: LaTeX, with the sign at which it is aligned.
        widest: ems of the column.

    >>> broken("x &= a + b + c", widest=5.0)
    ['x &= a', '&\\qquad + b', '&\\qquad + c']
    """
    if width(line) <= widest:
        return [line]
    head, *rest = (each.strip() for each in _filled(line, widest - width(GOES_ON)))
    return [head, *(GOES_ON + each.replace("\\,", "\\cdot ", each.startswith("\\,")) for each in rest)]


def _filled(text: str, widest: float, kinds: Sequence[str] = SEPARATORS) -> Iterator[str]:
    """Pieces, each as many parts as fit in a line; a part that does not fit is broken at what binds more tightly."""
    if not kinds or width(text) <= widest:
        yield text
        return
    line = ""
    for part in _parts(text, kinds[0]):
        if line and width(line + part) > widest:
            yield from _filled(line, widest, kinds[1:])
            line = ""
        line += part
    yield from _filled(line, widest, kinds[1:])


def _parts(text: str, separator: str) -> list[str]:
    """A text cut at a separator outside all brackets; brackets around what is no taller than a letter are no obstacle."""
    flat = _loosened(text)
    ends, depth = [0], 0
    cuts = {found.start() for found in re.finditer(separator, flat)}
    for token in _TOKEN.finditer(flat):
        if token.start() in cuts and depth == 0 and token.start() > ends[-1]:
            ends.append(token.start())
        depth += (token[0] in ("{", "\\left", "\\begin")) - (token[0] in ("}", "\\right", "\\end"))
    return [flat[low:high] for low, high in zip(ends, [*ends[1:], len(flat)], strict=True)]


def _loosened(text: str) -> str:
    """A text in which brackets around what has no height are of one size, so that a line may end between them."""
    found = re.compile(r"\\left\(((?:(?!\\left|\\right).)*)\\right\)")
    while True:
        loose = found.sub(lambda m: f"({m[1]})" if not _TALL.search(m[1]) else f"\0{m[1]}\1", text)
        if loose == text:
            return loose.replace("\0", r"\left(").replace("\1", r"\right)")
        text = loose


def width(text: str) -> float:
    r"""Ems that mathematics is wide, about.

    Args:
        text: LaTeX.

    >>> width("a + b") < width(r"\mathrm{word} + b")
    True
    """
    return _Measured(_TOKEN.findall(text)).rest()


class _Measured:
    """Tokens of LaTeX, of which the first ones were measured."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens[::-1]

    def rest(self, end: str = "") -> float:
        """The width up to an end, of the widest row."""
        widest = row = 0.0
        while self.tokens:
            token = self.tokens.pop()
            if token == end:
                break
            if token == "\\\\":
                widest, row = max(widest, row), 0.0
            else:
                row += self.one(token)
        return max(widest, row)

    def one(self, token: str) -> float:
        """The width of what a token begins."""
        match token:
            case "{":
                return self.rest("}")
            case "^" | "_":
                return SCRIPT * self.next()
            case "\\frac":
                return max(self.next(), self.next()) + 0.3
            case "\\begin":
                self.next()
                inside = self.rest("\\end")
                self.next()
                return inside + 1.5
        return SIGNS.get(token, LETTER if len(token) == 1 else COMMAND)

    def next(self) -> float:
        """The width of the next argument."""
        while self.tokens and self.tokens[-1] == " ":
            self.tokens.pop()
        return self.one(self.tokens.pop()) if self.tokens else 0.0
