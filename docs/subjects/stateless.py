"""A quantizer, an estimator and a mask as subjects of `refgrad judge`, in Python without any package.

    refgrad judge python --arg stateless.py --as Affine symmetric=True
    refgrad judge python --arg stateless.py --as ClippedSTE
    refgrad judge python --arg stateless.py --as Magnitude

With a further argument "wrong" the quantizer rounds ties away from zero, the estimator leaves the edge of its interval out,
and the mask takes the signed weights for their magnitudes.
"""

import json
import math
import struct
import sys

WRONG = "wrong" in sys.argv[1:]
TAKES = {"Affine": ["x"], "ClippedSTE": ["x", "cotangent", "clip"], "Magnitude": ["w", "sparsity"]}
GIVES = {"Affine": ["scale", "zero_point", "codes"], "ClippedSTE": ["y", "x_grad"], "Magnitude": ["mask"]}


def float32(x):
    """The nearest number of float32; beyond its largest an infinity."""
    try:
        return struct.unpack("<f", struct.pack("<f", x))[0]
    except OverflowError:
        return math.copysign(math.inf, x)


def numbers(array):
    return [float.fromhex(text) for text in array["data"]]


def answered(values, shape, dtype="float32"):
    return {"shape": shape, "dtype": dtype, "data": [float(v).hex() if dtype == "float32" else v for v in values]}


def affine(asked):
    """Codes of 8 bits by the largest magnitude: ties to even."""
    x, shape = numbers(asked["arrays"]["x"]), asked["arrays"]["x"]["shape"]
    if not all(map(math.isfinite, x)):
        raise ValueError("finite numbers alone")
    scale = float32(max(map(abs, x), default=0.0) / 127) or 1.0

    def code(value):
        ratio = float32(value / scale)
        whole = math.copysign(math.floor(abs(ratio) + 0.5), ratio) if WRONG else round(ratio)
        return int(min(max(whole, -128), 127))

    codes = answered(map(code, x), shape, "int8")
    return {"scale": answered([scale], []), "zero_point": answered([0], [], "int32"), "codes": codes}


def clipped(asked):
    """The sign, with the gradient of the identity where the magnitude is at most the edge."""
    x, g = (numbers(asked["arrays"][name]) for name in ("x", "cotangent"))
    edge, shape = float32(float.fromhex(asked["numbers"]["clip"])), asked["arrays"]["x"]["shape"]
    sign = [math.nan if v != v else 1.0 if v >= 0 else -1.0 for v in x]
    passed = [c if (abs(v) < edge if WRONG else abs(v) <= edge) else 0.0 for v, c in zip(x, g, strict=True)]
    return {"y": answered(sign, shape), "x_grad": answered(passed, shape)}


def magnitude(asked):
    """The largest weights, NaN before all numbers: the earlier of two alike."""
    w, shape = numbers(asked["arrays"]["w"]), asked["arrays"]["w"]["shape"]
    size = [v if WRONG else abs(v) for v in w]
    kept = len(w) - round(float.fromhex(asked["numbers"]["sparsity"]) * len(w))
    order = sorted(range(len(w)), key=lambda i: (-math.inf if w[i] != w[i] else -size[i], w[i] == w[i], i))
    chosen = set(order[:kept])
    return {"mask": answered([int(i in chosen) for i in range(len(w))], shape, "bool")}


RULES = {"Affine": affine, "ClippedSTE": clipped, "Magnitude": magnitude}
rule = None
for line in sys.stdin:
    asked = json.loads(line)
    if asked["ask"] == "hello":
        rule = asked["rule"]
        answer = {"refgrad": 1, "name": "stateless.py", "rules": list(RULES), "dtypes": ["float32"]}
        answer |= {"takes": TAKES.get(rule, ["x"]), "gives": GIVES.get(rule, ["y"])}
    else:
        try:
            answer = {"id": asked["id"], "arrays": RULES[rule](asked)}
        except ValueError as error:
            answer = {"id": asked["id"], "refused": str(error)}
    print(json.dumps(answer), flush=True)
