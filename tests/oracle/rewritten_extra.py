"""Rules that take more than parameter and gradient, rewritten: mutants, and others that mean the same."""

from __future__ import annotations

from typing import Any

from refgrad import optimizers as o

SGD = o.SGD(lr=0.1)
DECAYED = {"weight_decay": 0.1}
LBFGS = o.LBFGS(lr=0.1, history=2)
MECHANIC = o.Mechanic(inner=o.SGD(lr=1.0), s_init=1e-2)

MUTANTS: list[tuple[Any, ...]] = [
    (o.PolyakSGD(), "tree_sum(scaled * scaled)", "np.sqrt(tree_sum(scaled * scaled))"),
    (o.PolyakSGD(f_min=0.25), "gap = loss - self.f_min", "gap = loss"),
    (o.PolyakSGD(gap="positive", f_min=0.25), "gap < 0", "gap < -1e9"),
    (o.PolyakSGD(), "np.minimum(gap / (self.c * square), self.max_lr)", "gap / (self.c * square)"),
    (o.MoMo(), "beta = 0.0 if self.start", "beta = self.beta if self.start"),
    (o.MoMo(), "gamma = beta * gamma + (1 - beta) * tree_sum(g * p)", "gamma = tree_sum(g * p)"),
    (o.MoMo(), "tree_sum(m * p)", "tree_sum(g * p)"),
    (o.MoMo(**DECAYED), "(p - step) / shrink", "p / shrink - step", "decayed"),
    (o.MoMoAdam(), "rule.lr / rho", "rule.lr", "model_step"),
    (o.MoMoAdam(lr=1e3), "tree_sum(m * scaled)", "tree_sum(m * m)"),
    (o.MoMoAdam(lr=1e12, lower_bound=-1e13), "rho * bound", "bound", "model_step"),
    (o.ReduceOnPlateau(inner=SGD, patience=2), "plateau == self.patience", "plateau > self.patience"),
    (o.ReduceOnPlateau(inner=SGD, patience=2), "self.factor * scale", "self.factor"),
    (o.ReduceOnPlateau(inner=SGD, accumulation_size=2, patience=1), "(count * mean + loss) / (count + 1)", "loss"),
    (o.SAM(inner=SGD), "step(p, second)", "step(p, g)"),
    (o.SAM(inner=SGD), "step(p, second)", "step(there, second)"),
    (o.SAM(inner=SGD), "p + self.rho / (norm(g) + self.eps) * g", "p + self.rho * g"),
    (o.ASAM(inner=SGD), "size * size * g", "size * g"),
    (o.ASAM(inner=SGD), "norm(size * g)", "norm(g)"),
    (o.Sophia(), "np.maximum(self.gamma * used, self.eps)", "self.gamma * used + self.eps"),
    (o.Sophia(), "(1 - self.beta2) * h", "(1 - self.beta2) * h * h"),
    (o.Sophia(interval=3), "(t - 1) % self.interval", "t % self.interval"),
    (o.Sophia(), "-self.clip, self.clip", "-self.clip, 2 * self.clip"),
    (o.AdaHessian(), "(1 - self.beta2) * h * h", "(1 - self.beta2) * g * h"),
    (o.AdaHessian(), "np.sqrt(v_hat)", "v_hat"),
    (o.AddNoise(inner=SGD), "np.sqrt(self.eta / t**self.gamma)", "self.eta / t**self.gamma"),
    (o.AddNoise(inner=SGD), "t**self.gamma", "(1 + t) ** self.gamma"),
    (o.LangevinDynamics(), "self.lr / 2 * g", "self.lr * g"),
    (MECHANIC, "beta * r - s * product", "beta * r + s * product", "_tuned"),
    (MECHANIC, "beta * (beta * v)", "beta * v", "_tuned"),
    (MECHANIC, "offset + (new - p)", "offset + new"),
    (LBFGS, "(alpha - w * tree_sum(y * r)) * s", "(alpha + w * tree_sum(y * r)) * s", "two_loops"),
    (LBFGS, "curvature / square", "square / curvature", "_remembered"),
    (LBFGS, "zip(reversed(pairs), reversed(alphas), strict=True)", "zip(pairs, alphas, strict=True)", "two_loops"),
]

LEGAL: list[tuple[Any, ...]] = [
    (o.PolyakSGD(), "gap / (self.c * square)", "gap / self.c / square"),
    (o.MoMo(), "beta * m + (1 - beta) * g", "m + (1 - beta) * (g - m)"),
    (o.MoMoAdam(), "(1 - self.beta2) * g * g", "(g * g) * (1 - self.beta2)"),
    (o.ReduceOnPlateau(inner=SGD), "(count * mean + loss) / (count + 1)", "mean + (loss - mean) / (count + 1)"),
    (o.SAM(inner=SGD), "self.rho / (norm(g) + self.eps) * g", "self.rho * (g / (norm(g) + self.eps))"),
    (o.ASAM(inner=SGD), "(size * size * g)", "(size * (size * g))"),
    (o.Sophia(), "self.beta1 * m + (1 - self.beta1) * g", "m + (1 - self.beta1) * (g - m)"),
    (o.AdaHessian(), "v / (1 - self.beta2**t)", "v * (1 / (1 - self.beta2**t))"),
    (o.AddNoise(inner=SGD), "np.sqrt(self.eta / t**self.gamma)", "np.sqrt(self.eta) * t ** (-self.gamma / 2)"),
    (o.LangevinDynamics(), "self.lr / 2 * g", "self.lr * (0.5 * g)"),
    (MECHANIC, "beta * (beta * v)", "(beta * beta) * v", "_tuned"),
    (LBFGS, "scale * q", "q * scale", "two_loops"),
]
