"""Estimators, quantizers, masks and updates of masks in NumPy."""

from __future__ import annotations

from refgrad import estimators as e
from refgrad import quantizers as q
from refgrad import sparsity as s
from refgrad.rule import Rule
from tests.strength.edits.text import NUMPY, Text


def _pair(name: str, rule: Rule, value: str, gradient: str, more: str = "") -> Text:
    """An estimator: its value and its gradient."""
    parts = (("forward", "x" + more, value), ("backward", "g, x" + more, gradient))
    functions = [f"def {n}({arguments}):\n{_indented(body)}" for n, arguments, body in parts]
    return Text(name, NUMPY, rule, "".join(functions) + "candidate = forward, backward\n")


def _one(name: str, rule: Rule, arguments: str, body: str) -> Text:
    return Text(name, NUMPY, rule, f"def candidate({arguments}):\n{_indented(body)}")


def _indented(body: str) -> str:
    return "".join(f"    {line}\n" for line in body.strip().splitlines())


SIGN = "return np.where(x >= 0, x.dtype.type(1), np.minimum(np.sign(x), x.dtype.type(-1)))"
BIPER = """
s = np.sin(frequency * x)
return np.where(s >= 0, x.dtype.type(1), np.minimum(np.sign(s), x.dtype.type(-1)))
"""
SPIKE = "return (x >= 0).astype(x.dtype)"

