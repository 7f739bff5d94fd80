"""Rules that multiply matrices, rewritten: mutants, and others that mean the same."""

from __future__ import annotations

from typing import Any

from refgrad import optimizers as o

DECAYED = {"weight_decay": 0.1}

MUTANTS: list[tuple[Any, ...]] = [
    (o.Muon(), "self.momentum * now + late if", "now + late if"),
    (o.Muon(), "self.safety * np.sqrt(tree_sum(u * u))", "np.sqrt(tree_sum(g * g))"),
    (o.Muon(), "newton_schulz(x, self._polynomials()", "newton_schulz(x, self._polynomials()[1:]"),
    (o.Muon(), "newton_schulz(x, self._polynomials()", "newton_schulz(u, self._polynomials()"),
    (o.Muon(), "[(self.a, self.b, self.c)]", "[(self.a, self.c, self.b)]", "_polynomials"),
    (o.Muon(), "[(self.a, self.b, self.c)]", "[(3.4, self.b, self.c)]", "_polynomials"),
    (o.Muon(coefficients="polar_express"), "known[min(step, len(known) - 1)]", "known[0]", "_polynomials"),
    (o.Muon(), "np.sqrt(rows / np.maximum(columns, 1))", "rows / columns", "_scale"),
    (o.Muon(scale="rms"), "np.maximum(rows, columns)", "np.minimum(rows, columns)", "_scale"),
    (o.Muon(**DECAYED), "self.weight_decay * p", "self.weight_decay * g"),
    (o.Muon(correction=True), "(t + self.nesterov)", "t"),
]

LEGAL: list[tuple[Any, ...]] = [
    (o.Muon(), "self.momentum * m + gain * g", "m + gain * (g - m)"),
    (o.Muon(), "u / (norm + self.eps if", "u * 1 / (norm + self.eps if"),
    (o.Muon(coefficients="cubic"), "newton_schulz(x, self._polynomials()", "newton_schulz(x, [(1.5, -0.5, 0.0)] * 5"),
]
