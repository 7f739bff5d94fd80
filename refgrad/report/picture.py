"""The picture of a failing verdict in README, drawn from a run.

``python -m refgrad.report.picture > docs/failing-verdict.svg`` draws it anew. It is what a terminal
shows, without the section that names versions, so that the same picture comes from every machine.
"""

from __future__ import annotations

import io
import re
from html import unescape

import refgrad
from refgrad.oracle.engine.verdict import Verdict
from refgrad.oracle.engine.verdict_text import sections
from refgrad.report import terminal

TARGET, RULE = "refgrad.examples.numpy_adamw:adamw_eps_inside", "AdamW"
COMMAND = f"refgrad verify {TARGET} --as {RULE}"
#: characters a line of the picture
WIDTH = 96
#: what differs from machine to machine
LEFT_OUT = ("How it was judged",)


def picture() -> str:
    """The picture as SVG, from a run that takes a second."""
    return svg(refgrad.verify(TARGET, refgrad.optimizers.AdamW()), COMMAND)


def svg(verdict: Verdict, command: str) -> str:
    """A verdict as a terminal shows it, under the command that gave it.

    Args:
        verdict: the verdict.
        command: the title of the window.

    Returns:
        An SVG document; it loads no font and nothing else.
    """
    from rich.console import CONSOLE_SVG_FORMAT, Console

    shown = [section for section in sections(verdict) if section.title not in LEFT_OUT]
    console = Console(
        file=io.StringIO(), record=True, width=WIDTH, force_terminal=True, color_system="truecolor", highlight=False
    )
    terminal.show_sections(shown, console)
    bare = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    drawn = console.export_svg(title=f"$ {command}", code_format=bare, unique_id="verdict")
    return "\n".join(line.rstrip() for line in drawn.splitlines() if line.strip())


def words(drawn: str) -> list[str]:
    """The words that stand in a picture, in their order: what a version of Rich that draws otherwise leaves alone."""
    return unescape(" ".join(re.findall(r"<text[^>]*>(.*?)</text>", drawn, re.DOTALL))).split()


if __name__ == "__main__":
    print(picture())