TEXTS = (
    _pair("ClippedSTE", e.ClippedSTE(), SIGN, "return g * (np.abs(x) <= clip).astype(x.dtype)", ", clip"),
    _pair(
        "Rectangular", e.Rectangular(width=0.5), SPIKE, "return g * (np.abs(x) < width / 2) * (1 / width)", ", width"
    ),
    _pair(
        "Triangular", e.Triangular(), SPIKE, "return g * gamma * np.maximum(0, 1 - np.abs(x) / width)", ", gamma, width"
    ),
    _pair("BiPer", e.BiPer(), BIPER, "return g * frequency * np.cos(frequency * x)", ", frequency"),
    _pair(
        "ArcTan",
        e.ArcTan(),
        SPIKE,
        "return g * (alpha / 2) / (1 + (np.pi / 2 * alpha * x) * (np.pi / 2 * alpha * x))",
        ", alpha",
    ),
    _pair("FastSigmoid", e.FastSigmoid(), SPIKE, "d = 1 + k * np.abs(x)\nreturn g * height / (d * d)", ", k, height"),
    _pair(
        "RoundingSTE",
        e.RoundingSTE(),
        "a = np.rint(x / scale) + zero_point\nreturn (np.minimum(np.maximum(a, low), high) - zero_point) * scale",
        "a = np.rint(x / scale) + zero_point\nreturn g * ((a >= low) & (a <= high)).astype(x.dtype)",
        ", scale, zero_point, low, high",
    ),
    _pair(
        "LSQ",
        e.LSQ(),
        "return np.rint(np.minimum(np.maximum(x / scale, -negative), positive)) * scale",
        """
a = x / scale
below = a <= -negative
above = a >= positive
c = np.where(below, -negative, np.where(above, positive, np.rint(a) - a)).astype(x.dtype)
factor = 1 / np.sqrt(x.size * positive)
return np.where(below | above, x.dtype.type(0), g), np.sum(g * c) * x.dtype.type(factor)
""",
        ", scale, negative, positive",
    ),
    _pair(
        "PACT",
        e.PACT(),
        "return np.rint(np.minimum(np.maximum(x, 0), alpha) * (15 / alpha)) * (alpha / 15)",
        "inside = (x >= 0) & (x < alpha)\nreturn np.where(inside, g, 0), np.sum(np.where(x >= alpha, g, 0))",
        ", alpha",
    ),
    _one("Cast bfloat16", q.Cast(format="bfloat16"), "x", "import ml_dtypes\nreturn x.astype(ml_dtypes.bfloat16)"),
    _one("Cast e4m3", q.Cast(), "x", "import ml_dtypes\nreturn x.astype(ml_dtypes.float8_e4m3fn)"),
    _one(
        "Affine",
        q.Affine(),
        "x",
        """
low = np.minimum(np.min(x), np.float32(0))
high = np.maximum(np.max(x), np.float32(0))
scale = (high - low) / np.float32(255)
scale = scale if scale > 0 else np.float32(1)
zero = np.clip(-128 - np.rint(low / scale), -128, 127)
codes = np.clip(np.rint(x / scale) + zero, -128, 127)
return {"scale": scale, "zero_point": np.int32(zero), "codes": codes.astype(np.int8)}
""",
    ),
    _one(
        "Affine symmetric",
        q.Affine(symmetric=True),
        "x",
        """
amax = np.max(np.abs(x))
scale = amax / np.float32(127)
scale = scale if scale > 0 else np.float32(1)
codes = np.clip(np.rint(x / scale), -128, 127)
return {"scale": scale, "codes": codes.astype(np.int8)}
""",
    ),
    _one(
        "MX e2m1",
        q.MX(format="float4_e2m1fn"),
        "x",
        """
width = x.shape[-1]
rows = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, -width % 32)]).reshape(-1, 32)
amax = np.max(np.abs(rows), axis=1)
exponent = np.where(amax > 0, np.clip(np.frexp(amax)[1] - 1 - 2, -127, 127), -127)
a = np.abs(np.ldexp(rows.astype(np.float64), -exponent[:, None].astype(int)))
middles = np.array([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0])
codes = np.searchsorted(middles, a, side="left") + np.isin(a, [0.75, 1.75, 3.5])
codes = codes + 8 * np.signbit(rows)
codes = codes.reshape(*x.shape[:-1], -1)[..., :width]
return {"scale": np.where(np.isfinite(amax), exponent + 127, 255).astype(np.uint8), "codes": codes.astype(np.uint8)}
""",
    ),
    _one(
        "NF4",
        q.NF4(),
        "x",
        """
from refgrad.quantizers import tables
table = np.array(tables.NF4, np.float64)
flat = x.astype(np.float32).ravel()
rows = np.pad(flat, (0, -flat.size % 64)).reshape(-1, 64)
absmax = np.max(np.abs(rows), axis=1, keepdims=True)
u = np.nan_to_num(rows / absmax, nan=0.0)
codes = np.searchsorted((table[1:] + table[:-1]) / 2, u, side="left")
return {"absmax": absmax.ravel(), "codes": codes.astype(np.uint8).ravel()[: x.size].reshape(x.shape)}
""",
    ),
    _one(
        "Q8_0",
        q.Q8_0(),
        "x",
        """
rows = x.astype(np.float32).reshape(-1, 32)
amax = np.max(np.abs(rows), axis=1, keepdims=True)
d = amax / np.float32(127)
i = np.where(d > 0, np.float32(1) / d, np.float32(0))
y = rows * i
codes = np.trunc(y + np.copysign(np.float32(0.5), y))
codes = np.where(np.abs(y - np.trunc(y)) < 0.5, np.trunc(y), np.trunc(y) + np.sign(y))
return {"scale": d.astype(np.float16).ravel(), "codes": codes.astype(np.int8)}
""",
    ),
    _one(
        "Q4_0",
        q.Q4_0(),
        "x",
        """
rows = x.astype(np.float32).reshape(-1, 32)
top = np.take_along_axis(rows, np.argmax(np.abs(rows), axis=1)[:, None], axis=1)
d = top / np.float32(-8)
i = np.where(d != 0, np.float32(1) / d, np.float32(0))
codes = np.minimum(15, (rows * i + np.float32(8.5)).astype(np.int32).astype(np.int8))
return {"scale": d.astype(np.float16).ravel(), "codes": codes.astype(np.uint8)}
""",
    ),
    _one(
        "TWN",
        q.TWN(),
        "x",
        """
a = np.abs(x)
kept = a > threshold * np.mean(a)
codes = np.where(kept, np.sign(x), 0)
scale = np.sum(a * kept) / np.maximum(np.sum(kept), 1)
return {"scale": np.float32(scale), "codes": codes.astype(np.int8)}
""".replace("threshold", "np.float32(0.7)"),
    ),
    _one(
        "Magnitude",
        s.Magnitude(),
        "w, sparsity",
        """
pruned = round(w.size * sparsity)
order = np.argsort(np.abs(w).ravel(), kind="stable")
mask = np.ones(w.size, bool)
mask[order[:pruned]] = False
return mask.reshape(w.shape)
""",
    ),
    _one(
        "NOfM",
        s.NOfM(),
        "w",
        """
rows = np.abs(w).reshape(-1, 4)
order = np.argsort(rows, axis=1, kind="stable")
mask = np.zeros(rows.shape, bool)
np.put_along_axis(mask, order[:, -2:], True, axis=1)
return mask.reshape(w.shape)
""",
    ),
    _one(
        "SET",
        s.SET(tails="together"),
        "w, mask, u, zeta",
        """
count = int(np.floor(np.count_nonzero(mask) * zeta))
size = np.where(mask, np.abs(w.astype(np.float64)), np.inf).ravel()
kept = mask.ravel().copy()
kept[np.argsort(size, kind="stable")[:count]] = False
rank = np.where(mask, -1.0, u.astype(np.float64)).ravel()
grown = np.argsort(-rank, kind="stable")[: min(count, int(np.count_nonzero(~mask)))]
new = kept.copy()
new[grown] = True
return new.reshape(w.shape), np.where(kept.reshape(w.shape), w, w.dtype.type(0))
""",
    ),
)
