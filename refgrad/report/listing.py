"""All rules under their kinds, as far as somebody asks for them: by kind, by words, by package or by publication."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from refgrad.errors import ArgumentError, nearest
from refgrad.layout import WIDTH, wrapped
from refgrad.rule import Rule, rules
from refgrad.surveys.implementations import known


def listing(
    words: tuple[str, ...] = (), kind: str | None = None, package: str | None = None, width: int = WIDTH
) -> list[str]:
    """The rules that are asked for, a line or two each, under a line for their kind.

    Args:
        words: parts of names, authors, titles or places of publication, of any case; each must occur. Where no rule has all of
            them, what is said of the rules is searched too.
        kind: one kind alone, such as ``"estimator"``.
        package: rules of which this distribution has an implementation that is known, such as ``"torch"``.
        width: characters a line.

    Returns:
        The lines.

    Raises:
        ArgumentError: there is no such kind, no such package, or no rule that is asked for.

    >>> print(*listing(("lion",)), sep="\\n")
    optimizer
      CautiousLion  Liang et al. 2024, “Cautious Optimizers: Improving Training with
                    One Line of Code”, arXiv:2411.16085, Algorithm 2
      Lion          Chen et al. 2023, “Symbolic Discovery of Optimization
                    Algorithms”, arXiv:2302.06675, Algorithm 2
    """
    found = _found(words, kind, package)
    if not found:
        raise ArgumentError(f"no rule has all of {' '.join(words)!r}; legal: parts of a name, author, title or place")
    lines: list[str] = []
    for each in sorted({cls.kind for cls in found.values()}):
        lines += [*([""] if lines else []), each, *_group({n: c for n, c in found.items() if c.kind == each}, width)]
    return lines


def _found(words: tuple[str, ...], kind: str | None, package: str | None) -> dict[str, type[Rule]]:
    found = rules()
    if kind is not None:
        found = {name: cls for name, cls in found.items() if cls.kind == kind}
        if not found:
            raise _unknown("--kind", kind, {cls.kind for cls in rules().values()})
    if package is not None:
        theirs = {type(row.claim).__name__ for row in known() if row.package == package}
        if not theirs:
            raise _unknown("--package", package, {row.package for row in known()})
        found = {name: cls for name, cls in found.items() if name in theirs}
    named = {n: c for n, c in found.items() if _has(words, f"{n} {c.citation}")}
    return named or {n: c for n, c in found.items() if _has(words, f"{n} {c.citation} {c.__doc__}")}


def _has(words: tuple[str, ...], text: str) -> bool:
    return all(word.casefold() in text.casefold() for word in words)


def _unknown(option: str, value: str, legal: set[str]) -> ArgumentError:
    return ArgumentError(f"no {option} {value!r}{nearest(value, legal)}; legal: {', '.join(sorted(legal))}")


def _group(found: Mapping[str, type[Rule]], width: int) -> Iterator[str]:
    indent = max(map(len, found)) + 4
    for name, cls in found.items():
        yield from wrapped(str(cls.citation), width, f"  {name}".ljust(indent), " " * indent)
