"""Step sizes from the distance walked, rewritten: mutants, and others that mean the same."""

from __future__ import annotations

from typing import Any

from refgrad import optimizers as o

MUTANTS: list[tuple[Any, ...]] = [
    (o.DoG(), "total + tree_sum(g * g)", "total + norm(g)"),
    (o.DoG(), "np.maximum(distance, norm(p - start))", "distance"),
    (o.DoG(), "self.reps_rel * (1 + norm(start))", "self.reps_rel * norm(g)"),
    (o.DoWG(), "square * tree_sum(g * g)", "tree_sum(g * g)"),
    (o.Prodigy(), "s = beta3 * s +", "s = s +"),
    (o.Prodigy(), "d * d * g * g", "d * g * g"),
    (
        o.Prodigy(weight_decay=0.1),
        "size * (m / (np.sqrt(v) + scale * self.eps)",
        "d * (m / (np.sqrt(v) + d * self.eps)",
    ),
    (o.DAdaptAdam(), 's / (np.sqrt(v if self.product == "new" else v_old) + self.eps)', "s"),
    (o.DAdaptAdam(), "(1 - root) * size * inner", "size * inner"),
    (o.DAdaptAdam(), "(1 - self.beta1) * size * g", "(1 - self.beta1) * g"),
]

LEGAL: list[tuple[Any, ...]] = [
    (
        o.DoG(),
        "self.lr * distance / np.sqrt(total + self.eps) * g",
        "g * (self.lr * distance / np.sqrt(total + self.eps))",
    ),
    (o.DoWG(), "self.lr * step * g", "step * (self.lr * g)"),
    (o.Prodigy(), "d * d * g * g", "(d * g) * (d * g)"),
    (o.DAdaptAdam(), "(1 - self.beta1) * size * g", "size * ((1 - self.beta1) * g)"),
]
