"""A rule's CUDA kernels, for people to read: its text, and what NVRTC makes of that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from refgrad.arithmetic.dtypes import working
from refgrad.backends.cuda import nvrtc, whole_source
from refgrad.backends.cuda.run import program_of
from refgrad.backends.outline import Outline, outline_of
from refgrad.tracing import Plan


def text(plan: Plan, dtype: np.dtype, outline: Outline | None = None, arch: str | None = None) -> str:
    """The sources of a plan's kernels as one text, all of whose arrays are stored in one dtype.

    Args:
        plan: the plan.
        dtype: the dtype of the arrays; of narrow ones, float32 is what is worked in.
        outline: what is said of the arrays; by default what the plan says.
        arch: an architecture, such as "sm_90", for what NVRTC makes of the source for that: PTX.

    Raises:
        ArgumentError: no CUDA kernel is printed of the plan, or stores the dtype, or NVRTC knows no such architecture.
        CompilerMissing: an architecture is asked for, and NVRTC is not installed.

    >>> from refgrad.optimizers import SGD
    >>> "p[i] = to_float16(x4);" in text(SGD().plan((4,), 1), np.dtype(np.float16))
    True
    """
    graph, outline = plan.graph, outline or outline_of(plan, str(plan.rule))
    program = program_of(plan, dict.fromkeys([plan.rule.primary, *graph.inputs(), *graph.outputs], dtype))
    whole = whole_source.text(plan, program, dtype, working(dtype), outline)
    if arch is None:
        return whole
    return nvrtc.compile_source(replace(program.sources[0], text=whole), arch).ptx
