"""What PTX may not do to floats is found, and what it may is counted."""

from __future__ import annotations

import pytest

from refgrad.backends.cuda import ieee

RIGHT = """
	@%p1 bra 	$L__BB0_3;
	mul.rn.f32 	%f12, %f11, %f9; // fma.rn.f32 %f1, %f2, %f3, %f4;
	add.rn.f32 	%f15, %f14, %f12;
	@!%p2 add.rn.f32 	%f16, %f14, %f12;
	rcp.rn.f64 	%fd1, %fd2;
	mad.lo.s32 	%r1, %r2, %r3, %r4;
	cvt.rn.f32.f64 	%f1, %fd9;
	cvt.rzi.s32.f32 	%r1, %f9;
	setp.gt.f32 	%p2, %f1, %f2;
"""


def test_operations_are_counted_by_type_with_their_guards_and_without_comments() -> None:
    assert ieee.counts(RIGHT, "float32") == {"add": 2, "sub": 0, "mul": 1, "div": 0, "sqrt": 0}
    assert ieee.counts(RIGHT, "float64") == {"add": 0, "sub": 0, "mul": 0, "div": 1, "sqrt": 0}
    assert ieee.violations(RIGHT) == []


@pytest.mark.parametrize(
    "instruction",
    [
        "fma.rn.f32",
        "fma.rn.f64",
        "mad.f32",
        "add.ftz.f32",
        "add.rn.ftz.f32",
        "add.f32",
        "mul.f64",
        "mul.rz.f32",
        "div.approx.f32",
        "div.full.f32",
        "sqrt.approx.ftz.f32",
        "rsqrt.approx.f32",
        "rcp.approx.ftz.f32",
        "ex2.approx.ftz.f32",
        "abs.ftz.f32",
        "setp.gt.ftz.f32",
        "cvt.rz.f32.f64",
        "cvt.rn.ftz.f32.f64",
        "fma.rn.bf16x2",
        "add.rn.sat.f32",
    ],
)
def test_what_is_not_one_operation_of_ieee_is_found(instruction: str) -> None:
    ptx = f"{RIGHT}\n\t@%p1 {instruction} \t%f1, %f2, %f3;\n"
    assert ieee.violations(ptx) == [instruction]
