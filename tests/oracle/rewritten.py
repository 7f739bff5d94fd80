"""Rules rewritten in one place of their text: wrong ones (mutants), and others that mean the same."""

from __future__ import annotations

import inspect
import sys
import textwrap
from typing import Any

from refgrad import optimizers as o
from refgrad.optimizers import parts
from refgrad.optimizers.base import Optimizer
from tests.oracle import rewritten_averaging as averaging
from tests.oracle import rewritten_extra as extra
from tests.oracle import rewritten_layers as layers
from tests.oracle import rewritten_matrix as matrix
from tests.oracle import rewritten_momentum as momentum
from tests.oracle import rewritten_parameter_free as parameter_free
from tests.oracle import rewritten_wrappers as wrappers

DECAYED = {"weight_decay": 0.1}


def rewritten(rule: Optimizer, old: str, new: str, method: str = "update") -> Optimizer:
    """The rule with a piece of the text of a method, or of a function that ``update`` calls, replaced; not registered."""
    cls = type(rule)
    names: dict[str, Any] = {**vars(parts), **vars(sys.modules[cls.__module__])}
    function = getattr(cls, method, None) or names[method]
    text = textwrap.dedent(inspect.getsource(function))
    if old not in text:
        raise ValueError(f"{cls.__name__}.{method} does not contain {old!r}")
    exec(textwrap.dedent(inspect.getsource(cls.update)), names)
    exec(text.replace(old, new), names)
    methods = {name: names[name] for name in ("update", method) if hasattr(cls, name)}
    changed = type(cls.__name__, (cls,), {**methods, "__module__": cls.__module__})
    return changed(**rule.hyperparameters())


MUTANTS: list[tuple[Any, ...]] = [
    (o.SGD(momentum=0.9, dampening=0.3, first_step="undamped"), "t == 1 and", "False and"),
    (o.SGD(momentum=0.9), "(1 - self.dampening) * g", "(1 - self.momentum) * g"),
    (o.SGD(momentum=0.9, nesterov=True), "g = g + self.momentum * buffer if", "g = g + buffer if"),
    (o.SGD(momentum=0.9, **DECAYED), "g + self.weight_decay * p", "g - self.weight_decay * p"),
    (o.SGD(momentum=0.9), "else self.lr * g", "else -self.lr * g"),
    (o.Adam(), "g * g", "np.abs(g)"),
    (o.Adam(**DECAYED), "g = g + self.weight_decay * p", "p = p - self.lr * self.weight_decay * p"),
    (o.AMSGrad(), "np.maximum(v_max, v)", "v"),
    (o.AMSGrad(), "over_root(self, m, v_max)", "over_root(self, m / (1 - self.beta1**t), v_max)"),
    (o.AMSGrad(order="torch"), "adam_direction(m, v_max, self, t)", "adam_direction(m, v, self, t)"),
    (o.NAdam(), "(t + 1) * self.momentum_decay", "t * self.momentum_decay"),
    (o.NAdam(), "0.96 **", "0.95 **"),
    (o.NAdam(), "(1 - mu_product * mu_next)", "(1 - mu_product)"),
    (o.NAdam(), "(1 - mu) * g", "(1 - mu_next) * g"),
    (o.NAdam(), "v, bias)", "v)"),
    (o.NAdam(), "v if bias is None else v / bias", "v", "over_root"),
    (o.RAdam(), "2 * t * rule.beta2**t", "2 * (t - 1) * rule.beta2**t", "average_lengths"),
    (o.RAdam(), "rho > 4", "rho > 5"),
    (o.RAdam(), "(longest - 2) * length)", "(longest - 2) * longest)", "rectification"),
    (o.RAdam(), "self.lr * m_hat) if", "self.lr * m) if"),
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
    (o.RMSprop(centered=True), "scale - mean * mean", "scale - mean"),
    (
        o.RMSprop(momentum=0.9),
        "self.momentum * buffer + step",
        "self.momentum * buffer + (1 - self.momentum) * step",
        "_descend",
    ),
    (o.Lion(), "c = self.beta1 * m + (1 - self.beta1) * g", "c = self.beta2 * m + (1 - self.beta2) * g"),
    (o.Lion(), "m = self.beta2 * m + (1 - self.beta2) * g", "m = self.beta1 * m + (1 - self.beta1) * g"),
    (o.Lion(), "np.sign(c)", "c"),
    (o.Lion(), "np.sign(c)", "np.where(c >= 0, 1.0, -1.0)"),
    (o.Lion(**DECAYED), "self.weight_decay * p", "self.lr * self.weight_decay * p"),
    (o.AdaBelief(eps=1e-8), "s = s + self.eps if kept else s", "s = s", "_with_eps"),
    (o.AdaBelief(eps=1e-8), "s = s + self.eps if kept", "s = s + self.eps * self.eps if kept", "_with_eps"),
    (o.AdaBelief(), "d = g - m", "d = g"),
    (o.DiffGrad(), "g_prev - g", "g_prev + g"),
    (o.DiffGrad(), "exp(-np.abs(g_prev - g))", "exp(g_prev - g)"),
    (o.DiffGrad(), "m, v, g\n", "m, v, m\n"),
    (o.DiffGrad(), "friction * m_hat", "friction * friction * m_hat"),
    (o.EXAdam(), "v / (v + self.eps) * self.beta2**t", "v / (v + self.eps) * self.beta1**t"),
    (o.EXAdam(), "g_tilde = g / (1 - self.beta1**t) * d1", "g_tilde = g / (1 - self.beta1**t)"),
    (o.EXAdam(), "v / (1 - self.beta2**t) * d2", "v / (1 - self.beta2**t) / d2"),
    (o.EXAdam(version="first"), "np.sqrt(2 * (t + 1))", "np.sqrt(2 * t)"),
    (o.RM3(), "t < 3", "t < 2"),
    (o.RM3(), "1.0 * g, 1.0 * previous", "1.0 * g, 1.0 * before"),
    (o.RM3(**DECAYED), "g = g + self.weight_decay * p", "p = p - self.lr * self.weight_decay * p"),
    (o.AdaGradNorm(), "tree_sum(g * g)", "g * g"),
    (o.AdaGradNorm(), "np.sqrt(s)", "s"),
    (o.LAMB(**DECAYED), "else p_norm / r_norm", "else r_norm / p_norm", "_ratio"),
    (
        o.LAMB(**DECAYED),
        "ratio = np.where((p_norm == 0) | (r_norm == 0), 1.0, self._ratio(p_norm, r_norm))",
        "ratio = 1.0",
    ),
    (o.LAMB(), "np.sqrt(tree_sum(p * p))", "tree_sum(p * p)"),
    (o.LAMB(), "np.sqrt(tree_sum(r * r))", "np.sqrt(tree_sum(r * r) / length(r))"),
    (o.AdamP(test="author", delta=9.0), "by_row, row_step", "by_row, u", "_tangential"),
    (o.AdamP(), "cosine < bound, flat, u", "tree_max(cosine) < bound, flat, u", "_tangential"),
    (o.AdamP(), "self._tangential(p, g, u)", "self._tangential(p, u, u)"),
    (o.AdamP(**DECAYED), "self.wd_ratio * p, p)", "p, p)", "_tangential"),
    (o.SGDP(momentum=0.9), "else moving\n", "else step\n"),
    (o.SGDP(**DECAYED, momentum=0.9), "self.weight_decay / (1 - self.momentum)", "self.weight_decay"),
    (o.SGDP(nesterov=True, momentum=0.9), "g + self.momentum * moving", "moving + self.momentum * moving"),
    (o.AdamP(), "u - n * tree_sum(n * u, over)", "u + n * tree_sum(n * u, over)", "_project"),
]

