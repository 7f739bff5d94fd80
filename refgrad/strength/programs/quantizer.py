"""Programs of a quantizer that has a graph: its parts as they are stored, and what they stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from refgrad.axes import ELEMENT, axes_shape
from refgrad.candidates.protocol import CandidateFault
from refgrad.kinds.record import Results
from refgrad.kinds.stateless import Answer
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.quantized_parts import has_graph
from refgrad.strength import graph_programs
from refgrad.strength.programs.base import Case, CasePrograms
from refgrad.strength.rounding_styles import Style


class QuantizerPrograms(CasePrograms):
    """The parts and what they stand for; the graph's arrays are rows, those of a candidate are not."""

    @classmethod
    def why_not(cls, rule: Any) -> str | None:
        if has_graph(rule):
            return None
        return "has no graph, so that no program is made of it; legal: a quantizer that is judged by its graph"

    def cases(self, seed: int) -> Iterator[Case]:
        return (case for case in super().cases(seed) if case.arrays["x"].size > 1)

    def legal(self, case: Case, random: np.random.Generator, style: Style) -> Results:
        stored = stored_parts(self.rule, self.rule.layout(case.arrays["x"].shape))
        return graph_programs.legal_program(self.rule, case.read, random, style, stored)

    def answer(self, case: Case, given: Results, policy: Policy) -> Answer:
        rule, layout = self.rule, self.rule.layout(case.arrays["x"].shape)
        try:
            parts = {n: rule.stored(n, given[n], layout) for n in rule.parts}
        except IndexError as error:  # numbers of which the table has none
            raise CandidateFault("structure", str(error)) from None
        y = layout.joined(np.broadcast_to(given["y"], (layout.rows, layout.width)))
        return super().answer(case, {**parts, "y": y}, policy)


def stored_parts(rule: Any, layout: Any) -> Callable[[str, np.ndarray], np.ndarray]:
    """A function of a part's name and values: the values that are read again once the part was stored."""

    def stored(name: str, values: np.ndarray) -> np.ndarray:
        if name == "y":
            return values
        shape = axes_shape(rule.gives().get(name, ELEMENT), (layout.rows, layout.width))
        codes = rule.stored(name, np.broadcast_to(values, shape).astype(np.float32), layout)
        return np.asarray(rule.values(name, codes, layout), np.float64)

    return stored
