"""Rules that see a whole tensor, its rows or its columns, rewritten: mutants, and others that mean the same."""

from __future__ import annotations

from typing import Any

from refgrad import optimizers as o

DECAYED = {"weight_decay": 0.1}

MUTANTS: list[tuple[Any, ...]] = [
    (o.CautiousAdamW(), "cautious(direction, g, self)", "direction"),
    (o.CautiousAdamW(), "cautious(direction, g, self)", "cautious(direction, p, self)"),
    (o.CautiousLion(), "cautious(np.sign(c), g, self)", "cautious(np.sign(c), c, self)"),
    (o.LARS(**DECAYED), "g_norm + self.weight_decay * p_norm + self.eps", "g_norm + self.eps"),
    (o.LARS(**DECAYED), "self.lr * ratio * decayed", "self.lr * ratio * g"),
    (o.LARS(), "self.trust_coefficient * p_norm / below", "self.trust_coefficient / below"),
    (o.Fromage(), "np.sqrt(1 + self.lr**2)", "(1 + self.lr**2)"),
    (o.Fromage(), "p_norm / g_norm", "1.0 / g_norm"),
    (o.NovoGrad(), "self.beta2 * v + (1 - self.beta2) * square", "self.beta2 * v + square"),
    (o.NovoGrad(), "np.sqrt(v) + self.eps", "v + self.eps"),
    (o.NovoGrad(averaging=True), "1 - self.beta1 if", "self.beta1 if"),
    (o.StableAdamW(), "np.maximum(1.0, rms)", "np.maximum(0.5, rms)"),
    (o.StableAdamW(), " / length(p))", ")"),
    (o.StableAdamW(), "self.beta2 ** (t - 1)", "self.beta2 ** t"),
    (o.MARS(), "self.beta1 / (1 - self.beta1)", "(1 - self.beta1)"),
    (o.MARS(), "c / np.maximum(1.0, norm(c))", "c / np.maximum(1e3, norm(c))"),
    (o.MARS(**DECAYED), "self.weight_decay * p", "self.lr * self.weight_decay * p"),
    (o.AdamMini(), "length(p, over)", "length(p)"),
    (o.AdamMini(blocks="tensor"), "v / (1 - self.beta2**t)", "v"),
    (o.Adafactor(lr=0.5), "1 / np.sqrt(t)", "1 / t"),
    (o.Adafactor(), "beta = 1 - 1 / t**self.decay_exponent", "beta = 1 - 1 / (t + 1)**self.decay_exponent"),
    (o.Adafactor(lr=0.5), "mean(u * u, p", "mean(g * g, p"),
    (o.Adafactor(), "v_row / middle * v_column", "v_row * v_column"),
    (
        o.Adafactor(eps2=1e7),
        'np.maximum(np.sqrt(mean(p * p, p, "tensor")), self.eps2)',
        'np.sqrt(mean(p * p, p, "tensor"))',
    ),
    (o.CAME(), "(u - m) * (u - m) + self.eps2", "u * u + self.eps2"),
    (o.CAME(), "self.beta3)", "self.beta2)"),
    (o.CAME(), "m / np.sqrt(s_row", "u / np.sqrt(s_row"),
    (o.SM3(), "np.minimum(s_row, s_column) + g * g", "np.maximum(s_row, s_column) + g * g"),
    (o.SM3(), "(1 - self.momentum) * direction", "direction"),
    (o.SM3(eps=0.1), "np.sqrt(s + self.eps)", "(np.sqrt(s) + self.eps)"),
]

LEGAL: list[tuple[Any, ...]] = [
    (o.CautiousAdamW(), "m_hat / (np.sqrt(v_hat) + self.eps)", "m_hat * (1 / (np.sqrt(v_hat) + self.eps))"),
    (o.CautiousLion(), "self.beta1 * m + (1 - self.beta1) * g", "m + (1 - self.beta1) * (g - m)"),
    (o.LARS(**DECAYED), "self.lr * ratio * decayed", "ratio * (self.lr * decayed)"),
    (o.Fromage(), "self.lr * ratio * g", "ratio * (self.lr * g)"),
    (o.NovoGrad(), "g / (np.sqrt(v) + self.eps)", "g * (1 / (np.sqrt(v) + self.eps))"),
    (o.StableAdamW(), "lr * m / (np.sqrt(v) + self.eps)", "m * (lr / (np.sqrt(v) + self.eps))"),
    (
        o.MARS(),
        "self.gamma * self.beta1 / (1 - self.beta1) * (g - g_prev)",
        "(g - g_prev) * (self.gamma * self.beta1 / (1 - self.beta1))",
    ),
    (o.AdamMini(), "tree_sum(g * g, over) / length(p, over)", "tree_sum(g * g / length(p, over), over)"),
    (o.Adafactor(), "u = g / np.sqrt(v)", "u = g * (1 / np.sqrt(v))"),
    (o.CAME(), "m / np.sqrt(s_row / middle * s_column)", "m * np.sqrt(middle / s_row) / np.sqrt(s_column)"),
    (
        o.SM3(),
        "self.momentum * buffer + (1 - self.momentum) * direction",
        "buffer + (1 - self.momentum) * (direction - buffer)",
    ),
]
