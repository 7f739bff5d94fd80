"""What makes a function of arrays of a package's class for curvature: of a loss whose Hessian is a matrix that is handed in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np

from refgrad.candidates.resolve import load

Array = Any


def tridiagonal(target: str, steps: int) -> Callable[[Array, Array], dict[str, Array]]:
    """PyHessian's Lanczos matrix, from a start of signs: what it hands to `torch.eig`, which torch has no more."""
    import torch

    class Quadratic(torch.nn.Module):
        def __init__(self, matrix: Any) -> None:
            super().__init__()
            self.matrix = matrix
            self.point = torch.nn.Parameter(torch.zeros(len(matrix), dtype=matrix.dtype))

        def forward(self, unused: Any) -> Any:
            return 0.5 * self.point @ self.matrix @ self.point

    def found(matrix: Array, start: Array) -> dict[str, Array]:
        made: list[Any] = []

        def noted(t: Any, **unused: Any) -> tuple[Any, Any]:
            made.append(t.numpy())
            return torch.zeros(len(t), 2), torch.zeros_like(t)

        one = torch.ones(1)
        with (
            mock.patch.object(torch, "randint_like", return_value=torch.tensor(start)),
            mock.patch.object(torch, "eig", noted, create=True),
        ):
            load(target)(Quadratic(torch.tensor(matrix)), lambda y, unused: y, (one, one), cuda=False).density(steps, 1)
        return {"diagonal": np.diagonal(made[0]), "beside": np.diagonal(made[0], 1)}

    return found
