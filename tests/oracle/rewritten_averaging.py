"""Averaging and coin betting rewritten: mutants, and others that mean the same."""

from __future__ import annotations

from typing import Any

from refgrad import optimizers as o

MUTANTS: list[tuple[Any, ...]] = [
    (o.MADGRAD(), "* np.sqrt(t)", "* 1.0"),
    (o.MADGRAD(), "t / (3 * t)", "t / (2 * t)"),
    (o.MADGRAD(), "square + weight * g * g", "square + weight * weight * g * g"),
    (o.ASGD(lambd=0.1), "(1 - self.lambd * eta) * p - eta * g", "(1 - self.lambd * self.lr) * p - self.lr * g"),
    (o.ASGD(t0=3.0), "average + mu * (p - average)", "1.0 * p"),
    (o.ASGD(lambd=1.0), "self.lambd * self.lr * t", "self.lambd * t"),
    (o.ScheduleFreeSGD(weight_decay=0.1), "schedule_free(p, g, z", "schedule_free(p, g + self.weight_decay * p, z"),
    (o.ScheduleFreeSGD(r=1.0), "weight_sum, lr_max, t, self)", "weight_sum, lr_max, t + 1, self)"),
    (o.ScheduleFreeAdamW(), "v / (1 - self.beta2**t)", "v"),
    (o.ScheduleFreeAdamW(), "(1 - self.beta2) * g * g", "g * g"),
    (o.COCOB(), "reward - g * (p - start)", "reward + g * (p - start)"),
    (o.COCOB(), "largest + reward", "reward"),
    (o.COCOB(), "np.maximum(largest, np.abs(g))", "np.abs(g)"),
]

LEGAL: list[tuple[Any, ...]] = [
    (o.MADGRAD(), "square + weight * g * g", "square + g * (g * weight)"),
    (o.ASGD(lambd=0.1), "(1 - self.lambd * eta) * p - eta * g", "p - eta * (self.lambd * p + g)"),
    (o.ScheduleFreeSGD(), "schedule_free(p, g, z", "schedule_free(p, 1.0 * g, z"),
    (
        o.ScheduleFreeAdamW(),
        "g / (np.sqrt(v / (1 - self.beta2**t)) + self.eps)",
        "g * (1 / (self.eps + np.sqrt(v / (1 - self.beta2**t))))",
    ),
    (o.COCOB(), "start + bet * (largest + reward)", "start + bet * largest + bet * reward"),
]
