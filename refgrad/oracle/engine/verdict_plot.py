"""The picture of a verdict: how near each tensor came to the ends of its sets, step by step. Needs matplotlib."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from refgrad.errors import ArgumentError
from refgrad.oracle.acceptance.findings import AtStep, Count
from refgrad.oracle.engine.verdict_text import turn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: below this share of what is allowed the scale is linear, so that a distance of zero has its place
LINEAR = 0.01
#: where a value stands that is outside by its class (NaN for a number), or where the set is one number: above all others
ABOVE = 10.0
#: colours that are told apart without seeing red and green (Okabe & Ito), and shapes, which print without any
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#555555")
MARKERS = ("o", "s", "D", "^", "v")
OUTSIDE = "#D55E00"


def plot(verdict: Any, ax: Axes | None = None, path: str | os.PathLike[str] | None = None) -> Figure:
    """A verdict's picture.

    Args:
        verdict: the verdict.
        ax: where to draw; None for a figure of its own.
        path: a file to write, or None.

    Returns:
        The figure.

    Raises:
        ArgumentError: matplotlib is not installed, or the verdict has no step or case that was judged.
    """
    if not any(verdict.by_step.values()):
        raise ArgumentError(
            "there is nothing to plot: no step was judged; legal: a verdict in which some value was seen"
        )
    axes: Any = _new() if ax is None else ax
    top = max([ABOVE, *(5 * at.largest for steps in verdict.by_step.values() for at in steps.values())])
    for number, (tensor, steps) in enumerate(verdict.by_step.items()):
        style = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}
        _line(axes, tensor, steps, style, top)
    # once, for the legend
    axes.scatter([], [], marker="x", s=60, color=OUTSIDE, label="some value is outside")
    axes.axhline(1.0, color=OUTSIDE, linewidth=1.2)
    axes.axhspan(1.0, 2 * top, color=OUTSIDE, alpha=0.08, linewidth=0)
    axes.set_yscale("symlog", linthresh=LINEAR)
    axes.set_ylim(-LINEAR / 4, 2 * top)
    _words(axes, verdict)
    figure: Any = axes.figure
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure  # type: ignore[no-any-return]


def _new() -> Axes:
    """The axes of a new figure."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ArgumentError("verdict.plot() needs matplotlib, which is not installed; install refgrad[plot]") from None
    if "IPython" in sys.modules:
        import matplotlib.pyplot  # noqa: F401  # by which a notebook learns how figures are shown
    return Figure(figsize=(8, 4.5), layout="constrained").subplots()


def _line(axes: Any, tensor: str, steps: Mapping[int, AtStep], style: Mapping[str, str], top: float) -> None:
    """One tensor's line, with a cross wherever a value is outside."""
    numbers = sorted(steps)
    found = [steps[n] for n in numbers]
    total = sum((at.count for at in found), Count())
    label = f"{tensor}: {total.inside} inside, {total.outside} outside, {total.undecided} undecided"
    axes.plot(numbers, [at.largest for at in found], markersize=4, label=label, **style)
    wrong = {n: at.largest if at.largest > 1.0 else top for n, at in steps.items() if at.count.outside}
    axes.scatter(list(wrong), list(wrong.values()), marker="x", s=60, color=OUTSIDE, zorder=3)


def _words(axes: Any, verdict: Any) -> None:
    """Title, labels and legend."""
    where = f"\n{verdict.situation}" if verdict.situation else ""
    axes.set_title(f"{verdict.candidate} as {verdict.rule}: {verdict.outcome}{where}", fontsize=10, wrap=True)
    axes.set_xlabel(turn(verdict.mode))
    axes.set_ylabel("error / allowed (1: the end of the set)")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, loc="best")
