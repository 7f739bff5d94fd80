"""The interpreter of PTX: each instruction alone, against numbers of Python's; and what no kernel may do is a fault."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest

from tests.backends.cuda.ptx_machine import Fault, Machine, parse
from tests.backends.cuda.ptx_operations import OPERATIONS, TYPES
from tests.backends.cuda.ptx_uses import Uses

EDGES: dict[str, list[Any]] = {
    "f": [0.0, -0.0, 1.0, -1.5, 1e-45, -1e-40, 3.0e38, 0.1, 2.5, -7.0, 1e10, math.inf, -math.inf, math.nan],
    "s": [0, 1, -1, 2, 7, 31, 32, 63, 64, 100, -100],
    "u": [0, 1, 2, 7, 31, 32, 63, 64, 100],
    "p": [False, True],
}
EDGES["b"] = EDGES["u"]
SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
}


def edges(kind: str) -> list[Any]:
    """Numbers of a type: small ones, and its ends."""
    if kind == "pred":
        return EDGES["p"]
    if kind[0] == "f":
        return [rounded(x, kind) for x in EDGES["f"]]
    width = int(kind[1:])
    low, high = (-(1 << (width - 1)), (1 << (width - 1)) - 1) if kind[0] == "s" else (0, (1 << width) - 1)
    return [x for x in [*EDGES[kind[0]], low, low + 1, high - 1, high] if low <= x <= high]


def rounded(x: float, kind: str) -> float:
    """A float64 rounded to a type by C's conversion, as `struct` has it; beyond the largest to infinity."""
    if kind == "f64":
        return float(x)
    try:
        return float(struct.unpack("f", struct.pack("f", x))[0])
    except OverflowError:
        return math.copysign(math.inf, x)


def wrapped(x: int, kind: str) -> int:
    """An integer cut to a type's bits."""
    width = int(kind[1:])
    cut = x & ((1 << width) - 1)
    return cut - (1 << width) if kind[0] == "s" and cut >> (width - 1) else cut


def arithmetic(name: str, a: float, b: float) -> float:
    """A float64 operation of Python's; in float32 a second rounding makes of it what one would, as 53 >= 2 * 24 + 2."""
    if name == "div":
        if b == 0:
            return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1.0, b)
        return a / b
    return {"add": lambda: a + b, "sub": lambda: a - b, "mul": lambda: a * b}[name]()


def of_floats(name: str, parts: list[str], x: tuple[Any, ...]) -> Any:
    kind = parts[-1]
    if name == "setp":
        unknown = any(map(math.isnan, x))
        if parts[0] in ("num", "nan"):
            return unknown == (parts[0] == "nan")
        return unknown if unknown and parts[0].endswith("u") else SIGNS[parts[0][:2]](*x) and not unknown
    if name == "sqrt":
        return math.nan if x[0] < 0 else rounded(math.sqrt(x[0]), kind)
    if name == "rcp":
        return rounded(arithmetic("div", 1.0, x[0]), kind)
    simple = {"neg": lambda: -x[0], "abs": lambda: abs(x[0]), "copysign": lambda: math.copysign(x[1], x[0])}
    return simple[name]() if name in simple else rounded(arithmetic(name, *x), kind)


def converted(parts: list[str], x: Any) -> Any:
    to, of = parts[-2:]
    if to[0] == "f":
        if of[0] == "f" or abs(x) <= 1 << 53:
            return rounded(float(x), to)
        return float(np.array(x).astype(np.float32)) if to == "f32" else float(Fraction(x))
    if of[0] != "f":
        return wrapped(x, to)
    low, high = edges(to)[-4], edges(to)[-1]
    return 0 if math.isnan(x) else high if x >= high else low if x <= low else math.trunc(x)


