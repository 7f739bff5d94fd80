"""Operations on matrices as a random legal program does them: products in random orders, one routine or another."""

from __future__ import annotations

import numpy as np

from refgrad.arithmetic.graph import Node
from refgrad.arithmetic.matrices import as_matrices, reordered
from refgrad.projections import on_left
from refgrad.strength.rounding_styles import Array, Rounding


class MatrixInterpreter:
    """Operations on float64 matrices that hold float32 numbers.

    Args:
        rounding: how results are rounded.
        random: where the choices come from.
    """

    def __init__(self, rounding: Rounding, random: np.random.Generator) -> None:
        self.round, self.random = rounding, random

    def operation(self, node: Node, args: list[Array]) -> Array:
        """The value of a node that is an operation on matrices.

        Decompositions are NumPy's in float32; where their signs are free, they are random.

        Args:
            node: one whose operation is in `refgrad.arithmetic.graph.MATRIX`.
            args: its operands, float64 arrays that hold float32 numbers.

        Returns:
            A float64 array that holds float32 numbers.
        """
        x, rule = as_matrices(args[0]), node.attribute
        if node.op == "gram":
            return self.product(x, x.T) if rule == "left" else self.product(x.T, x)
        if node.op == "matmul":
            y = as_matrices(args[1])
            found = self.product(x.T if rule[0] else x, y.T if rule[1] else y)
            return found.reshape(next((a.shape for a in args if a.ndim != 2), found.shape))
        if node.op == "reordered":
            return reordered(args[0], args[1], args[2], rule)
        if node.op in ("project", "lift"):
            return self._projected(args, rule, node.op == "lift")
        if node.op == "upper":
            return np.triu(x).reshape(args[0].shape)
        if node.op == "norm_bound":
            y = self.product(x, x[:, [np.argmax(np.sum(x * x, axis=0))]])
            z, y = (self.round(np.sqrt(np.sum(v * v))) for v in (self.product(x, y), y))
            return np.full((1,) * args[0].ndim, self.round(z / y) if y else 0.0)
        if node.op == "solve":
            other = as_matrices(args[1])
            found = self._solved(x, other.T).T if rule == "left" else self._solved(x, other)
            return found.reshape(args[1].shape)
        return (
            self._decomposition(node, x) if np.isfinite(x.astype(np.float32)).all() else np.full(args[0].shape, np.nan)
        )

    def _projected(self, args: list[Array], rule: str, lift: bool) -> Array:
        """A matrix seen in a subspace, or lifted out of it: a product with the basis on the side that the rule says."""
        x, whole, basis = as_matrices(args[0]), as_matrices(args[-1] if lift else args[0]), as_matrices(args[1])
        left = on_left(whole.shape, rule)
        basis = basis if left == lift else basis.T
        found = self.product(basis, x) if left else self.product(x, basis)
        return found.reshape(args[-1].shape) if lift else found

    def _decomposition(self, node: Node, x: Array) -> Array:
        narrow, rule = x.astype(np.float32), node.attribute
        if node.op == "subspace":
            u, _, v = np.linalg.svd(narrow, full_matrices=False)
            vectors = u if on_left(x.shape, rule[1]) else v.T
            return (vectors[:, : rule[0]] * self.random.choice([-1.0, 1.0], 1)).astype(np.float64)
        signs = self.random.choice([-1.0, 1.0], len(x))
        if node.op == "orthonormal":
            return (np.linalg.qr(narrow)[0] * signs).astype(np.float64)
        if node.op == "eigenbasis":
            return (np.linalg.eigh(narrow)[1][:, ::-1] * signs).astype(np.float64)
        values, vectors = np.linalg.eigh(narrow)
        u, v = vectors, vectors.T
        if self.random.random() < 0.5:
            u, values, v = np.linalg.svd(narrow)
        return self.product((u * values ** np.float32(-1.0 / rule)).astype(np.float64), v.astype(np.float64))

    def polynomials(self, x: Array, polynomials: list[list[Array]]) -> Array:
        """Odd polynomials of a matrix, one after another: A on either side; powers summed, in Horner's form, or distributed.

        Args:
            x: a matrix, or an array of more axes that is one.
            polynomials: the coefficients (a, b) or (a, b, c) of each, of X, A X and A A X, where A = X X^T.

        Returns:
            An array of the shape of ``x``.
        """
        shape, x = x.shape, as_matrices(x)
        for a, b, *rest in polynomials:
            flipped = bool(self.random.random() < 0.5)
            x = x.T if flipped else x
            square, c = self.product(x, x.T), rest[0] if rest else np.zeros(())
            form = int(self.random.integers(3))
            if form == 0:
                inner = self.round(self.round(b * square) + self.round(c * self.product(square, square)))
                x = self.round(self.round(a * x) + self.product(inner, x))
            elif form == 1:
                one = np.eye(len(x))
                inner = self.product(self.round(self.round(c * square) + b * one), square)
                x = self.product(self.round(inner + a * one), x)
            else:
                third = self.product(square, x)
                inner = self.round(self.round(b * third) + self.round(c * self.product(square, third)))
                x = self.round(self.round(a * x) + inner)
            x = x.T if flipped else x
        return x.reshape(shape)

    def _solved(self, q: Array, x: Array) -> Array:
        """X Q^(-1) for an upper triangular matrix, by substitution."""
        rows = x.copy()
        for j in range(len(q)):
            known = self.product(rows[:, :j], q[:j, [j]]) if j else np.zeros((len(x), 1))
            rows[:, j] = self.round(self.round(rows[:, j] - known[:, 0]) / q[j, j])
        return rows

    def product(self, a: Array, b: Array) -> Array:
        """A product of matrices (m, k) and (k, n) whose terms are rounded, and added in a random order."""
        order = self.random.permutation(a.shape[1])
        terms = self.round(a[:, order, None] * b[order]).astype(np.float32)
        return np.add.reduce(terms, axis=1).astype(np.float64)
