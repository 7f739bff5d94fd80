"""A `refgrad.Identification` as sections, which `refgrad.layout` and `refgrad.report.terminal` only lay out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from refgrad.layout import BAD, GOOD, PLAIN, UNSURE, Section, Table
from refgrad.oracle.engine.outcomes import FACT
from refgrad.oracle.engine.verdict_text import faults, statistical, turn
from refgrad.oracle.explanation import AMBIGUOUS, IDENTIFIED, MISBEHAVES, SITUATION, UNKNOWN, Explanation
from refgrad.oracle.hypotheses.recovered import ALL, Recovered

#: how many other names of the same are shown
ALIASES = 4


def sections(found: Any) -> list[Section]:
    """Everything that a person reads, most telling first; a section with nothing to say is left out."""
    makers = (_headline, statistical, faults, _why, _formula, _values, _others, _nearest, _tried)
    return [section for maker in makers for section in maker(found)]


def headline(found: Any) -> str:
    """What the candidate is, in one line."""
    begin, best = f"{found.outcome.upper()}: {found.candidate}", found.best
    if best is None:
        known = found.outcome in (UNKNOWN, MISBEHAVES)
        return f"{begin} {'is nothing that I know' if known else 'could not be judged'}"
    if any(fault.kind == SITUATION for fault in found.faults):
        return f"{begin} {_is(best)} {best.title} on ordinary cases alone{_more(found)}"
    if found.outcome == MISBEHAVES:
        return f"{begin} does what no candidate may; what it gives besides is that of {best.title}{_more(found)}"
    if best.model:
        return f"{begin} may be {best.title}, a model of error that fits much else"
    return f"{begin} {_is(best)} {best.title}{_more(found)}"


def _is(best: Explanation) -> str:
    return "is" if best.sure == FACT else "may be"


def _more(found: Any) -> str:
    rest = len(found.explanations) - 1
    return f", or one of {rest} more that fit as well" if rest > 0 else ""


def reason(found: Any) -> str:
    """The counts that say so, in one line."""
    best = found.best
    if best is None:
        return ""
    text = f"0 of {best.total} values outside"
    if best.kind != "none" and found.itself is not None:
        text += f"; {found.itself.rule} itself: {found.itself.outside} outside"
    return text


def _headline(found: Any) -> Iterator[Section]:
    tone = {IDENTIFIED: GOOD, AMBIGUOUS: UNSURE, UNKNOWN: BAD, MISBEHAVES: BAD}.get(found.outcome, UNSURE)
    yield Section("", (headline(found),), tone=tone)


def _why(found: Any) -> Iterator[Section]:
    best = found.best
    if best is not None:
        lines = [reason(found)]
        if best.sentence:
            lines.insert(0, best.sentence.rstrip("."))
        if best.doubt and len(found.explanations) == 1:
            lines.append(f"no more than may be: {best.doubt}")
        yield Section("Why", tuple(lines), tone=PLAIN)


def _formula(found: Any) -> Iterator[Section]:
    if found.best is not None and found.best.formula:
        yield Section("It computes", found.best.formula)


def _values(found: Any) -> Iterator[Section]:
    if found.best is not None and found.best.recovered:
        rows = tuple(_row(r) for r in found.best.recovered)
        yield Section(
            "Hyperparameters", table=Table(("name", "used", "claimed", "at least", "at most", "told by"), rows)
        )


def _row(r: Recovered) -> tuple[str, ...]:
    used = f"{r.value!r}" if r.determined else "not determined"
    told_by = r.output if r.output == ALL else f"{r.output}'"
    return r.name, used, f"{r.claimed!r}", f"{r.low:.9g}", f"{r.high:.9g}", told_by


def _others(found: Any) -> Iterator[Section]:
    if found.best is not None and found.best.aliases:
        aliases = sorted(found.best.aliases, key=len)
        more = (f"and {len(aliases) - ALIASES} more",) if len(aliases) > ALIASES else ()
        yield Section("The same in real arithmetic", (*aliases[:ALIASES], *more))
    if len(found.explanations) > 1:
        lines = ["These explain what was seen too; they differ from it on other inputs:"]
        lines += [_line(e) for e in found.explanations[1:]]
        yield Section("Not told apart", tuple(lines), tone=UNSURE)


def _line(e: Explanation) -> str:
    return f"{e.title}{f': {e.sentence}' if e.sentence else ''}"


def _nearest(found: Any) -> Iterator[Section]:
    if found.nearest:
        rows = tuple((e.title, str(e.outside), str(e.total)) for e in found.nearest)
        yield Section("The nearest", table=Table(("hypothesis", "outside", "of"), rows))


def _tried(found: Any) -> Iterator[Section]:
    run = f"{found.steps} {turn(found.mode)}s, {found.dtype}, seed {found.seed}, {found.mode}"
    rules = found.claim or f"{len(found.rules)} rules"
    pairs = [
        ("tried", f"{found.hypotheses} {'hypothesis' if found.hypotheses == 1 else 'hypotheses'} of {rules}"),
        ("run", run),
    ]
    yield Section("How it was found", pairs=tuple(pairs))
    if found.notes:
        yield Section("Notes", found.notes, tone=UNSURE)