def of_integers(name: str, parts: list[str], x: tuple[Any, ...], result: str) -> Any:
    a, b = (*x, 0)[:2]
    if name in ("shl", "shr"):
        return wrapped(a << min(b, 64) if name == "shl" else a >> min(b, 64), result)
    ones = ((1 << (x[3] & 255)) - 1) << (x[2] & 255) if name == "bfi" else 0
    table: dict[str, Callable[[], Any]] = {
        "setp": lambda: SIGNS[parts[0]](a, b),
        "add": lambda: a + b,
        "sub": lambda: a - b,
        "mul": lambda: a * b,
        "mad": lambda: a * b + x[2],
        "div": lambda: abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1),
        "rem": lambda: abs(a) % abs(b) * (-1 if a < 0 else 1),
        "and": lambda: a & b,
        "or": lambda: a | b,
        "xor": lambda: a ^ b,
        "bfi": lambda: (b & ~ones) | ((a << (x[2] & 255)) & ones),
        "not": lambda: ~a,
        "neg": lambda: -a,
        "min": lambda: min(a, b),
        "max": lambda: max(a, b),
    }
    found = table[name]()
    return found if result == "pred" else wrapped(found, result)


def expected(whole_name: str, x: tuple[Any, ...]) -> Any:
    """What an instruction gives, by Python's numbers."""
    name, *parts = whole_name.split(".")
    result, operands, _ = OPERATIONS[whole_name]
    if name == "selp":
        return x[0] if x[2] else x[1]
    if name in ("mov", "cvta"):
        return x[0]
    if name == "cvt":
        return converted(parts, x[0])
    if result == "pred" and operands[0] == "pred":
        return {"and": all, "or": any, "xor": lambda v: v[0] != v[1], "not": lambda v: not v[0]}[name](x)
    return of_floats(name, parts, x) if operands[0][0] == "f" else of_integers(name, parts, x, result)


