"""Methods as mathematics: branches as hyperparameters take them, loops, indices, and what is left alone."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import pytest

from refgrad.gradients import ClassifierFreeGuidance, TrimmedMean
from refgrad.optimizers.transform import Transform
from refgrad.report.site.written_formula import method_lines
from refgrad.rule import Flag


class Bodies(Transform):
    """Methods whose lines are known."""

    halves: Annotated[bool, Flag("halves its argument")] = True
    shapes = {"x": "n d"}

    def arithmetic(self, x: Any, y: Any) -> Any:
        return (x - (y - 1)) * 2 / np.sqrt(x**2 + 1e-3)

    def branches(self, x: Any) -> Any:
        if self.halves:
            return x / 2
        return x

    def decided_by_arrays(self, x: Any) -> Any:
        if x.size > 2:
            x = -x
        return x

    def loop(self, x: Any) -> Any:
        for i in range(3):
            x[i] += 1
        return x[:, None]

    def folds(self, x: Any) -> Any:
        return np.where(x > 0, x.sum(axis=1), max(x, 0))

    def solved(self, x: Any, y: Any) -> Any:
        try:
            return np.linalg.solve(x, y)
        except np.linalg.LinAlgError:
            return {name: -part for name, part in y}

    def unknown(self, x: Any) -> Any:
        try:
            return x
        finally:
            pass


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("arithmetic", [r"& \text{result} = \frac{\left(x - \left(y - 1\right)\right) \cdot 2}{\sqrt{x^{2} + 0.001}}"]),
        ("branches", [r"& \text{result} = \frac{x}{2}"]),
        (
            "decided_by_arrays",
            [
                r"& \text{if }\operatorname{size}\left(x\right) > 2\text{:}",
                r"& \quad x = -x",
                r"& \text{result} = x",
            ],
        ),
        (
            "loop",
            [
                r"& \text{for }i \in \operatorname{range}\left(3\right)\text{:}",
                r"& \quad {x}_{i} \leftarrow {x}_{i} + 1",
                r"& \text{result} = x",
            ],
        ),
        (
            "folds",
            [
                r"& \text{result} = \begin{cases}\sum_{\text{axis }1} x & x > 0 \\ \max\left(x, 0\right) & "
                r"\text{otherwise}\end{cases}"
            ],
        ),
        (
            "solved",
            [
                r"& \text{result} = x^{-1} \, y",
                r"& \text{where there is none:}",
                r"& \quad \text{result} = \left\{\mathrm{name}: -\mathrm{part} : \left(\mathrm{name}, \mathrm{part}\right) "
                r"\in y\right\}",
            ],
        ),
        ("unknown", []),
    ],
)
def test_a_method_is_written_line_by_line(name: str, lines: list[str]) -> None:
    assert method_lines(Bodies(), getattr(Bodies, name)) == lines


def test_another_setting_takes_another_branch() -> None:
    assert method_lines(Bodies(halves=False), Bodies.branches) == [r"& \text{result} = x"]


def test_rules_are_written_with_their_own_names() -> None:
    assert method_lines(ClassifierFreeGuidance(), ClassifierFreeGuidance.apply)[-1] == (
        r"& \text{result} = \mathrm{unconditional} + \mathrm{scale} \, \mathrm{difference}"
    )
    assert any(
        r"\operatorname{mean}_{\text{axis }0}" in line for line in method_lines(TrimmedMean(), TrimmedMean.apply)
    )
