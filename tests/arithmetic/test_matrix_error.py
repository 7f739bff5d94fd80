"""What is no decomposition of the matrix is not in the set of its decompositions."""

from __future__ import annotations

import numpy as np

from refgrad.arithmetic import matrix_error
from refgrad.arithmetic.running_error import Bounded
from refgrad.oracle.acceptance.comparing import model_for
from refgrad.oracle.acceptance.policy import Policy

MODEL = model_for(Policy(), np.dtype(np.float32))


def inside(seen: np.ndarray, found: Bounded) -> bool:
    return bool((np.abs(seen - found.value) <= found.bound()).all())


def test_what_lapack_finds_passes() -> None:
    """In float32, of well and of ill conditioned matrices."""
    random = np.random.Generator(np.random.Philox(2))
    for size in (2, 5, 16):
        for spread in (1.0, 10.0, 1000.0):
            a = random.standard_normal((size, size)) * np.geomspace(1.0, spread, size)
            s = (a @ a.T).astype(np.float32)
            seen = np.linalg.eigh(s)[1][:, ::-1].astype(np.float64)
            assert inside(seen, matrix_error.eigenbasis(Bounded(s.astype(np.float64)), Bounded(seen), MODEL))


def test_orthonormal_columns_that_are_no_eigenvectors_do_not_pass() -> None:
    s = np.asarray([[2.0, 0.5], [0.5, 1.0]])
    own = np.linalg.eigh(s)[1][:, ::-1]
    for signs in ([1.0, 1.0], [1.0, -1.0]):
        assert inside(own * signs, matrix_error.eigenbasis(Bounded(s), Bounded(own * signs), MODEL))
    for angle in (0.01, 0.3, np.pi / 4):
        c, t = np.cos(angle), np.sin(angle)
        turned = own @ np.asarray([[c, -t], [t, c]])
        assert not inside(turned, matrix_error.eigenbasis(Bounded(s), Bounded(turned), MODEL))
