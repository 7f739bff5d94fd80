"""What errors of CuPy's mean, in a sentence; and errors of ours, which stay as they are."""

from __future__ import annotations

import pytest

from refgrad.backends.cuda.cupy_errors import explained, sentence
from refgrad.errors import ArgumentError, DeviceError


def raised(name: str, text: str, module: str = "cupy.cuda.memory") -> Exception:
    """An error as CuPy would raise it."""
    return type(name, (RuntimeError,), {"__module__": module})(text)


@pytest.mark.parametrize(
    ("error", "beginning"),
    [
        (raised("OutOfMemoryError", "Out of memory allocating 8 bytes"), "the device has not enough free memory"),
        (
            raised("CUDARuntimeError", "cudaErrorInsufficientDriver: CUDA driver version is insufficient for runtime"),
            "the driver is older than CuPy's CUDA",
        ),
        (
            raised("CUDARuntimeError", "cudaErrorNoDevice: no CUDA-capable device is detected"),
            "there is no such device",
        ),
        (
            raised(
                "CUDARuntimeError", "cudaErrorInvalidDevice: invalid device ordinal", "cupy_backends.cuda.api.runtime"
            ),
            "there is no such device",
        ),
        (ImportError("libcuda.so.1: cannot open shared object file"), "the driver is not here, or cannot be loaded"),
        (raised("CUDADriverError", "CUDA_ERROR_NO_BINARY_FOR_GPU: no kernel image"), "a kernel is not for this device"),
        (
            raised("CUDARuntimeError", "cudaErrorUnknown: unknown error"),
            "CuPy failed: CUDARuntimeError: cudaErrorUnknown",
        ),
    ],
    ids=["memory", "old driver", "no device", "ordinal", "no driver", "other architecture", "other"],
)
def test_an_error_of_cupys_is_one_sentence(error: Exception, beginning: str) -> None:
    with pytest.raises(DeviceError) as found, explained():
        raise error
    text = str(found.value)
    assert text.startswith(beginning)
    assert "\n" not in text
    assert found.value.__cause__ is error


def test_errors_of_others_stay_as_they_are() -> None:
    assert sentence(ValueError("out of memory")) is None
    with pytest.raises(ArgumentError, match="lr"), explained():
        raise ArgumentError("lr is -1.0")
