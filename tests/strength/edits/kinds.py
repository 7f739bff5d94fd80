"""Kinds of edit: what a person gets wrong in such a text, as a pattern and what stands in its place."""

from __future__ import annotations

from typing import NamedTuple

from tests.strength.edits.text import JAX, NUMPY, TORCH, C

PYTHON = (NUMPY, JAX)
ALL = (NUMPY, TORCH, JAX, C)
#: an expression with parentheses up to two deep
INNER = r"((?:[^()]|\((?:[^()]|\([^()]*\))*\))+)"
#: a name, also an element of an array in C
NAME = r"([A-Za-z_]\w*(?:\[i\])?)"


class Kind(NamedTuple):
    """A kind of edit: its name, pattern, and replacement; of which languages the pattern is."""

    name: str
    pattern: str
    new: str
    languages: tuple[str, ...] = ALL


KINDS: tuple[Kind, ...] = (
    # decays
    Kind("one decay for another", r"\bb(eta)?1\b", r"b\g<1>2"),
    Kind("one decay for another", r"\bb(eta)?2\b", r"b\g<1>1"),
    Kind("a decay for its complement", r"\(1 - (b\w+|alpha|rho|momentum|dampening|decay|nu[12])\)", r"(\1)"),
    Kind("a decay for its complement", r"(alpha|value)=1 - (\w+)", r"\1=\2", (TORCH,)),
    Kind("a complement dropped", r"(\((?:real|f)\))?\(1 - (b\w+|alpha|rho|dampening|decay)\) \* ", "", (NUMPY, JAX, C)),
    Kind("a complement dropped", r", (alpha|value)=1 - \w+", "", (TORCH,)),
    Kind("a decay dropped", r"(?<=[=(] )(\(real\))?(b\w+|alpha|rho|momentum|decay) \* (?=\w)", "", (NUMPY, JAX, C)),
    Kind("a decay dropped", r"\.mul_\((beta\w+|alpha|momentum)\)", "", (TORCH,)),
    # eps
    Kind("eps dropped", r"( \+ (\(real\))?eps\b|\.add_\(eps\))", ""),
    Kind("eps moved under the root", r"(np|jnp)\.sqrt\(" + INNER + r"\) \+ eps", r"\1.sqrt(\2 + eps)", PYTHON),
    Kind(
        "eps moved under the root",
        r"\(real\)sqrt\(" + INNER + r"\) \+ \(real\)eps",
        r"(real)sqrt(\1 + (real)eps)",
        (C,),
    ),
    Kind("eps moved under the root", r"(\w+)\.sqrt\(\)\.add_\(eps\)", r"\1.add(eps).sqrt()", (TORCH,)),
    Kind("eps moved beside the root", r"np\.sqrt\((\w+) \+ eps\)", r"(np.sqrt(\1) + eps)", (NUMPY,)),
    Kind("eps as a maximum", r"(np|jnp)\.sqrt\(" + INNER + r"\) \+ eps", r"\1.maximum(\1.sqrt(\2), eps)", PYTHON),
    Kind("eps as a maximum", r"\.add_\(eps\)", ".clamp(min=eps)", (TORCH,)),
    Kind("eps squared", r"(?<=\+ )eps\b", "eps * eps", PYTHON),
    Kind("eps squared", r"\(real\)eps\b", "(real)(eps * eps)", (C,)),
    Kind("eps added to the squares", r"(\* g \* g|\* d \* d)$", r"\1 + eps", PYTHON),
    # the count of steps, corrections
    Kind("the count one ahead", r"\*\*t\b", "**(t + 1)"),
    Kind("the count one ahead", r"(pow\(beta\d, )t\)", r"\1t + 1)", (C,)),
    Kind("a correction dropped", r" / \((1 - (?:b\w+)\*\*t)\)", ""),
    Kind("a correction dropped", r" / c[12]\b", "", (C,)),
    Kind("the mean for the corrected one", r"\b(\w+)_hat(?! =)\b", r"\1", PYTHON),
    Kind("the mean for the corrected one", r"\b(m|v)_hat(?! =)\b", r"\1[i]", (C,)),
    Kind("a correction under a root or not", r"\(1 - beta2\*\*t\) \*\* 0\.5", "(1 - beta2**t)", (TORCH,)),
    # weight decay
    Kind("weight decay dropped", r"(?<!\() \+ (\(real\))?weight_decay \* p\b(\[i\])?", ""),
    Kind("weight decay dropped", r"^.*p\.mul_\(1 - lr \* weight_decay\)\n", "", (TORCH,)),
    Kind("weight decay dropped", r"^.*g\.add\(p, alpha=weight_decay\)\n", "", (TORCH,)),
    Kind("weight decay negative", r" \+ (?=(\(real\))?weight_decay \* p)", " - "),
    Kind("weight decay without the rate", r"1 - lr \* weight_decay", "1 - weight_decay"),
    Kind("weight decay without the rate", r"lr \* weight_decay \* p", "weight_decay * p", (NUMPY,)),
    Kind(
        "weight decay coupled",
        r"(def candidate\(.*weight_decay.*\n)(?!    g = g \+)",
        r"\1    g = g + weight_decay * p\n",
        (NUMPY,),
    ),
    # signs and operators
    Kind("the other sign", r"(?<=return p) - ", " + ", (NUMPY,)),
    Kind("the other sign", r"(?<=return )-(?=learning_rate)", "", (JAX,)),
    Kind("the other sign", r"p\[i\] -=", "p[i] +=", (C,)),
    Kind("the other sign", r"(value|alpha)=-lr", r"\1=lr", (TORCH,)),
    Kind("plus for minus", r"(?<=[\w)\]]) - (?=[\w(])", " + ", PYTHON),
    Kind("minus for plus", r"(?<=[\w)\]]) \+ (?=[\w(])", " - ", PYTHON),
    Kind("minus for plus", r"(?<=[\w)\]]) \+ (?=[\w(])", " - ", (C,)),
    # powers
    Kind("the magnitude for the square", r"\bg \* g\b", "np.abs(g)", (NUMPY,)),
    Kind("the magnitude for the square", r"\bg \* g\b", "jnp.abs(g)", (JAX,)),
    Kind("the magnitude for the square", r"(g|a)(\[i\])? \* \1(\[i\])?(?=;)", r"fabs(\1\2)", (C,)),
    Kind("the magnitude for the square", r"addcmul_\(g, g,", "addcmul_(g, g.sign(),", (TORCH,)),
    Kind("a root dropped", r"(np|jnp)\.sqrt\(" + INNER + r"\)", r"(\2)", PYTHON),
    Kind("a root dropped", r"\(real\)sqrt\(" + INNER + r"\)", r"(\1)", (C,)),
    Kind("a root dropped", r"\.sqrt\(\)", "", (TORCH,)),
    Kind(
        "a factor dropped",
        r"(?<=[-(] )?(?<!\w)(\(real\))?(lr|learning_rate|rate|ratio) \* (?=[\w(])",
        "",
        (NUMPY, JAX, C),
    ),
    Kind("the rate squared", r"(?<=- )lr \*", "lr * lr *", (NUMPY,)),
    Kind("the magnitude dropped", r"np\.abs\(" + INNER + r"\)", r"(\1)", (NUMPY,)),
    # choices
    Kind("the least for the greatest", r"(np|jnp)\.maximum\(", r"\1.minimum(", PYTHON),
    Kind("the greatest for the least", r"(np|jnp)\.minimum\(", r"\1.maximum(", PYTHON),
    Kind(
        "the sign of zero", r"(np|jnp)\.sign\(" + INNER + r"\)", r"\1.where(\2 >= 0, 1.0, -1.0).astype(p.dtype)", PYTHON
    ),
    Kind("the sign of zero", r"c\.sign\(\)", "torch.where(c >= 0, 1.0, -1.0).to(c.dtype)", (TORCH,)),
    Kind("the sign of zero", r"c > 0 \?", "c >= 0 ?", (C,)),
    Kind("the edge left out", r" <= ", " < ", (NUMPY,)),
    Kind("the edge left out", r" >= ", " > ", (NUMPY,)),
    Kind("the edge taken in", r"(?<=[\w)\]]) < (?=[\w-])", " <= ", (NUMPY,)),
    Kind("the edge taken in", r"(?<=[\w)\]]) > (?=[\w-])", " >= ", (NUMPY,)),
    Kind("the side exchanged", r" <= ", " > ", (NUMPY,)),
    # rounding
    Kind("rounded down", r"np\.rint\(", "np.floor(", (NUMPY,)),
    Kind("rounded toward zero", r"np\.rint\(", "np.trunc(", (NUMPY,)),
    Kind("halves rounded up", r"np\.rint\(" + INNER + r"\)", r"np.floor(\1 + x.dtype.type(0.5))", (NUMPY,)),
    Kind(
        "halves rounded away",
        r"np\.rint\(" + INNER + r"\)",
        r"(np.sign(\1) * np.floor(np.abs(\1) + x.dtype.type(0.5)))",
        (NUMPY,),
    ),
    # numbers
    Kind("a number one less", r"(?<![\w.\[*-])(7|8|15|127|128|255|10|32|64)(?![\w.\]])", "({}-1)", (NUMPY,)),
    Kind("a number twice", r"(?<![\w.\[])(0\.5|0\.96|0\.25|5\.0|2)(?= \*|\))", r"\1 * 2", (NUMPY,)),
    # order
    Kind(
        "an average never updated",
        r"^( +)(m|v|u|s|buffer|h|square|diagonal|v_max) = (.*)\n((?:.*\n)*?)( +)return ",
        r"\1\2_new = \3\n\4\5return ",
        (NUMPY,),
    ),
    Kind("a mean for a sum", r"np\.sum\(", "np.mean(", (NUMPY,)),
    Kind("a sum for a mean", r"np\.mean\(", "np.sum(", (NUMPY,)),
    Kind("stored in half", r"^( +)(m|v|s|buffer) = (.*)$", r"\1\2 = (\3).astype(np.float16).astype(p.dtype)", (NUMPY,)),
    # wrappers
    Kind("the rate warms up", r"(def candidate\(.*\blr\b.*\n)", r"\1    lr = lr * min(1.0, t / 5)\n", (NUMPY,)),
    Kind("the rate falls with the root of t", r"(def candidate\(.*\blr\b.*\n)", r"\1    lr = lr / t**0.5\n", (NUMPY,)),
    Kind("the gradient clipped by value", r"(def candidate\(p, g.*\n)", r"\1    g = np.clip(g, -1, 1)\n", (NUMPY,)),
    Kind(
        "the gradient clipped by its norm",
        r"(def candidate\(p, g.*\n)",
        r"\1    g = g * np.minimum(p.dtype.type(1), 1 / np.sqrt(np.sum(g * g)))\n",
        (NUMPY,),
    ),
    Kind(
        "the gradient without NaN",
        r"(def candidate\(p, g.*\n)",
        r"\1    g = np.nan_to_num(g, nan=0.0, posinf=np.inf, neginf=-np.inf)\n",
        (NUMPY,),
    ),
    Kind("the tail forgotten", r"i < n;", "i < n / 8 * 8;", (C,)),
    Kind("the first element forgotten", r"i = 0;", "i = 1;", (C,)),
    # formats
    Kind("through float16", r"\bx(?=\.astype\(ml_dtypes)", "x.astype(np.float16)", (NUMPY,)),
    Kind("saturated", r"\bx(?=\.astype\(ml_dtypes)", "np.clip(x, -448, 448)", (NUMPY,)),
    Kind("smallest numbers flushed", r"\bx(?=\.astype\(ml_dtypes)", "np.where(np.abs(x) < 2**-6, 0, x)", (NUMPY,)),
    Kind(
        "the top exponent left out",
        r"\bx(?=\.astype\(ml_dtypes)",
        "np.where(np.abs(x) >= 256, 240 * np.sign(x), x)",
        (NUMPY,),
    ),
    Kind("the smallest kept", r"\[:, -2:\]", "[:, :2]", (NUMPY,)),
    Kind(
        "halves of bytes exchanged",
        r"\"codes\": codes\.astype\(np\.uint8\)",
        '"codes": ((codes.astype(np.uint8) & 15) << 4)',
        (NUMPY,),
    ),
    Kind("a block in the other order", r"(\"codes\": codes\.astype\(np\.u?int8\))(?=})", r"\1[..., ::-1]", (NUMPY,)),
    Kind("a block per tensor", r", axis=1(, keepdims=True)?\)", r")", (NUMPY,)),
    Kind("infinite values kept finite", r"np\.clip\((.*), -128, 127\)", r"(\1)", (NUMPY,)),
    Kind("the lowest code left out", r"-128, 127", "-127, 127", (NUMPY,)),
    Kind("counted up", r"np\.floor\((np\.count_nonzero)", r"np.ceil(\1", (NUMPY,)),
    Kind("counted up", r"np\.floor\((w\.shape)", r"np.ceil(\1", (NUMPY,)),
    Kind("counted down", r"round\((w\.size)", r"int(\1", (NUMPY,)),
    Kind(
        "ties to the last",
        r"np\.argsort\((rows)(, axis=-?1, kind=.stable.)\)",
        r"\1.shape[-1] - 1 - np.argsort(\1[..., ::-1]\2)",
        (NUMPY,),
    ),
)
