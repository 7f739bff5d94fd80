"""A worked example of every quantizer: what a few numbers become, by short formulas in fifty digits or in fractions.

Each takes the rule for its hyperparameters alone, and the array (a list of rows) with what is handed over besides.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from refgrad import quantizers as q
from refgrad.optimizers import SGD
from tests.quantizers.gguf.test_exact import FORMATS
from tests.quantizers.test_weights import greedy, hqq
from tests.worked.example import Example

#: the numbers: few bits, and the same times 1.1, whose products are none
V = np.asarray([[1.0, -0.5, 2.0, 0.25], [-1.5, 0.75, 0.125, -3.0]])
W = V * 1.1
#: three vectors
THREE = np.asarray([*V, [1.25, -0.25, 0.5, -2.0]])
#: uniform numbers, where a rule draws
U = np.asarray([[0.125, 0.5, 0.75, 0.375], [0.25, 0.875, 0.625, 0.0625]])

Rows = list[list[Any]]
Formula = Callable[..., Mapping[str, Any]]

#: quantizers without an example, each with the reason
SEARCH = "a search over scales, which the C code defines: its bytes are compared with those of ggml, by digests"
WITHOUT: dict[str, str] = {
    **dict.fromkeys(("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL"), SEARCH),
    "AdaRound": "thousands of steps of an optimizer: its objective and gradient are compared with torch",
}


def each(f: Callable[[Any], Any], x: Rows) -> Rows:
    """A function of each number."""
    return [[f(v) for v in row] for row in x]


def flat(x: Rows) -> list[Any]:
    """All numbers in a row."""
    return list(itertools.chain.from_iterable(x))


def largest(x: Any) -> Any:
    """The largest magnitude of a list or of rows."""
    return max(abs(v) for v in (flat(x) if isinstance(x[0], list) else x))


def clip(v: Any, low: Any, high: Any) -> Any:
    return max(min(v, high), low)


def nearest(v: Any, levels: Any) -> Any:
    """The nearest of some levels; of two the lower."""
    return min(sorted(levels), key=lambda level: abs(v - level))


def significant(v: Any, digits: int, least: int) -> Any:
    """A number rounded to so many significant bits, ties to even, in steps of 2**least at least."""
    if v == 0:
        return v
    step = mpf(2) ** max(int(mpmath.floor(mpmath.log(abs(v), 2))) - digits + 1, least)
    return mpmath.nint(v / step) * step


def e4m3(v: Any) -> Any:
    """A number as OCP E4M3 has it, held to 448."""
    return significant(clip(v, -448, 448), 4, -9)


# --- floats and blocks


def cast(r: Any, x: Rows) -> Mapping[str, Any]:
    return {"y": each(e4m3, x)}


def mx(r: Any, x: Rows) -> Mapping[str, Any]:
    scales = [mpf(2) ** (int(mpmath.floor(mpmath.log(largest(row), 2))) - 8) for row in x]
    return {"y": [[e4m3(v / s) * s for v in row] for row, s in zip(x, scales, strict=True)]}


def nvfp4(r: Any, x: Rows) -> Mapping[str, Any]:
    t = largest(x) / (448 * 6)
    scales = [e4m3(clip(largest(row) / 6 / t, mpf(2) ** -6, 448)) for row in x]
    e2m1 = lambda v: significant(clip(v, -6, 6), 2, -1)  # noqa: E731
    return {"y": [[e2m1(v / t / s) * s * t for v in row] for row, s in zip(x, scales, strict=True)]}


def scaled_float(r: Any, x: Rows) -> Mapping[str, Any]:
    s = largest(x) / 448
    return {"y": each(lambda v: e4m3(v / s) * s, x)}


def affine(r: Any, x: Rows) -> Mapping[str, Any]:
    low, high = min(0, *flat(x)), max(0, *flat(x))
    s = (high - low) / 255
    z = clip(-128 - mpmath.nint(low / s), -128, 127)
    return {"y": each(lambda v: (clip(mpmath.nint(v / s) + z, -128, 127) - z) * s, x)}


def normal_float(r: Any, x: Rows) -> Mapping[str, Any]:
    """Quantiles of the normal distribution at equal distances, eight above zero and seven below, over the largest."""
    quantile = lambda p: mpmath.sqrt(2) * mpmath.erfinv(2 * p - 1)  # noqa: E731
    offset = mpf("0.9677083")
    above = [quantile(offset + (mpf("0.5") - offset) * i / 8) for i in range(8)]
    below = [-quantile(offset + (mpf("0.5") - offset) * i / 7) for i in range(7)]
    table = sorted(v / max(above) for v in [*above, 0, *below])
    return {"codes": each(lambda v: table.index(nearest(v / largest(x), table)), x)}


AF4 = [-1, -0.69441008, -0.51243739, -0.3736951, -0.25607552, -0.14982478, -0.04934812, 0, 0.04273164, 0.12934483]
AF4 += [0.21961274, 0.31675666, 0.42563882, 0.55496234, 0.72424863, 1]


def abnormal_float(r: Any, x: Rows) -> Mapping[str, Any]:
    """The table that the paper prints for blocks of 64."""
    return {"codes": each(lambda v: AF4.index(nearest(v / largest(x), AF4)), x)}


def fp4(r: Any, x: Rows) -> Mapping[str, Any]:
    """The magnitudes of bitsandbytes in the order of their codes, and 8 for the sign."""
    sizes = [mpf(0), mpf(1) / 192, mpf(2) / 3, mpf(1), mpf(1) / 3, mpf(1) / 2, mpf(1) / 6, mpf(1) / 4]
    coded = lambda v: sizes.index(nearest(abs(v) / largest(x), sizes))  # noqa: E731
    return {"codes": each(lambda v: coded(v) + (8 if v < 0 and coded(v) else 0), x)}


def dynamic_map(r: Any, x: Rows) -> Mapping[str, Any]:
    """Powers of ten from -6 to 0 times ever more means of equal parts of [0.1, 1], zero, and one."""
    table = dynamic_values()
    return {"codes": each(lambda v: table.index(nearest(v / largest(x), table)), x)}


def dynamic_values() -> list[Any]:
    """The values of that map."""
    table = [mpf(0), mpf(1)]
    for i in range(7):
        ends = [mpf(1) / 10 + mpf(9) / 10 * k / 2**i for k in range(2**i + 1)]
        table += [s * (a + b) / 2 * mpf(10) ** (i - 6) for a, b in itertools.pairwise(ends) for s in (1, -1)]
    return sorted(table)


def eight_bit(r: Any, p: list[Any], first: list[Any], second: list[Any]) -> Mapping[str, Any]:
    """Momentum kept by the dynamic map in one block; the map's values are float32 numbers."""
    table = [mpf(float(np.float32(float(v)))) for v in dynamic_values()]
    kept = [nearest(v / largest(first), table) * largest(first) for v in first]
    momentum, lr = mpf(r.rule.momentum), mpf(r.rule.lr)
    after = [a - lr * g for a, g in zip(p, first, strict=True)]
    return {"p": [a - lr * (momentum * m + g) for a, m, g in zip(after, kept, second, strict=True)]}


