"""PowerSGD by its residuals, and beside the factors that torch's communication hook finds."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from refgrad.errors import ArgumentError
from refgrad.quantizers import PowerSGD
from refgrad.quantizers.powersgd import LINE, orthogonalize

EPS = np.finfo(np.float64).eps


def matrices(count: int, shape: tuple[int, int] = (9, 7)) -> list[np.ndarray]:
    random = np.random.default_rng(5)
    return [random.standard_normal(shape) for _ in range(count)]


def roundings(shape: tuple[int, int], rank: int) -> float:
    """A bound on accumulated relative rounding: each entry of each product adds no more terms than a side has.

    Three products and Gram-Schmidt, whose loss of orthogonality is the condition of well separated random columns, here
    below a hundred.
    """
    return 100 * 4 * rank * sum(shape) * EPS


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_columns_are_orthonormal_and_span_what_they_did(rank: int) -> None:
    p = matrices(1)[0][:, :rank]
    q = orthogonalize(p)
    limit = roundings(p.shape, rank)
    assert np.abs(q.T @ q - np.eye(rank)).max() <= limit
    assert np.abs(p - q @ (q.T @ p)).max() <= limit * np.abs(p).max()
    assert np.all(np.diag(q.T @ p) > 0)  # in order, and no column turned round


def test_dependent_and_zero_columns_become_zero() -> None:
    p = np.float64([[1, 2, 0], [2, 4, 0], [2, 4, 1]])
    q = orthogonalize(p)
    assert not q[:, 1].any()
    assert not orthogonalize(np.zeros((4, 2))).any()
    assert np.abs(q[:, 2] @ q[:, 0]) <= 8 * EPS


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_long_product_begins_with_a_line_of_the_cache(dtype: Any) -> None:
    """Else BLAS takes half as long again, as chance has it."""
    rule, held = PowerSGD(), []
    for rows in range(16, 24):
        quantized = rule.quantize(np.random.default_rng(rows).standard_normal((rows, 1024)).astype(dtype))
        held.append(rule.dequantize(quantized))
        assert held[-1].ctypes.data % LINE == 0
        assert held[-1].flags.c_contiguous
        assert held[-1].dtype == dtype
        np.testing.assert_array_equal(held[-1], quantized["p"] @ quantized["q"].T)


@pytest.mark.parametrize("rank", [2, 3])
def test_low_rank_is_exact(rank: int) -> None:
    random = np.random.default_rng(6)
    x = random.integers(-5, 6, (8, 2)).astype(np.float64) @ random.integers(-5, 6, (2, 6))
    found = PowerSGD(rank=rank).round_trip(x)
    assert np.abs(found - x).max() <= roundings(x.shape, rank) * np.abs(x).max()


def test_the_error_is_orthogonal_to_what_was_sent() -> None:
    x = matrices(1)[0]
    rule = PowerSGD(rank=2)
    quantized = rule.quantize(x)
    error = x - rule.dequantize(quantized)
    assert np.abs(quantized["p"].T @ error).max() <= roundings(x.shape, 2) * np.linalg.norm(x)


def test_steps_from_the_last_q_approach_the_best_approximation() -> None:
    """Subspace iteration: the error falls with each step, towards what the singular values leave."""
    x = matrices(1)[0]
    rule, q = PowerSGD(rank=2), None
    errors = []
    for _ in range(60):
        quantized = rule.quantize(x, start=q)
        q = quantized["q"]
        errors.append(np.linalg.norm(x - rule.dequantize(quantized)))
    best = np.sqrt((np.linalg.svd(x, compute_uv=False)[2:] ** 2).sum())
    slack = roundings(x.shape, 2) * np.linalg.norm(x)
    assert all(later <= earlier + slack for earlier, later in pairwise(errors))
    assert best <= errors[-1] + slack
    assert errors[-1] - best < (errors[0] - best) / 4


@pytest.mark.parametrize("error", ["local", "aggregate"])
def test_a_round_of_three_workers(error: str) -> None:
    """The aggregate is the mean matrix projected; what the workers are left with sums up to what was not sent."""
    rule = PowerSGD(rank=2, error=error)
    gradients, errors = matrices(3), matrices(3)
    found = rule.round(gradients, errors, rule.start(7, np.dtype(np.float64)))
    total = [g + e for g, e in zip(gradients, errors, strict=True)]
    mean = sum(total) / 3
    limit = roundings(mean.shape, 2) * sum(np.linalg.norm(m) for m in total)
    assert np.abs(found.gradient - found.p @ (found.p.T @ mean)).max() <= limit
    assert np.abs(sum(found.errors) - (sum(total) - 3 * found.gradient)).max() <= limit
    if error == "local":
        for matrix, left in zip(total, found.errors, strict=True):
            assert np.abs(left - (matrix - found.p @ (found.p.T @ matrix))).max() <= limit


def test_edges() -> None:
    assert not PowerSGD().round_trip(np.zeros((3, 4), np.float32)).any()
    assert PowerSGD(rank=1).round_trip(np.ones((2, 3, 4), np.float32)).shape == (2, 3, 4)
    assert np.isnan(PowerSGD().round_trip(np.full((2, 2), np.nan))).all()
    with pytest.raises(ArgumentError, match=r"start\.shape"):
        PowerSGD(rank=2).quantize(np.ones((3, 4)), start=np.ones((3, 2)))
    with pytest.raises(ArgumentError, match="errors"):
        PowerSGD().round([np.ones((2, 2))], [], np.ones((2, 2)))


@pytest.fixture
def hook(tmp_path: Any) -> Any:
    """torch's hook, in a group of one process."""
    torch = pytest.importorskip("torch", reason="compares with torch's PowerSGD hook")
    dist = pytest.importorskip("torch.distributed", reason="compares with torch's PowerSGD hook")
    if not dist.is_available() or not dist.is_gloo_available():
        pytest.skip("torch has no gloo backend here")
    dist.init_process_group("gloo", store=dist.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1)
    from torch.distributed.algorithms.ddp_comm_hooks import powerSGD_hook

    yield torch, powerSGD_hook
    dist.destroy_process_group()


