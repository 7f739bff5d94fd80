"""AdamW in float32, written in legal ways and in wrong ways; each takes and returns ``p, m, v``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

F = np.float32
LR, B1, B2, EPS, WD = 1e-3, 0.9, 0.999, 1e-8, 1e-2
Program = Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]


def moments(g, m, v, b1=B1, b2=B2):
    return F(b1) * m + F(1 - b1) * g, F(b2) * v + F(1 - b2) * (g * g)


def fused(a, b, c):
    """a b + c with one rounding, up to float64's own."""
    return (a.astype(np.float64) * np.float64(b) + c.astype(np.float64)).astype(F)


def finish(p, m, v, t, *, lr=LR, eps=EPS, wd=WD, t1=None, t2=None, b1=B1, b2=B2):
    m_hat = m / F(1 - b1 ** (t1 or t))
    v_hat = v / F(1 - b2 ** (t2 or t))
    return p - F(lr) * (m_hat / (np.sqrt(v_hat) + F(eps)) + F(wd) * p), m, v


def textbook(p, g, m, v, t):
    return finish(p, *moments(g, m, v), t)


def lerp(p, g, m, v, t):
    return finish(p, m + F(1 - B1) * (g - m), v + F(1 - B2) * (g * g - v), t)


def contracted(p, g, m, v, t):
    m = fused(g, F(1 - B1), F(B1) * m)
    v = fused(g * g, F(1 - B2), F(B2) * v)
    return finish(p, m, v, t)


def contracted_other_way(p, g, m, v, t):
    m = fused(m, F(B1), F(1 - B1) * g)
    v = fused(v, F(B2), F(1 - B2) * g * g)
    return finish(p, m, v, t)


def folded_step_size(p, g, m, v, t):
    m, v = moments(g, m, v)
    denominator = np.sqrt(v) / F((1 - B2**t) ** 0.5) + F(EPS)
    return p * F(1 - LR * WD) - (F(LR / (1 - B1**t)) * m) / denominator, m, v


def addcdiv_order(p, g, m, v, t):
    m, v = moments(g, m, v)
    denominator = np.sqrt(v) / F((1 - B2**t) ** 0.5) + F(EPS)
    return p * F(1 - LR * WD) + F(-LR / (1 - B1**t)) * (m / denominator), m, v


def folded_eps(p, g, m, v, t):
    m, v = moments(g, m, v)
    root = (1 - B2**t) ** 0.5
    return p * F(1 - LR * WD) - F(LR * root / (1 - B1**t)) * m / (np.sqrt(v) + F(EPS * root)), m, v


def reciprocals(p, g, m, v, t):
    m, v = moments(g, m, v)
    m_hat, v_hat = m * F(1 / (1 - B1**t)), v * F(1 / (1 - B2**t))
    return p - F(LR) * (m_hat * (F(1) / (np.sqrt(v_hat) + F(EPS))) + F(WD) * p), m, v


def distributed(p, g, m, v, t):
    m, v = moments(g, m, v)
    m_hat, v_hat = m / F(1 - B1**t), v / F(1 - B2**t)
    return (p - F(LR * WD) * p) - F(LR) * m_hat / (np.sqrt(v_hat) + F(EPS)), m, v


LEGAL: dict[str, Program] = {
    f.__name__: f
    for f in (
        textbook,
        lerp,
        contracted,
        contracted_other_way,
        folded_step_size,
        addcdiv_order,
        folded_eps,
        reciprocals,
        distributed,
    )
}


def mutant(**changes) -> Program:
    """The textbook with other numbers at the end, or other moments."""

    def program(p, g, m, v, t):
        keep = {k: (c(t) if callable(c) else c) for k, c in changes.items() if k not in ("moments", "before", "after")}
        g = changes.get("before", lambda p, g: g)(p, g)
        m, v = changes.get("moments", moments)(g, m, v)
        return changes.get("after", finish)(p, m, v, t, **keep)

    return program


def eps_inside(p, m, v, t):
    return p - F(LR) * (m / F(1 - B1**t) / np.sqrt(v / F(1 - B2**t) + F(EPS)) + F(WD) * p), m, v


def eps_uncorrected(p, m, v, t):
    root = (1 - B2**t) ** 0.5
    return p * F(1 - LR * WD) - F(LR * root / (1 - B1**t)) * m / (np.sqrt(v) + F(EPS)), m, v


def eps_inside_and_outside(p, m, v, t):
    return p - F(LR) * (m / F(1 - B1**t) / (np.sqrt(v / F(1 - B2**t) + F(EPS)) + F(EPS)) + F(WD) * p), m, v


def decay_after(p, m, v, t):
    moved = p - F(LR) * (m / F(1 - B1**t) / (np.sqrt(v / F(1 - B2**t)) + F(EPS)))
    return moved * F(1 - LR * WD), m, v


