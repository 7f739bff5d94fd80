"""The table and the picture of how fast refgrad is beside others, and whether it has become slower: `tox -e bench`.

python -m tests.benchmarks.table [--sizes 1e3 1e5 1e7] [--only AdamW] [--seconds 0.5] [--save FILE.json] [--picture FILE.svg]
python -m tests.benchmarks.table --all docs/benchmarks    # what is kept there, in ten minutes of a quiet machine
python -m tests.benchmarks.table --against docs/benchmarks/speed.json    # exit code 1 if something has become slower
python -m tests.benchmarks.table --show docs/benchmarks/speed.json       # measures nothing

The calls of a group take turns. What is compared with kept results are ratios within one run, to others and to the triad, so that
another machine, or a busy one, is no regression; what seems to be one is measured again.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks import kept
from tests.benchmarks.peers import OURS, TRIAD, TRIAD_BYTES, Call, Group, beside_triad, groups

SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 50_000_000)
#: turns at least and at most, and seconds that a group takes about
LEAST, MOST, SECONDS = 5, 200, 2.0
#: seconds of a turn: short calls are repeated within one
TURN = 0.002
#: a share of its kept ratios below which a group counts as slower, and how often that is measured
SLOWER, TRIES = 0.8, 3
#: groups that have a piece of their own
APART = ("AdamW", "SGD", "Lion", "judging", "estimator", "quantize", "dequantize", "cast", "mask")
#: what is kept in the docs, a run each
PIECES = (
    ("--only", *APART[:3], "--seconds", "1"),
    ("--only", *APART[3:5], "--sizes", "1e3", "1e5", "1e7", "--seconds", "0.5"),
    ("--only", *APART[5:], "--sizes", "1e7", "--seconds", "0.5"),
    ("--but", *APART, "--sizes", "1e3", "1e6", "--seconds", "0.4"),
)
#: groups of which there is a picture
PICTURED = ("AdamW", "SGD", "Lion")

Clock = Callable[[], float]
Result = dict[str, Any]


def taken(calls: Mapping[str, Call], clock: Clock, seconds: float = SECONDS) -> dict[str, float]:
    """The median seconds of each call, the calls taking turns.

    Args:
        calls: by name; each is called twice before it is timed.
        clock: gives seconds.
        seconds: that all turns take together, about.
    """
    often = {}
    for name, call in calls.items():
        call()
        start = time.perf_counter()
        call()
        often[name] = max(1, int(TURN / max(time.perf_counter() - start, 1e-7)))
    times: dict[str, list[float]] = {name: [] for name in calls}
    end, turns = time.perf_counter() + seconds, 0
    while turns < LEAST or (turns < MOST and time.perf_counter() < end):
        for name, call in calls.items():
            start = clock()
            for _ in range(often[name]):
                call()
            times[name].append((clock() - start) / often[name])
        turns += 1
    return {name: statistics.median(found) for name, found in times.items()}


def measured(group: Group, clock: Clock, seconds: float = SECONDS) -> Result:
    """What is kept of one group."""
    found = taken(beside_triad(group), clock, seconds)
    kind = "processor" if clock is time.process_time else "clock"
    return {"group": group.name, "size": group.size, "moved": group.moved, "seconds": found, "of": kind}


def ratios(result: Mapping[str, Any]) -> dict[str, float]:
    """How many times as long others take as refgrad."""
    own = result["seconds"][OURS]
    return {name: seconds / own for name, seconds in result["seconds"].items() if name != OURS and own > 0.0}


def share(result: Mapping[str, Any], known: Mapping[str, Any]) -> float:
    """How fast refgrad is beside others, over what it was: the median over those that both results have; 1 if there are none."""
    now, before = ratios(result), ratios(known)
    both = [now[name] / before[name] for name in now if before.get(name, 0.0) > 0.0]
    return statistics.median(both) if both else 1.0


def slower(
    wanted: Iterable[Group], known: Sequence[Mapping[str, Any]], measure: Callable[[Group], Result]
) -> Iterator[str]:
    """A sentence on each group that has become slower, however often it is measured.

    Args:
        wanted: the groups to measure.
        known: the results that they are compared with.
        measure: gives a group's result.
    """
    before = {(each["group"], each["size"]): each for each in known}
    for group in wanted:
        if (group.name, group.size) not in before:
            continue  # there is nothing to compare it with
        found = 0.0
        for _ in range(TRIES):
            found = max(found, share(measure(group), before[group.name, group.size]))
            if found >= SLOWER:
                break
        else:
            yield f"{group.key}: beside others it has {found:.2f} of the speed that was kept"


def table(results: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The lines of a table: microseconds, GB/s of compulsory traffic beside the triad's, and times of others over refgrad's."""
    yield "| what | elements | refgrad, microseconds | GB/s | triad, GB/s | others / refgrad |"
    yield "|---|---|---|---|---|---|"
    for each in results:
        size, seconds = each["size"], each["seconds"]
        rate = each["moved"] / seconds[OURS] / 1e9
        base = TRIAD_BYTES * size / seconds[TRIAD] / 1e9
        others = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios(each).items() if name != TRIAD)
        yield f"| {each['group']} | {size:.0e} | {seconds[OURS] * 1e6:.1f} | {rate:.1f} | {base:.1f} | {others} |"


