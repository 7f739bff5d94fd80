"""Second-order methods: identities that hold exactly, in fractions or many digits, on small problems."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

from refgrad.errors import ArgumentError
from refgrad.sparsity import OBS, SparseGPT, WoodFisher


def problem(seed: int, size: int = 6, rows: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Weights (rows, size) and a well-conditioned Hessian 2 X X^T."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((size, 8 * size))
    return random.standard_normal((rows, size)), 2.0 * x @ x.T / x.shape[1]


def exact(matrix: np.ndarray) -> Any:
    return mpmath.matrix(matrix.tolist())


def bound(h: np.ndarray, most: float) -> float:
    """Roundings of a solve with a matrix: size^2 of them, times its condition."""
    return float(len(h) ** 2 * 16 * np.linalg.cond(h) * 2.0**-53 * most)


def test_obs_is_the_constrained_optimum() -> None:
    w, h = problem(0)
    inverse = np.linalg.inv(h)
    with mpmath.workdps(40):
        for q in range(len(h)):
            new = OBS.update(w[0], inverse, q)
            assert new[q] == 0.0
            # the rest solves H_rr (w_r' - w_r) = H_rq w_q
            rest = [i for i in range(len(h)) if i != q]
            solved = mpmath.lu_solve(exact(h[np.ix_(rest, rest)]), exact(h[rest][:, [q]] * w[0, q]))
            for i, index in enumerate(rest):
                assert abs(new[index] - (w[0, index] + solved[i])) <= bound(h, np.abs(w).max() * 4)
            change = exact((new - w[0])[:, None])
            loss = (change.T * exact(h) * change)[0] / 2
            score = OBS().score(w[0], d=np.diag(inverse))[q]
            assert abs(score - loss) <= bound(h, float(loss) + 1)


@pytest.mark.parametrize("damping", [1e-3, 1.0])
def test_woodfisher_inverts_the_damped_fisher_matrix(damping: float) -> None:
    g = np.random.default_rng(1).standard_normal((9, 5))
    found = WoodFisher.inverse_fisher(g, damping)
    fisher = damping * np.eye(5) + g.T @ g / 9
    with mpmath.workdps(40):
        true = exact(fisher) ** -1
        worst = max(abs(found[i, j] - true[i, j]) for i in range(5) for j in range(5))
    # rank-one updates start from I / damping
    assert worst <= bound(fisher, 1 / damping)
    mask = np.asarray([True, False, True, True, False])
    w = np.arange(1.0, 6.0)
    new = WoodFisher.update(w, found, mask)
    assert new[~mask].tolist() == [0.0, 0.0]
    alone = sum(OBS.update(w, found, q) - w for q in np.flatnonzero(~mask))
    assert np.max(np.abs((w + alone)[mask] - new[mask])) <= bound(fisher, 10 / damping)


def test_the_factor_of_sparsegpt() -> None:
    _, h = problem(2)
    rule = SparseGPT()
    u = rule.factor(h)
    damped = h + 0.01 * np.mean(np.diag(h)) * np.eye(6)
    assert np.array_equal(u, np.triu(u))
    assert np.max(np.abs(u.T @ u - np.linalg.inv(damped))) <= bound(damped, np.abs(np.linalg.inv(damped)).max())
    # U_jj^2 is the first diagonal entry of the inverse of what is left from column j on
    for j in range(6):
        rest = np.linalg.inv(damped[j:, j:])[0, 0]
        assert abs(u[j, j] ** 2 - rest) <= bound(damped, rest)


@pytest.mark.parametrize("pattern", [{"n": 2, "m": 4}, {"sparsity": 0.5}])
def test_sparsegpt_solves_least_squares_where_pruned_columns_come_first(pattern: dict[str, Any]) -> None:
    w, h = problem(3, size=8)
    w[:, [0, 1]] *= 1e-6  # the first columns are the ones to go
    w[:, [4, 5]] *= 1e-6 if "n" in pattern else 1.0
    rule = SparseGPT(sparsity=0.25) if "n" not in pattern else SparseGPT(**pattern)
    pruned = rule.prune(w, h)
    damped = h + 0.01 * np.mean(np.diag(h)) * np.eye(8)
    if "n" not in pattern:
        assert not pruned.mask[:, [0, 1]].any()
        for row in range(len(w)):
            kept = np.flatnonzero(pruned.mask[row])
            gone = np.flatnonzero(~pruned.mask[row])
            best = w[row, kept] + np.linalg.solve(damped[np.ix_(kept, kept)], damped[np.ix_(kept, gone)] @ w[row, gone])
            assert np.max(np.abs(pruned.w[row, kept] - best)) <= bound(damped, 4)
    else:
        assert np.all(pruned.mask.reshape(4, 2, 4).sum(axis=2) == 2)
    assert np.all(pruned.w[~pruned.mask] == 0)


def test_with_a_pattern_the_block_does_not_matter() -> None:
    w, h = problem(4, size=12)
    one, other = (SparseGPT(n=2, m=4, block=block).prune(w, h) for block in (4, 12))
    assert np.array_equal(one.mask, other.mask)
    assert np.max(np.abs(one.w - other.w)) <= bound(h, 4)


def test_the_loss_is_the_sum_of_the_errors() -> None:
    w, h = problem(5, size=8)
    rule = SparseGPT(sparsity=0.5)
    pruned, u = rule.prune(w, h), rule.factor(h)
    damped = h + 0.01 * np.mean(np.diag(h)) * np.eye(8)
    change = pruned.w - w
    # w_j before it was pruned, from the change that U's row j explains: dW = -E U, E = (w - q) / U_jj
    errors = -np.linalg.solve(u.T, change.T).T
    loss = np.einsum("ij,jk,ik->", change, damped, change) / 2
    assert abs(loss - np.sum(errors**2) / 2) <= bound(damped, loss + 1)
    assert np.max(np.abs(errors[pruned.mask])) <= bound(damped, np.abs(errors).max())


def test_a_channel_that_was_never_active_is_pruned() -> None:
    w, h = problem(6)
    h[2, :] = h[:, 2] = 0.0
    assert np.all(SparseGPT(sparsity=0.2).prune(w, h).w[:, 2] == 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: WoodFisher.inverse_fisher(np.ones(3)), r"gradients.shape is \(3,\)"),
        (lambda: WoodFisher.inverse_fisher(np.ones((2, 3)), 0.0), "damping is 0.0"),
        (lambda: SparseGPT().prune(np.ones((2, 3)), np.eye(4)), r"hessian.shape is \(4, 4\)"),
        (lambda: SparseGPT(n=2, m=4).prune(np.ones((2, 6)), np.eye(6)), "a multiple of m=4"),
        (lambda: SparseGPT().factor(-np.eye(3)), "not positive definite"),
    ],
)
def test_errors(call: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        call()
