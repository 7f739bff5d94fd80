"""The command line that gives a verdict again, where no call in Python says it."""

from __future__ import annotations

import shlex

import click

#: what a command line says of how its verdict is shown or searched, not of what is judged
SHOWN = frozenset({"as_json", "quiet", "no_shrink", "no_explain", "laws", "secret_seed"})


def command_line(seed: int | None) -> str:
    """The line that gives the verdict of the running command again, quoted for a shell.

    Args:
        seed: of the inputs; None where they have none.
    """
    ctx = click.get_current_context()
    words = ["refgrad", str(ctx.info_name)]
    for param in ctx.command.params:
        value = seed if param.name == "seed" else ctx.params.get(str(param.name))
        if param.name in SHOWN or value is None or value == param.get_default(ctx):
            continue
        many = value if isinstance(value, tuple) else (value,)
        if isinstance(param, click.Option):
            flag = param.opts[0] if value is not False else param.secondary_opts[0]
            words += [flag] if isinstance(value, bool) else [word for each in many for word in (flag, str(each))]
        else:
            words += map(str, many)
    return shlex.join(words)
