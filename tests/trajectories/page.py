"""docs/trajectories.md and its picture: a small panel a rule, all on the same axes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from pathlib import Path

from tests.trajectories import kept, training
from tests.trajectories.kept import Kept

DOCS = Path(__file__).parents[2] / "docs"
COLUMNS, WIDE, HIGH, ABOVE, LEFT, RIGHT, GAP = 6, 104, 64, 22, 34, 8, 20
#: ends of the axis of losses, which is logarithmic
LOW, TOP = 1e-3, 10.0
BELOW = 34


def spot(number: int, of: int, loss: float) -> tuple[float, float]:
    """Where a loss lies in its panel; what is beyond the axis, or no number, lies on its edge."""
    bounded = min(max(loss, LOW), TOP) if loss == loss else TOP
    return WIDE * number / (of - 1), HIGH * math.log(TOP / bounded) / math.log(TOP / LOW)


def panel(name: str, each: Kept, first: bool, last: bool) -> Iterator[str]:
    """The lines of one panel, at its own origin; the first column says the losses, the last row the steps."""
    points = [spot(i, len(each.curve), float(text)) for i, text in enumerate(each.curve)]
    for power in range(-3, 2):
        y = spot(0, 2, 10.0**power)[1]
        yield f'<path class="grid" d="M0 {y:.1f}H{WIDE}"/>'
        if first and power in (-3, -1, 1):
            yield f'<text class="tick" x="-4" y="{y + 3:.1f}" text-anchor="end">{10.0**power:g}</text>'
    if last:
        for step in (0, 100, 200):
            x = WIDE * step / training.STEPS
            yield f'<text class="tick" x="{x:.0f}" y="{HIGH + 11}" text-anchor="middle">{step}</text>'
    yield f'<text class="name" x="0" y="-5">{escape(name)}</text>'
    yield f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'


def picture() -> str:
    """The whole picture as SVG."""
    entries = sorted(kept.read().items(), key=lambda pair: pair[0].lower())
    rows = -(-len(entries) // COLUMNS)
    width, height = LEFT + COLUMNS * (WIDE + GAP) - GAP + RIGHT, rows * (HIGH + ABOVE) + BELOW
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-label="Loss of each optimizer over 200 steps">',
        "<style>svg{background:#fff}text{font-family:sans-serif;fill:#333}.name{font-size:10px;font-weight:600}"
        ".tick{font-size:8px;fill:#777}.grid{stroke:#e4e4e4;stroke-width:.6}"
        "polyline{fill:none;stroke:#1a5fb4;stroke-width:1.3;stroke-linejoin:round}</style>",
    ]
    for number, (name, each) in enumerate(entries):
        row, column = divmod(number, COLUMNS)
        last = number + COLUMNS >= len(entries)
        x, y = LEFT + column * (WIDE + GAP), row * (HIGH + ABOVE) + ABOVE - 4
        lines.append(f'<g transform="translate({x} {y})">{"".join(panel(name, each, column == 0, last))}</g>')
    middle = LEFT + (width - LEFT - RIGHT) / 2
    lines.append(f'<text class="tick" x="{middle:.0f}" y="{height - 4}" text-anchor="middle">step</text></svg>')
    return "\n".join(lines) + "\n"


HEAD = """# Trajectories

A network of 64, 16 and 10 numbers is trained for 200 steps with every optimizer, on the first 256 of scikit-learn's handwritten
digits in batches of 64. All parameters, all state and the loss of every step go into a digest; the literal NumPy body, the
Numba kernels on one thread and those on several give the same one. So a change that shows only over many steps of a real
training does not pass unseen.

![The loss of each optimizer over 200 steps](trajectories.svg)

Each panel: the mean loss of a round through the digits (half the squared distance to the unit vector of the digit), on a
logarithmic axis from 0.001 to 10, against the step. They are no contest: each rule has its defaults, and its learning rate is
multiplied by that of 1/4, 1, 4, 16, 64 and 256 whose loss is least after 40 steps.

    python -m tests.trajectories --check AdamW    # trained by body and kernels, and compared with what is kept
    python -m tests.trajectories                  # all of them trained by their bodies, and kept (trajectories.json)
    python -m tests.trajectories --page           # this page and its picture drawn from what is kept

Neither BLAS nor an exponential is in the network: its sums are trees of additions in float64, so that a machine's library does
not show in the bits ([tests/trajectories/model.py](../tests/trajectories/model.py)). Where a rule itself needs LAPACK, its
kernels are compared with its body on this machine instead. Pixels are sixteenths less 5/16, about their mean: one that is zero
on every digit would give Adafactor a row of zero gradients, where it divides zero by zero. Extra inputs are those of the
network: the loss, the gradient at the point that a sharpness-aware rule asks for, the diagonal of the Gauss-Newton matrix, and
normal noise that is exact.

| rule | rate times | first loss | last loss | digest after 200 steps |
|---|---|---|---|---|
"""


def text() -> str:
    """The whole page."""
    rows = [
        f"| {name} | {each.factor:g} | {each.curve[0]} | {each.curve[-1]} | `{each.digests[str(training.STEPS)]}` |"
        for name, each in sorted(kept.read().items(), key=lambda pair: pair[0].lower())
    ]
    return HEAD + "\n".join(rows) + "\n"


def write() -> None:
    """Write the page and its picture."""
    (DOCS / "trajectories.md").write_text(text(), encoding="utf-8")
    (DOCS / "trajectories.svg").write_text(picture(), encoding="utf-8")
