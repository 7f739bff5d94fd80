"""All rules under their kinds, as far as somebody asks for them: by kind, by words, by package or by publication."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from refgrad import installed_rules
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
            them, what is said of the rules is searched too. Rules of installed packages are listed after refgrad's own, by their
            names and places, where neither a kind nor a package is asked for.
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
    found, others = _found(words, kind, package), list(_installed(words) if kind is package is None else ())
    if not found and not others:
        raise ArgumentError(f"no rule has all of {' '.join(words)!r}; legal: parts of a name, author, title or place")
    lines: list[str] = []
    for each in sorted({cls.kind for cls in found.values()}):
        lines += [*([""] if lines else []), each, *_group({n: c for n, c in found.items() if c.kind == each}, width)]
    if others:
        lines += [*([""] if lines else []), "of installed packages", *_columns(others, width)]
    return lines


def _installed(words: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """The rules of installed packages, by name, each with its place and its package; none of them is imported."""
    for entry in installed_rules.entries():
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "unknown"
        if _has(words, f"{entry.name} {entry.value} {package}"):
            yield entry.name, f"{entry.value}, of {package}"


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
    return _columns([(name, str(cls.citation)) for name, cls in found.items()], width)


def _columns(rows: Sequence[tuple[str, str]], width: int) -> Iterator[str]:
    indent = max(len(name) for name, _ in rows) + 4
    for name, text in rows:
        yield from wrapped(text, width, f"  {name}".ljust(indent), " " * indent)
