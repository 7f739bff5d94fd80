"""What each wrong program is, by `identify`: the titles that it must give, one of them; or why no rewrite makes it."""

from __future__ import annotations

#: the mutants of `tests.oracle.adam_cases`, as "AdamW..."
ADAM: dict[str, tuple[str, ...]] = {
    "eps inside the root": ("(eps_placement='inside')",),
    "eps beside the uncorrected root": ("(eps_placement='uncorrected')",),
    "eps twice": (" with eps under the root and beside it",),
    "no eps": ("(eps=0.0)",),
    "eps ten times": ("(eps=1e-07)",),
    "m not corrected": (" with no bias correction of m'",),
    "v not corrected": (" with no bias correction of v'",),
    "neither corrected": ("(bias_correction=False)",),
    "m corrected with t + 1": (" with beta1^(t + 1) for beta1^t",),
    "v corrected with t + 1": (" with beta2^(t + 1) for beta2^t",),
    "corrections exchanged": (" with beta1 and beta2 exchanged in the bias corrections",),
    "lr off by 0.01 percent": ("(lr=0.0010001)",),
    "lr off by a factor": ("(lr=0.002)",),
    "no decay": ("(weight_decay=0.0)",),
    "decay with the wrong sign": (" with weight decay with the wrong sign",),
    "decay not scaled by lr": ("(decay='fixed')",),
    "decay after the step": ("(decay='after')",),
    "decay coupled": (" with coupled weight decay",),
    "decay twice": (" with coupled weight decay besides",),
    "step with the wrong sign": (" with the other sign of m_hat / (sqrt(v_hat) + eps)",),
    "decays exchanged": (" with beta1 and beta2 exchanged but in the bias corrections",),
    "beta1 0.901": (" with beta1=0.901 in m'",),
    "beta2 0.9991": (" with beta2=0.9991 in v'",),
    "1 - beta2 in float32": (" with 1 - beta2 formed in float32",),
    "1 - beta1 missing": (" with g stands for (1 - beta1) g",),
    "1 - beta2 missing": (" with g stands for (1 - beta2) g",),
    "square missing": (" with |g| for the square of g",),
    "v from m": (" with m stands for g in v'",),
    "v centred": (" with g - m stands for g in v'",),
    "v is a maximum": (" with a maximum for the sum in v'",),
    "v never falls": (" with v that never falls",),
    "m not updated": (" with m not updated",),
    "v not updated": (" with v not updated",),
    "m truncated to bfloat16": (" with m' truncated to bfloat16",),
    "v truncated to bfloat16": (" with v' truncated to bfloat16",),
    "root of twelve bits": (" with a root of twelve bits: sqrt(v_hat)",),
    "gradient clipped at 1": (" with the gradient clipped at 1",),
    "gradient in bfloat16": (" with the gradient truncated to bfloat16",),
    "p from m before the step": (" with m stands for m' in m_hat",),
    "p from v before the step": (" with v stands for v' in v_hat",),
}

#: those that no rewrite makes, and why
UNNAMED: dict[str, str] = {
    "Nesterov": "the uncorrected average is added to the step without a denominator: no look-ahead that anyone uses",
    "gradient plus its mean": "a shift of the gradient by a reduction with numbers of its own",
}

#: mutants of `tests.oracle.rewritten` by rule, old and new text: what stands after the rule's name and hyperparameters
REWRITTEN: dict[tuple[str, str, str], str] = {
    ("SGD", "t == 1 and", "False and"): "dampening=0.3)",
    ("SGD", "(1 - self.dampening) * g", "(1 - self.momentum) * g"): "with momentum for dampening in buffer'",
    ("SGD", "g = g + self.momentum * buffer if", "g = g + buffer if"): "with buffer' stands for momentum buffer'",
    ("SGD", "g + self.weight_decay * p", "g - self.weight_decay * p"): "with weight decay with the wrong sign",
    ("Adam", "g * g", "np.abs(g)"): "with |g| for the square of g",
    (
        "Adam",
        "g = g + self.weight_decay * p",
        "p = p - self.lr * self.weight_decay * p",
    ): "with decoupled weight decay before the step by lr times weight_decay",
    ("AMSGrad", "np.maximum(v_max, v)", "v"): "with v' stands for v_max'",
    ("NAdam", "(t + 1) * self.momentum_decay", "t * self.momentum_decay"): "with t - 1 + 1 for t + 1",
    ("NAdam", "(1 - mu) * g", "(1 - mu_next) * g"): "t + 1 for t in 1 - beta1 (1 - 0.5 0.96^(t momentum_decay))",
    ("RAdam", "rho > 4", "rho > 5"): "(threshold='torch')",
    ("Adamax", "else np.abs(g)", "else g"): "with no magnitude of g",
    ("Adamax", "(self.lr / (1 - self.beta1**t))", "self.lr"): "with no bias correction of m'",
    ("Adamax", "self.beta2 * u", "u"): "with u that never falls",
    ("Adagrad", "np.sqrt(s) + self.eps", "np.sqrt(s + self.eps)"): "(eps_placement='inside')",
    ("Adagrad", "(t - 1)", "t"): "with t + 1 for t",
    ("Adadelta", "d * d", "g * g"): "with g stands for (sqrt(u + eps) / sqrt(v' + eps)) g in u'",
    ("Adadelta", "np.sqrt(u + self.eps)", "(np.sqrt(u) + self.eps)"): "with eps beside the root",
    ("RMSprop", "g * g", "g * p"): "with p stands for g in (1 - alpha) g",
    ("RMSprop", "(np.sqrt(scale) + self.eps)", "np.sqrt(scale + self.eps)"): "(eps_placement='inside')",
    (
        "Lion",
        "c = self.beta1 * m + (1 - self.beta1) * g",
        "c = self.beta2 * m + (1 - self.beta2) * g",
    ): "(beta1=0.99)",
    ("Adadelta", "np.sqrt(v + self.eps)", "np.sqrt(v)"): "with no eps",
    (
        "Lion",
        "m = self.beta2 * m + (1 - self.beta2) * g",
        "m = self.beta1 * m + (1 - self.beta1) * g",
    ): "(beta2=0.9)",
    ("Lion", "np.sign(c)", "c"): "with no sign of beta1 m + (1 - beta1) g",
    ("Lion", "np.sign(c)", "np.where(c >= 0, 1.0, -1.0)"): "with the sign of zero as one",
    ("AdaBelief", "d = g - m", "d = g"): "with g stands for g - m'",
    ("LAMB", "np.sqrt(tree_sum(p * p))", "tree_sum(p * p)"): "with no root of sum(p^2)",
    ("DiffGrad", "g_prev - g", "g_prev + g"): "with the other sign of g",
    ("DiffGrad", "exp(-np.abs(g_prev - g))", "exp(g_prev - g)"): (
        "with no minus of abs(g_prev - g) and no magnitude of g_prev - g"
    ),
    ("DiffGrad", "m, v, g\n", "m, v, m\n"): "with m' is stored as g_prev",
}
