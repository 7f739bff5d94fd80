"""Planted faults: edits of the programs in NumPy, chosen by hand, and programs in which one operation of the text is another."""

from __future__ import annotations

import inspect
import itertools
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from refgrad.errors import RefgradError
from refgrad.kinds.table import kind_of
from refgrad.oracle.acceptance.bodies import named
from tests.strength.kernels import in_numpy
from tests.strength.kernels.program import FORMULAS, Program, rule_of

#: from which on two results are two in real arithmetic, as a share of the number
DIFFERENT = 1e-9
#: one mutant of so many is tried: there are 845, and most are of the same few kinds
EVERY = 3
_HALF = ".astype(np.float16).astype(F)"
_NO_MAXIMUM = ("x - x.max(axis=-1, keepdims=True)", "x", "the largest is not taken out")
_ATTENTION = [
    ("F(scale)", "F(1.0)", "no scale"),
    ("F(scale)", "F(scale * 0.999)", "a scale that is off by a thousandth"),
    ("F(scale)", "F(np.sqrt(scale))", "the root of the scale"),
    ("scores.max(axis=-1, keepdims=True)", "scores.max()", "the largest of all rows is taken out of each"),
    ("scores - scores.max(axis=-1, keepdims=True)", "scores", "the largest is not taken out"),
    ("powers.sum(axis=-1, keepdims=True)", "powers[:, :32].sum(axis=-1, keepdims=True)", "the sum of 32 keys"),
    (
        "powers.sum(axis=-1, keepdims=True)",
        "(powers.sum(axis=-1, keepdims=True) + F(1e-3))",
        "a number is added to the sum",
    ),
    ("np.exp(scores", "np.exp2(F(1.4427) * (scores", "log2 e cut to 1.4427"),
    ("(q @ k.T)", f"(q{_HALF} @ k.T)", "q in float16"),
    ("(q @ k.T)", "(np.float16(q) @ np.float16(k).T).astype(F)", "scores added up in float16"),
    ("/ powers.sum(axis=-1, keepdims=True) @ v", f"/ powers.sum(axis=-1, keepdims=True) @ v{_HALF}", "v in float16"),
]
_NORM = [
    ("F(eps)", "F(0)", "no eps"),
    ("F(eps)", "F(eps * eps)", "eps squared"),
    ("F(eps)", "F(eps * 10)", "ten times eps"),
    ("np.mean(", "np.sum(", "a sum stands for the mean"),
    ("np.sqrt(", "(", "no root"),
    (" * weight", "", "no weight"),
    (" * weight", " * (1 + weight)", "one is added to the weight"),
]
_CENTRED = [
    *_NORM,
    (" + bias", "", "no bias"),
    (" + bias", " - bias", "the bias is taken away"),
    ("x - x.mean(axis=-1, keepdims=True)", "x", "no mean is taken away"),
    ("x - x.mean(axis=-1, keepdims=True)", "x - x.mean(axis=0, keepdims=True)", "the mean of the batch"),
    ("x.mean(axis=-1, keepdims=True)", f"x.mean(axis=-1, keepdims=True){_HALF}", "the mean in float16"),
]
_GATED = [
    ("gate", "x", "the gate is x"),
    ("x *", "gate *", "x is the gate"),
]
_BIASED = "np.mean(np.square(centred), axis=-1, keepdims=True)"
#: of the program of a name the text that is replaced, by which, and what is wrong then; where a text stands repeatedly, all are
EDITS: Mapping[str, list[tuple[str, str, str]]] = {
    "rmsnorm": [
        *_NORM,
        ("np.square(x)", f"np.square(x){_HALF}", "squares in float16"),
        ("np.square(x)", "np.abs(x)", "magnitudes stand for squares"),
        ("+ F(eps))", ") + F(eps)", "eps beside the root"),
        (
            "np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + F(eps))",
            "np.sqrt(np.maximum(np.mean(np.square(x), axis=-1, keepdims=True), F(eps)))",
            "the larger of eps and the mean",
        ),
        ("x * scale", f"(x * scale){_HALF}", "rounded to float16 before the weight"),
        ("np.square(x)", "np.square(x[:, :1024])", "the mean of 1024 features"),
    ],
    "layernorm": [
        *_CENTRED,
        (_BIASED, "np.var(x, axis=-1, keepdims=True, ddof=1)", "n - 1 stands for n"),
        (
            _BIASED,
            "(np.mean(x * x, axis=-1, keepdims=True) - x.mean(axis=-1, keepdims=True) ** 2)",
            "the mean of squares minus the square of the mean",
        ),
        ("+ F(eps))", ") + F(eps)", "eps beside the root"),
    ],
    "groupnorm": [
        *_CENTRED,
        ("axis=-1", "axis=-2", "over groups"),
        ("axis=-1", "axis=(-2, -1)", "over all groups together"),
        (
            "np.mean(centred * centred, axis=-1, keepdims=True)",
            "np.var(x, axis=-1, keepdims=True, ddof=1)",
            "n - 1 stands for n",
        ),
    ],
    "softmax": [
        _NO_MAXIMUM,
        ("x.max(axis=-1, keepdims=True)", "x.max()", "the largest of all rows is taken out of each"),
        ("np.exp(", "np.exp2(F(1.4427) * (", "log2 e cut to 1.4427"),
        ("np.exp(", "np.exp2(", "powers of two"),
        ("powers.sum(axis=-1, keepdims=True)", "powers.sum()", "the sum of all rows"),
        ("powers.sum(axis=-1, keepdims=True)", "powers[:, :32].sum(axis=-1, keepdims=True)", "the sum of 32 classes"),
        (
            "powers.sum(axis=-1, keepdims=True)",
            "(powers.sum(axis=-1, keepdims=True) + F(1e-6))",
            "1e-6 is added to the sum",
        ),
        (
            "powers.sum(axis=-1, keepdims=True)",
            "(powers.sum(axis=-1, keepdims=True) + F(1e-3))",
            "1e-3 is added to the sum",
        ),
        ("powers.sum(axis=-1, keepdims=True)", f"powers{_HALF}.sum(axis=-1, keepdims=True)", "powers in float16"),
        ("x.max(axis=-1, keepdims=True)", "x[:, :1]", "the first is taken out"),
        ("axis=-1", "axis=0", "over the batch"),
    ],
    "log_softmax": [
        _NO_MAXIMUM,
        ("np.log(", "np.log2(", "the logarithm to two"),
        ("np.log(", "np.log(F(1e-5) + ", "1e-5 is added to the sum"),
        ("np.log(", "np.log(F(1e-7) + ", "1e-7 is added to the sum"),
        ("return moved -", "return x -", "the largest is taken out of the sum alone"),
        ("np.exp(moved)", f"np.exp(moved){_HALF}", "powers in float16"),
        ("np.exp(moved)", "np.exp(moved)[:, 1:]", "the sum without the first class"),
        (
            "moved - np.log(np.exp(moved).sum(axis=-1, keepdims=True))",
            "np.log(np.exp(moved) / np.exp(moved).sum(axis=-1, keepdims=True))",
            "the logarithm of the share",
        ),
        (
            "moved - np.log(np.exp(moved).sum(axis=-1, keepdims=True))",
            "np.log(np.exp(moved) / np.exp(moved).sum(axis=-1, keepdims=True) + F(1e-8))",
            "the logarithm of the share and 1e-8",
        ),
    ],
    "cross_entropy": [
        ("F(z_loss) *", "F(0) *", "no z-loss"),
        ("F(z_loss)", "F(2 * z_loss)", "twice the z-loss"),
        ("losses.mean()", "losses.sum()", "the sum over rows"),
        ("(log_sum - logits)", "-logits", "no log of the sum"),
        ("np.square(log_sum[:, 0])", "log_sum[:, 0]", "no square in the z-loss"),
        ("np.exp(logits - largest)", f"np.exp(logits - largest){_HALF}", "powers in float16"),
    ],
    "cross_entropy_of_labels": [
        ("F(1 - smoothing)", "F(1)", "the label keeps all"),
        ("F(smoothing)", "F(smoothing + 1e-4)", "smoothing is off by 1e-4"),
        ("F(z_loss)", "F(0)", "no z-loss"),
        ("log_sum[:, 0] - logits.mean(axis=-1)", "-logits.mean(axis=-1)", "no log of the sum in the smoothed part"),
        ("np.arange(len(labels)), labels", "np.arange(len(labels)), labels - 1", "the label before"),
        ("np.mean(F", "np.sum(F", "the sum over rows"),
        ("** 2", "", "no square in the z-loss"),
        ("np.exp(logits - largest)", "np.exp(logits)", "the largest is not taken out"),
    ],
    "gelu": [
        ("math.sqrt(0.5)", "0.7", "0.7 for the root of a half"),
        ("math.sqrt(0.5)", "0.7071", "the root of a half to four digits"),
        (
            "scipy.special.erf(x * F(math.sqrt(0.5)))",
            "np.tanh(F(0.7978846) * (x + F(0.044715) * x**3))",
            "tanh stands for erf",
        ),
        ("1 + ", "F(0.9999) + ", "a ten-thousandth less than one"),
        ("x * (1", "x * (2", "two for one"),
        ("scipy.special.erf(x", f"scipy.special.erf(x{_HALF}", "erf of float16"),
        (
            "F(0.5) * x * (1 + scipy.special.erf(x * F(math.sqrt(0.5))))",
            "x * scipy.special.expit(F(1.702) * x)",
            "the sigmoid of 1.702 x",
        ),
    ],
    "gelu_tanh": [
        ("0.044715", "0.0447", "0.0447"),
        ("0.044715", "0.04471", "0.04471"),
        ("math.sqrt(2 / math.pi)", "0.8", "0.8 for the root"),
        ("math.sqrt(2 / math.pi)", "0.79788", "the root to five digits"),
        ("x**3", "x**2", "a square for a cube"),
        (
            "F(0.5) * x * (1 + np.tanh(F(math.sqrt(2 / math.pi)) * (x + F(0.044715) * x**3)))",
            "F(0.5) * x * (1 + scipy.special.erf(x * F(0.70710678)))",
            "erf stands for tanh",
        ),
        ("np.tanh(", "np.arctan(", "arctan for tanh"),
    ],
    "swiglu": [
        *_GATED,
        (" * scipy.special.expit(gate)", "", "no sigmoid"),
        ("scipy.special.expit(gate)", "scipy.special.expit(F(1.702) * gate)", "the sigmoid of 1.702 times the gate"),
        ("scipy.special.expit(gate)", f"scipy.special.expit(gate){_HALF}", "the sigmoid in float16"),
        ("scipy.special.expit(gate)", "np.clip(F(0.5) + gate / 6, 0, 1)", "a hard sigmoid"),
    ],
    "geglu": [
        *_GATED,
        ("math.sqrt(0.5)", "0.7071", "the root of a half to four digits"),
        (
            "scipy.special.erf(gate * F(math.sqrt(0.5)))",
            "np.tanh(F(0.7978846) * (gate + F(0.044715) * gate**3))",
            "tanh stands for erf",
        ),
    ],
    "rotary": [
        ("first * c - second * s", "first * c + second * s", "the other way round"),
        ("second * c + first * s", "second * c - first * s", "a sign of the second"),
        ("cos[:, None, :], sin[:, None, :]", "sin[:, None, :], cos[:, None, :]", "sine and cosine are exchanged"),
        ("x[..., 0], x[..., 1]", "x[..., 1], x[..., 0]", "the pair is exchanged"),
        ("cos[:, None, :]", f"cos[:, None, :]{_HALF}", "cosines in float16"),
        (
            "cos[:, None, :], sin[:, None, :]",
            "np.roll(cos, 1, 0)[:, None, :], np.roll(sin, 1, 0)[:, None, :]",
            "the angles of the token before",
        ),
    ],
    "rotary_of_halves": [
        ("-x[..., 1, :], x[..., 0, :]", "x[..., 1, :], -x[..., 0, :]", "the other way round"),
        ("-x[..., 1, :], x[..., 0, :]", "-x[..., 0, :], x[..., 1, :]", "not exchanged"),
        (
            "np.stack([-x[..., 1, :], x[..., 0, :]], axis=-2)",
            "(lambda y: np.stack([-y[..., 1], y[..., 0]], axis=-1).reshape(x.shape))(x.reshape(*x.shape[:2], -1, 2))",
            "pairs of neighbours",
        ),
    ],
    "attention": [
        *_ATTENTION,
        ("(q @ k.T)", "(q @ k.T + F(1e-3) * np.arange(len(k), dtype=F))", "a slope is added to scores"),
        ("@ v", "@ v[::-1]", "values in the other order"),
    ],
    "causal_attention": [
        *_ATTENTION,
        ("np.tri(len(q), dtype=bool)", "np.tri(len(q), k=-1, dtype=bool)", "a token does not see itself"),
        ("np.tri(len(q), dtype=bool)", "np.tri(len(q), k=1, dtype=bool)", "a token sees the next"),
        ("np.tri(len(q), dtype=bool)", "np.ones((len(q), len(q)), bool)", "every token sees all"),
        ("-np.inf", "F(-10)", "minus ten for what is not seen"),
        ("-np.inf", "F(0)", "zero for what is not seen"),
        ("np.tri(len(q), dtype=bool)", "np.tri(len(q), dtype=bool).T", "the other triangle"),
    ],
    "linear": [
        (" + bias", "", "no bias"),
        ("x @ weight.T", "(np.float16(x) @ np.float16(weight).T).astype(F)", "added up in float16"),
        ("x @ weight.T", f"x{_HALF} @ weight.T", "x in float16"),
        ("x @ weight.T", "x[:, :-1] @ weight[:, :-1].T", "the last term is left out"),
        (
            "x @ weight.T",
            "x[:, :len(x[0]) // 8 * 8] @ weight[:, :len(x[0]) // 8 * 8].T",
            "what is beyond a multiple of eight is left out",
        ),
        (" + bias", " + bias[::-1]", "the bias in the other order"),
        ("x @ weight.T + bias", f"(x @ weight.T){_HALF} + bias", "the product in float16"),
    ],
    "scaled_matmul": [
        (" * weight_scale", "", "no scale of the weight"),
        (" * x_scale[:, None]", "", "no scale of x"),
        ("* x_scale[:, None]", "/ x_scale[:, None]", "divided by the scale"),
        (
            "* x_scale[:, None] * weight_scale",
            "* (x_scale[:, None] * weight_scale).astype(np.float16).astype(F)",
            "scales in float16",
        ),
        ("(x @ weight.T)", f"(x @ weight.T){_HALF}", "the product in float16"),
        ("x_scale[:, None]", "x_scale.max()", "one scale for all rows"),
    ],
    "dropout": [
        (">=", ">", "a byte that is equal is dropped"),
        (">=", "<", "the others are dropped"),
        (" * F(1 / (1 - rate))", "", "no scale"),
        ("1 / (1 - rate)", "1 - rate", "made smaller"),
        ("1 / (1 - rate)", "1 / rate", "divided by the rate"),
        ("rate * 256", "rate * 255", "of 255 bytes"),
        ("F(1 / (1 - rate))", f"F(1 / (1 - rate)){_HALF}", "the scale in float16"),
    ],
    "depthwise_convolution": [
        ("(1, 1)", "(2, 0)", "causal"),
        ("weight[:, i, None]", "weight[:, 2 - i, None]", "two weights are exchanged"),
        (
            "np.pad(x, ((0, 0), (0, 0), (1, 1)))",
            "np.pad(x, ((0, 0), (0, 0), (1, 1)), mode='edge')",
            "the edges are repeated",
        ),
        ("np.pad(x, ((0, 0), (0, 0), (1, 1)))", "np.pad(x, ((0, 0), (0, 0), (1, 1)), mode='wrap')", "the ends meet"),
        ("weight[:, :1]", "weight[:1, :1]", "the first channel's weight for all"),
    ],
    "statistics": [
        ("np.mean((x - mean) ** 2, axis=0)", "np.var(x, axis=0, ddof=1)", "n - 1 stands for n"),
        (
            "np.mean((x - mean) ** 2, axis=0)",
            "np.mean(x * x, axis=0) - mean * mean",
            "the mean of squares minus the square of the mean",
        ),
        ("np.mean((x - mean) ** 2, axis=0)", "np.std(x, axis=0)", "the root"),
        ("x.mean(axis=0)", "x[1:].mean(axis=0)", "the mean without the first"),
        ("x.mean(axis=0)", "np.median(x, axis=0)", "the median"),
    ],
    "embedding": [
        ("table[tokens]", "table[tokens - 1]", "the row before"),
        ("table[tokens]", f"table[tokens]{_HALF}", "rows in float16"),
        ("table[tokens]", "np.where(tokens[:, None] == 0, 0, table[tokens]).astype(F)", "the first row is padding"),
        ("table[tokens]", "table[np.minimum(tokens, len(table) - 2)]", "the last row is the one before"),
    ],
    "top_2_routing": [
        ("[:, :2]", "[:, :1]", "one expert"),
        ("[:, :2]", "[:, :3]", "three experts"),
        ("argsort(-logits", "argsort(logits", "the smallest"),
        (
            "powers / powers.sum(axis=-1, keepdims=True)",
            "powers / np.exp(logits - logits.max(axis=-1, keepdims=True)).sum(axis=-1, keepdims=True)",
            "shares of all experts",
        ),
        ("powers / powers.sum(axis=-1, keepdims=True)", "powers", "no sum"),
        (
            "powers / powers.sum(axis=-1, keepdims=True)",
            f"(powers / powers.sum(axis=-1, keepdims=True)){_HALF}",
            "shares in float16",
        ),
    ],
    "rmsnorm_backward": [
        (" - normed * np.mean(reached * normed, axis=-1, keepdims=True)", "", "the root is taken for a constant"),
        ("np.mean(reached", "np.sum(reached", "a sum stands for the mean"),
        ("grad_output * weight", "grad_output", "no weight"),
        ("grad_output * normed, axis=0", "grad_output * x, axis=0", "x stands for its norm in the weight's gradient"),
        ("np.sum(grad_output * normed, axis=0)", "np.mean(grad_output * normed, axis=0)", "the mean over the batch"),
        ("F(eps)", "F(0)", "no eps"),
        (
            "np.sum(grad_output * normed, axis=0)",
            "np.float16(grad_output * normed).sum(axis=0).astype(F)",
            "added up in float16",
        ),
        ("of_x = scale * (", "of_x = scale * scale * (", "the scale twice"),
    ],
    "layernorm_backward": [
        (" - reached.mean(axis=-1, keepdims=True)", "", "the mean is taken for a constant"),
        (" - normed * along", "", "the deviation is taken for a constant"),
        ("np.mean(reached * normed", "np.sum(reached * normed", "a sum stands for the mean"),
        ("(grad_output * normed).sum(axis=0)", "(reached * normed).sum(axis=0)", "the weight is in its own gradient"),
        ("grad_output.sum(axis=0)", "reached.sum(axis=0)", "the weight is in the bias's gradient"),
        ("grad_output.sum(axis=0)", "np.zeros_like(bias)", "no gradient of the bias"),
        ("centred * scale", f"(centred * scale){_HALF}", "what is normed in float16"),
    ],
    "softmax_backward": [
        (" - np.sum(shares * grad_output, axis=-1, keepdims=True)", "", "no mean is taken away"),
        ("np.sum(shares * grad_output", "np.sum(grad_output", "no shares in the mean"),
        ("shares = softmax(x)", f"shares = softmax(x){_HALF}", "shares in float16"),
        ("return shares *", "return shares * shares *", "shares twice"),
    ],
    "log_softmax_backward": [
        (" - softmax(x) * grad_output.sum(axis=-1, keepdims=True)", "", "the sum is taken for a constant"),
        ("grad_output.sum(axis=-1, keepdims=True)", "grad_output", "no sum"),
        ("softmax(x)", f"softmax(x){_HALF}", "shares in float16"),
        ("softmax(x)", "np.exp(x)", "no sum of exponentials"),
    ],
    "gelu_backward": [
        ("F(-0.5)", "F(-1)", "no half in the density"),
        ("below + x *", "below +", "no x"),
        ("(below + x", "(x", "no share below"),
        ("2 * math.pi", "math.pi", "no two in the density"),
        ("2 * math.pi", "6.283", "two pi to four digits"),
    ],
    "swiglu_backward": [
        ("gate * share * (1 - share)", "share * (1 - share)", "no gate"),
        ("share + gate", "gate", "no share"),
        ("(1 - share)", "(1 + share)", "a sign"),
        ("grad_output * gate * share, ", "grad_output * share, ", "no gate in the gradient of x"),
        ("share = scipy.special.expit(gate)", f"share = scipy.special.expit(gate){_HALF}", "shares in float16"),
    ],
    "linear_backward": [
        ("grad_output.T @ x", "grad_output.T @ x / F(len(x))", "the mean over the batch"),
        ("grad_output.sum(axis=0)", "grad_output.mean(axis=0)", "the mean over the batch in the bias's gradient"),
        ("grad_output @ weight", "np.float16(grad_output) @ np.float16(weight) * F(1)", "added up in float16"),
        ("grad_output.T @ x", "grad_output[1:].T @ x[1:]", "the first row is left out"),
    ],
    "attention_backward": [
        (" - np.sum(shares * of_shares, axis=-1, keepdims=True)", "", "no mean is taken away"),
        ("F(scale) * shares", "shares", "no scale"),
        ("shares.T @ grad_output", "(shares / shares.sum(axis=0)).T @ grad_output", "shares add up over queries"),
        ("of_scores.T @ q", "of_scores.T @ (F(scale) * q)", "the scale twice in the gradient of k"),
        (
            "shares = softmax(F(scale) * (q @ k.T))",
            f"shares = softmax(F(scale) * (q @ k.T)){_HALF}",
            "shares in float16",
        ),
        ("shares = softmax(F(scale) * (q @ k.T))", "shares = softmax(q @ k.T)", "no scale in the shares"),
    ],
    "cross_entropy_of_labels_backward": [
        ("smoothing / count", "smoothing / (count - 1)", "count - 1"),
        ("1 - smoothing", "1", "the label keeps all"),
        ("F(2 * z_loss)", "F(z_loss)", "no two in the z-loss"),
        ("grad_output / F(rows)", "grad_output", "no mean"),
        ("F(smoothing / count)", "F((smoothing + 1e-6) / count)", "smoothing of all is off by 1e-6"),
        ("np.arange(rows), labels", "np.arange(rows), labels - 1", "the label before"),
    ],
    "embedding_backward": [
        (
            "np.add.at(found, tokens, grad_output)",
            "found[tokens] = grad_output",
            "of a token that occurs twice one gradient",
        ),
        ("np.add.at(found, tokens, grad_output)", "found[tokens] += grad_output", "the same by indices"),
        (
            "np.add.at(found, tokens, grad_output)",
            "np.add.at(found, tokens, grad_output); found[0] = 0",
            "the first row is padding",
        ),
        (
            "np.add.at(found, tokens, grad_output)",
            "np.add.at(found, tokens, grad_output / F(1) / np.bincount(tokens)[tokens][:, None].astype(F))",
            "divided by how often a token occurs",
        ),
    ],
    "depthwise_convolution_backward": [
        ("2 - i : 2 - i + time", "i : i + time", "not reflected"),
        (
            "axis=(0, 2)",
            "axis=2)[0] * 1 + 0 * np.sum(wide[:, :, i : i + time] * grad_output, axis=(0, 2)",
            "of the first of the batch alone",
        ),
        ("weight[:, i, None]", "weight[:, 1, None]", "the middle weight for all"),
    ],
    "rotary_backward": [
        ("first * c + second * s", "first * c - second * s", "turned forward"),
        ("second * c - first * s", "second * c + first * s", "a sign of the second"),
    ],
}


