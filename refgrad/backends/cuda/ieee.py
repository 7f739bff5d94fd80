"""What PTX does to floats: the operations that round, counted, and those that a kernel must not have.

Division and roots become many instructions below PTX, fused ones among them, and are correctly rounded there; so it is PTX that
says what the compiler did to a program, and not the machine code.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

#: the operations that round, of which a kernel has as many as its graph
ROUNDED = ("add", "sub", "mul", "div", "sqrt")

#: what begins an instruction: a guard, and its name with all that is behind points
_BEGIN = re.compile(r"[\s{}]*(?:@!?%\w+\s+)?([a-z][a-z0-9_]*(?:\.[\w:]+)*)(?:\s|$)")


def instructions(ptx: str) -> Iterator[str]:
    """The names of a text's instructions, in order, such as "mul.rn.f32".

    >>> list(instructions("add.rn.f32 %f1, %f2, %f3;"))
    ['add.rn.f32']
    """
    code = re.sub(r"//[^\n]*", "", ptx)
    return (match.group(1) for each in re.split("[;\n]", code) if (match := _BEGIN.match(each)))


def counts(ptx: str, kind: str) -> dict[str, int]:
    """How often each of `ROUNDED` occurs on floats, rounded to nearest; a reciprocal is the quotient of one.

    Args:
        ptx: the text.
        kind: "float32" or "float64".

    >>> counts("add.rn.f32 %f1, %f2, %f3; add.rn.f64 %fd1, %fd2, %fd3;", "float32")
    {'add': 1, 'sub': 0, 'mul': 0, 'div': 0, 'sqrt': 0}
    """
    suffix = f".rn.f{kind.removeprefix('float')}"
    found = Counter(instructions(ptx))
    found["div" + suffix] += found["rcp" + suffix]
    return {name: found[name + suffix] for name in ROUNDED}


def violations(ptx: str) -> list[str]:
    """The instructions that are not IEEE's operations one by one: contracted, approximate, flushing or of another rounding.

    >>> violations("fma.rn.f32 %f1, %f2, %f3, %f4; mul.ftz.f32 %f1, %f2, %f3; div.approx.f32 %f1, %f2, %f3;")
    ['fma.rn.f32', 'mul.ftz.f32', 'div.approx.f32']
    """
    return [name for name in instructions(ptx) if _is_wrong(name)]


def _is_wrong(name: str) -> bool:
    operation, *parts = name.split(".")
    if not parts or not re.fullmatch(r"f(16x2|16|32|64)|bf16(x2)?", parts[-1]):
        return False
    if operation == "fma" or {"ftz", "approx", "full", "sat"} & set(parts):
        return True
    if operation == "cvt":
        return bool({"rz", "rm", "rp"} & set(parts))
    # `mad` on floats is contracted; the others must say how they round
    return operation == "mad" or (operation in (*ROUNDED, "rcp", "rsqrt") and "rn" not in parts)