def gguf(r: Any, x: Rows) -> Mapping[str, Any]:
    """The bytes, in fractions."""
    restated = next(f for rule, f in FORMATS if rule == r)
    return {"bytes": list(restated([Fraction(float(v)) for v in flat(x)]))}


# --- weights


def bwn(r: Any, x: Rows) -> Mapping[str, Any]:
    return {"y": [[mpmath.sign(v) * sum(map(abs, row)) / len(row) for v in row] for row in x]}


def twn(r: Any, x: Rows) -> Mapping[str, Any]:
    delta = mpf(r.threshold) * sum(map(abs, flat(x))) / len(flat(x))
    above = [abs(v) for v in flat(x) if abs(v) > delta]
    return {"y": each(lambda v: mpmath.sign(v) * sum(above) / len(above) if abs(v) > delta else 0, x)}


def ttq(r: Any, x: Rows) -> Mapping[str, Any]:
    delta = mpf(r.threshold) * largest(x)
    return {"y": each(lambda v: r.positive if v > delta else -r.negative if v < -delta else 0, x)}


def bitnet_weights(r: Any, x: Rows) -> Mapping[str, Any]:
    gamma = sum(map(abs, flat(x))) / len(flat(x)) + mpf(r.eps)
    return {"y": each(lambda v: clip(mpmath.nint(v / gamma), -1, 1) * gamma, x)}


