"""`python -m tests.fuzz.sizes [NAME ...]`: whole numbers of rules and public functions at very large values, on few elements.

Whole numbers say how much is computed, or kept in memory, and not only which numbers. In a process of little memory each call
gives something in time, or refuses in one error that names the argument: prints a line of JSON for each that does neither.
"""

from __future__ import annotations

import itertools
import json
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from refgrad.errors import ArgumentError
from refgrad.legal import Iterations, Range, Whole
from refgrad.rule import Rule, rules
from tests.fuzz import subjects
from tests.fuzz.functions import FUNCTIONS, SLOW
from tests.fuzz.subjects import Drawn, Subject

#: the values; each that is legal
LARGE = (10**6, 2**31, 10**9, 10**12, 2**53, 2**62)
#: a number that is not whole may say how often something is done, too
LARGE_REALS = (1e6, 1e9, 2.0**62, 1e300)
#: seconds of the processor that a call may take, and bytes of memory that all of them may take beyond what is loaded
SECONDS, MEMORY = 5.0, 4 << 30
#: of odd seeds: masks are else asked about an array of the rule's own size
DRAWN = (Drawn((4, 8), "float32", "signed", 5), Drawn((7,), "float32", "signed", 7))
#: what takes as long as its number says, up to the end of its range
ENDING = (Iterations,)


class Late(BaseException):
    """A call took too long."""


def _ring(number: int, frame: Any) -> None:
    raise Late


def settings(cls: type[Rule]) -> Iterator[tuple[str, str, Rule]]:
    """A rule with one number at a large value, under each of its named behaviours: the name, the value, the rule."""
    for name, legal in cls.legal().items():
        if not isinstance(legal, Whole | Range) or isinstance(legal, ENDING):
            continue
        values: tuple[Any, ...] = LARGE if isinstance(legal, Whole) or legal.whole else LARGE_REALS
        for base, value in itertools.product(subjects.variants(cls.__name__), values):
            try:
                yield name, str(value), base.replace(**{name: value})
            except ArgumentError:  # beyond the end, or not with others
                continue


def of_rule(cls: type[Rule]) -> Iterator[tuple[str, Any]]:
    """What is asked of a rule: in words, and what makes the call."""
    for name, value, rule in settings(cls):
        for method, drawn in itertools.product(subjects.methods(rule), DRAWN):
            if method != "constructor":
                made = lambda rule=rule, method=method, drawn=drawn: subjects.subject(rule, method, drawn)  # noqa: E731
                yield f"{rule} {name}={value} {method}", made


def of_function(name: str) -> Iterator[tuple[str, Any]]:
    """What is asked of a public function."""
    for (argument,) in (path for path in FUNCTIONS[name](DRAWN[0]).numbers if len(path) == 1):
        for value in LARGE:

            def made(argument: str = argument, value: int = value) -> Subject:
                found = FUNCTIONS[name](DRAWN[0])
                found.arguments[argument] = value
                return found

            yield f"{name} {argument}={value}", made


def found(made: Any) -> str:
    """What is wrong with what becomes of a call; empty if nothing is."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                subject = made()
            except (ArgumentError, MemoryError):  # the fuzzer's own arrays are of the rule's size
                return ""
            subject.call(dict(subject.arguments))
    except ArgumentError:
        return ""
    except Late:
        return "no answer in time"
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} ({Path(at.filename).name}:{at.lineno})"[:300]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return ""


def main(names: list[str]) -> int:
    """0 if nothing was found, else 1.

    Args:
        names: of rules and functions; all where there are none.
    """
    signal.signal(signal.SIGPROF, _ring)
    loaded = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (loaded + MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    wrong = 0
    for name in names or [*sorted(rules()), *sorted(FUNCTIONS.keys() - SLOW - {"verify"})]:
        for what, made in of_function(name) if name in FUNCTIONS else of_rule(rules()[name]):
            told = found(made)
            if told:
                wrong += 1
                print(json.dumps({"call": what, "found": told}), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