LEGAL: list[tuple[Any, ...]] = [
    (o.SGD(momentum=0.9, nesterov=True), "g = g + self.momentum * buffer if", "g = self.momentum * buffer + g if"),
    (o.Adam(), "self.beta1 * m + (1 - self.beta1) * g", "m + (1 - self.beta1) * (g - m)"),
    (o.AdamW(), "(1 - self.beta2) * g * g", "g * (g * (1 - self.beta2))"),
    (o.AMSGrad(), "over_root(self, m, v_max)", "m * (1 / (np.sqrt(v_max) + self.eps))"),
    (o.NAdam(), "mu_next * m / (1 - mu_product * mu_next)", "m * (mu_next / (1 - mu_product * mu_next))"),
    (o.RAdam(), "self.lr * r * over_root(self, m_hat, v", "over_root(self, self.lr * r * m_hat, v"),
    (o.Adamax(), "(self.lr / (1 - self.beta1**t)) * m / norm", "self.lr * m / ((1 - self.beta1**t) * norm)"),
    (o.Adagrad(), "lr * g / (np.sqrt(s) + self.eps)", "g / (np.sqrt(s) + self.eps) * lr"),
    (o.Adadelta(), "np.sqrt(u + self.eps) / np.sqrt(v + self.eps)", "np.sqrt((u + self.eps) / (v + self.eps))"),
    (o.RMSprop(momentum=0.9), "g / (np.sqrt(scale) + self.eps)", "g * (1 / (np.sqrt(scale) + self.eps))"),
    (o.Lion(), "m = self.beta2 * m + (1 - self.beta2) * g", "m = m + (1 - self.beta2) * (g - m)"),
    (o.AdaBelief(), "(1 - self.beta2) * d * d", "((1 - self.beta2) * d) * d"),
    (o.DiffGrad(), "friction * m_hat", "m_hat * friction"),
    (o.LAMB(**DECAYED), "self.lr * late * ratio * r", "ratio * (self.lr * r)"),
    (
        o.AdamP(**DECAYED),
        "self.lr * (step + self.weight_decay * decaying)",
        "(self.lr * step + self.lr * self.weight_decay * decaying)",
    ),
    (o.EXAdam(), "v / (v + self.eps) * self.beta2**t", "self.beta2**t * v / (v + self.eps)"),
    (o.RM3(), "self.lr * middle", "middle * self.lr"),
    (o.AdaGradNorm(), "self.lr * g / np.sqrt(s)", "g * (self.lr / np.sqrt(s))"),
    (o.SGDP(momentum=0.9), "self.momentum * buffer + damped", "damped + buffer * self.momentum"),
]

for family in (momentum, layers, averaging, parameter_free, wrappers, matrix, extra):
    MUTANTS += family.MUTANTS
    LEGAL += family.LEGAL


def ids(case: tuple[Any, ...]) -> str:
    """What a case is called in reports of tests."""
    return f"{type(case[0]).__name__}: {case[1]} -> {case[2]}".replace("\n", "")
