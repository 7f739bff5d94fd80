"""The tables of docs/strength.md, from the figures: each stands between two comments, and is written anew."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.oracle.strength.reasons import reason

Found = Mapping[str, Mapping[str, Any]]

#: the judges, by what the tables call them
SHORT: Mapping[str, str] = {
    "refgrad": "refgrad",
    "numpy.allclose": "allclose",
    "numpy.testing.assert_allclose": "assert_allclose",
    "torch.testing.assert_close": "assert_close",
    "chex.assert_trees_all_close": "chex",
    "4 ulps": "4 ulps",
}
OTHERS = [name for name in SHORT if name != "refgrad"]


def write(page: Path, found: Found) -> None:
    """Every table of a page."""
    text = page.read_text()
    for name, table in TABLES.items():
        start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        if start in text:
            body = "\n".join(table(found))
            text = re.sub(
                f"(?s){re.escape(start)}.*?{re.escape(end)}", lambda _, s=start, b=body, e=end: f"{s}{b}\n{e}", text
            )
    page.write_text(text)


def row(*cells: object) -> str:
    """A line of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def head(*cells: str) -> Iterator[str]:
    """The first two lines of a table."""
    yield row(*cells)
    yield "|" + "---|" * len(cells)


def totals(found: Found) -> Iterator[str]:
    """All rules together, judge by judge."""
    yield from head(
        "judge",
        "hand rewrites rejected",
        "on ordinary numbers",
        "random programs rejected",
        "on ordinary numbers",
        "mutants accepted",
        "on ordinary numbers",
    )
    counts = {
        part: {
            kind: sum(f[part]["programs"][kind] for f in found.values() if part in f) for kind in ("all", "ordinary")
        }
        for part in ("hand", "random")
    }
    made = sum(f["mutants"]["made"] for f in found.values() if "mutants" in f)
    yield row("*of*", *(counts[part][kind] for part in ("hand", "random") for kind in ("all", "ordinary")), made, made)
    for judge in SHORT:
        cells = []
        for part in ("hand", "random", "mutants"):
            for kind in ("all", "ordinary"):
                rejected = sum(f[part]["rejected"].get(judge, {}).get(kind, 0) for f in found.values() if part in f)
                cells.append(made - rejected if part == "mutants" else rejected)
        yield row(judge, *cells)


def legal(found: Found) -> Iterator[str]:
    """Rule by rule, what random programs did."""
    yield from head(
        "rule", "values", "outside", "undecided", "share of p", "of the state", "programs", *(SHORT[n] for n in OTHERS)
    )
    for f in _of(found, "random"):
        share = [f"{f['share'][k]:.2f}" if k in f["share"] else "-" for k in ("p", "state")]
        rejected = [f["rejected"].get(name, {}).get("all", "-") for name in OTHERS]
        undecided = f"{100 * f['undecided'] / f['values']:.1f} %"
        yield row(f["rule"], f["values"], f["outside"], undecided, *share, f["programs"]["all"], *rejected)


def mutants(found: Found) -> Iterator[str]:
    """Rule by rule, mutants that were accepted."""
    yield from head("rule", "mutants", *SHORT.values())
    for f in _of(found, "mutants"):
        accepted = [f["made"] - f["rejected"][n]["all"] if n in f["rejected"] else "-" for n in SHORT]
        yield row(f["rule"], f["made"], *accepted)


def survivors(found: Found) -> Iterator[str]:
    """Every mutant that refgrad accepted, with its reason; those of one reason together."""
    yield from head("rule", "mutants", "largest error, over what is allowed", "reason")
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for name, f in found.items():
        for each in f.get("mutants", {}).get("survivors", ()):
            groups.setdefault((name, reason(name, each["name"]) or "none is known"), []).append(each)
    for (name, why), each in sorted(groups.items()):
        yield row(
            name, "; ".join(e["name"].replace("|", "\\|") for e in each), f"{max(e['share'] for e in each):.2g}", why
        )


def _of(found: Found, part: str) -> Iterator[Mapping[str, Any]]:
    for _, figures in sorted(found.items()):
        if part in figures:
            yield figures[part]


TABLES: Mapping[str, Callable[[Found], Iterator[str]]] = {
    "totals": totals,
    "legal": legal,
    "mutants": mutants,
    "survivors": survivors,
}
