"""The file of figures: rule -> part -> figures, as JSON; in refgrad's own repository docs/strength.json."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from refgrad import whole_file
from refgrad.rule import Rule, rules
from refgrad.strength.programs import class_of, why_not

#: the documentation of refgrad's own repository; it is not part of the package
DOCS = Path(__file__).parents[2] / "docs"
OWN_FIGURES = DOCS / "strength.json"

Found = dict[str, dict[str, Any]]


class Unit(NamedTuple):
    """One thing to be measured.

    Attributes:
        rule: the name or target of a rule.
        part: one of `refgrad.strength.measurement.PARTS`.
        values: how many values of random programs are to be judged.
        rewrites: the target of a function that gives the rewrites of a rule; None if there are none.
    """

    rule: str
    part: str
    values: int
    rewrites: str | None = None


def read(path: Path) -> Found:
    """The figures that were measured so far; none if there is no file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def save(path: Path, found: Found) -> None:
    """Write all figures at once: a stop in the middle leaves the old file.

    Args:
        path: the file.
        found: rule -> part -> figures.
    """
    lines = [f"{json.dumps(name)}: {json.dumps(found[name], sort_keys=True)}" for name in sorted(found)]
    with whole_file.written(path) as file:
        file.write(("{\n" + ",\n".join(lines) + "\n}\n").encode())


def key_of(kind: str, part: str) -> str:
    """What a part of the measurement of a kind of rule is called in the file."""
    programs, mutants = class_of(kind).parts
    return {"programs": programs, "mutants": mutants, "rewrites": "hand"}[part]


def shipped() -> dict[str, type[Rule]]:
    """The rules that come with refgrad of which programs are made, by name."""
    return {name: cls for name, cls in rules().items() if why_not(cls()) is None}


def missing(
    found: Mapping[str, Mapping[str, Any]], kinds: Mapping[str, str], parts: Sequence[str], unit: Unit
) -> Iterator[Unit]:
    """What is not measured yet, part by part.

    Args:
        found: what the file has.
        kinds: rule, as the file and `Unit` call it -> its kind.
        parts: the parts that are wanted.
        unit: how many values are wanted, and the rewrites.
    """
    for part in parts:
        for name, kind in kinds.items():
            if part == "rewrites" and (kind != "optimizer" or unit.rewrites is None):
                continue
            done = found.get(name, {}).get(key_of(kind, part))
            enough = done is not None and ("values" not in done or done.get("asked", done["values"]) >= unit.values)
            if not enough:
                yield unit._replace(rule=name, part=part)
