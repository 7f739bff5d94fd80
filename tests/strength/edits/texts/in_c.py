"""Optimizers in C, which work in place."""

from __future__ import annotations

from refgrad import optimizers as o
from refgrad.rule import Rule
from tests.strength.edits.text import C, Text

TYPES = {"n": "int64_t", "t": "int64_t"}
ARRAYS = {"p", "g", "m", "v", "s", "u", "buffer", "v_max", "c"}


def _loop(name: str, rule: Rule, arguments: str, body: str, before: str = "") -> Text:
    """A function that runs a body for each element i."""
    declared = []
    for word in (part.strip() for part in arguments.split(",")):
        bare = word.removesuffix("*")
        star = word.endswith("*")
        const = "" if star else "const "
        declared.append(f"{const}real *{bare}" if bare in ARRAYS else f"{TYPES.get(bare, 'double')} {bare}")
    lines = "".join(f"        {line}\n" for line in body.strip().splitlines())
    first = "".join(f"    {line}\n" for line in before.strip().splitlines())
    source = f"void step({', '.join(declared)}) {{\n{first}    for (int64_t i = 0; i < n; i++) {{\n{lines}    }}\n}}\n"
    return Text(name, C, rule, source, arguments)


BIAS = """
const real c1 = 1 - pow(beta1, t);
const real c2 = 1 - pow(beta2, t);
"""
ADAM = "p*, g, m*, v*, n, t, lr, beta1, beta2, eps, weight_decay"

TEXTS = (
    _loop(
        "C AdamW",
        o.AdamW(),
        ADAM,
        """
m[i] = (real)beta1 * m[i] + (real)(1 - beta1) * g[i];
v[i] = (real)beta2 * v[i] + (real)(1 - beta2) * g[i] * g[i];
real m_hat = m[i] / c1;
real v_hat = v[i] / c2;
p[i] -= (real)lr * (m_hat / ((real)sqrt(v_hat) + (real)eps) + (real)weight_decay * p[i]);
""",
        BIAS,
    ),
    _loop(
        "C Adam",
        o.Adam(weight_decay=0.1),
        ADAM,
        """
real a = g[i] + (real)weight_decay * p[i];
m[i] = (real)beta1 * m[i] + (real)(1 - beta1) * a;
v[i] = (real)beta2 * v[i] + (real)(1 - beta2) * a * a;
real m_hat = m[i] / c1;
real v_hat = v[i] / c2;
p[i] -= (real)lr * m_hat / ((real)sqrt(v_hat) + (real)eps);
""",
        BIAS,
    ),
    _loop(
        "C AMSGrad",
        o.AMSGrad(),
        "p*, g, m*, v*, v_max*, n, t, lr, beta1, beta2, eps",
        """
m[i] = (real)beta1 * m[i] + (real)(1 - beta1) * g[i];
v[i] = (real)beta2 * v[i] + (real)(1 - beta2) * g[i] * g[i];
v_max[i] = v[i] > v_max[i] || v[i] != v[i] ? v[i] : v_max[i];
p[i] -= (real)lr * m[i] / ((real)sqrt(v_max[i]) + (real)eps);
""",
    ),
    _loop(
        "C SGD",
        o.SGD(lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
        "p*, g, buffer*, n, t, lr, momentum, weight_decay",
        """
real a = g[i] + (real)weight_decay * p[i];
buffer[i] = (real)momentum * buffer[i] + a;
p[i] -= (real)lr * (a + (real)momentum * buffer[i]);
""",
    ),
    _loop(
        "C Lion",
        o.Lion(weight_decay=0.1),
        "p*, g, m*, n, t, lr, beta1, beta2, weight_decay",
        """
real c = (real)beta1 * m[i] + (real)(1 - beta1) * g[i];
real sign = c > 0 ? 1 : c < 0 ? -1 : c;
p[i] -= (real)lr * (sign + (real)weight_decay * p[i]);
m[i] = (real)beta2 * m[i] + (real)(1 - beta2) * g[i];
""",
    ),
    _loop(
        "C RMSprop",
        o.RMSprop(momentum=0.9),
        "p*, g, v*, buffer*, n, t, lr, alpha, eps, momentum",
        """
v[i] = (real)alpha * v[i] + (real)(1 - alpha) * g[i] * g[i];
buffer[i] = (real)momentum * buffer[i] + g[i] / ((real)sqrt(v[i]) + (real)eps);
p[i] -= (real)lr * buffer[i];
""",
    ),
    _loop(
        "C Adagrad",
        o.Adagrad(lr_decay=0.1),
        "p*, g, s*, n, t, lr, lr_decay, eps",
        """
s[i] += g[i] * g[i];
p[i] -= rate * g[i] / ((real)sqrt(s[i]) + (real)eps);
""",
        "const real rate = lr / (1 + (t - 1) * lr_decay);",
    ),
    _loop(
        "C Adadelta",
        o.Adadelta(),
        "p*, g, v*, u*, n, t, lr, rho, eps",
        """
v[i] = (real)rho * v[i] + (real)(1 - rho) * g[i] * g[i];
real d = (real)sqrt(u[i] + (real)eps) / (real)sqrt(v[i] + (real)eps) * g[i];
u[i] = (real)rho * u[i] + (real)(1 - rho) * d * d;
p[i] -= (real)lr * d;
""",
    ),
)
