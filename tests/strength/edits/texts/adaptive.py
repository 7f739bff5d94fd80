"""Adam and its kin in NumPy."""

from __future__ import annotations

from refgrad import optimizers as o
from tests.strength.edits.text import numpy_step

ADAM = "p, g, m, v, t, lr, beta1, beta2, eps, weight_decay"

TEXTS = (
    numpy_step(
        "AdamW",
        o.AdamW(),
        ADAM,
        """
m = beta1 * m + (1 - beta1) * g
v = beta2 * v + (1 - beta2) * g * g
m_hat = m / (1 - beta1**t)
v_hat = v / (1 - beta2**t)
return p - lr * (m_hat / (np.sqrt(v_hat) + eps) + weight_decay * p), m, v
""",
    ),
    numpy_step(
        "Adam",
        o.Adam(weight_decay=0.1),
        ADAM,
        """
g = g + weight_decay * p
m = beta1 * m + (1 - beta1) * g
v = beta2 * v + (1 - beta2) * g * g
m_hat = m / (1 - beta1**t)
v_hat = v / (1 - beta2**t)
return p - lr * m_hat / (np.sqrt(v_hat) + eps), m, v
""",
    ),
    numpy_step(
        "NAdam",
        o.NAdam(weight_decay=0.1),
        "p, g, m, v, mu_product, t, lr, beta1, beta2, eps, weight_decay, momentum_decay",
        """
g = g + weight_decay * p
mu = beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))
mu_next = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
mu_product = float(mu_product) * mu
m = beta1 * m + (1 - beta1) * g
v = beta2 * v + (1 - beta2) * g * g
v_hat = v / (1 - beta2**t)
look = mu_next * m / (1 - mu_product * mu_next) + (1 - mu) * g / (1 - mu_product)
return p - lr * look / (np.sqrt(v_hat) + eps), m, v, mu_product
""",
    ),
    numpy_step(
        "RAdam",
        o.RAdam(weight_decay=0.1),
        ADAM,
        """
g = g + weight_decay * p
m = beta1 * m + (1 - beta1) * g
v = beta2 * v + (1 - beta2) * g * g
m_hat = m / (1 - beta1**t)
longest = 2 / (1 - beta2) - 1
length = longest - 2 * t * beta2**t / (1 - beta2**t)
if length > 4:
    r = ((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)) ** 0.5
    v_hat = v / (1 - beta2**t)
    return p - lr * r * m_hat / (np.sqrt(v_hat) + eps), m, v
return p - lr * m_hat, m, v
""",
    ),
    numpy_step(
        "Adamax",
        o.Adamax(weight_decay=0.1),
        "p, g, m, u, t, lr, beta1, beta2, weight_decay",
        """
g = g + weight_decay * p
m = beta1 * m + (1 - beta1) * g
u = np.maximum(beta2 * u, np.abs(g))
return p - lr / (1 - beta1**t) * m / u, m, u
""",
    ),
    numpy_step(
        "AMSGrad",
        o.AMSGrad(weight_decay=0.1),
        "p, g, m, v, v_max, t, lr, beta1, beta2, eps, weight_decay",
        """
g = g + weight_decay * p
m = beta1 * m + (1 - beta1) * g
v = beta2 * v + (1 - beta2) * g * g
v_max = np.maximum(v_max, v)
return p - lr * m / (np.sqrt(v_max) + eps), m, v, v_max
""",
    ),
    numpy_step(
        "AdaBelief",
        o.AdaBelief(weight_decay=0.1),
        "p, g, m, s, t, lr, beta1, beta2, eps, weight_decay",
        """
m = beta1 * m + (1 - beta1) * g
d = g - m
s = beta2 * s + (1 - beta2) * d * d + eps
m_hat = m / (1 - beta1**t)
s_hat = s / (1 - beta2**t)
return p - lr * weight_decay * p - lr * m_hat / (np.sqrt(s_hat) + eps), m, s
""",
    ),
    numpy_step(
        "Yogi",
        o.Yogi(weight_decay=0.1),
        ADAM,
        """
g = g + weight_decay * p
m = beta1 * m + (1 - beta1) * g
v = v - (1 - beta2) * np.sign(v - g * g) * g * g
return p - lr * m / (np.sqrt(v) + eps), m, v
""",
    ),
    numpy_step(
        "ADOPT",
        o.ADOPT(weight_decay=0.1),
        ADAM,
        """
if t == 1:
    return p, m, g * g
bound = (t - 1) ** 0.25
u = np.clip(g / np.maximum(np.sqrt(v), eps), -bound, bound)
m = beta1 * m + (1 - beta1) * u
v = beta2 * v + (1 - beta2) * g * g
return p - lr * (m + weight_decay * p), m, v
""",
    ),
    numpy_step(
        "AdEMAMix",
        o.AdEMAMix(weight_decay=0.1),
        "p, g, m, m_slow, v, t, lr, beta1, beta2, beta3, alpha, eps, weight_decay",
        """
m = beta1 * m + (1 - beta1) * g
m_slow = beta3 * m_slow + (1 - beta3) * g
v = beta2 * v + (1 - beta2) * g * g
m_hat = m / (1 - beta1**t)
v_hat = v / (1 - beta2**t)
return p - lr * ((m_hat + alpha * m_slow) / (np.sqrt(v_hat) + eps) + weight_decay * p), m, m_slow, v
""",
    ),
    numpy_step(
        "StableAdamW",
        o.StableAdamW(),
        ADAM,
        """
b1 = beta1 * (1 - beta1 ** (t - 1)) / (1 - beta1**t)
b2 = beta2 * (1 - beta2 ** (t - 1)) / (1 - beta2**t)
m = b1 * m + (1 - b1) * g
v = b2 * v + (1 - b2) * g * g
rms = np.sqrt(np.mean(g * g / np.maximum(v, eps * eps)))
rate = lr / np.maximum(p.dtype.type(1), rms)
return p - rate * weight_decay * p - rate * m / (np.sqrt(v) + eps), m, v
""",
    ),
    numpy_step(
        "QHAdam",
        o.QHAdam(weight_decay=0.1),
        "p, g, m, v, t, lr, beta1, beta2, nu1, nu2, eps, weight_decay",
        """
g = g + weight_decay * p
m = beta1 * m + (1 - beta1) * g
v = beta2 * v + (1 - beta2) * g * g
m_hat = m / (1 - beta1**t)
v_hat = v / (1 - beta2**t)
top = (1 - nu1) * g + nu1 * m_hat
return p - lr * top / (np.sqrt((1 - nu2) * g * g + nu2 * v_hat) + eps), m, v
""",
    ),
    numpy_step(
        "LAMB",
        o.LAMB(weight_decay=0.1),
        ADAM,
        """
m = beta1 * m + (1 - beta1) * g
v = beta2 * v + (1 - beta2) * g * g
m_hat = m / (1 - beta1**t)
v_hat = v / (1 - beta2**t)
u = m_hat / (np.sqrt(v_hat) + eps) + weight_decay * p
size = np.sqrt(np.sum(p * p))
step = np.sqrt(np.sum(u * u))
ratio = size / step if size > 0 and step > 0 else 1.0
return p - lr * ratio * u, m, v
""",
    ),
)
