"""Rules rewritten in one place of their text: wrong ones (mutants), and others that mean the same."""

from __future__ import annotations

import inspect
import sys
import textwrap
from typing import Any

from refgrad import optimizers as o
from refgrad.optimizers.base import Optimizer
from tests.oracle import rewritten_averaging as averaging
from tests.oracle import rewritten_layers as layers
from tests.oracle import rewritten_momentum as momentum
from tests.oracle import rewritten_parameter_free as parameter_free
from tests.oracle import rewritten_wrappers as wrappers

DECAYED = {"weight_decay": 0.1}


def rewritten(rule: Optimizer, old: str, new: str, method: str = "update") -> Optimizer:
    """The rule with a piece of a method's text replaced; it is not registered."""
    cls = type(rule)
    text = textwrap.dedent(inspect.getsource(getattr(cls, method)))
    if old not in text:
        raise ValueError(f"{cls.__name__}.{method} does not contain {old!r}")
    names: dict[str, Any] = dict(vars(sys.modules[cls.__module__]))
    exec(text.replace(old, new), names)
    changed = type(cls.__name__, (cls,), {method: names[method], "__module__": cls.__module__})
    return changed(**rule.hyperparameters())


MUTANTS: list[tuple[Any, ...]] = [
    (o.SGD(momentum=0.9, dampening=0.3, first_step="undamped"), "t == 1 and", "False and"),
    (o.SGD(momentum=0.9), "(1 - self.dampening) * g", "(1 - self.momentum) * g"),
    (o.SGD(momentum=0.9, nesterov=True), "g = g + self.momentum * buffer if", "g = g + buffer if"),
    (o.SGD(momentum=0.9, **DECAYED), "g + self.weight_decay * p", "g - self.weight_decay * p"),
    (o.SGD(momentum=0.9), "p - self.lr * g", "p + self.lr * g"),
    (o.Adam(), "g * g", "np.abs(g)"),
    (o.Adam(**DECAYED), "g = g + self.weight_decay * p", "p = p - self.lr * self.weight_decay * p"),
    (o.AMSGrad(), "np.maximum(v_max, v)", "v"),
    (o.AMSGrad(), "self.lr * m / (", "self.lr * m / (1 - self.beta1**t) / ("),
    (o.AMSGrad(order="torch"), "v_max / (1 - self.beta2**t)", "v_max"),
    (o.NAdam(), "(t + 1) * self.momentum_decay", "t * self.momentum_decay"),
    (o.NAdam(), "0.96 **", "0.95 **"),
    (o.NAdam(), "(1 - mu_product * mu_next)", "(1 - mu_product)"),
    (o.NAdam(), "(1 - mu) * g", "(1 - mu_next) * g"),
    (o.NAdam(), "v / (1 - self.beta2**t)", "v"),
    (o.RAdam(), "2 * t * self.beta2**t", "2 * (t - 1) * self.beta2**t"),
    (o.RAdam(), "rho > 4", "rho > 5"),
    (o.RAdam(), "(rho_inf - 2) * rho)", "(rho_inf - 2) * rho_inf)"),
    (o.RAdam(), "p - self.lr * m_hat, m, v", "p - self.lr * m, m, v"),
    (o.Adamax(), "else np.abs(g)", "else g"),
    (o.Adamax(), "(self.lr / (1 - self.beta1**t))", "self.lr"),
    (o.Adamax(), "self.beta2 * u", "u"),
    (o.Adagrad(), "np.sqrt(s) + self.eps", "np.sqrt(s + self.eps)"),
    (o.Adagrad(), "s = s + g * g", "s = s + (1 - 0.1) * g * g"),
    (o.Adagrad(lr_decay=0.1), "(t - 1)", "t"),
    (o.Adadelta(), "d * d", "g * g"),
    (o.Adadelta(), "np.sqrt(u + self.eps)", "(np.sqrt(u) + self.eps)"),
    (o.Adadelta(), "np.sqrt(v + self.eps)", "np.sqrt(v)"),
    (o.RMSprop(), "g * g", "g * p"),
    (o.RMSprop(), "(np.sqrt(scale) + self.eps)", "np.sqrt(scale + self.eps)"),
    (o.RMSprop(centered=True), "v - g_avg * g_avg", "v - g_avg"),
    (o.RMSprop(momentum=0.9), "self.momentum * buffer + step", "self.momentum * buffer + (1 - self.momentum) * step"),
    (o.Lion(), "c = self.beta1 * m + (1 - self.beta1) * g", "c = self.beta2 * m + (1 - self.beta2) * g"),
    (o.Lion(), "m = self.beta2 * m + (1 - self.beta2) * g", "m = self.beta1 * m + (1 - self.beta1) * g"),
    (o.Lion(), "np.sign(c)", "c"),
    (o.Lion(), "np.sign(c)", "np.where(c >= 0, 1.0, -1.0)"),
    (o.Lion(**DECAYED), "self.weight_decay * p", "self.lr * self.weight_decay * p"),
    (o.AdaBelief(), "d * d + self.eps", "d * d"),
    (o.AdaBelief(eps=1e-8), "d * d + self.eps", "d * d + self.eps * self.eps"),
    (o.AdaBelief(), "d = g - m", "d = g"),
    (o.DiffGrad(), "g_prev - g", "g_prev + g"),
    (o.DiffGrad(), "exp(-np.abs(g_prev - g))", "exp(g_prev - g)"),
    (o.DiffGrad(), "m, v, g\n", "m, v, m\n"),
    (o.DiffGrad(), "friction * m_hat / (np.sqrt(v / ", "friction * friction * m_hat / (np.sqrt(v / "),
    (o.LAMB(**DECAYED), "p_norm / r_norm", "r_norm / p_norm"),
    (o.LAMB(**DECAYED), "ratio = np.where((p_norm == 0) | (r_norm == 0), 1.0, p_norm / r_norm)", "ratio = 1.0"),
    (o.LAMB(), "np.sqrt(tree_sum(p * p))", "tree_sum(p * p)"),
    (o.LAMB(), "np.sqrt(tree_sum(r * r))", "np.sqrt(tree_sum(r * r) / length(r))"),
    (o.AdamP(), "by_row, row_step", "by_row, u"),
    (o.AdamP(**DECAYED), "self.wd_ratio * p, p)", "p, p)"),
    (o.AdamP(), "u - n * tree_sum(n * u, over)", "u + n * tree_sum(n * u, over)", "_project"),
]