@pytest.mark.sample(quick=4, suite=60)
@pytest.mark.parametrize("name", OPERATIONS)
def test_each_instruction_alone(name: str) -> None:
    result, operands, function = OPERATIONS[name]
    cases = list(product(*map(edges, operands)))
    if result[0] != "f" and name.startswith(("div.", "rem.")):
        cases = [case for case in cases if case[1]]
    cases = cases[:: 1 + len(cases) // 300]
    given = [np.array([case[i] for case in cases], TYPES[kind]) for i, kind in enumerate(operands)]
    with np.errstate(all="ignore"):
        found = np.asarray(function(*given)).astype(TYPES[result], copy=False)
    wanted = [expected(name, case) for case in cases]
    for case, a, b in zip(cases, found.tolist(), wanted, strict=True):
        same = (a != a and b != b) or (a == b and math.copysign(1, a) == math.copysign(1, b))
        assert same, (name, case, a, b)


HEAD = """
.visible .entry kernel(
	.param .u64 kernel_param_0,
	.param .u64 kernel_param_1
)
{{
	.reg .pred 	%p<4>;
	.reg .b32 	%r<9>;
	.reg .f32 	%f<9>;
	.reg .b64 	%rd<9>;
	ld.param.u64 	%rd1, [kernel_param_0];
	ld.param.u64 	%rd2, [kernel_param_1];
	mov.u32 	%r1, %tid.x;
	mul.wide.u32 	%rd3, %r1, 4;
	add.s64 	%rd4, %rd2, %rd3;
{}
	ret;
}}
"""


def ran(lines: str, threads: int = 4, size: int = 4, text: str = HEAD) -> np.ndarray:
    """What a kernel makes of 0, 1, 2, ..."""
    x = np.arange(size, dtype=np.float32)
    Machine(parse(text.format(lines), "kernel"), [x], 1000).run(1, threads, [size, x.ctypes.data])
    return x


def test_a_kernel_reads_computes_and_stores() -> None:
    lines = "ld.global.f32 %f1, [%rd4];\n add.rn.f32 %f2, %f1, 0f3F800000;\n st.global.f32 [%rd4], %f2;"
    assert ran(lines).tolist() == [1, 2, 3, 4]


def test_threads_part_and_come_together_again() -> None:
    lines = """
	setp.gt.u32 %p1, %r1, 1;
	@%p1 bra $L_far;
	mov.f32 %f1, 0fBF800000;
	bra.uni $L_end;
$L_far:
	cvt.rn.f32.u32 %f1, %r1;
$L_end:
	@!%p1 add.rn.f32 %f1, %f1, %f1;
	st.global.f32 [%rd4], %f1;"""
    assert ran(lines).tolist() == [-2, -2, 2, 3]


def test_a_table_of_constants_is_read() -> None:
    table = ".global .align 4 .f32 table[4] = {0f3F800000, 0f40000000, 0f00000000, 0fBF800000};\n"
    lines = "mov.u64 %rd5, table;\n cvta.to.global.u64 %rd5, %rd5;\n add.s64 %rd6, %rd5, %rd3;\n"
    lines += "ld.global.nc.f32 %f1, [%rd6];\n st.global.f32 [%rd4], %f1;"
    assert ran(lines, text=table.replace("{", "{{").replace("}", "}}") + HEAD).tolist() == [1, 2, 0, -1]


FAULTS = {
    "fma.rn.f32 %f1, 0f00000000, 0f00000000, 0f00000000;": "fma.rn.f32 is not known",
    "add.rn.ftz.f32 %f1, 0f00000000, 0f00000000;": "add.rn.ftz.f32 is not known",
    "ld.global.f32 %f1, [%rd4+16];": "out of bounds",
    "ld.global.f32 %f1, [%rd4+2];": "not aligned",
    "st.global.f32 [%rd2+-4], 0f00000000;": "out of bounds",
    "st.global.f32 [%rd2], 0f00000000;": "two threads store at one place",
    "ld.global.nc.f32 %f1, [%rd4];": "past the cache",
    "ld.volatile.global.f32 %f1, [%rd4];": "ld.volatile.global.f32 is not known",
    "add.rn.f32 %f1, %f2, %f2;": "%f2 is read before it is written",
    "add.rn.f32 %f1, %rd1, %rd1;": "too narrow for f32",
    "add.s64 %r2, %rd1, %rd1;": "too narrow for int64",
    "mov.u32 %x1, %r1;": "%x1 is not declared",
    "mov.u32 %r2, %laneid;": "%laneid is read before it is written",
    "ld.param.u32 %r2, [kernel_param_0];": "is u64, and is read as u32",
    "$L_again:\n bra $L_again;": "does not end",
    "add.s32 %r2, %r1;": "add.s32 of",
    "bar.sync 1;": "bar.sync of",
    "setp.gt.u32 %p1, %r1, 1;\n @%p1 bra $L_end;\n bar.sync 0;\n$L_end:": "threads wait for others that have ended",
}


@pytest.mark.parametrize("line", FAULTS)
def test_what_no_kernel_may_do_is_a_fault(line: str) -> None:
    with pytest.raises(Fault, match=re.escape(FAULTS[line])):
        ran(line)


SHARED = """
	.shared .align 4 .b8 buffer[16];
	mov.u32 %r2, buffer;
	shl.b32 %r3, %r1, 2;
	add.s32 %r4, %r2, %r3;
	xor.b32 %r5, %r3, 12;
	add.s32 %r6, %r2, %r5;
	ld.global.f32 %f1, [%rd4];
{}
	st.global.f32 [%rd4], %f2;"""


def test_threads_share_what_they_wait_for() -> None:
    lines = "st.shared.f32 [%r4], %f1;\n bar.sync 0;\n ld.shared.f32 %f2, [%r6];"
    assert ran(SHARED.format(lines)).tolist() == [3, 2, 1, 0]


@pytest.mark.parametrize(
    ("lines", "fault"),
    {
        "st.shared.f32 [%r4], %f1; ld.shared.f32 %f2, [%r6];": "a race: what one thread writes, another reads",
        "st.shared.f32 [%r4], %f1; bar.sync 0; ld.shared.f32 %f2, [%r6]; st.shared.f32 [%r4], %f2;": "one of them writes",
        "st.shared.f32 [%r2], %f1; bar.sync 0; ld.shared.f32 %f2, [%r6];": "one of them writes",
        "ld.shared.f32 %f2, [%r6];": "read before it is written",
        "st.shared.f32 [%r4+4], %f1; bar.sync 0; ld.shared.f32 %f2, [%r6];": "out of bounds",
        "ld.shared.v2.f32 %f2, [%r6];": "ld.shared.v2.f32 is not known",
    }.items(),
)
def test_a_race_is_a_fault(lines: str, fault: str) -> None:
    with pytest.raises(Fault, match=fault):
        ran(SHARED.format(lines.replace(";", ";\n")))


def test_a_thread_has_memory_of_its_own() -> None:
    text = HEAD.replace(".reg .pred", ".local .align 4 .b8 __local_depot0[8];\n\t.reg .b64 \t%SPL;\n\t.reg .pred")
    begun = "mov.u64 %SPL, __local_depot0;\n ld.global.f32 %f1, [%rd4];\n"
    lines = begun + "st.local.f32 [%SPL+4], %f1;\n {};\n st.global.f32 [%rd4], %f2;"
    assert ran(lines.format("ld.local.f32 %f2, [%SPL+4]"), text=text).tolist() == [0, 1, 2, 3]
    for wrong, fault in (
        ("ld.local.f32 %f2, [%SPL]", "before it is written"),
        ("ld.local.f32 %f2, [%SPL+16]", "bounds"),
    ):
        with pytest.raises(Fault, match=fault):
            ran(lines.format(wrong), text=text)


#: each thread's own place of x is at %rd4, and the one of the thread at the other end at %rd6
MIRRORED = """
	shl.b32 %r3, %r1, 2;
	xor.b32 %r5, %r3, 12;
	cvt.u64.u32 %rd5, %r5;
	add.s64 %rd6, %rd2, %rd5;
	ld.global.f32 %f1, [%rd4];
	mov.f32 %f2, %f1;
{}"""


@pytest.mark.parametrize(
    ("lines", "fault"),
    {
        "st.global.f32 [%rd4], %f1; ld.global.f32 %f2, [%rd6];": "a race: what one thread writes, another reads",
        "st.global.f32 [%rd6], %f1;": "one of them writes",
        "bar.sync 0; ld.global.f32 %f2, [%rd6]; st.global.f32 [%rd4], %f2;": "one of them writes",
    }.items(),
)
def test_a_race_in_the_memory_of_a_card_is_a_fault(lines: str, fault: str) -> None:
    with pytest.raises(Fault, match=fault):
        ran(MIRRORED.format(lines.replace(";", ";\n")))


def test_threads_of_a_block_exchange_numbers_in_memory_if_they_wait() -> None:
    lines = "bar.sync 0;\n ld.global.f32 %f2, [%rd6];\n bar.sync 0;\n st.global.f32 [%rd4], %f2;"
    assert ran(MIRRORED.format(lines)).tolist() == [3, 2, 1, 0]


def test_threads_of_two_blocks_never_wait_for_each_other() -> None:
    uses = Uses(8, np.array([0, 0, 1, 1]))
    uses.load(np.array([0, 4]), np.array([0, 1]))
    uses.forget(np.array([True, True]))
    uses.store(np.array([0, 4]), np.array([1, 0]))  # of one block
    uses.forget(np.array([True, True]))
    with pytest.raises(Fault, match="what one thread writes"):
        uses.load(np.array([0]), np.array([2]))
    with pytest.raises(Fault, match="one of them writes"):
        uses.store(np.array([4]), np.array([3]))


def test_a_table_is_not_written() -> None:
    table = ".global .align 4 .f32 table[4] = {{0f3F800000, 0f40000000, 0f00000000, 0fBF800000}};\n"
    with pytest.raises(Fault, match="writes a constant"):
        ran("mov.u64 %rd5, table;\n add.s64 %rd6, %rd5, %rd3;\n st.global.f32 [%rd6], 0f00000000;", text=table + HEAD)


def test_a_kernel_that_is_not_there() -> None:
    with pytest.raises(Fault, match="no entry other"):
        parse(HEAD.format(""), "other")
