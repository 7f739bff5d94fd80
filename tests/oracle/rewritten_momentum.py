"""Momentum, sign and Adam's relatives rewritten: mutants, and others that mean the same."""

from __future__ import annotations

from typing import Any

from refgrad import optimizers as o

DECAYED = {"weight_decay": 0.1}

MUTANTS: list[tuple[Any, ...]] = [
    (o.SGDW(), "self.lr * step - self.weight_decay * p", "self.lr * step - self.lr * self.weight_decay * p"),
    (o.SGDW(dampening=0.3), "(1 - self.dampening) * g", "g"),
    (o.SGDW(nesterov=True), "g + self.momentum * buffer", "buffer + self.momentum * g"),
    (o.QHM(lr=0.1), "(1 - self.nu) * g + self.nu * m", "self.nu * g + (1 - self.nu) * m"),
    (o.QHM(lr=0.1), "(1 - self.beta) * g", "g"),
    (o.AggMo(), "self.lr / 3", "self.lr"),
    (o.AggMo(), "self.beta2 * v2 + g", "self.beta2 * v2 + (1 - self.beta2) * g"),
    (o.OptimisticGradient(beta=0.3), "self.beta * g_prev", "self.alpha * g_prev"),
    (o.OptimisticGradient(), "if t == 1:", "if t == 0:"),
    (o.PID(), "(1 - self.momentum) * (g - g_prev)", "(g - g_prev)"),
    (o.PID(), "self.derivative * d_buffer), i_buffer", "self.integral * d_buffer), i_buffer"),
    (o.SignSGD(), "np.sign(g)", "np.where(g >= 0, 1.0, -1.0)"),
    (o.SignSGD(**DECAYED), "self.weight_decay * p", "self.lr * self.weight_decay * p"),
    (o.Signum(), "np.sign(m)", "np.sign(g)"),
    (o.Signum(), "(1 - self.beta) * g", "g"),
    (o.Tiger(), "np.sign(m) + self.weight_decay * p", "np.sign(m) - self.weight_decay * p"),
    (o.Rprop(), "-last_step", "last_step"),
    (o.Rprop(), "np.where(turn < 0, 0.0, g)", "1.0 * g"),
    (o.Rprop(), "turn > 0, grown", "turn >= 0, grown"),
    (o.Rprop(reversal="skip"), "np.maximum(step_size * self.eta_minus, self.step_min)", "step_size * self.eta_plus"),
    (o.QHAdam(), "(1 - self.nu2) * g * g + self.nu2 * v_hat", "v_hat + self.eps"),
    (o.QHAdam(), "self.nu1 * m_hat", "self.nu1 * m"),
    (o.QHAdam(corrected_state=True), "1 + self.beta1 * weight1", "1 + self.beta2 * weight1"),
    (
        o.Adan(),
        "m, m_diff, square = 1.0 * g, change, ahead * ahead",
        "m, m_diff, square = (1 - self.beta1) * g, change, ahead * ahead",
    ),
    (o.Adan(), "ahead = g + share * change", "ahead = g + change"),
    (o.Adan(start="corrected"), "m_diff / (1 - self.beta2**t)", "m_diff"),
    (o.Adan(**DECAYED), "/ (1 + self.lr * self.weight_decay)", "* (1 - self.lr * self.weight_decay)"),
    (o.AdEMAMix(), "alpha * m_slow", "alpha * m_slow / (1 - beta3**t)"),
    (o.AdEMAMix(), "(1 - beta3) * g", "g"),
    (o.AdEMAMix(warmup=5.0), "part * self.alpha", "self.alpha", "_schedules"),
    (o.AdEMAMix(warmup=5.0), "(1 - part) * slow + part * fast", "(1 - part) * fast + part * slow", "_schedules"),
    (o.SimplifiedAdEMAMix(), "m = self.beta1 * m + g", "m = self.beta1 * m + (1 - self.beta1) * g"),
    (o.SimplifiedAdEMAMix(alpha=0.5), "m + self.alpha * g", "m"),
    (o.LaProp(), "(1 - self.beta1) * self.lr * direction", "(1 - self.beta1) * direction"),
    (o.LaProp(), "v / (1 - self.beta2**t)", "v"),
    (o.LaProp(**DECAYED), "self.lr * self.weight_decay * p", "self.weight_decay * p"),
    (o.Grams(), "np.sign(g)", "np.sign(m)"),
    (o.Grams(), "np.sqrt(v_hat) + self.eps", "np.sqrt(v_hat + self.eps)"),
    (o.Yogi(), "np.sign(v - g * g) * (g * g)", "(v - g * g)"),
    (o.Yogi(), "np.sqrt(v) + self.eps), m, v", "np.sqrt(v + self.eps)), m, v"),
    (o.ADOPT(), "return decayed, 1.0 * m, g * g", "return decayed, 1.0 * m, (1 - self.beta2) * g * g"),
    (o.ADOPT(), "t - 1 if", "t if"),
    (o.ADOPT(), "np.maximum(np.sqrt(v), self.eps)", "(np.sqrt(v) + self.eps)"),
    (o.ACProp(), "self.beta2 ** (t - 1)", "self.beta2 ** t"),
    (o.ACProp(), "d * d + self.eps", "d * d"),
    (o.ACProp(), "g - (mean if", "g - (m if"),
    (o.AdamaxW(), "m / (1 - self.beta1**t) / u + self.weight_decay * p", "m / (1 - self.beta1**t) / u"),
    (o.AdamaxW(), "np.maximum(self.beta2 * u, size)", "np.maximum(u, size)"),
    (o.NAdamW(), "self.beta1 * m / ahead", "m / ahead"),
    (o.NAdamW(), "t + 1 if", "t if"),
]

