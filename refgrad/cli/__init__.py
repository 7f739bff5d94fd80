"""The command ``refgrad``: verify, identify, compare, judge, audit, survey, list, show, schema, demo,
doctor, golden.

Exit codes: 0 conforms or was identified, 1 does not conform or is unknown, 2 could not be judged (a candidate that cannot
be found or built is one of these), 64 the command line is wrong, 70 refgrad itself failed, 74 standard output cannot be
written. Whatever a command needs is imported when it runs, so that help and the version come at once.
"""

from __future__ import annotations

import click

from refgrad.cli import auditing, comparing, golden, judging, programs, showing, surveying
from refgrad.cli.group import Cli
from refgrad.version import VERSION

EPILOG = """\b
Examples:
  refgrad demo
  refgrad verify torch.optim:AdamW --as AdamW
  refgrad identify my_optimizer.py:step
  refgrad compare old.py:step new.py:step --as AdamW
  refgrad judge ./my_adamw --as AdamW
  refgrad audit --before a.pt --after b.pt --grads g.npz --as AdamW
  refgrad survey --packages torch,optax --html survey.html
  refgrad list --package optax
  refgrad show AdamW
Each command has examples of its own: `refgrad verify --help`.

\b
Exit codes: 0 conforms (or identified), 1 does not conform (or unknown),
2 could not be judged,
64 the command line is wrong, 70 refgrad itself failed,
74 standard output cannot be written.
With --json, verify, identify, compare, judge and audit print one document
whatever happens;
see `refgrad schema`.
"""


@click.group(cls=Cli, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="refgrad")
def main() -> None:
    """Is this implementation right? Judge it against the rule that it says it is."""


for command in (
    judging.verify,
    judging.identify,
    comparing.compare,
    programs.judge,
    auditing.audit,
    surveying.survey,
    surveying.demo,
    showing.list_,
    showing.show,
    showing.schema,
    showing.doctor,
    golden.golden,
):
    main.add_command(command)
