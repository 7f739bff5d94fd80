"""The command ``python -m tests.strength.kernels``."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path

import click

from refgrad import json_log
from tests.strength.kernels import faults, in_c, in_numpy, page
from tests.strength.kernels.judging import outcome
from tests.strength.kernels.program import BACKWARD, SHAPES, Program, narrow, written_in

#: frameworks, each with the module of its programs
FRAMEWORKS = {"torch": "in_torch", "jax": "in_jax"}


def right() -> Iterator[Program]:
    """Programs that are right, of what is installed."""
    for each in written_in(in_numpy, "NumPy"):
        name = "in float32, rounded once"
        if "__" in each.function.__name__ or each.of.endswith(BACKWARD):
            yield dataclasses.replace(each, tried=SHAPES)
        else:
            yield each
            narrower = narrow(each.function)
            yield dataclasses.replace(each, name=name, function=narrower, dtype="bfloat16", tried=SHAPES)
    yield from in_c.programs()
    for framework, module in FRAMEWORKS.items():
        if importlib.util.find_spec(framework):
            yield from importlib.import_module(f"tests.strength.kernels.{module}").programs()


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--log", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Where the lines are kept.")
@click.option("--only", default="", help="Programs whose id holds this.")
@click.option("--again", is_flag=True, help="Judge what the log has already, too.")
@click.option(
    "--page",
    "written",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="Write the tables of the log into this page, between its marks, and the picture beside it; judge nothing.",
)
def main(log: Path, only: str, again: bool, written: Path | None) -> None:
    """Judge right and wrong programs of formulas by refgrad and by three other gates, and keep a line of each."""
    known = {line["id"]: line for line in json_log.lines(log) if line}
    if written is not None:
        page.write(written, list(known.values()))
        return
    for program in itertools.chain(right(), faults.programs()):
        if only not in program.id or (program.id in known and not again):
            continue
        started = time.process_time()
        line = outcome(program)
        known[program.id] = line
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        unexpected = (line["outcome"] == "conforms") == program.wrong
        click.echo(
            f"{time.process_time() - started:.2f} s{', UNEXPECTED' if unexpected else ''} {program.id}: {line['outcome']}"
        )


if __name__ == "__main__":
    main(prog_name="python -m tests.strength.kernels")
