"""A `refgrad.Verdict` as sections, which `refgrad.layout` and `refgrad.report.terminal` only lay out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from refgrad.arithmetic.dtypes import shortest
from refgrad.kinds.record import CASES, FREE, LOCKED, STATISTICAL
from refgrad.layout import BAD, GOOD, UNSURE, Section, Table
from refgrad.optimizers import elsewhere
from refgrad.oracle.acceptance.findings import Finding
from refgrad.oracle.engine.outcomes import CONFORMS, DIFFERS, UNEXPLAINED, Departure, much_undecided

#: how the modes of rules with state begin
STEPPED = (LOCKED, FREE)

#: what is said of a verdict that rests on statistics
ESTIMATED = (
    "what is allowed of a function that cannot be traced is estimated from runs with random errors, and is no bound"
)
#: how the sentence of a departure begins that is another rule
IT_IS = "it is "


def sections(verdict: Any) -> list[Section]:
    """Everything that a person reads, most telling first; a section with nothing to say is left out."""
    makers = (
        _headline,
        statistical,
        _explanation,
        _isolation,
        _as_known,
        _unexercised,
        faults,
        _elsewhere,
        _counts,
        _first,
        _counterexample,
        _reproduce,
        _judged,
        _notes,
    )
    return [section for maker in makers for section in maker(verdict)]


def headline(verdict: Any) -> str:
    """The outcome in one line; with how much is undecided where that is a good part of what conforms."""
    link = {CONFORMS: "is", DIFFERS: "is not"}.get(verdict.outcome, "against")
    undecided = much_undecided(verdict.counts) if verdict.conforms else ""
    but = f", with {undecided}" if undecided else ""
    return f"{verdict.outcome.upper()}{but}: {verdict.candidate} {link} {verdict.rule}"


def explanation(verdict: Any) -> str:
    """Why a candidate differs, in one line: the departure that explains it, or may, the nearest one, or a fault."""
    known = verdict.explanation
    if known is not None:
        counts = f"0 of {known.total} elements outside; {verdict.rule} itself: {verdict.total.outside}"
        if known.doubt:
            return f"may be {_departed(verdict, known)}: {counts}; but {known.doubt}"
        link = "is" if known.another else "agrees with"
        return f"{link} {_departed(verdict, known)}: {counts}"
    nearest = min(verdict.departures, key=lambda d: d.outside / max(d.total, 1), default=None)
    if nearest is not None:
        found = f"{nearest.outside} of {nearest.total} elements outside"
        if nearest.known:
            return f"agrees with what is known of {nearest.known}: {_departed(verdict, nearest)}: {found}"
        return f"no known departure explains it; the nearest is {_departed(verdict, nearest)}: {found}"
    return verdict.faults[0].message if verdict.faults else ""


def reason(verdict: Any) -> str:
    """Why a verdict is not "conforms", in one line that is never empty: the explanation, the first finding, or the first note."""
    told = explanation(verdict)
    if not told and verdict.first is not None:
        found = dict(_finding(verdict.first, turn(verdict.mode)))
        told = f"{found['where']}: {found['value']}; legal: {found['legal']}"
    return told or next(iter(verdict.notes), "too little is known of it")


def number(value: float, dtype: str) -> str:
    """A float as the shortest decimal that reads back in its dtype, and its hex form where that says more."""
    decimal = shortest(value, dtype)
    return decimal if not math.isfinite(value) or value == 0.0 else f"{decimal} ({short_hex(value)})"


def short_hex(value: float) -> str:
    """A hex float without the zeros that a narrow dtype leaves behind."""
    if not math.isfinite(value):
        return str(value)
    mantissa, _, exponent = value.hex().partition("p")
    return f"{mantissa.rstrip('0').rstrip('.')}p{exponent}" if "." in mantissa else value.hex()


def _departed(verdict: Any, departure: Departure) -> str:
    """The claim with a departure; another rule by itself."""
    if departure.another:
        return departure.sentence.removeprefix(IT_IS)
    return f"{verdict.rule} in which {departure.sentence.rstrip('.')} ({departure.name})"


def _headline(verdict: Any) -> Iterator[Section]:
    tone = {CONFORMS: GOOD, DIFFERS: BAD}.get(verdict.outcome, UNSURE)
    yield Section("", (headline(verdict),), tone=tone)


def statistical(found: Any) -> Iterator[Section]:
    """What a verdict, or an identification, is worth that rests on statistics."""
    if found.mode == STATISTICAL:
        yield Section("", (f"{STATISTICAL}: {ESTIMATED}",), tone=UNSURE)


def _isolation(verdict: Any) -> Iterator[Section]:
    if verdict.isolation.startswith("not "):
        yield Section("", (verdict.isolation,), tone=UNSURE)


def _as_known(verdict: Any) -> Iterator[Section]:
    told = tuple(filter(None, map(_known, verdict.departures))) if verdict.outcome == DIFFERS else ()
    if told:
        yield Section("", told)


def _elsewhere(verdict: Any) -> Iterator[Section]:
    """Frameworks whose rule of the name is another of its named behaviours: a failing candidate is often theirs.

    Where it is known for sure what the candidate is, only those that are the same are told, or that it agrees with; and none
    where no value is outside, as of a candidate that raised.
    """
    if verdict.outcome != DIFFERS or not (verdict.total.outside or verdict.explanation):
        return
    name, known = verdict.rule.partition("(")[0], verdict.explanation
    others = [line for line in elsewhere.sentences(name) if not line.endswith(f" is {verdict.rule}")]
    if known is not None and not known.doubt:
        same, owners = elsewhere.alike(name, known.name), known.known.split(elsewhere.AND)
        others = [line for line in others if line in same or line.partition(" is ")[0] in owners]
    if others:
        yield Section("Elsewhere", tuple(others))


def _known(departure: Departure) -> str:
    """The first line about a candidate that is what somebody's rule of the name is known to be."""
    if not departure.known:
        return ""
    return f"{'may be' if departure.doubt else 'agrees with'} what is known of {departure.known}"


