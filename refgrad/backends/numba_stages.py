"""From a kernel's Python function to LLVM's text, by those of Numba's stages that a kernel needs.

Numba's decorators do more: they look for closures, contexts, array expressions and types to specialize on, of which a kernel has
none; they make a wrapper of each function for the interpreter; and they make machine code in memory, of which nothing would be
called, since what is kept is emitted from the text. Without these a kernel is compiled in four fifths of the time, to the same
machine code. Where a version of Numba is built otherwise than those that are known, its decorators do it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

#: what a kernel and its functions are compiled with: errors as NumPy has them, nothing reordered
MEANING: dict[str, Any] = {"error_model": "numpy", "fastmath": False}
#: Numba's own parts that are used here, besides what it documents
_LIBRARY = ("_final_module", "_linking_libraries", "_get_module_for_linking", "_optimize_final_module")
_CALLBACK = ("_compile_uncached",)


def function_decorator() -> Callable[[Callable[..., Any]], Any]:
    """The decorator of functions that a kernel calls."""
    import numba

    decorator: Any = numba.njit
    if not is_known():
        return decorator(**MEANING)
    return decorator(**MEANING, pipeline_class=_stages(), no_cpython_wrapper=True, no_cfunc_wrapper=True)


def llvm_text(kernel: Callable[..., Any], signature: Any) -> tuple[str, str]:
    """LLVM's text of a kernel, optimized, and the name that its function has there.

    Args:
        kernel: the function, in Python.
        signature: Numba's signature of it.
    """
    from numba import cfunc

    if not is_known():
        compiled = cfunc(signature, **MEANING)(kernel)
        return compiled.inspect_llvm(), compiled.native_name
    from numba.core.ccallback import CFunc
    from numba.core.compiler_lock import global_compiler_lock

    callback: Any = CFunc(kernel, (signature.args, signature.return_type), {}, dict(MEANING), pipeline_class=_stages())
    with global_compiler_lock:
        made = callback._compile_uncached()
        return _linked(made.library), made.fndesc.llvm_cfunc_wrapper_name


def _linked(library: Any) -> str:
    """The text of a library with the functions that it calls, optimized together."""
    module = library._final_module
    for called in dict.fromkeys(library._linking_libraries):
        module.link_in(called._get_module_for_linking(), preserve=True)
    library._optimize_final_module()
    text = library.get_llvm_str()
    library._final_module.verify()
    return text


@cache
def is_known() -> bool:
    """True if Numba is built as the versions from which this was read."""
    try:
        from numba.core.ccallback import CFunc
        from numba.core.codegen import CPUCodeLibrary

        _stages()
    except (ImportError, AttributeError):
        return False
    # `_final_module` and `_linking_libraries` are made with an object
    made = CPUCodeLibrary.__init__.__code__.co_names
    return all(hasattr(CPUCodeLibrary, name) or name in made for name in _LIBRARY) and all(
        hasattr(CFunc, name) for name in _CALLBACK
    )


@cache
def _stages() -> Any:
    """A pipeline, as Numba calls it, of the stages that a kernel goes through."""
    from numba.core import typed_passes, untyped_passes
    from numba.core.compiler import CompilerBase
    from numba.core.compiler_machinery import PassManager

    stages = (
        untyped_passes.TranslateByteCode,
        untyped_passes.FixupArgs,
        untyped_passes.IRProcessing,
        untyped_passes.ReconstructSSA,
        typed_passes.NopythonTypeInference,
        typed_passes.PreLowerStripPhis,
        typed_passes.IRLegalization,
        typed_passes.AnnotateTypes,
        typed_passes.NativeLowering,
        typed_passes.NoPythonBackend,
    )

    class Stages(CompilerBase):
        """Numba asks it for its stages."""

        def define_pipelines(self) -> list[Any]:
            manager = PassManager("kernel")
            for stage in stages:
                manager.add_pass(stage, stage.__name__)
            manager.finalize()
            return [manager]

    return Stages