def bitnet_activations(r: Any, x: Rows) -> Mapping[str, Any]:
    scales = [127 / max(largest(row), mpf(r.eps)) for row in x]
    return {"y": [[clip(mpmath.nint(v * s), -128, 127) / s for v in row] for row, s in zip(x, scales, strict=True)]}


def log_quantizer(r: Any, x: Rows) -> Mapping[str, Any]:
    low, high = r.full_scale - 2**r.bits + 1, r.full_scale - 1
    exponent = lambda v: int(mpmath.floor(mpmath.log(abs(v), 2) + mpf("0.5")))  # noqa: E731
    return {"y": each(lambda v: mpmath.sign(v) * mpf(2) ** min(exponent(v), high) if exponent(v) >= low else 0, x)}


def inq(r: Any, x: Rows) -> Mapping[str, Any]:
    high = int(mpmath.floor(mpmath.log(4 * largest(x) / 3, 2)))
    levels = [mpf(0), *(mpf(2) ** n for n in range(high + 1 - 2 ** (r.bits - 1) // 2, high + 1))]
    return {"y": each(lambda v: mpmath.sign(v) * nearest(abs(v), levels), x)}


def apot(r: Any, x: Rows) -> Mapping[str, Any]:
    """Four bits: two terms, with every other power of two each."""
    sums = [a + b for a in (0, 2**-1, 2**-3, 2**-5) for b in (0, 2**-2, 2**-4, 2**-6)]
    levels = [mpf(s) / mpf(0.75) for s in sums]
    return {"y": each(lambda v: mpmath.sign(v) * r.alpha * nearest(min(abs(v) / r.alpha, 1), levels), x)}


def n2uq(r: Any, x: Rows) -> Mapping[str, Any]:
    """Equal intervals: thresholds half-way between the levels."""
    width = mpf(2) / (2**r.bits - 1)
    return {"y": each(lambda v: width * sum(v > width * (i + mpf("0.5")) for i in range(2**r.bits - 1)), x)}


def n2uq_weights(r: Any, x: Rows) -> Mapping[str, Any]:
    n = mpf(2**r.bits - 1) / 2
    scales = [2 * n / 2 ** (r.bits - 1) * sum(map(abs, row)) / len(row) for row in x]
    coded = lambda v, s: mpmath.nint((clip(v / s, -1, 1) + 1) * n)  # noqa: E731
    return {"y": [[s * (coded(v, s) / n - 1) for v in row] for row, s in zip(x, scales, strict=True)]}


def round_to_nearest(r: Any, x: Rows) -> Mapping[str, Any]:
    """Each row from its least to its largest number, widened to hold zero."""
    found = []
    for row in x:
        low, high = min(0, *row), max(0, *row)
        s = (high - low) / (2**r.bits - 1)
        z = mpmath.nint(-low / s)
        found.append([(clip(mpmath.nint(v / s) + z, 0, 2**r.bits - 1) - z) * s for v in row])
    return {"y": found}


def gptq(r: Any, x: Rows, hessian: Rows) -> Mapping[str, Any]:
    """One weight after the other, the others moved to where the error is least; in fractions."""
    codes = []
    h = [[Fraction(float(v)) for v in row] for row in hessian]
    for row in x:
        w = [Fraction(float(v)) for v in row]
        low, high = min(0, *w), max(0, *w)
        s = (high - low) / (2**r.bits - 1)
        codes.append(greedy(w, h, s, round(-low / s), r.bits)[0])
    return {"codes": codes}


def half_quadratic(r: Any, x: Rows) -> Mapping[str, Any]:
    """One group: all numbers."""
    return {"codes": hqq(flat(x), r.bits, r.iterations, r.round_zero, str(r.kappa))[0]}


# --- codebooks


def k_means(r: Any, x: Rows) -> Mapping[str, Any]:
    """Lloyd's algorithm from equally spaced centres, in fractions."""
    numbers = [Fraction(float(v)) for v in flat(x)]
    low, high = min(numbers), max(numbers)
    centres = [low + (high - low) * i / (r.clusters - 1) for i in range(r.clusters)]
    for _ in range(r.iterations):
        parts: list[list[Fraction]] = [[] for _ in centres]
        for v in numbers:
            parts[centres.index(nearest(v, centres))].append(v)
        centres = [sum(p, Fraction(0)) / len(p) if p else c for p, c in zip(parts, centres, strict=True)]
    return {"y": [nearest(v, centres) for v in numbers]}


def optimal_codebook(r: Any, x: Rows) -> Mapping[str, Any]:
    """The best of all ways to cut the sorted numbers, in fractions."""
    numbers = [Fraction(float(v)) for v in flat(x)]
    best: tuple[Any, list[Fraction]] | None = None
    for cuts in itertools.combinations(range(1, len(numbers)), r.clusters - 1):
        ends = [0, *cuts, len(numbers)]
        parts = [sorted(numbers)[a:b] for a, b in itertools.pairwise(ends)]
        centres = [sum(p, Fraction(0)) / len(p) for p in parts]
        error = sum((v - c) ** 2 for p, c in zip(parts, centres, strict=True) for v in p)
        best = (error, centres) if best is None or error < best[0] else best
    assert best is not None
    return {"y": [nearest(v, best[1]) for v in numbers]}


def product_quantizer(r: Any, x: Rows) -> Mapping[str, Any]:
    """Of each part the two groups of its vectors with the least squares, by trying all; each becomes its group's mean."""
    width = len(x[0]) // r.subspaces
    y: Rows = [[] for _ in x]
    for first in range(0, len(x[0]), width):
        parts = [row[first : first + width] for row in x]
        tried = []
        for sides in itertools.product((0, 1), repeat=len(x)):
            means = [[mpmath.fsum(c) / len(c) for c in zip(*own, strict=True)] for own in _groups(parts, sides)]
            new = [means[side] if means[side] else part for part, side in zip(parts, sides, strict=True)]
            tried.append(
                (sum((a - b) ** 2 for p, n in zip(parts, new, strict=True) for a, b in zip(p, n, strict=True)), new)
            )
        for row, part in zip(y, min(tried, key=lambda pair: pair[0])[1], strict=True):
            row.extend(part)
    return {"y": y}


def _groups(parts: Rows, sides: tuple[int, ...]) -> list[Rows]:
    return [[p for p, s in zip(parts, sides, strict=True) if s == side] for side in (0, 1)]


# --- gradients


def drawn(r: Any, x: Rows, uniform: Rows, level: Callable[[Any], tuple[Any, Any, Any]]) -> Rows:
    """Between two levels by chance: from a magnitude to the lower, the upper, and the chance of the upper."""
    found = []
    for row, chances in zip(x, uniform, strict=True):
        ways = [level(abs(v)) for v in row]
        picked = [up if u < p else low for (low, up, p), u in zip(ways, chances, strict=True)]
        found.append([mpmath.sign(v) * y for v, y in zip(row, picked, strict=True)])
    return found


def qsgd(r: Any, x: Rows, uniform: Rows) -> Mapping[str, Any]:
    norm = mpmath.sqrt(sum(v * v for v in flat(x)))
    unit = norm / r.levels
    below = lambda a: mpmath.floor(a / unit)  # noqa: E731
    return {"y": drawn(r, x, uniform, lambda a: (below(a) * unit, (below(a) + 1) * unit, a / unit - below(a)))}


def nuqsgd(r: Any, x: Rows, uniform: Rows) -> Mapping[str, Any]:
    norm = mpmath.sqrt(sum(v * v for v in flat(x)))
    levels = [mpf(0), *(norm * mpf(2) ** -i for i in range(r.levels, -1, -1))]

    def level(a: Any) -> tuple[Any, Any, Any]:
        low, up = max(v for v in levels if v <= a), min(v for v in levels if v > a)
        return low, up, (a - low) / (up - low)

    return {"y": drawn(r, x, uniform, level)}


def terngrad(r: Any, x: Rows, uniform: Rows) -> Mapping[str, Any]:
    s = largest(x)
    return {"y": drawn(r, x, uniform, lambda a: (mpf(0), s, a / s))}


def natural(r: Any, x: Rows, uniform: Rows) -> Mapping[str, Any]:
    below = lambda a: mpf(2) ** int(mpmath.floor(mpmath.log(a, 2)))  # noqa: E731
    return {"y": drawn(r, x, uniform, lambda a: (below(a), 2 * below(a), a / below(a) - 1))}


def sign_sgd(r: Any, x: Rows) -> Mapping[str, Any]:
    return {"y": each(mpmath.sign, x)}


def one_bit(r: Any, x: Rows) -> Mapping[str, Any]:
    """Of each column the mean of its negative numbers, or that of the others."""
    mean = lambda values: sum(values) / len(values)  # noqa: E731
    columns = list(zip(*x, strict=True))
    side = lambda v, column: mean([w for w in column if (w < 0) == (v < 0)])  # noqa: E731
    return {"y": [[side(v, column) for v, column in zip(row, columns, strict=True)] for row in x]}


def top_k(r: Any, x: Rows) -> Mapping[str, Any]:
    kept = sorted(map(abs, flat(x)))[-round(r.ratio * len(flat(x))) :]
    return {"y": each(lambda v: v if abs(v) >= kept[0] else 0, x)}


def random_k(r: Any, x: Rows, uniform: Rows) -> Mapping[str, Any]:
    kept = sorted(flat(uniform))[: round(r.ratio * len(flat(x)))]
    pairs = zip(flat(x), flat(uniform), strict=True)
    return {"y": [v if u <= kept[-1] else 0 for v, u in pairs]}


def dorefa_gradient(r: Any, x: Rows, uniform: Rows) -> Mapping[str, Any]:
    """Of each sample, with noise of up to half a step."""
    found = []
    top = 2**r.bits - 1
    for row, draws in zip(x, uniform, strict=True):
        m = largest(row)
        place = [v / (2 * m) + mpf("0.5") + (u - mpf("0.5")) / top for v, u in zip(row, draws, strict=True)]
        found.append([2 * m * (mpmath.nint(clip(p, 0, 1) * top) / top - mpf("0.5")) for p in place])
    return {"y": found}


def wage_error(r: Any, x: Rows) -> Mapping[str, Any]:
    """Over the power of two that is nearest the largest by the logarithm, in steps of 2**(1 - bits)."""
    step = mpf(2) ** (1 - r.bits)
    shift = mpf(2) ** mpmath.nint(mpmath.log(largest(x), 2))
    return {"y": each(lambda v: clip(mpmath.nint(v / shift / step) * step, -1 + step, 1 - step), x)}


def wage_gradient(r: Any, x: Rows, uniform: Rows) -> Mapping[str, Any]:
    step = mpf(2) ** (1 - r.bits)
    shift = mpf(2) ** mpmath.nint(mpmath.log(largest(x), 2))
    n = lambda a: r.lr * a / shift  # noqa: E731
    below = lambda a: mpmath.floor(n(a))  # noqa: E731
    return {"y": drawn(r, x, uniform, lambda a: (below(a) * step, (below(a) + 1) * step, n(a) - below(a)))}


def power_sgd(r: Any, x: Rows, start: Rows) -> Mapping[str, Any]:
    """Rank one: the columns' direction of M Q, and what of M lies along it."""
    p = [sum(v * s[0] for v, s in zip(row, start, strict=True)) for row in x]
    size = mpmath.sqrt(sum(v * v for v in p))
    p = [v / size for v in p]
    along = [sum(p[i] * x[i][j] for i in range(len(x))) for j in range(len(x[0]))]
    return {"y": [[a * b for b in along] for a in p]}


#: 32 or 256 numbers of one block
BLOCK = {n: np.asarray([[((7 * i) % 64 - 31) / 16 for i in range(n)]]) for n in (32, 256)}
HESSIAN = np.asarray([[4.0, 1.0, 0.5, -1.0], [1.0, 3.0, -0.5, 0.25], [0.5, -0.5, 2.0, 0.75], [-1.0, 0.25, 0.75, 5.0]])

EIGHT_BIT = q.EightBit(SGD(lr=0.1, momentum=0.9), min_8bit_size=1)

TABLE: list[tuple[Any, Mapping[str, np.ndarray], Formula]] = [
    (q.Cast(), {"x": W}, cast),
    (q.MX(), {"x": W}, mx),
    (q.NVFP4(), {"x": W}, nvfp4),
    (q.ScaledFloat(), {"x": W}, scaled_float),
    (q.Affine(), {"x": V + 0.0625}, affine),
    (q.NF4(), {"x": W}, normal_float),
    (q.AF4(), {"x": W}, abnormal_float),
    (q.FP4(), {"x": W}, fp4),
    (q.Blockwise(), {"x": W}, dynamic_map),
    (q.BWN(), {"x": W}, bwn),
    (q.TWN(), {"x": W}, twn),
    (q.TTQ(), {"x": W}, ttq),
    (q.BitNetWeights(), {"x": W}, bitnet_weights),
    (q.BitNetActivations(), {"x": W}, bitnet_activations),
    (q.LogQuantizer(), {"x": W / 8}, log_quantizer),
    (q.INQ(), {"x": W}, inq),
    (q.APoT(), {"x": W / 4}, apot),
    (q.N2UQ(), {"x": abs(W)}, n2uq),
    (q.N2UQWeights(), {"x": W}, n2uq_weights),
    (q.RoundToNearest(), {"x": W}, round_to_nearest),
    (q.AWQ(grid="asymmetric"), {"x": W}, round_to_nearest),
    (q.GPTQ(damping=0.0), {"x": W, "hessian": HESSIAN}, gptq),
    (q.HQQ(group=8), {"x": W}, half_quadratic),
    (q.KMeans(clusters=3), {"x": V}, k_means),
    (q.OptimalCodebook(clusters=3), {"x": V}, optimal_codebook),
    (q.ProductQuantizer(subspaces=2, clusters=2), {"x": THREE}, product_quantizer),
    (q.QSGD(), {"x": W, "uniform": U}, qsgd),
    (q.NUQSGD(), {"x": W, "uniform": U}, nuqsgd),
    (q.TernGrad(), {"x": W, "uniform": U}, terngrad),
    (q.NaturalCompression(), {"x": W, "uniform": U}, natural),
    (q.SignSGD(), {"x": W}, sign_sgd),
    (q.OneBit(), {"x": V}, one_bit),
    (q.TopK(ratio=0.375), {"x": W}, top_k),
    (q.RandomK(ratio=0.375), {"x": W, "uniform": U}, random_k),
    (q.DoReFaGradient(), {"x": W, "uniform": U}, dorefa_gradient),
    (q.WAGEError(), {"x": W}, wage_error),
    (q.WAGEGradient(), {"x": W, "uniform": U}, wage_gradient),
    (q.PowerSGD(rank=1), {"x": W, "start": np.asarray([[1.0], [0.5], [-0.5], [0.25]])}, power_sgd),
    *((rule, {"x": BLOCK[rule.block]}, gguf) for rule, _ in FORMATS),
]


def formula(rule: Any, arrays: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the table's formula gives."""
    function = next(f for r, _, f in TABLE if r == rule)
    return function(rule, *(a.tolist() for a in arrays.values()))


def ours(rule: Any, arrays: Mapping[str, np.ndarray]) -> Mapping[str, Any]:
    """Codes, what they stand for, and the bytes of a format that has such, by refgrad."""
    handed = {n: a for n, a in arrays.items() if n != "x"}
    kept = rule.quantize(arrays["x"], **handed)
    found = {"y": rule.dequantize(kept), **{n: a for n, a in kept.arrays.items() if n == "codes"}}
    if hasattr(rule, "pack"):
        found["bytes"] = list(rule.pack(rule.quantize(arrays["x"].astype(np.float32))).tobytes())
    return found


def two_steps(rule: Any, arrays: Mapping[str, np.ndarray]) -> Mapping[str, Any]:
    """The parameter after two steps with 8-bit state, by refgrad."""
    p = arrays["p"]
    state = rule.init(p)
    for g in (arrays["first"], arrays["second"]):
        p, state = rule.step(p, g, state)
    return {"p": p}


def examples() -> Iterator[Example]:
    """One of each quantizer, and one of an optimizer with 8-bit state."""
    numbers = {"p": V[0], "first": V[1], "second": W[0]}
    handed = lambda rule, arrays: eight_bit(rule, *(a.tolist() for a in arrays.values()))  # noqa: E731
    yield Example(EIGHT_BIT, numbers, handed, two_steps, (eight_bit, dynamic_values))
    for rule, given, function in TABLE:
        yield Example(rule, given, formula, ours, (function,))


EXAMPLES = tuple(examples())
