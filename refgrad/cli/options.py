"""What several commands take: options, and a rule with hyperparameters as people write them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from refgrad.errors import RefgradError

Command = TypeVar("Command", bound=Callable[..., Any])


def checked_target(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """A target as it is written; one without a name is a command line that is wrong."""
    from refgrad.candidates.targets import target_parts

    try:
        target_parts(value, param.name or "target")
    except RefgradError as error:
        raise click.UsageError(str(error), ctx) from None
    return value


def terminal_width() -> int:
    """Characters a line: the terminal's, and what COLUMNS says; 80 where the output is a file or a pipe and nothing is said."""
    from refgrad.layout import WIDTH

    return shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH


TARGET = click.argument("target", callback=checked_target)
HYPERPARAMETERS = click.argument("hyperparameters", nargs=-1, metavar="[HYPER=VALUE]...")
QUIET = click.option(
    "-q",
    "--quiet",
    is_flag=True,
    help="Print nothing, look for neither explanation nor smallest input: the exit code is the answer.",
)
OPTIONS = click.option(
    "--set", "options", multiple=True, metavar="OPTION=VALUE", help="An argument of the target's own constructor."
)
STEPS = click.option(
    "--steps", default=10, show_default=True, type=click.IntRange(min=1), help="How many steps to run."
)
DTYPE = click.option("--dtype", help="float16, bfloat16, float32 or float64; float32 unless the rule keeps another.")
SEED = click.option("--seed", default=0, show_default=True, type=int, help="Seed of the inputs.")
SECRET = click.option(
    "--secret-seed",
    is_flag=True,
    help="Draw the seed when the target has been loaded, so that it cannot know the inputs.",
)
POLICY = click.option(
    "--policy", multiple=True, metavar="FIELD=VALUE", help="What counts as correct, such as subnormals=either."
)
ISOLATE = click.option(
    "--isolate/--no-isolate",
    default=True,
    show_default=True,
    help="Run the target in a process of its own, so that there is a verdict whatever it does.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
SCHEDULER = click.option(
    "--scheduler", metavar="ADDRESS", help="A Dask scheduler, such as tcp://host:8786, whose workers judge."
)
NO_SHRINK = click.option("--no-shrink", is_flag=True, help="Do not look for the smallest input that fails.")
NO_EXPLAIN = click.option("--no-explain", is_flag=True, help="Do not look for what a target that fails is instead.")
DEVICE = click.option(
    "--device",
    type=click.Choice(["cuda"]),
    help="Hand TARGET, a function or an optimizer of torch's or optax's, arrays on a card (docs/cuda.md).",
)
TIME_LIMIT = click.option(
    "--time-limit",
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long one step may take before it has the fault `hung`; inf for no limit.",
)


def several(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Options that commands share, in the order in which their help has them."""

    def with_all(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return with_all


#: how a target is driven and judged: what `asked` reads
ASKED = several(STEPS, DTYPE, SEED, POLICY, TIME_LIMIT)
#: what besides is asked of a verdict: what `searched` reads
SEARCHED = several(SECRET, NO_SHRINK, NO_EXPLAIN)


def asked(words: Mapping[str, Any]) -> dict[str, Any]:
    """What `ASKED` took, as `refgrad.verify` and `refgrad.identify` take it."""
    from refgrad.rule_text import literal, pairs

    policy = pairs(words["policy"], "--policy", literal)
    return {**{name: words[name] for name in ("steps", "dtype", "seed", "time_limit")}, "policy": policy}


def searched(words: Mapping[str, Any]) -> dict[str, Any]:
    """What `ASKED` and `SEARCHED` took, as `refgrad.verify` takes it."""
    seed = {"seed": None} if words["secret_seed"] else {}
    return {**asked(words), **seed, "shrink": not words["no_shrink"], "explain": not words["no_explain"]}


def claimed(rule: str, hyperparameters: tuple[str, ...]) -> Any:
    """The rule that is named, with hyperparameters by its own names or by those of frameworks, such as ``betas=(0.9, 0.99)``."""
    from refgrad.candidates.names import by_own_names
    from refgrad.candidates.resolve import import_file
    from refgrad.errors import ArgumentError, CandidateError, bad_argument
    from refgrad.rule_text import build_rule

    place, suffix, name = rule.partition(".py:")
    if rule.endswith(".py") or (suffix and not name):
        raise bad_argument("the rule", rule, f"a rule of the file, as {rule.partition('.py')[0]}.py:NAME")
    try:
        named = f"{import_file(place + '.py')}:{name}" if suffix else rule
    except CandidateError as error:  # a rule that is not there is the command line's fault
        raise ArgumentError(str(error)) from error
    return build_rule(named, hyperparameters, by_own_names)


def check_kind(kind: str) -> None:
    """`ArgumentError` unless a kind of rules is called so."""
    from refgrad.errors import bad_argument, nearest
    from refgrad.kinds.table import MODULES

    if kind not in MODULES:
        raise bad_argument("--kind", kind, f"{', '.join(map(repr, MODULES))}{nearest(kind, MODULES)}")
