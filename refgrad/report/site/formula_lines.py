"""Lines of mathematics that are broken where they would be wider than a phone: at a sum, a product, an operand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import count

#: ems of the column on a phone of 390 pixels, and of what is to remain beside long names
WIDEST, LEAST = 18.5, 9.0
#: what starts a line that goes on
GOES_ON = r"&\quad "
#: where a line is broken, the loosest first; a sign stays with what follows it
SEPARATORS = (
    r"(?<! )(?= ?\\text\{ (?:if|else) \})",
    r"(?<! )(?= ?\\text\{ (?:and|or) \})",
    r"(?= (?:\\wedge|\\leq?|\\geq?|\\in|[<>:]) )",
    r"(?= [+-] )",
    r"(?= \\(?:,|cdot) )|(?<! )(?=\\(?:,|cdot))",
    r"(?<=, )",
    r"(?<=\()",
)
#: names of what stands in lines of its own, and the part of a line beyond which it does; before braces that hold no mathematics
NAMES, WIDE = "uvwzUVWZ", 0.4
WORDED = ("\\text", "\\mathrm", "\\operatorname", "\\begin", "\\end", "_")
#: ems of what has no line for itself
SHORT = 2.6
_TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|.", re.DOTALL)
_RIGHT = "\\right"
#: what has a height, for which brackets are larger
_TALL = re.compile(r"\\(frac|sum|prod|begin)")
#: brackets within which a line may end, and large ones around nothing but a name
BRACKETS = (("(", ")"), ("\\{", "\\}"))
_SINGLE = re.compile(r"\\biggl\((\{[a-zA-Z]_\{\d+\}\})\\biggr\)")
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
    letter = next(name for name in NAMES if name not in _TOKEN.findall(" ".join(rows)) or name == NAMES[-1])
    names = (f"{letter}_{{{number}}}" for number in count(1))
    return [line for row in rows for line in _eased(row, max(widest - beside, LEAST), names)]


def _eased(row: str, widest: float, names: Iterator[str]) -> Iterator[str]:
    """Lines of a row; where they are too wide even so, what is widest in it is named, and said below it."""
    lines = broken(row, widest)
    if max(width(each.partition("&")[2]) for each in lines) > widest:
        row, named = _named(_in_words(row), WIDE * widest, names)
        yield from broken(row, widest)
        for name, text in named:
            yield from _eased(f"{GOES_ON}\\text{{where }}{name} = {text}", widest, names)
    else:
        yield from lines


def _in_words(row: str) -> str:
    """A row whose right side is one of several cases, the last of which is what is left, with these one after another."""
    head, begin, rest = row.partition("= \\begin{cases}")
    if not begin or _closed(rest, 0) != len(rest):
        return row
    cases = [_parts(case, "&") for case in _parts(rest.removesuffix("\\end{cases}"), r"(?=\\\\)")]
    if len(cases[-1]) != 2 or "otherwise" not in cases[-1][1]:
        return row
    told = [(value.removeprefix("\\\\").strip(), when.removeprefix("&").strip()) for value, when in cases]
    values = [f"\\left({value}\\right)" if value.startswith("\\begin") else value for value, _ in told[:-1]]
    first = [f"{value}\\text{{ if }}{when}" for value, (_, when) in zip(values, told[:-1], strict=True)]
    return f"{head}= " + ",\\text{ else }".join([*first, told[-1][0]])


def _named(row: str, least: float, names: Iterator[str]) -> tuple[str, list[tuple[str, str]]]:
    """A row with names for its outermost cases, and contents of braces, that are wider than a length; and what they name."""
    head, sign, text = row.partition("&")
    while (opened := _opened(text)) != text:
        text = opened
    named, done, place, before = [], "", 0, ""
    while found := _TOKEN.match(text, place):
        token, end = found[0], found.end()
        if token in ("{", "\\begin") and before not in WORDED:
            end = _closed(text, end if token == "{" else text.index("}", end) + 1)
            inside = text[found.end() : end - 1] if token == "{" else text[place:end]
            if width(inside) > least and inside != text.partition("= ")[2]:
                name = next(names)
                named.append((name, inside.strip()))
                done += f"{{{name}}}"
            else:
                done += text[place:end]
        else:
            done += token
        before, place = token, end
    return head + sign + _SINGLE.sub(r"(\1)", done), named


def _closed(text: str, place: int) -> int:
    """Where the group ends that was opened before a place."""
    depth = 1
    while depth and (found := _TOKEN.match(text, place)):
        token, place = found[0], found.end()
        if token in ("\\begin", "\\end"):
            place = text.index("}", place) + 1
        depth += (token in ("{", "\\begin", "\\left")) - (token in ("}", "\\end", "\\right"))
    return place


def _filled(text: str, widest: float, kinds: Sequence[str] = SEPARATORS) -> Iterator[str]:
    """Pieces, each as many parts as fit in a line; a part that does not fit is broken at what binds more tightly."""
    if width(text) <= widest or (not kinds and _opened(text) == text):
        yield text
        return
    if not kinds:
        # nothing outside brackets helps: then within them, whose size no longer follows from what they hold
        yield from _filled(_opened(text), widest)
        return
    line = ""
    for part in _parts(text, kinds[0]):
        if width(line) > SHORT and width(line + part) > widest:
            yield from _filled(line, widest, kinds[1:])
            line = ""
        line += part
    yield from _filled(line, widest, kinds[1:])


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
    """A text whose outermost brackets have a size of their own, so that a line may end between them."""
    depth, starts, pairs = 0, [], []
    for token in _TOKEN.finditer(text):
        if token[0] in ("{", "\\left", "\\begin"):
            starts.append(token.start())
            depth += 1
        elif token[0] in ("}", "\\right", "\\end"):
            depth -= 1
            start = starts.pop()
            for left, right in BRACKETS:
                if (
                    depth == 0
                    and text.startswith(f"\\left{left}", start)
                    and text.startswith(f"{_RIGHT}{right}", token.start())
                ):
                    pairs.append((start, token.start(), left, right))
    for start, end, left, right in reversed(pairs):
        inside = text[start + len(f"\\left{left}") : end]
        before, after = ("\\biggl", "\\biggr") if _TALL.search(inside) else ("", "")
        text = f"{text[:start]}{before}{left}{inside}{after}{right}{text[end + len(_RIGHT + right) :]}"
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
                return inside + 2.5
        return SIGNS.get(token, LETTER if len(token) == 1 else COMMAND)

    def next(self) -> float:
        """The width of the next argument."""
        while self.tokens and self.tokens[-1] == " ":
            self.tokens.pop()
        return self.one(self.tokens.pop()) if self.tokens else 0.0
