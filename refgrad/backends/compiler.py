"""From a kernel's source to machine code, and from machine code to something that can be called.

Numba is imported to compile; code that was compiled before is loaded by llvmlite alone.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from refgrad.backends.source import KernelSource

SYMBOL = "refgrad_kernel"


@cache
def _target_machine() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features().flatten()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=3, jit=True, reloc="default", codemodel="jitdefault"
    )


def target() -> str:
    """The processor that code is made for."""
    import llvmlite.binding as llvm

    _target_machine()
    return f"{llvm.get_process_triple()} {llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"


def compile_object(source: KernelSource) -> bytes:
    """Machine code of a kernel, under the symbol `SYMBOL`: IEEE operations, nothing reordered or contracted."""
    import llvmlite.binding as llvm
    from numba import carray, cfunc, types

    names: dict[str, Any] = {"np": np, "carray": carray, "int64": types.int64, "float64": types.float64}
    names[str(source.dtype)] = getattr(types, str(source.dtype))
    exec(compile(source.text, "<refgrad kernel>", "exec"), names)  # the text was made by this package from a graph
    pointers = [types.CPointer(getattr(types, t)) for t in source.types or (str(source.dtype),) * len(source.arrays)]
    signature = types.void(*[types.intp] * source.integers, *pointers, *[types.float64] * source.scalars)
    compiled = cfunc(signature, error_model="numpy", fastmath=False)(names["kernel"])
    text = compiled.inspect_llvm().replace(compiled.native_name, SYMBOL)
    return _target_machine().emit_object(llvm.parse_assembly(text))


_ENGINES: list[Any] = []  # an engine owns its code: dropped engines would leave dangling addresses


def load(code: bytes, source: KernelSource) -> Callable[..., None]:
    """A function of ``(*integers, *addresses, *scalars)`` that runs without the interpreter lock."""
    import llvmlite.binding as llvm

    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _new_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _ENGINES.append(engine)
    address = engine.get_function_address(SYMBOL)
    if not address:
        raise ValueError(f"the code has no symbol {SYMBOL}")
    addresses = [ctypes.c_void_p] * len(source.arrays)
    integers, scalars = [ctypes.c_ssize_t] * source.integers, [ctypes.c_double] * source.scalars
    return ctypes.CFUNCTYPE(None, *integers, *addresses, *scalars)(address)


def _new_machine() -> Any:
    """An engine takes its target machine over, so that each needs one of its own."""
    _target_machine()
    return _target_machine.__wrapped__()