LEGAL: list[tuple[Any, ...]] = [
    (o.SGDW(), "p - self.lr * step - self.weight_decay * p", "(1 - self.weight_decay) * p - self.lr * step"),
    (
        o.QHM(lr=0.1),
        "self.lr * ((1 - self.nu) * g + self.nu * m)",
        "(self.lr * (1 - self.nu) * g + self.lr * self.nu * m)",
    ),
    (o.AggMo(), "self.lr / 3 * (v1 + v2 + v3)", "(v3 + (v1 + v2)) * (self.lr / 3)"),
    (
        o.OptimisticGradient(),
        "(self.alpha + self.beta) * g - self.beta * g_prev",
        "self.alpha * g + self.beta * (g - g_prev)",
    ),
    (o.PID(), "g + self.integral * i_buffer", "self.integral * i_buffer + g"),
    (
        o.SignSGD(**DECAYED),
        "self.lr * (np.sign(g) + self.weight_decay * p)",
        "self.lr * np.sign(g) - self.lr * self.weight_decay * p",
    ),
    (o.Signum(), "self.beta * m + (1 - self.beta) * g", "m + (1 - self.beta) * (g - m)"),
    (o.Tiger(), "self.beta * m + (1 - self.beta) * g", "m + (1 - self.beta) * (g - m)"),
    (o.Rprop(), "turn = g * g_prev", "turn = np.sign(g) * np.sign(g_prev)"),
    (o.QHAdam(), "(1 - self.nu1) * g + self.nu1 * m_hat", "self.nu1 * m_hat + g * (1 - self.nu1)"),
    (
        o.Adan(),
        "(m + share * m_diff) / (np.sqrt(square) + self.eps)",
        "m / (np.sqrt(square) + self.eps) + share * m_diff / (np.sqrt(square) + self.eps)",
    ),
    (o.AdEMAMix(), "beta3 * m_slow + (1 - beta3) * g", "m_slow + (1 - beta3) * (g - m_slow)"),
    (o.SimplifiedAdEMAMix(alpha=0.5), "m + self.alpha * g", "self.alpha * g + m"),
    (o.LaProp(), "(1 - self.beta1) * self.lr * direction", "self.lr * ((1 - self.beta1) * direction)"),
    (
        o.Grams(),
        "np.sign(g) * np.abs(m_hat / (np.sqrt(v_hat) + self.eps))",
        "np.sign(g) * np.abs(m_hat) / (np.sqrt(v_hat) + self.eps)",
    ),
    (o.Yogi(), "(1 - self.beta2) * np.sign(v - g * g) * (g * g)", "np.sign(v - g * g) * ((1 - self.beta2) * (g * g))"),
    (o.ADOPT(), "(m + self.weight_decay * p)", "(self.weight_decay * p + m)"),
    (o.ACProp(), "(1 - self.beta2) * d * d + self.eps", "d * (d * (1 - self.beta2)) + self.eps"),
    (o.AdamaxW(), "m / (1 - self.beta1**t) / u", "m / u / (1 - self.beta1**t)"),
    (o.NAdamW(), "self.beta1 * m / ahead", "m * (self.beta1 / ahead)"),
]