def nesterov(p, m, v, t):
    return finish(p, m, v, t)[0] - F(LR * 0.1) * m, m, v


def short_root(p, m, v, t):
    root = np.sqrt(v / F(1 - B2**t))
    rough = (root.view(np.uint32) & np.uint32(0xFFFFF000)).view(F)
    return p - F(LR) * (m / F(1 - B1**t) / (rough + F(EPS)) + F(WD) * p), m, v


def to_bfloat16(x):
    return (x.view(np.uint32) & np.uint32(0xFFFF0000)).view(F)


def step_sign(p, m, v, t):
    new = finish(p, m, v, t, wd=0.0)[0]
    return p + (p - new) - F(LR * WD) * p, m, v


ONE_MINUS = F(1) - F(B2)
MUTANTS: dict[str, Program] = {
    "eps inside the root": mutant(after=eps_inside),
    "eps beside the uncorrected root": mutant(after=eps_uncorrected),
    "eps twice": mutant(after=eps_inside_and_outside),
    "no eps": mutant(eps=0.0),
    "eps ten times": mutant(eps=1e-7),
    "m not corrected": mutant(t1=10**9),
    "v not corrected": mutant(t2=10**9),
    "neither corrected": mutant(t1=10**9, t2=10**9),
    "m corrected with t + 1": mutant(t1=lambda t: t + 1),
    "v corrected with t + 1": mutant(t2=lambda t: t + 1),
    "corrections exchanged": mutant(b1=B2, b2=B1),
    "lr off by 0.01 percent": mutant(lr=LR * 1.0001),
    "lr off by a factor": mutant(lr=LR * 2),
    "no decay": mutant(wd=0.0),
    "decay with the wrong sign": mutant(wd=-WD),
    "decay not scaled by lr": mutant(wd=WD / LR),
    "decay after the step": mutant(after=decay_after),
    "decay coupled": mutant(before=lambda p, g: g + F(WD) * p, wd=0.0),
    "decay twice": mutant(before=lambda p, g: g + F(WD) * p),
    "Nesterov": mutant(after=nesterov),
    "step with the wrong sign": mutant(after=step_sign),
    "decays exchanged": mutant(moments=lambda g, m, v: moments(g, m, v, B2, B1)),
    "beta1 0.901": mutant(moments=lambda g, m, v: moments(g, m, v, b1=0.901)),
    "beta2 0.9991": mutant(moments=lambda g, m, v: moments(g, m, v, b2=0.9991)),
    "1 - beta2 in float32": mutant(moments=lambda g, m, v: (F(B1) * m + F(1 - B1) * g, F(B2) * v + ONE_MINUS * g * g)),
    "1 - beta1 missing": mutant(moments=lambda g, m, v: (F(B1) * m + g, F(B2) * v + F(1 - B2) * g * g)),
    "1 - beta2 missing": mutant(moments=lambda g, m, v: (F(B1) * m + F(1 - B1) * g, F(B2) * v + g * g)),
    "square missing": mutant(moments=lambda g, m, v: (F(B1) * m + F(1 - B1) * g, F(B2) * v + F(1 - B2) * np.abs(g))),
    "v from m": mutant(moments=lambda g, m, v: (moments(g, m, v)[0], moments(m, m, v)[1])),
    "v centred": mutant(moments=lambda g, m, v: (moments(g, m, v)[0], moments(g - m, m, v)[1])),
    "v is a maximum": mutant(moments=lambda g, m, v: (moments(g, m, v)[0], np.maximum(F(B2) * v, F(1 - B2) * g * g))),
    "v never falls": mutant(moments=lambda g, m, v: (moments(g, m, v)[0], np.maximum(v, moments(g, m, v)[1]))),
    "m not updated": mutant(moments=lambda g, m, v: (m, moments(g, m, v)[1])),
    "v not updated": mutant(moments=lambda g, m, v: (moments(g, m, v)[0], v)),
    "m truncated to bfloat16": mutant(moments=lambda g, m, v: (to_bfloat16(moments(g, m, v)[0]), moments(g, m, v)[1])),
    "v truncated to bfloat16": mutant(moments=lambda g, m, v: (moments(g, m, v)[0], to_bfloat16(moments(g, m, v)[1]))),
    "root of twelve bits": mutant(after=short_root),
    "gradient clipped at 1": mutant(before=lambda p, g: np.clip(g, F(-1), F(1))),
    "gradient in bfloat16": mutant(before=lambda p, g: to_bfloat16(g)),
    "gradient plus its mean": mutant(before=lambda p, g: g + F(np.mean(g[np.isfinite(g)]) * 1e-3 + 1e-6)),
    "p from m before the step": lambda p, g, m, v, t: (finish(p, m, moments(g, m, v)[1], t)[0], *moments(g, m, v)),
    "p from v before the step": lambda p, g, m, v, t: (finish(p, moments(g, m, v)[0], v, t)[0], *moments(g, m, v)),
}
