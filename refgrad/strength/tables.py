"""The tables of docs/strength.md, from the figures: each stands between two comments, and is written anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from refgrad.rule import rules
from refgrad.strength import unmeasured
from refgrad.strength.programs import class_of
from refgrad.strength.survivor_reasons import reason

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
KINDS = ("all", "ordinary")
KINDS_OF_RULES: Mapping[str, str] = {
    "optimizer": "optimizers",
    "estimator": "estimators",
    "mask": "masks",
    "mask-update": "updates of masks",
    "quantizer": "quantizers with a graph",
    "transform": "transforms of gradients",
    "scaling": "scalings with the batch size",
    "8-bit-optimizer": "optimizers with 8-bit state",
}
OTHERS = [name for name in SHORT if name != "refgrad"]


def write(page: Path, found: Found) -> None:
    """Every table of a page, each between its two comments."""
    text = page.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        if start in text:
            body = "\n".join(table(found))
            before, rest = text.split(start)
            text = f"{before}{start}{body}\n{end}{rest.partition(end)[2]}"
    page.write_text(text, encoding="utf-8")


def row(*cells: object) -> str:
    """A line of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def head(*cells: str) -> Iterator[str]:
    """The first two lines of a table."""
    yield row(*cells)
    yield "|" + "---|" * len(cells)


def totals(found: Found, kinds: Sequence[str] = ("hand", "random", "mutants")) -> Iterator[str]:
    """All rules together, judge by judge."""
    words = {"hand": "hand rewrites rejected", "mutants": "mutants accepted", "case mutants": "mutants accepted"}
    columns = [words.get(part, "random programs rejected") for part in kinds]
    yield from head("judge", *(text for column in columns for text in (column, "on ordinary numbers")))
    size = {part: programs(found, part) for part in kinds}
    yield row("*of*", *(size[part][kind] for part in kinds for kind in KINDS))
    for judge in SHORT:
        cells = []
        for part in kinds:
            for kind in KINDS:
                rejected = rejections(found, part, judge, kind)
                cells.append(size[part][kind] - rejected if part.endswith("mutants") else rejected)
        yield row(judge, *cells)


def case_totals(found: Found) -> Iterator[str]:
    """All rules without state together."""
    yield from totals(found, ("case programs", "case mutants"))


def rejections(found: Found, part: str, judge: str, kind: str) -> int:
    """How many programs a judge rejects.

    Args:
        found: the figures.
        part: a part as the file calls it.
        judge: the judge's name.
        kind: "all" numbers, or "ordinary" ones.
    """
    return sum(f[part]["rejected"].get(judge, {}).get(kind, 0) for f in found.values() if part in f)


def programs(found: Found, part: str) -> dict[str, int]:
    """How many programs there are: those of a part, on all numbers and on ordinary ones."""
    figures = [f[part] for f in found.values() if part in f]
    if part.endswith("mutants"):
        return dict.fromkeys(KINDS, sum(f["made"] for f in figures))
    return {kind: sum(f["programs"][kind] for f in figures) for kind in KINDS}


def counts(found: Found) -> Iterator[str]:
    """How much was measured."""
    yield from head("what", "rules", "values", "outside", "undecided", "mutants", "survivors", "label")
    kinds = {name: cls.kind for name, cls in rules().items()}
    for kind, text in KINDS_OF_RULES.items():
        of = {name: f for name, f in found.items() if kinds.get(name) == kind}
        programs_part, mutants_part = class_of(kind).parts
        legal = [f[programs_part] for f in of.values() if programs_part in f]
        mutated = [f[mutants_part] for f in of.values() if mutants_part in f]
        yield row(
            text,
            f"{len(legal)} random, {len(mutated)} mutated",
            *(f"{sum(f[n] for f in legal):,}" for n in ("values", "outside", "undecided")),
            sum(f["made"] for f in mutated),
            sum(len(f["survivors"]) for f in mutated),
            "searched",
        )


def legal_programs(found: Found) -> Iterator[str]:
    """Rule by rule, what random programs did."""
    share = ("share of p", "of the state")
    yield from _legal_programs(found, "random", dict(zip(share, ("p", "state"), strict=True)))


def case_legal_programs(found: Found) -> Iterator[str]:
    """The same of rules without state."""
    yield from _legal_programs(found, "case programs", {"share": "results"})


def _legal_programs(found: Found, part: str, shares: Mapping[str, str]) -> Iterator[str]:
    yield from head("rule", "values", "outside", "undecided", *shares, "programs", *(SHORT[n] for n in OTHERS))
    for f in _figures(found, part):
        share = [f"{f['share'][k]:.2f}" if k in f["share"] else "-" for k in shares.values()]
        rejected = [f["rejected"].get(name, {}).get("all", "-") for name in OTHERS]
        undecided = f"{100 * f['undecided'] / f['values']:.1f} %"
        yield row(f["rule"], f["values"], f["outside"], undecided, *share, f["programs"]["all"], *rejected)


def mutants(found: Found) -> Iterator[str]:
    """Rule by rule, mutants that were accepted."""
    yield from _mutants(found, "mutants")


def case_mutants(found: Found) -> Iterator[str]:
    """The same of rules without state."""
    yield from _mutants(found, "case mutants")


def _mutants(found: Found, part: str) -> Iterator[str]:
    yield from head("rule", "mutants", "impossible", *SHORT.values())
    for f in _figures(found, part):
        accepted = [f["made"] - f["rejected"][n]["all"] if n in f["rejected"] else "-" for n in SHORT]
        made = f"{f['made']} (a sample of {f['sampled of']})" if "sampled of" in f else f["made"]
        yield row(f["rule"], made, f["impossible"], *accepted)


def not_measured(found: Found) -> Iterator[str]:
    """Rules of which nothing is measured, and what is checked of them."""
    yield from head("rules", "why", "what is checked", "where", "label")
    for each in unmeasured.UNMEASURED:
        yield row(", ".join(each.rules), each.why, each.checked, each.where, each.label)


def survivors(found: Found) -> Iterator[str]:
    """Every mutant that refgrad accepted, with its reason; those of one reason together."""
    yield from head("rule", "mutants", "largest error, over what is allowed", "reason")
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for name, f in found.items():
        for each in (e for part in ("mutants", "case mutants") for e in f.get(part, {}).get("survivors", ())):
            groups.setdefault((name, reason(name, each["name"]) or "none is known"), []).append(each)
    for (name, why), each in sorted(groups.items()):
        most = max(e["share"] for e in each)  # 0 where it was not measured
        yield row(name, "; ".join(e["name"].replace("|", "\\|") for e in each), f"{most:.2g}" if most else "-", why)


def _figures(found: Found, part: str) -> Iterator[Mapping[str, Any]]:
    for _, figures in sorted(found.items()):
        if part in figures:
            yield figures[part]


TABLES: Mapping[str, Callable[[Found], Iterator[str]]] = {
    "counts": counts,
    "totals": totals,
    "case totals": case_totals,
    "legal": legal_programs,
    "mutants": mutants,
    "case legal": case_legal_programs,
    "case mutants": case_mutants,
    "survivors": survivors,
    "unmeasured": not_measured,
}
