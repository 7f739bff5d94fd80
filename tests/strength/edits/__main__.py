"""The command ``python -m tests.strength.edits``."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections import defaultdict
from pathlib import Path

import click

from tests.strength.edits import figures
from tests.strength.edits.editing import Edit, edits
from tests.strength.edits.judging import outcome
from tests.strength.edits.text import Text
from tests.strength.edits.texts import adaptive, in_c, in_jax, in_torch, others, stateless

TEXTS: tuple[Text, ...] = (
    *adaptive.TEXTS,
    *others.TEXTS,
    *stateless.TEXTS,
    *in_torch.TEXTS,
    *in_c.TEXTS,
    *in_jax.TEXTS,
)

#: the marks of a page between which counts stand
BEGIN, END = "<!-- counts -->", "<!-- /counts -->"


def ordered(every: list[Edit], seed: int) -> list[Edit]:
    """All edits, so that the first n of them are spread over all kinds: one of each kind at random, then another of each."""
    generator, kinds = random.Random(seed), defaultdict(list)
    for edit in every:
        kinds[edit.kind].append(edit)
    for group in kinds.values():
        generator.shuffle(group)
    places = {edit.id: (number, edit.kind) for group in kinds.values() for number, edit in enumerate(group)}
    return sorted(every, key=lambda edit: places[edit.id])


def commit() -> str:
    """The last commit that changed refgrad itself, so that a log tells which search a program was judged by; empty if unknown."""
    command = ["git", "log", "-1", "--format=%h", "--", "refgrad"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])
    return done.stdout.strip()


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--log", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Where the lines are kept.")
@click.option("--most", type=int, default=None, help="How many programs there are to be in the log; all, if not given.")
@click.option("--seed", type=int, default=0, help="Of the order.")
@click.option("--seconds", type=float, default=20.0, help="That a search may take.")
@click.option("--within", type=float, default=None, help="Seconds after which no further program is begun.")
@click.option("--again", default=None, help="Try again what had one of these outcomes, separated by commas.")
@click.option("--only", default=None, help="Programs whose text's name holds this.")
@click.option(
    "--page",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    default=None,
    help="Write the counts of the log into this page, between its marks, and run none.",
)
@click.option("--count", is_flag=True, help="Say how many programs there are, and run none.")
def main(
    log: Path,
    most: int | None,
    seed: int,
    seconds: float,
    within: float | None,
    again: str | None,
    only: str | None,
    page: Path | None,
    count: bool,
) -> None:
    """Edit texts, ask what each edited program is, and print how often the answer is true."""
    chosen = [edit for text in TEXTS if only is None or only in text.name for edit in edits(text)]
    if count:
        click.echo(f"{len(TEXTS)} texts, {len(chosen)} programs, {len({e.kind for e in chosen})} kinds of edit")
        return
    known, started = figures.read(log), time.monotonic()
    if page is not None:
        before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        page.write_text(f"{before}{BEGIN}\n{figures.page(known.values(), chosen)}\n{END}{after}", encoding="utf-8")
        return
    redo = set(again.split(",")) if again else set()
    first, searched = ordered(chosen, seed)[:most], commit()
    for edit in first:
        if within is not None and time.monotonic() - started > within:
            break
        if edit.id in known and known[edit.id]["outcome"] not in redo:
            continue
        line = {**outcome(edit, seconds), "commit": searched}
        known[edit.id] = line
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    click.echo(figures.table(known[e.id] for e in first if e.id in known))


if __name__ == "__main__":
    main(prog_name="python -m tests.strength.edits")
