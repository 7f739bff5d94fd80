"""From a kernel's source to machine code, and from machine code to something that can be called.

Numba is imported to compile; code that was compiled before is loaded by llvmlite alone.
"""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from refgrad.backends.source import KernelSource

SYMBOL, ENTRY = "refgrad_kernel", "refgrad_entry"


@dataclass(frozen=True, eq=False)
class Kernel:
    """Machine code that runs without the interpreter lock.

    ``entry`` is called with packed arguments, as made by ``pack(*integers, *addresses, *scalars)``; ``address`` is where
    it begins. Calling the kernel itself packs and enters.
    """

    pack: Callable[..., bytes]
    entry: Callable[[bytes], None]
    address: int

    def __call__(self, *arguments: float) -> None:
        self.entry(self.pack(*arguments))


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
    """Machine code of a kernel, under the symbol `ENTRY`: IEEE operations, nothing reordered or contracted."""
    import llvmlite.binding as llvm
    from numba import carray, types

    from refgrad.backends.numba_stages import function_decorator, llvm_text

    pointers = [types.CPointer(getattr(types, name)) for name in source.element_types()]
    names: dict[str, Any] = {"np": np, "carray": carray, "int32": types.int32, "int64": types.int64}
    names |= {name: getattr(types, name) for name in ("uint8", "float64", str(source.dtype), *source.types)}
    names |= {f"local_{kind}": _on_stack(kind) for kind in ("float64", "int64") if f"local_{kind}(" in source.text}
    signature = types.void(*[types.intp] * source.integers, *pointers, *[types.float64] * source.scalars)
    with _compiling():
        names["function"] = function_decorator()
        exec(compile(source.text, "<refgrad kernel>", "exec"), names)  # the text was made by this package from a graph
        text, name = llvm_text(names["kernel"], signature)
    text = with_own_fill(with_own_roots(text.replace(name, SYMBOL))) + _entry(source)
    return _target_machine().emit_object(llvm.parse_assembly(text))


_LOCK = threading.Lock()


@contextmanager
def _compiling() -> Iterator[None]:
    """Numba compiles, whatever NUMBA_DISABLE_JIT says, which is meant for functions that a debugger goes through."""
    import numba

    config: Any = numba.config
    with _LOCK:
        before, config.DISABLE_JIT = config.DISABLE_JIT, 0
        try:
            yield
        finally:
            config.DISABLE_JIT = before


def _on_stack(kind: str) -> Any:
    """A function of a kernel that gives the address of memory on its stack, for as many numbers of a type as a constant says."""
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

    element = getattr(types, kind)

    def local(typing_context: Any, length: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return cgutils.alloca_once(builder, context.get_data_type(element), size=length.literal_value)

        return types.CPointer(element)(types.IntegerLiteral(length.literal_value)), code

    return intrinsic(prefer_literal=True)(local)


def with_own_roots(text: str) -> str:
    """LLVM text whose square roots are instructions, where Numba calls the C library's.

    Some versions of LLVM keep the call, and a process that loads the machine code without Numba has no such function: it would
    jump to nowhere. Both are IEEE's, correctly rounded.

    Args:
        text: the module; a declaration of the C function goes with its calls.
    """
    for function, kind, bits in (("sqrtf", "float", 32), ("sqrt", "double", 64)):
        own = f"@llvm.sqrt.f{bits}"
        called = text.replace(f"@{function}(", f"{own}(")
        if called != text:
            lines = [line for line in called.splitlines() if not (line.startswith("declare") and f"{own}(" in line)]
            text = "\n".join([*lines, f"declare {kind} {own}({kind})", ""])
    return text


#: the C library's function that fills memory with a byte: eight at a time, and the last ones by themselves
_FILL = """
define ptr @memset(ptr %to, i32 %value, i64 %count) {
start:
  %byte = trunc i32 %value to i8
  %wide = zext i8 %byte to i64
  %eight = mul i64 %wide, 72340172838076673
  %whole = and i64 %count, -8
  br label %words
words:
  %i = phi i64 [ 0, %start ], [ %i.next, %word ]
  %some = icmp ult i64 %i, %whole
  br i1 %some, label %word, label %bytes
word:
  %at = getelementptr i8, ptr %to, i64 %i
  store i64 %eight, ptr %at, align 1
  %i.next = add i64 %i, 8
  br label %words
bytes:
  %j = phi i64 [ %whole, %words ], [ %j.next, %one ]
  %more = icmp ult i64 %j, %count
  br i1 %more, label %one, label %end
one:
  %to.byte = getelementptr i8, ptr %to, i64 %j
  store i8 %byte, ptr %to.byte, align 1
  %j.next = add i64 %j, 1
  br label %bytes
end:
  ret ptr %to
}
"""


def with_own_fill(text: str) -> str:
    """LLVM text that has the function with which compilers fill memory, where it does.

    A loop that stores one number becomes a call of the C library, which a process that loads the machine code without Numba does
    not find: it would jump to nowhere.

    Args:
        text: the module.
    """
    return text + _FILL if "@llvm.memset" in text else text


def _entry(source: KernelSource) -> str:
    """A function of one address, from which it reads the kernel's arguments, eight bytes each."""
    kinds = ["i64"] * source.integers + ["ptr"] * len(source.arrays) + ["double"] * source.scalars
    lines = [f"define void @{ENTRY}(ptr %at) {{"]
    for i, kind in enumerate(kinds):
        lines += [f"  %at{i} = getelementptr i64, ptr %at, i64 {i}", f"  %x{i} = load {kind}, ptr %at{i}, align 8"]
    given = ", ".join(f"{kind} %x{i}" for i, kind in enumerate(kinds))
    return "\n".join(["", *lines, f"  %none = call ptr @{SYMBOL}({given})", "  ret void", "}", ""])


_ENGINES: list[Any] = []  # an engine owns its code: dropped engines would leave dangling addresses


def load(code: bytes, source: KernelSource) -> Kernel:
    """The kernel that machine code is."""
    import llvmlite.binding as llvm

    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _new_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _ENGINES.append(engine)
    address = engine.get_function_address(ENTRY)
    if not address:
        raise ValueError(f"the code has no symbol {ENTRY}")
    pack = struct.Struct(f"={source.integers}q{len(source.arrays)}Q{source.scalars}d").pack
    return Kernel(pack, ctypes.CFUNCTYPE(None, ctypes.c_char_p)(address), address)


def load_assembly(text: str) -> Callable[[str], int]:
    """LLVM assembly compiled for this process; gives the address of a function by its name."""
    import llvmlite.binding as llvm

    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(text), _new_machine())
    engine.finalize_object()
    _ENGINES.append(engine)
    return engine.get_function_address


def _new_machine() -> Any:
    """An engine takes its target machine over, so that each needs one of its own."""
    _target_machine()
    return _target_machine.__wrapped__()
