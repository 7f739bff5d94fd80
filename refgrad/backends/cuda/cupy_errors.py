"""What CuPy's errors mean, each in one sentence that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from refgrad.errors import DeviceError

_CUPY = {"cupy", "cupy_backends"}
#: what stands in an error's type or text, in small letters -> what it means; the first that fits is taken
_MEANINGS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("out of memory", "outofmemory", "memoryallocation"),
        "the device has not enough free memory; legal: smaller arrays, or memory that was freed before",
    ),
    (
        ("driver version is insufficient", "insufficientdriver", "system driver mismatch", "unsupported_ptx_version"),
        "the driver is older than CuPy's CUDA; legal: a newer driver, or the CuPy of an older CUDA",
    ),
    (
        ("no cuda-capable device", "nodevice", "invalid device ordinal", "invaliddevice"),
        "there is no such device; legal: one that `nvidia-smi` lists",
    ),
    (
        ("libcuda", "not_initialized", "initialization error", "initializationerror", "stub library"),
        "the driver is not here, or cannot be loaded; legal: NVIDIA's driver, which `nvidia-smi` asks",
    ),
    (
        ("no kernel image", "no_binary_for_gpu", "invalid_image", "nokernelimage"),
        "a kernel is not for this device; legal: an NVRTC that knows its architecture",
    ),
)


@contextmanager
def explained() -> Iterator[None]:
    """In here an error of CuPy's becomes a `DeviceError`."""
    try:
        yield
    except Exception as error:
        said = sentence(error)
        if said is None:
            raise
        raise DeviceError(said) from error


def sentence(error: Exception) -> str | None:
    """What an error of CuPy's means, and what to do; None of an error that is no device's.

    Args:
        error: what was raised.

    >>> sentence(ValueError("lr is 2.0"))
    >>> sentence(ImportError("libcuda.so.1: cannot open shared object file"))[:51]
    'the driver is not here, or cannot be loaded; legal:'
    """
    packages = {cls.__module__.partition(".")[0] for cls in type(error).__mro__}
    if not packages & _CUPY and not isinstance(error, ImportError):
        return None
    text, first = f"{type(error).__name__} {error}".lower(), str(error).partition("\n")[0]
    found = next((said for words, said in _MEANINGS if any(word in text for word in words)), None)
    if found is not None:
        return f"{found} ({first})"
    return f"CuPy failed: {type(error).__name__}: {first}; legal: see its text" if packages & _CUPY else None
