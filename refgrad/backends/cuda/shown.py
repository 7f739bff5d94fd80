"""A rule's CUDA kernels, for people to read: its text, and what NVRTC makes of that."""

from __future__ import annotations

import numpy as np

from refgrad.backends.cuda import nvrtc
from refgrad.backends.cuda.run import program_of
from refgrad.tracing import Plan


def text(plan: Plan, dtype: np.dtype, arch: str | None = None) -> str:
    """The sources of a plan's kernels, all of whose arrays are stored in one dtype.

    Args:
        plan: the plan.
        dtype: the dtype of the arrays; of narrow ones, float32 is what is worked in.
        arch: an architecture, such as "sm_90", for what NVRTC makes of the source for that: PTX.

    Raises:
        ArgumentError: no CUDA kernel is printed of the plan, or stores the dtype, or NVRTC knows no such architecture.
        CompilerMissing: an architecture is asked for, and NVRTC is not installed.

    >>> from refgrad.optimizers import SGD
    >>> "p_[i] = to_float16(x4);" in text(SGD().plan((4,), 1), np.dtype(np.float16))
    True
    """
    graph = plan.graph
    program = program_of(plan, dict.fromkeys([plan.rule.primary, *graph.inputs(), *graph.outputs], dtype))
    texts = [s.text if arch is None else nvrtc.compile_source(s, arch).ptx for s in program.sources]
    return "\n".join(texts)