def _unexercised(verdict: Any) -> Iterator[Section]:
    if verdict.settings:
        yield Section("Settings", verdict.settings, tone=UNSURE)
    lines = (*verdict.unexercised, *filter(None, [verdict.out_of_reach]))
    if lines:
        yield Section("Not exercised", lines, tone=UNSURE)


def faults(found: Any) -> Iterator[Section]:
    """What a candidate did wrong besides values, as a verdict or an identification has it."""
    if found.faults:
        lines = tuple(f"{turn(found.mode)} {f.step}, {f.kind}: {f.message}" for f in found.faults)
        yield Section("Faults", lines, tone=BAD)


def _counts(verdict: Any) -> Iterator[Section]:
    if not verdict.counts:
        return
    rows = []
    for tensor, count in verdict.counts.items():
        tightest = verdict.tightest.get(tensor)
        shown = "" if tightest is None else f"{tightest:.3g}"
        rows.append((tensor, str(count.inside), str(count.outside), str(count.undecided), shown))
    if len(rows) > 1:
        total = verdict.total
        rows.append(("all", str(total.inside), str(total.outside), str(total.undecided), ""))
    header = ("tensor", "inside", "outside", "undecided", "error/allowed")
    yield Section("Elements", table=Table(header, tuple(rows)))


def _first(verdict: Any) -> Iterator[Section]:
    if verdict.first is not None:
        where = [("situation", verdict.situation)] if verdict.situation else []
        yield Section("First finding", pairs=(*where, *_finding(verdict.first, turn(verdict.mode))), tone=BAD)


def turn(mode: str) -> str:
    """What a candidate is driven by: a step, or a case where the rule has no state."""
    return "step" if mode.startswith(STEPPED) else "case"


def _finding(found: Finding, turned: str) -> Iterator[tuple[str, str]]:
    index = f"[{', '.join(map(str, found.index))}]" if found.index else ""
    whose = " of parameter" if turned == "step" else " of inputs"
    place = f"{found.tensor}{index}" + (f"{whose} {found.leaf}" if found.leaf else "")
    yield "where", f"{turned} {found.step}, {place}, {found.dtype}"
    codes = _codes(found)
    if codes is not None:
        value, truth, low, high = codes
        yield from {
            "value": f"{value}",
            "truth": f"{truth}",
            "legal": f"{low}" if low == high else f"from {low} to {high}",
            "off by": f"{abs(value - truth)}",
        }.items()
    else:
        yield from _numbers(found)
    if found.inputs:
        yield (
            "inputs",
            ", ".join(f"{name} = {_input(name, value, found.dtype)}" for name, value in found.inputs.items()),
        )