LEGAL: list[tuple[Any, ...]] = [
    (o.SGD(momentum=0.9, nesterov=True), "g = g + self.momentum * buffer if", "g = self.momentum * buffer + g if"),
    (o.Adam(), "self.beta1 * m + (1 - self.beta1) * g", "m + (1 - self.beta1) * (g - m)"),
    (o.AdamW(), "(1 - self.beta2) * g * g", "g * (g * (1 - self.beta2))"),
    (o.AMSGrad(), "self.lr * m / (np.sqrt(v_max) + self.eps)", "m * (self.lr / (np.sqrt(v_max) + self.eps))"),
    (o.NAdam(), "mu_next * m / (1 - mu_product * mu_next)", "m * (mu_next / (1 - mu_product * mu_next))"),
    (o.RAdam(), "p - self.lr * r * m_hat", "p - (self.lr * r) * m_hat"),
    (o.Adamax(), "(self.lr / (1 - self.beta1**t)) * m / norm", "self.lr * m / ((1 - self.beta1**t) * norm)"),
    (o.Adagrad(), "lr * g / (np.sqrt(s) + self.eps)", "g / (np.sqrt(s) + self.eps) * lr"),
    (o.Adadelta(), "np.sqrt(u + self.eps) / np.sqrt(v + self.eps)", "np.sqrt((u + self.eps) / (v + self.eps))"),
    (o.RMSprop(momentum=0.9), "g / (np.sqrt(scale) + self.eps)", "g * (1 / (np.sqrt(scale) + self.eps))"),
    (o.Lion(), "m = self.beta2 * m + (1 - self.beta2) * g", "m = m + (1 - self.beta2) * (g - m)"),
    (o.AdaBelief(), "(1 - self.beta2) * d * d + self.eps", "((1 - self.beta2) * d) * d + self.eps"),
    (o.DiffGrad(), "friction * m_hat / (np.sqrt(v / (1", "m_hat * friction / (np.sqrt(v / (1"),
    (o.LAMB(**DECAYED), "self.lr * ratio * r", "ratio * (self.lr * r)"),
    (
        o.AdamP(**DECAYED),
        "self.lr * (step + self.weight_decay * decayed)",
        "(self.lr * step + self.lr * self.weight_decay * decayed)",
    ),
]

for family in (momentum, layers, averaging, parameter_free, wrappers):
    MUTANTS += family.MUTANTS
    LEGAL += family.LEGAL
