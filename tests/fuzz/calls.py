"""`python -m tests.fuzz calls --seed N --minutes M --log FILE`: random calls of every rule and public function, counted.

A log is lines of JSON, one a round of calls; the same command goes on after the last round that it holds. What was found has
the record of its call, which `--again RECORD` makes once more, with its traceback. Logs of several seeds are summed by
`python -m tests.fuzz sum`.
"""

from __future__ import annotations

import argparse
import ast
import functools
import json
import os
import random
import resource
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from refgrad import json_log
from refgrad.errors import RefgradError
from refgrad.rule import rules
from tests.fuzz import judge, subjects, values
from tests.fuzz.functions import FUNCTIONS, RARE, SLOW
from tests.fuzz.subjects import DRAWS, DTYPES, SHAPES, Drawn, Subject
from tests.fuzz.values import Change

ROOT = Path(__file__).parents[2]
SCHEMA = "refgrad-fuzz-1"
#: groups of calls in a round, and calls of a group
ROUND, CALLS = 250, 4
#: bytes of address space that a fuzzing process may have, so that a call that wants more fails alone
MEMORY = 16 << 30
#: findings that are kept with their records, of each class and function
KEPT = 3

#: a call: rule or function, variant, method, what arrays are drawn by, changes
Record = tuple[str, int, str, Drawn, list[Change]]


def records(draw: random.Random) -> list[Record]:
    """Some calls of one subject, the arguments of each changed otherwise.

    Args:
        draw: draws them; a generator of Python's own, since Hypothesis takes longer to draw a call than refgrad to answer it.
    """
    shape, dtype = draw.choice(SHAPES), draw.choice(sorted(DTYPES))
    drawn = Drawn(shape, dtype, draw.choice(DRAWS), draw.randrange(2**16))
    if draw.randrange(10) == 0:
        name, variant, method = draw.choices(*_functions())[0], 0, ""
    else:
        name = draw.choice(_names())
        variants = subjects.variants(name)
        variant = draw.randrange(len(variants)) if draw.randrange(2) else 0
        method = draw.choice(subjects.methods(variants[variant]))
    made = built((name, variant, method, drawn, []))
    if made is None:
        return [(name, variant, method, drawn, [])]
    some = (values.changes(made.arrays, made.numbers, bool(made.written), draw, made.required) for _ in range(CALLS))
    return [(name, variant, method, drawn, each) for each in some]


@functools.cache
def _names() -> list[str]:
    return sorted(rules())


@functools.cache
def _functions() -> tuple[list[str], list[float]]:
    """The functions, and how often each is drawn beside the others."""
    names = sorted(FUNCTIONS)
    return names, [RARE.get(name, 1.0) for name in names]


def built(record: Record) -> Subject | None:
    """The subject of a record; None where the rule refuses what the arguments would be made of.

    Args:
        record: the call.
    """
    name, variant, method, drawn, _ = record
    if name in FUNCTIONS:
        return FUNCTIONS[name](drawn)
    try:
        return subjects.subject(subjects.variants(name)[variant], method, drawn)
    except RefgradError:
        return None


def outcome(record: Record) -> judge.Outcome | None:
    """What becomes of a call; None where nothing is called.

    Args:
        record: the call.
    """
    name, changes = record[0], record[4]
    subject = built(record)
    if subject is None:
        return judge.Outcome(judge.REFUSED)
    arguments = subject.arguments
    for change in changes:
        try:
            values.applied(change, arguments)
        except Exception:
            return None  # what one change leaves, the other cannot be made of
    if name in SLOW and all(judge.taken(subject, each, arguments) for each in changes):
        return None
    return judge.judged(subject, arguments, changes)


def written(record: Record) -> str:
    """A record as a text that `--again` reads."""
    name, variant, method, drawn, changes = record
    parts = (drawn.shape, drawn.dtype, drawn.draw, drawn.seed)
    return repr((name, variant, method, parts, [(c.path, c.family, c.name) for c in changes]))


def read(text: str) -> Record:
    """The record of such a text."""
    name, variant, method, drawn, changes = ast.literal_eval(text)
    return name, variant, method, Drawn(*drawn), [Change(tuple(path), family, to) for path, family, to in changes]


class Counts:
    """Calls by what became of them, and the first findings of each class and function."""

    def __init__(self) -> None:
        self.by_kind: Counter[str] = Counter()
        self.by_place: Counter[str] = Counter()
        self.found: list[dict[str, str]] = []

    def add(self, record: Record, what: judge.Outcome) -> None:
        """Count one call."""
        self.by_kind["calls"] += 1
        self.by_kind[what.kind] += 1
        if what.kind in judge.CLASSES:
            place = f"{what.kind}: {place_of(record)}"
            self.by_place[place] += 1
            alike = [f for f in self.found if f["place"] == place]
            if len(alike) < KEPT and all(f["text"] != what.text for f in alike):
                self.found.append({"place": place, "text": what.text, "call": written(record)})


