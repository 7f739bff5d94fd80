"""Lines of mathematics that are broken where they would be wider than a phone: at a sum, a product, an operand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

#: ems of the column on a phone of 390 pixels, and of what is to remain beside long names
WIDEST, LEAST = 20.5, 9.0
#: what starts a line that goes on
GOES_ON = r"&\quad "
#: where a line is broken, the loosest first; a sign stays with what follows it
SEPARATORS = (r"(?= \\text\{ (?:and|or) \})", r"(?= [+-] )", r"(?= \\(?:,|cdot) )|(?<! )(?=\\(?:,|cdot))", r"(?<=, )")
#: ems of what has no line for itself
SHORT = 2.6
_TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|.", re.DOTALL)
#: what has a height, for which brackets are larger
_TALL = re.compile(r"\\(frac|sum|prod|begin)")
#: ems of a letter, of a sign that is a command, and of signs with the space around them
LETTER, COMMAND = 0.52, 0.65
WORDS = ("max", "min", "exp", "log", "tanh", "sin", "cos", "arctan", "det", "bmod")
SIGNS = {
    **dict.fromkeys(("+", "-", "=", "<", ">", "\\leq", "\\geq", "\\neq", "\\in", "\\leftarrow", "\\cdot"), 1.25),
    **dict.fromkeys(
        (" ", "&", "}", "\\left", "\\right", "\\biggl", "\\biggr", "\\mathrm", "\\operatorname", "\\text", "\\hat"), 0.0
    ),
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
        widest: ems of the column, right of that sign.

    >>> broken("x &= a + b + c", widest=5.0)
    ['x &= a + b', '&\\quad + c']
    """
    left, _, right = line.partition("&")
    if width(right) <= widest:
        return [line]
    head, *rest = (each.strip() for each in _filled(right, widest - width(GOES_ON)))
    return [f"{left}&{head}", *(GOES_ON + each.replace("\\,", "\\cdot ", each.startswith("\\,")) for each in rest)]


def block(rows: Sequence[str], widest: float = WIDEST) -> list[str]:
    """The lines of an ``aligned`` block, each no wider than a column, as far as they can be broken.

    Args:
        rows: LaTeX, with the sign at which they are aligned.
        widest: ems of the column.
    """
    beside = max(width(row.partition("&")[0]) for row in rows)
    return [line for row in rows for line in broken(row, max(widest - beside, LEAST))]


def _filled(text: str, widest: float, kinds: Sequence[str] = SEPARATORS, opened: bool = False) -> Iterator[str]:
    """Pieces, each as many parts as fit in a line; a part that does not fit is broken at what binds more tightly."""
    if width(text) <= widest or (opened and not kinds):
        yield text
        return
    if not kinds:
        # nothing outside brackets helps: then within them, whose size no longer follows from what they hold
        yield from _filled(_opened(text), widest, opened=True)
        return
    line = ""
    for part in _parts(text, kinds[0]):
        if width(line) > SHORT and width(line + part) > widest:
            yield from _filled(line, widest, kinds[1:], opened)
            line = ""
        line += part
    yield from _filled(line, widest, kinds[1:], opened)


def _parts(text: str, separator: str) -> list[str]:
    """A text cut at a separator outside braces and brackets that grow."""
    ends, depth = [0], 0
    cuts = {found.start() for found in re.finditer(separator, text)}
    for token in _TOKEN.finditer(text):
        if token.start() in cuts and depth == 0 and token.start() > ends[-1]:
            ends.append(token.start())
        depth += (token[0] in ("{", "\\left", "\\begin")) - (token[0] in ("}", "\\right", "\\end"))
    return [text[low:high] for low, high in zip(ends, [*ends[1:], len(text)], strict=True)]


def _opened(text: str) -> str:
    """A text whose outermost round brackets have a size of their own, so that a line may end between them."""
    depth, starts, pairs = 0, [], []
    for token in _TOKEN.finditer(text):
        if token[0] in ("{", "\\left", "\\begin"):
            starts.append(token.start())
            depth += 1
        elif token[0] in ("}", "\\right", "\\end"):
            depth -= 1
            start = starts.pop()
            inside = text[start + len("\\left(") : token.start()]
            if depth == 0 and text.startswith("\\left(", start) and text.startswith("\\right)", token.start()):
                pairs.append((start, token.start(), "\\biggl(" if _TALL.search(inside) else "("))
    for start, end, bracket in reversed(pairs):
        last = bracket.replace("l(", "r)").replace("(", ")")
        inside = text[start + len("\\left(") : end]
        text = f"{text[:start]}{bracket}{inside}{last}{text[end + len('right)') + 1 :]}"
    return text


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