def picture(results: Sequence[Mapping[str, Any]], path: Path) -> None:
    """GB/s over size of some optimizers, of who does them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [name for name in PICTURED if any(each["group"] == name for each in results)]
    figure, axes = pyplot.subplots(1, max(1, len(shown)), figsize=(4.5 * max(1, len(shown)), 3.6), squeeze=False)
    for axis, name in zip(axes[0], shown, strict=False):
        lines: dict[str, list[tuple[int, float]]] = {}
        for each in (e for e in results if e["group"] == name):
            for who, seconds in each["seconds"].items():
                moved = TRIAD_BYTES * each["size"] if who == TRIAD else each["moved"]
                lines.setdefault(who, []).append((each["size"], moved / seconds / 1e9))
        for who, points in lines.items():
            style = {"color": "black", "linestyle": ":"} if who == TRIAD else {}
            axis.plot(*zip(*sorted(points), strict=True), marker=".", label=who, **style)
        axis.set(xscale="log", yscale="log", title=name, xlabel="elements", ylabel="GB/s of compulsory traffic")
    axes[0][0].legend(fontsize=7)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)


def main(arguments: Sequence[str]) -> int:
    """Measure, print, keep and compare; 1 if something has become slower."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=lambda text: int(float(text)), default=SIZES)
    parser.add_argument("--only", nargs="+", default=(), help="groups whose names begin so")
    parser.add_argument("--but", nargs="+", default=(), help="groups whose names begin so are left out")
    parser.add_argument("--compiled", action="store_true", help="torch.compile too")
    parser.add_argument("--processor", action="store_true", help="seconds of processor time, for a busy machine")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="that all turns of a group take, about")
    parser.add_argument("--save", type=Path, help="a JSON file, in which other groups and sizes stay as they are")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--show", type=Path)
    parser.add_argument("--all", type=Path, help="a folder, into which speed.json and speed.svg are written, in pieces")
    given = parser.parse_args(arguments)
    if given.all is not None:
        files = ["--save", str(given.all / "speed.json"), "--picture", str(given.all / "speed.svg")]
        return max(main([*piece, *files]) for piece in PIECES)
    clock = time.process_time if given.processor else time.perf_counter
    is_wanted = partial(_is_wanted, only=given.only, but=given.but)
    wanted = (each for each in groups(given.sizes, given.compiled, is_wanted) if is_wanted(each.name))
    if given.against is not None:
        found = list(
            slower(wanted, kept.read(given.against)["results"], lambda group: measured(group, clock, given.seconds))
        )
        print(*(found or ["nothing has become slower"]), sep="\n")
        return 1 if found else 0
    results = kept.read(given.show)["results"] if given.show is not None else []
    lines = table(results if given.show is not None else _kept_in(results, wanted, clock, given.seconds))
    for line in lines:
        print(line, flush=True)
    if given.save is not None:
        results = _beside_known(results, given.save)
        kept.write(given.save, results)
    if given.picture is not None:
        picture(results, given.picture)
    return 0


def _is_wanted(name: str, only: Sequence[str], but: Sequence[str]) -> bool:
    return (not only or name.startswith(tuple(only))) and not name.startswith(tuple(but))


def _beside_known(results: Sequence[Result], path: Path) -> list[Result]:
    """Results, and what a file has of other groups and sizes."""
    known = kept.read(path)["results"] if path.exists() else []
    new = {(each["group"], each["size"]) for each in results}
    return [*(each for each in known if (each["group"], each["size"]) not in new), *results]


def _kept_in(results: list[Result], wanted: Iterable[Group], clock: Clock, seconds: float) -> Iterator[Result]:
    """The results of groups as they come, which are kept in a list."""
    for group in wanted:
        results.append(measured(group, clock, seconds))
        yield results[-1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