def edited(of: str, old: str, new: str) -> Callable[..., Any]:
    """The program in NumPy of a name with a text replaced.

    Args:
        of: its name.
        old: the text.
        new: what stands for it; where brackets are opened, they are closed at the end of the line.
    """
    head, *body = textwrap.dedent(inspect.getsource(getattr(in_numpy, of))).splitlines()
    assert any(old in line for line in body), (of, old)
    lines = [head]
    for line in body:
        opened = line.replace(old, new)
        lines.append(opened + ")" * (opened.count("(") - opened.count(")") - line.count("(") + line.count(")")))
    scope = dict(vars(in_numpy))
    exec("\n".join(lines), scope)
    return scope[of]  # type: ignore[no-any-return]


def by_hand() -> Iterator[Program]:
    """Faults that are chosen by hand."""
    for of, edits in EDITS.items():
        for old, new, name in edits:
            yield Program(of, "an edit", name, edited(of, old, new), wrong=True)


def mutants(of: str) -> Iterator[Program]:
    """Programs of a formula, or of its gradients, in which an operation of the text is another, or a result is off by a factor.

    Args:
        of: as of `Program.of`.
    """
    rule = rule_of(of)
    kind: Any = kind_of(rule)
    cases = kind.generate(rule, 3, np.dtype(np.float64), 0).arrays
    for name, _, how in kind.rewritten(rule):
        other = kind.departed(rule, how)
        if any(_differs(rule, other, arrays) for arrays in cases):
            yield Program(of, "a mutant", name, _function(other), wrong=True)


