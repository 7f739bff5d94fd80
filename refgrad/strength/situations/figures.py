"""Figures of planted faults: of each rule as plain data, added up by situation and kind, and as the tables of a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from refgrad.rule import rules
from refgrad.strength.situations.left_out import NOT_DRIVEN
from refgrad.strength.situations.trial import EQUAL, LEFT_OUT, OUT_OF_REACH, REFUSED, SURVIVES, UNJUDGED, Outcome

#: rule -> what was found of it
Found = Mapping[str, Mapping[str, Any]]
#: what each outcome is called in tables, in order
COLUMNS = (REFUSED, SURVIVES, UNJUDGED, OUT_OF_REACH, LEFT_OUT, EQUAL)


def of_rule(kind: str, right: bool, outcomes: Sequence[Outcome], seconds: float) -> dict[str, Any]:
    """The figures of one rule as plain data.

    Args:
        kind: the rule's kind.
        right: whether the right program conforms.
        outcomes: what became of its faults.
        seconds: how long it took.
    """
    return {
        "kind": kind,
        "right": right,
        "seconds": round(seconds, 1),
        "faults": [of_fault(o) for o in outcomes],
    }


def of_fault(outcome: Outcome) -> list[str]:
    """What became of one fault, as plain data.

    Args:
        outcome: it.
    """
    return [outcome.fault.situation, outcome.fault.kind, outcome.outcome, *_said(outcome)]


def _said(outcome: Outcome) -> list[str]:
    """Where it was refused; of one that was not, which it is and where it shows."""
    return [outcome.where] if outcome.outcome == REFUSED else [outcome.fault.name, outcome.where]


def counted(found: Found, by: str) -> dict[str, Counter[str]]:
    """How many faults came to what.

    Args:
        found: the figures.
        by: "situation", "kind of rule", or "kind of fault", which is that of a situation.
    """
    counts: dict[str, Counter[str]] = {}
    for figures in found.values():
        for situation, kind, outcome, *_ in figures["faults"]:
            key = {"situation": situation, "kind of rule": figures["kind"]}.get(by, f"{situation}: {kind}")
            counts.setdefault(key, Counter())[outcome] += 1
    return counts


def share(counts: Mapping[str, int]) -> float:
    """The share refused, of those that are faults and within reach; one where there are none."""
    planted = sum(counts.get(each, 0) for each in (REFUSED, SURVIVES, UNJUDGED))
    return counts.get(REFUSED, 0) / planted if planted else 1.0


def not_driven(found: Found) -> dict[str, Counter[str]]:
    """The counts by situation, of those with faults that are left out since they are not driven; such a fault as accepted.

    Args:
        found: the figures.
    """
    counts = counted(found, "situation")
    touched = set()
    for figures in found.values():
        for situation, _, outcome, *said in figures["faults"]:
            if outcome == LEFT_OUT and said[-1] in NOT_DRIVEN:
                counts[situation][LEFT_OUT] -= 1
                counts[situation][SURVIVES] += 1
                touched.add(situation)
    return {name: counts[name] for name in sorted(touched)}


def _both_ways(found: Found) -> str:
    """The shares with what is not driven counted as accepted; empty if all is driven."""
    usual, counts = counted(found, "situation"), not_driven(found)
    number = sum(each[SURVIVES] - usual[name][SURVIVES] for name, each in counts.items())
    shares = ", ".join(f"{name} {share(each):.1%}" for name, each in counts.items())
    total = sum({**usual, **counts}.values(), Counter())
    said = f"Of what is left out {number} are not driven, as a verdict says first; counted as accepted, the shares are"
    return f" {said} {shares}, and {share(total):.2%} of all." if number else ""


def table(counts: Mapping[str, Mapping[str, int]], what: str) -> Iterator[str]:
    """Counts as a table, the worst first.

    Args:
        counts: by what stands in the first column.
        what: the head of that column.
    """
    yield f"| {what} | share refused | {' | '.join(COLUMNS)} |"
    yield "|---" * (len(COLUMNS) + 2) + "|"
    for name in sorted(counts, key=lambda n: (share(counts[n]), n)):
        numbers = " | ".join(str(counts[name].get(each, 0)) for each in COLUMNS)
        yield f"| {name} | {share(counts[name]):.1%} | {numbers} |"


def survivors(found: Found) -> Iterator[str]:
    """The faults that were accepted, as a table."""
    yield "| rule | situation | fault | shows in |"
    yield "|---|---|---|---|"
    for name in sorted(found):
        for situation, _, outcome, *said in found[name]["faults"]:
            if outcome in (SURVIVES, UNJUDGED):
                shown = said[1].replace("|", "/") if outcome == SURVIVES else "could not be judged"
                yield f"| {name} | {situation} | {said[0]} | {shown} |"


def left_out(found: Found) -> Iterator[str]:
    """What is left out of the shares, by the reason, as a table."""
    yield "| situation | fault | why it is left out | rules |"
    yield "|---|---|---|---|"
    rows: dict[tuple[str, str, str], list[str]] = {}
    for name in sorted(found):
        for situation, kind, outcome, *said in found[name]["faults"]:
            if outcome == LEFT_OUT:
                rows.setdefault((situation, kind, said[1]), []).append(name)
    for (situation, kind, why), names in sorted(rows.items()):
        yield f"| {situation} | {kind} | {why} | {', '.join(dict.fromkeys(names))} |"


def text(found: Found) -> str:
    """All tables, with heads between them.

    Args:
        found: the figures.
    """
    total = sum(counted(found, "situation").values(), Counter())
    wrong = [name for name in sorted(found) if not found[name]["right"]]
    planted = sum(total.values()) - total[EQUAL] - total[LEFT_OUT]
    lines = [
        f"{len(found)} of {len(rules())} rules measured so far, {planted:,} faults, "
        f"{share(total):.2%} of those within reach refused; "
        f"{total[EQUAL]:,} more changed nothing, and are none; {total[LEFT_OUT]:,} are left out, each for a reason. "
        f"False alarms: {len(wrong)} of {len(found)} right programs{''.join(f', {n}' for n in wrong)}."
        f"{_both_ways(found)}",
        "",
        *table(counted(found, "situation"), "situation"),
        "",
        *table(counted(found, "kind of rule"), "kind of rule"),
        "",
        "### By kind of fault",
        "",
        *table(counted(found, "kind of fault"), "fault"),
        "",
        "### Accepted",
        "",
        *survivors(found),
        "",
        "### Left out",
        "",
        *left_out(found),
    ]
    return "\n".join(lines)
