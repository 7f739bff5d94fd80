"""Momentum, signs, accumulated squares, schedules of averages and ratios of norms in NumPy."""

from __future__ import annotations

from refgrad import optimizers as o
from tests.strength.edits.text import numpy_step

TEXTS = (
    numpy_step(
        "SGD",
        o.SGD(lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.1),
        "p, g, buffer, t, lr, momentum, dampening, weight_decay",
        """
g = g + weight_decay * p
buffer = momentum * buffer + (1 - dampening) * g
return p - lr * buffer, buffer
""",
    ),
    numpy_step(
        "SGD nesterov",
        o.SGD(lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
        "p, g, buffer, t, lr, momentum, weight_decay",
        """
g = g + weight_decay * p
buffer = momentum * buffer + g
return p - lr * (g + momentum * buffer), buffer
""",
    ),
    numpy_step(
        "Lion",
        o.Lion(weight_decay=0.1),
        "p, g, m, t, lr, beta1, beta2, weight_decay",
        """
c = beta1 * m + (1 - beta1) * g
m = beta2 * m + (1 - beta2) * g
return p - lr * (np.sign(c) + weight_decay * p), m
""",
    ),
    numpy_step(
        "Tiger",
        o.Tiger(),
        "p, g, m, t, lr, beta, weight_decay",
        """
m = beta * m + (1 - beta) * g
return p - lr * (np.sign(m) + weight_decay * p), m
""",
    ),
    numpy_step(
        "RMSprop",
        o.RMSprop(weight_decay=0.1, momentum=0.9),
        "p, g, v, buffer, t, lr, alpha, eps, momentum, weight_decay",
        """
g = g + weight_decay * p
v = alpha * v + (1 - alpha) * g * g
buffer = momentum * buffer + g / (np.sqrt(v) + eps)
return p - lr * buffer, v, buffer
""",
    ),
    numpy_step(
        "Adagrad",
        o.Adagrad(lr_decay=0.1, weight_decay=0.1),
        "p, g, s, t, lr, lr_decay, weight_decay, eps",
        """
g = g + weight_decay * p
s = s + g * g
rate = lr / (1 + (t - 1) * lr_decay)
return p - rate * g / (np.sqrt(s) + eps), s
""",
    ),
    numpy_step(
        "Adadelta",
        o.Adadelta(weight_decay=0.1),
        "p, g, v, u, t, lr, rho, eps, weight_decay",
        """
g = g + weight_decay * p
v = rho * v + (1 - rho) * g * g
d = np.sqrt(u + eps) / np.sqrt(v + eps) * g
u = rho * u + (1 - rho) * d * d
return p - lr * d, v, u
""",
    ),
    numpy_step(
        "LARS",
        o.LARS(weight_decay=0.1),
        "p, g, momentum_sum, t, lr, momentum, trust_coefficient, weight_decay",
        """
size = np.sqrt(np.sum(p * p))
slope = np.sqrt(np.sum(g * g))
ratio = trust_coefficient * size / (slope + weight_decay * size) if size > 0 and slope > 0 else 1.0
momentum_sum = momentum * momentum_sum + lr * ratio * (g + weight_decay * p)
return p - momentum_sum, momentum_sum
""",
    ),
    numpy_step(
        "Sophia",
        o.Sophia(),
        "p, g, h, m, diagonal, t, lr, beta1, beta2, gamma, eps, weight_decay",
        """
m = beta1 * m + (1 - beta1) * g
if t % 10 == 1:
    diagonal = beta2 * diagonal + (1 - beta2) * h
u = np.clip(m / np.maximum(gamma * diagonal, eps), -1, 1)
return p - lr * weight_decay * p - lr * u, m, diagonal
""",
    ),
    numpy_step(
        "ScheduleFreeSGD",
        o.ScheduleFreeSGD(weight_decay=0.1),
        "p, g, z, weight_sum, lr_max, t, lr, beta1, weight_decay",
        """
lr_max = max(float(lr_max), lr)
weight = lr_max**2
weight_sum = float(weight_sum) + weight
share = weight / weight_sum
x = (p - (1 - beta1) * z) / beta1
z = z - lr * (g + weight_decay * p)
x = (1 - share) * x + share * z
return (1 - beta1) * z + beta1 * x, z, weight_sum, lr_max
""",
    ),
    numpy_step(
        "NovoGrad",
        o.NovoGrad(weight_decay=0.1),
        "p, g, m, v, t, lr, beta1, beta2, eps, weight_decay",
        """
square = np.full(v.shape, np.sum(g * g))
v = square if t == 1 else beta2 * v + (1 - beta2) * square
m = beta1 * m + g / (np.sqrt(v) + eps) + weight_decay * p
return p - lr * m, m, v
""",
    ),
    numpy_step(
        "MADGRAD",
        o.MADGRAD(weight_decay=0.1),
        "p, g, start, s, square, t, lr, momentum, eps, weight_decay",
        """
g = g + weight_decay * p
rate = lr * t**0.5
s = s + rate * g
square = square + rate * g * g
z = start - s / (np.cbrt(square) + eps)
return momentum * p + (1 - momentum) * z, start, s, square
""",
    ),
    numpy_step(
        "Rprop",
        o.Rprop(),
        "p, g, g_prev, step_size, t, eta_minus, eta_plus, step_min, step_max",
        """
a = g * g_prev
up = np.minimum(step_size * eta_plus, step_max)
down = np.maximum(step_size * eta_minus, step_min)
size = np.where(a > 0, up, np.where(a < 0, down, step_size))
kept = np.where(a < 0, p.dtype.type(0), g)
move = np.where(a < 0, -step_size * np.sign(g_prev), size * np.sign(kept))
return p - move, kept, size
""",
    ),
    numpy_step(
        "SignDescent",
        o.SignDescent(weight_decay=0.1),
        "p, g, t, lr, weight_decay",
        """
return p - lr * (np.sign(g) + weight_decay * p)
""",
    ),
    numpy_step(
        "Grams",
        o.Grams(weight_decay=0.1),
        "p, g, m, v, t, lr, beta1, beta2, eps, weight_decay",
        """
m = beta1 * m + (1 - beta1) * g
v = beta2 * v + (1 - beta2) * g * g
m_hat = m / (1 - beta1**t)
v_hat = v / (1 - beta2**t)
u = np.sign(g) * np.abs(m_hat / (np.sqrt(v_hat) + eps))
return p - lr * (u + weight_decay * p), m, v
""",
    ),
    numpy_step(
        "ClipByNorm",
        o.ClipByNorm(inner=o.SGD(lr=0.1)),
        "p, g, t, max_norm",
        """
norm = np.sqrt(np.sum(g * g))
g = g * (1.0 if norm <= max_norm else max_norm / norm)
return p - 0.1 * g
""",
    ),
    numpy_step(
        "Signum",
        o.Signum(weight_decay=0.1),
        "p, g, m, t, lr, beta, weight_decay",
        """
m = beta * m + (1 - beta) * g
return p - lr * (np.sign(m) + weight_decay * p), m
""",
    ),
)