def test_beside_torchs_hook(hook: Any) -> None:
    """Two steps: gradients, errors and factors of one matrix; torch orthogonalizes Q first, which leaves P as it is."""
    torch, power = hook
    torch.manual_seed(0)
    model = torch.nn.Linear(12, 10, bias=False).double()
    parallel = torch.nn.parallel.DistributedDataParallel(model)
    state = power.PowerSGDState(None, matrix_approximation_rank=2, start_powerSGD_iter=2, min_compression_rate=1)
    parallel.register_comm_hook(state, power.powerSGD_hook)
    rule, error, q = PowerSGD(rank=2), np.zeros((10, 12)), None
    for step in range(5):
        x = torch.randn(6, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(step))
        parallel.zero_grad()
        (parallel(x) ** 3).sum().backward()
        weight = model.weight.detach().clone().requires_grad_()
        (torch.nn.functional.linear(x, weight) ** 3).sum().backward()
        if step < 2:
            continue
        got = model.weight.grad.numpy()
        theirs_q = next(iter(state.q_memory_dict.values())).numpy().reshape(12, 2)
        if q is not None:
            ours = rule.round([weight.grad.numpy()], [error], q)
            size = np.linalg.norm(weight.grad.numpy()) + np.linalg.norm(error)
            assert np.abs(ours.gradient - got).max() <= roundings(got.shape, 2) * size
            assert np.abs(ours.q - theirs_q).max() <= roundings(got.shape, 2) * size
        error = next(iter(state.error_dict.values())).numpy().reshape(10, 12).copy()
        q = theirs_q.copy()


def test_departure_of_torch_at_a_zero_column(hook: Any) -> None:
    """Without its epsilon torch's Gram-Schmidt divides zero by zero; a tensor raises no ZeroDivisionError."""
    torch, power = hook
    p = torch.zeros(1, 3, 2)
    power._orthogonalize_gram_schmidt(p)
    assert torch.isnan(p).all()
    assert not orthogonalize(np.zeros((3, 2), np.float32)).any()