def _codes(found: Finding) -> tuple[int, ...] | None:
    """A code, the right one, and the least and largest that are right, as whole numbers; None if these are other numbers."""
    numbers = (found.value, found.truth, found.low, found.high)
    if found.tensor.rpartition(".")[2] != "codes" or not all(map(math.isfinite, numbers)):
        return None
    whole = tuple(round(each) for each in numbers)
    # what rounding may do to a code is charged to its ends, and is none of it
    near = all(abs(each - n) <= 2.0**-16 * max(1.0, abs(each)) for each, n in zip(numbers, whole, strict=True))
    return whole if near else None


def _numbers(found: Finding) -> Iterator[tuple[str, str]]:
    low, high = (shortest(end, found.dtype) for end in (found.low, found.high))
    yield "value", number(found.value, found.dtype)
    yield "truth", number(found.truth, found.dtype)
    numbers = f"[{low}, {high}] ([{short_hex(found.low)}, {short_hex(found.high)}])"
    # where programs settle what becomes of NaN in several ways, numbers are admissible beside it
    besides = "" if math.isnan(found.low) else f", or {numbers}"
    yield "legal", f"NaN{besides}" if math.isnan(found.truth) else numbers
    yield "off by", f"{found.ulps:.6g} ulps of the truth"


def _input(name: str, value: float, dtype: str) -> str:
    """The step count as a whole number; all else to be read, and in hex to be used."""
    return f"{value:g}" if name == "t" else number(value, dtype)


def _explanation(verdict: Any) -> Iterator[Section]:
    """The second line of a verdict that does not conform: what the candidate is instead, or where it is wrong."""
    if verdict.departures:
        yield Section("", (f"It {explanation(verdict)}" if verdict.explanation else explanation(verdict),))
    elif verdict.situation and verdict.first is not None:
        unexplained = f"{UNEXPLAINED}: " if UNEXPLAINED in verdict.notes else ""
        text = f"{unexplained}right on ordinary cases; what is wrong shows in this situation: {verdict.situation}"
        yield Section("", (text,))
    elif UNEXPLAINED in verdict.notes:
        yield Section("", (UNEXPLAINED,))


def _counterexample(verdict: Any) -> Iterator[Section]:
    smallest = verdict.counterexample
    if smallest is None:
        return
    pairs = [("input", f"{smallest.dtype}, shape {smallest.shape}")]
    pairs += [(name, _hexes(values)) for name, values in smallest.arrays.items()]
    pairs += [("p", _hexes(smallest.p))] if smallest.p else []
    steps = len(smallest.g)
    for name, each in {"g": smallest.g, **smallest.extras}.items():
        pairs += [(f"{name}, step {i}" if steps > 1 else name, _hexes(values)) for i, values in enumerate(each, 1)]
    pairs += [("besides", "; ".join(smallest.events))] if smallest.events else []
    yield Section("Smallest input that fails", pairs=tuple(pairs))


def _hexes(values: tuple[str, ...]) -> str:
    shown = [short_hex(float.fromhex(v)) for v in values[:8]]
    more = f", ... {len(values) - 8} more" if len(values) > 8 else ""
    return f"[{', '.join(shown)}{more}]"


def _reproduce(verdict: Any) -> Iterator[Section]:
    if verdict.reproduce:
        yield Section("Reproduce", tuple(verdict.reproduce.splitlines()))


def _judged(verdict: Any) -> Iterator[Section]:
    meaning = {
        LOCKED: "from the candidate's own state at each step",
        FREE: "the state cannot be read: bounds are carried along from the start",
        CASES: "every output from the inputs that the candidate was given",
        STATISTICAL: "every output from the inputs, against the spread of perturbed runs in float64",
    }
    mode = f"{verdict.mode} ({meaning[verdict.mode]})" if verdict.mode in meaning else verdict.mode
    pairs = [
        ("mode", mode),
        ("run", f"{verdict.steps} {turn(verdict.mode)}s, {verdict.dtype}, seed {verdict.seed}"),
        ("situations", ", ".join(f"{name} ({count})" for name, count in verdict.situations.items())),
        ("policy", _fields(verdict.policy)),
        ("candidate", verdict.isolation.removeprefix("not isolated").partition(":")[0]),
        ("with", _fields(verdict.environment, " ")),
    ]
    yield Section("How it was judged", pairs=tuple((label, text) for label, text in pairs if text))


def _fields(fields: Mapping[str, Any], between: str = "=") -> str:
    return ", ".join(f"{name}{between}{value}" for name, value in fields.items())


def _notes(verdict: Any) -> Iterator[Section]:
    notes = tuple(note for note in verdict.notes if note != UNEXPLAINED)  # which the second line says
    if notes:
        yield Section("Notes", notes, tone=UNSURE)
