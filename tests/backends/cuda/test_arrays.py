"""Arrays on a device that bodies compute with: each function against NumPy's on arrays of fixed bits, with kernels emulated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.arithmetic import folding, matrices
from refgrad.arithmetic.fixed_bits import as_fixed
from refgrad.backends.cuda import array_source, fold_kernels
from refgrad.backends.cuda.arrays import Body, DeviceArray, attempted, chosen, fold, product
from refgrad.backends.cuda.dialect import SYMBOL
from refgrad.backends.source import KernelSource
from refgrad.errors import ArgumentError, NoKernel, TraceError
from tests.backends.cuda.conftest import needs_compiler, needs_nvrtc
from tests.backends.cuda.covered import different
from tests.backends.cuda.devices import Emulated, Interpreted
from tests.backends.test_same_bits import adversarial

F32 = np.dtype(np.float32)

#: what bodies do, of arrays x (3, 4, 5), y (4, 5), labels k (3,), and wild numbers w (3, 7)
CALLS: dict[str, Callable[..., Any]] = {
    "arithmetic": lambda x, y, k, w: (x - 2.0) * y / (abs(x) + 1.0),
    "a number in front": lambda x, y, k, w: 1.0 / (2.0 - x) + (0.5 - y),
    "numbers become floats": lambda x, y, k, w: x * k.reshape(3, 1, 1) + (x > 0),
    "choices": lambda x, y, k, w: np.where(x > y, 1.0, np.where(x < -1, y, 0.0)),
    "truth values": lambda x, y, k, w: ((x > 0) & (y < 1)) | ~(x <= y),
    "functions": lambda x, y, k, w: np.exp(x) + np.tanh(y) - np.log(np.abs(x)) + np.sin(w[0, 0]) * np.sqrt(np.abs(y)),
    "powers": lambda x, y, k, w: x**3 + np.abs(y) ** -1.5 + y**2,
    "wild numbers": lambda x, y, k, w: np.maximum(w, 0.0) * np.minimum(w, 1.0) + np.sign(w) * np.floor(w),
    "finite ones": lambda x, y, k, w: np.where(np.isfinite(w), w, np.where(np.isnan(w), 1.0, 2.0)),
    "turned": lambda x, y, k, w: x.transpose(2, 0, 1) + y.T[:, None, :],
    "slices": lambda x, y, k, w: x[:, 1:, ::2] - x[:, :-1, 1 :: -1 or None][..., :1] + x[:, :1, -1:],
    "steps back": lambda x, y, k, w: x[::-1, :, 4:0:-2] * 2.0,
    "places": lambda x, y, k, w: x[[2, 0], :, np.array([1, 3])] + np.take(x, [1, 1], axis=0)[:, :, 0],
    "joined": lambda x, y, k, w: np.concatenate([x.reshape(-1), np.zeros(3, np.float32), y.ravel()]),
    "stacked": lambda x, y, k, w: np.stack([y, y + 1.0], axis=1),
    "padded": lambda x, y, k, w: np.pad(y, 1) + np.triu(np.pad(y, 1)),
    "spread": lambda x, y, k, w: np.broadcast_to(y[:, :1], (4, 3)) + np.expand_dims(y[:, 0], 1),
    "sums": lambda x, y, k, w: np.sum(x, axis=(0, 2)) + np.sum(y, axis=1) * np.sum(x),
    "sums of columns": lambda x, y, k, w: x.sum(axis=0, keepdims=True) - x.mean(axis=1, keepdims=True),
    "spreads": lambda x, y, k, w: np.std(x, axis=0, ddof=1) + np.var(y) + np.linalg.norm(x, axis=(0, 1)).sum(),
    "extremes": lambda x, y, k, w: np.max(w, axis=1) + np.min(w, axis=1) + np.max(x),
    "counted": lambda x, y, k, w: np.sum(x > 0, axis=0) * 1.0,
    "any": lambda x, y, k, w: np.where((x > 1).any(axis=0) & (x > -9).all(axis=0), 1.0, 0.0),
    "sorted": lambda x, y, k, w: np.sort(w, axis=1) + np.sort(w, axis=0),
    "order": lambda x, y, k, w: np.argsort(w, axis=1, kind="stable"),
    "middle": lambda x, y, k, w: np.median(x, axis=1) + np.median(y),
    "largest at": lambda x, y, k, w: np.argmax(x, axis=1) * 1.0 + np.argmin(x, axis=2)[:, :1],
    "running sums": lambda x, y, k, w: np.cumsum(x, axis=1),
    "the largest": lambda x, y, k, w: np.where(refgrad.top_k(x, 2), x, 0.0),
    "at labels": lambda x, y, k, w: refgrad.take(w, k),
    "whole numbers": lambda x, y, k, w: (k * 3 - 7) % 4 + k // 2,
}


def given() -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(8)
    x, y = (random.standard_normal(shape).astype(np.float32) for shape in ((3, 4, 5), (4, 5)))
    return x, y, np.array([2, 0, 5]), adversarial(random, (3, 7), np.float32)


@pytest.fixture
def body(emulated: Emulated) -> Body:
    return Body(emulated, F32)


@needs_compiler
@pytest.mark.sample(quick=4, suite=40)
@pytest.mark.parametrize("name", CALLS)
def test_functions_on_a_device_have_the_bits_of_numpy(name: str, body: Body) -> None:
    # NumPy's median calls functions of arrays of fixed bits in ways that these have not
    host = given() if name == "middle" else (as_fixed(a, F32) for a in given())
    with np.errstate(all="ignore"):
        wanted = np.asarray(CALLS[name](*host))
    found = CALLS[name](*map(body.array, given()))
    assert isinstance(found, DeviceArray)
    value = found.on_host()
    assert value.shape == wanted.shape
    if wanted.dtype.kind == "f":
        assert not different(value, wanted)
    else:
        assert (value == wanted).all()


@needs_compiler
@pytest.mark.parametrize("count", [1, 2, 3, 32, 33, 63, 1023, 1024, 1025, 5000])
def test_rows_are_folded_along_the_tree(count: int, body: Body) -> None:
    rows = np.random.default_rng(count).standard_normal((3, count)).astype(np.float32)
    added = folding.Fold("add", np.add, 0.0)
    found = fold("add", body.array(rows), 0.0).on_host()
    assert found.tobytes() == folding.tree(rows, ("j",), added).reshape(-1).tobytes()


@needs_compiler
@pytest.mark.parametrize("op", ["add", "multiply", "maximum", "minimum"])
@pytest.mark.parametrize("kind", ["float32", "float64", "int64", "uint8"])
def test_a_block_of_threads_folds_as_a_thread_does(op: str, kind: str, body: Body) -> None:
    """Rows of several lengths, the last block of which is shorter; threads in several orders."""
    device, random = body.device, np.random.default_rng(7)
    assert isinstance(device, Emulated)
    for count, length in ((50, 50), (1500, 1024), (100, 40), (1, 1024)):
        blocks = -(-count // length)
        widest = 1 if op == "multiply" and kind == "int64" else 9  # whose product is an int64
        terms = device.put((random.standard_normal((3, count)) * widest).astype(kind))
        if terms.dtype.kind == "f":
            terms[0, count // 2] = np.nan
        found = [device.empty((3 * blocks,), terms.dtype) for _ in range(2)]
        given = [3 * blocks, blocks, count, length, device.address(terms)]
        device.launch(fold_kernels.fold_source(op, kind), 1, 8, [*given, device.address(found[0])], None)
        for device.seed in (1, 2, 3):
            source = fold_kernels.fold_together_source(op, kind)
            device.launch(source, 3, 24, [*given, device.address(found[1])], None)
            np.testing.assert_array_equal(found[1], found[0])


@needs_nvrtc
@pytest.mark.parametrize("kind", ["float32", "float64", "int64", "uint8"])
def test_a_block_of_threads_folds_without_a_race(kind: str) -> None:
    device, random = Interpreted(), np.random.default_rng(8)
    terms = device.put((random.standard_normal((2, 1100)) * 9).astype(kind))
    found = device.empty((4,), terms.dtype)
    given = [4, 2, 1100, 1024, device.address(terms), device.address(found)]
    device.launch(fold_kernels.fold_together_source("add", kind), 2, 96, given, None)
    added, parts = folding.Fold("add", np.add, 0.0), (terms[:, :1024], terms[:, 1024:])
    wanted = np.stack([folding.tree(part, ("j",), added).reshape(-1) for part in parts], axis=1)
    assert found.tobytes() == wanted.reshape(-1).tobytes()


@needs_compiler
@pytest.mark.slow
def test_more_blocks_than_a_thread_folds_are_halved_first(body: Body) -> None:
    rows = np.random.default_rng(1).standard_normal((1, 1030 * 1024 + 7)).astype(np.float32)
    added = folding.Fold("add", np.add, 0.0)
    found = fold("add", body.array(rows), 0.0).on_host()
    assert found.tobytes() == folding.tree(rows, ("j",), added).reshape(-1).tobytes()


@needs_compiler
@pytest.mark.parametrize(
    "shapes", [((3, 4), (4, 2)), ((2, 1030), (1030, 3)), ((2, 3, 4), (4, 5)), ((3, 0), (0, 2)), ((4,), (4,))]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_add_along_the_tree(shapes: Any, dtype: Any, emulated: Emulated) -> None:
    random = np.random.default_rng(2)
    a, b = (random.standard_normal(shape).astype(dtype) for shape in shapes)
    own = Body(emulated, np.dtype(dtype))
    found = product(own.array(a), own.array(b)).on_host()
    left, right = a.reshape(1, -1) if a.ndim == 1 else a, b.reshape(-1, 1) if b.ndim == 1 else b
    wanted = matrices.tree_product(left, np.broadcast_to(right, (*left.shape[:-2], *right.shape[-2:])))
    assert found.shape == (a @ b).shape
    assert found.tobytes() == wanted.tobytes()


@needs_compiler
def test_a_product_reads_transposes_where_they_are(body: Body) -> None:
    a, b = (np.random.default_rng(3).standard_normal((5, 4)).astype(np.float32) for _ in range(2))
    found = (body.array(a).T @ body.array(b)).on_host()
    assert found.tobytes() == matrices.tree_product(np.ascontiguousarray(a.T), b).tobytes()


@needs_compiler
def test_places_of_what_is_true_are_listed_in_order(body: Body) -> None:
    mask = np.random.default_rng(4).random(2000) < 0.1
    found = chosen(body.array(mask), int(mask.sum())).on_host()
    assert (found == np.flatnonzero(mask)).all()


@needs_compiler
def test_a_part_is_assigned_and_others_stay(body: Body) -> None:
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    y = body.array(x.copy())
    y[1:, ::2] = -1.0
    y[y > 9] = 0.5
    x[1:, ::2] = -1.0
    x[x > 9] = 0.5
    assert (y.on_host() == x).all()


@needs_compiler
def test_what_no_kernel_does_is_said(body: Body) -> None:
    x = body.array(np.ones((2, 2), np.float32))
    plain = DeviceArray(x.data, Body(body.device, F32, fixed=False))
    for function, sentence in [
        (lambda: np.linalg.solve(plain, plain), "a system is solved by a library"),
        (lambda: np.arcsin(x), "numpy.arcsin is called"),
        (lambda: x**0.3, "a power has exponent 0.3"),
        (lambda: np.max(x, where=True), "numpy.max is called with where"),
        (lambda: np.asarray(x), "a function of another library"),
        (lambda: plain.sum(), "numbers are added in NumPy's order"),
        (lambda: plain @ plain, "matrices are multiplied in NumPy's order"),
        (lambda: np.exp(plain), "numpy.exp is called"),
        (lambda: x.astype(np.complex64), "numbers become complex64"),
        (lambda: x + "a", "a str meets an array"),
    ]:
        with pytest.raises(NoKernel, match=sentence):
            function()


@needs_nvrtc
@pytest.mark.thorough
def test_what_nvrtc_makes_of_folds_and_products_has_the_same_bits() -> None:
    device = Interpreted()
    own = Body(device, F32)
    rows = np.random.default_rng(5).standard_normal((2, 1030)).astype(np.float32)
    found = fold("add", own.array(rows), 0.0)
    assert (
        np.asarray(found.data).tobytes()
        == folding.tree(rows, ("j",), folding.Fold("add", np.add, 0.0)).reshape(-1).tobytes()
    )
    a, b = rows[:, :40], np.ascontiguousarray(rows[:, 40:80].T)
    wanted = matrices.tree_product(a, b)
    assert np.asarray(product(own.array(a), own.array(b)).data).tobytes() == wanted.tobytes()


@needs_compiler
def test_few_unknowns_are_eliminated_with_the_bits_of_the_host(body: Body) -> None:
    random = np.random.default_rng(6)
    a, b = random.standard_normal((4, 4)).astype(np.float32), random.standard_normal((4, 2)).astype(np.float32)
    a[0, 0] = 0.0  # so that rows are exchanged
    found = np.linalg.solve(body.array(a), body.array(b))
    assert found.on_host().tobytes() == np.asarray(np.linalg.solve(as_fixed(a, F32), as_fixed(b, F32))).tobytes()
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
        np.linalg.solve(body.array(0 * a), body.array(b))


@needs_compiler
def test_what_is_wide_meets_floats_in_the_working_dtype(body: Body) -> None:
    x, wide = given()[1], np.linspace(0.1, 0.7, 5)
    found = body.array(x) * wide + body.array(x).astype(np.float64)
    assert found.dtype == F32
    assert (
        found.on_host().tobytes() == np.asarray(as_fixed(x, F32) * wide + as_fixed(x, F32).astype(np.float64)).tobytes()
    )


@pytest.mark.parametrize("error", [TypeError, ValueError, IndexError, AttributeError, ArgumentError, ZeroDivisionError])
def test_an_error_of_a_body_is_raised_and_no_reason_for_the_host(error: type[Exception]) -> None:
    def wrong() -> None:
        raise error("a kernel went wrong")

    with pytest.raises(error, match="a kernel went wrong") as found:
        attempted(wrong)
    assert not isinstance(found.value, NoKernel)


def test_declared_reasons_alone_send_a_body_to_the_host() -> None:
    def declared(error: Exception) -> None:
        raise error

    with pytest.raises(NoKernel, match="its pattern is searched for"):
        attempted(declared, NoKernel("its pattern is searched for"))
    with pytest.raises(NoKernel, match="the body branches on numbers"):
        attempted(declared, TraceError("the body branches on numbers; legal: where"))


def test_what_kernels_know_of_elements() -> None:
    assert array_source.knows("add", "int32")
    assert not array_source.knows("newton_schulz", "float32")
    assert not array_source.knows("sqrt", "int64")


@needs_compiler
def test_what_c_leaves_undefined_is_seen_where_kernels_are_emulated(emulated: Emulated) -> None:
    text = f'extern "C" __global__ void {SYMBOL}(int64_t n, float *x_, int64_t *out_) {{ {{}} }}'
    x, out = emulated.put(np.float32([1e30, 1.0])), emulated.put(np.zeros(2, np.int64))
    for statement in ("out_[0] = (int32_t)x_[0];", "out_[0] = 1 << (n + 31);", "int32_t a[2]; out_[0] = a[n + 1];"):
        source = KernelSource(text.replace("{}", statement), ("x", "out"), 0, F32, 1, ("float32", "int64"))
        with pytest.raises(AssertionError, match="what C"):
            emulated.launch(source, 1, 1, [1, emulated.address(x), emulated.address(out)], None)