def place_of(record: Record) -> str:
    """The kind and method that a call is of."""
    name, _, method, _, _ = record
    return name if name in FUNCTIONS else f"{_kind(name)}.{method}"


@functools.cache
def _kind(name: str) -> str:
    return rules()[name].kind


def one_round(seed: int, number: int, examples: int = ROUND, ends: Callable[[], bool] = lambda: False) -> Counts:
    """A round of calls, the same each time.

    Args:
        seed: of the run.
        number: of the round.
        examples: groups of a few calls each.
        ends: whether time is over, so that the rest of the round is left out.
    """
    counts = Counts()
    draw = random.Random(seed * 1_000_003 + number)
    with judge.in_folder():
        for _ in range(examples):
            for record in [] if ends() else records(draw):
                what = outcome(record)
                if what is not None:
                    counts.add(record, what)
    return counts


def commit() -> str:
    """The commit of this checkout, with a plus sign where something is changed; empty without git."""
    told = subprocess.run(["git", "describe", "--always", "--dirty=+"], cwd=ROOT, capture_output=True, text=True)
    return told.stdout.strip() if told.returncode == 0 else ""


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The rounds that a log holds; a line that was torn is none.

    Args:
        path: the log.
    """
    return (line for line in json_log.lines(path) if line.get("schema") == SCHEMA)


def told(rounds: Iterable[dict[str, Any]]) -> tuple[str, Counter[str]]:
    """The counts of some rounds as text, and by kind; a round that is there twice counts once.

    Args:
        rounds: lines of logs.
    """
    seen, kinds, places = set(), Counter[str](), Counter[str]()
    commits: Counter[str] = Counter()
    seconds = 0.0
    for each in rounds:
        key = (each["commit"], each["seed"], each["round"])
        if key in seen:
            continue
        seen.add(key)
        kinds.update(each["counts"])
        places.update(each["places"])
        commits[each["commit"]] += each["counts"].get("calls", 0)
        seconds += each["seconds"]
    rate = kinds["calls"] / seconds if seconds else 0.0
    shown = [f"{kinds['calls']} calls in {len(seen)} rounds, {rate:.0f} a second of CPU"]
    shown += [f"at commit {name}: {count}" for name, count in commits.items()]
    shown += [f"{kinds[kind]:>10} {kind}" for kind in (judge.RIGHT, judge.REFUSED, *judge.CLASSES)]
    shown += [f"{count:>10} {place}" for place, count in places.most_common()]
    return "\n".join(shown), kinds


def main(arguments: Sequence[str]) -> int:
    """0 if nothing was found, else 1.

    Args:
        arguments: the command line.
    """
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz calls", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=10.0, help="10 by default")
    parser.add_argument("--log", type=Path, default=None, help="where rounds are kept, and gone on with")
    parser.add_argument("--again", metavar="RECORD", help="one call that was found, with its traceback")
    options = parser.parse_args(arguments)
    if options.again:
        return _again(read(options.again))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    own = commit()
    rounds = [each for each in lines(options.log) if options.log] if options.log else []
    mine = [each["round"] for each in rounds if each["seed"] == options.seed and each["commit"] == own]
    number, end = max(mine, default=-1) + 1, time.monotonic() + 60 * options.minutes
    while time.monotonic() < end:
        begin = time.process_time()
        counts = one_round(options.seed, number, ends=lambda: time.monotonic() > end)
        line = {
            "schema": SCHEMA,
            "commit": own,
            "seed": options.seed,
            "round": number,
            "seconds": round(time.process_time() - begin, 2),
            "counts": counts.by_kind,
            "places": counts.by_place,
            "found": counts.found,
        }
        rounds.append(line)
        for each in counts.found:
            print(f'{each["place"]}: {each["text"]}\n  --again "{each["call"]}"', flush=True)
        if options.log:
            with options.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
                file.flush()
                os.fsync(file.fileno())
        number += 1
    text, kinds = told(each for each in rounds if each["commit"] == own)
    print(text)
    return 1 if any(kinds[kind] for kind in judge.CLASSES) else 0


def _again(record: Record) -> int:
    """Make one call once more, and print what it does."""
    found = outcome(record)
    print(found)
    subject = built(record)
    if found is None or subject is None or found.kind not in judge.CLASSES:
        return 0
    for change in record[4]:
        values.applied(change, subject.arguments)
    try:
        with judge.in_folder():
            print(subject.call(dict(subject.arguments)))
    except Exception:
        traceback.print_exc(file=sys.stdout)
    return 1


def sum_main(arguments: Sequence[str]) -> int:
    """The counts of several logs.

    Args:
        arguments: their files.
    """
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz sum", description="The counts of several logs together."
    )
    parser.add_argument("logs", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    text, kinds = told(each for log in options.logs for each in lines(log))
    print(text)
    return 1 if any(kinds[kind] for kind in judge.CLASSES) else 0