def _function(other: Any) -> Callable[..., Any]:
    def function(*arrays: Any) -> Any:
        kept = next(a.dtype for a in arrays if a.dtype.kind == "f")
        found = named(other.apply(*arrays))
        results = {name: np.asarray(each).astype(kept) for name, each in found.items()}
        return results if len(results) > 1 else results.popitem()[1]

    return function


def _differs(rule: Any, other: Any, arrays: Mapping[str, np.ndarray]) -> bool:
    with np.errstate(all="ignore"):
        try:
            found = named(other.apply(*(a.copy() for a in arrays.values())))
        except (RefgradError, ArithmeticError, IndexError, TypeError, ValueError):
            return False
        for name, true in named(rule(*arrays.values())).items():
            got, size = np.asarray(found[name], np.float64), np.abs(np.asarray(true, np.float64))
            if got.shape != size.shape:
                return False
            same = (got == true) | (np.abs(got - true) <= DIFFERENT * (np.abs(got) + size))
            if not (same | (np.isnan(got) & np.isnan(true))).all():
                return True
    return False


def programs() -> Iterator[Program]:
    """All of them: those by hand, and of the mutants of every formula one of `EVERY`."""
    yield from by_hand()
    for of in FORMULAS:
        yield from itertools.islice(mutants(of), 0, None, EVERY)
