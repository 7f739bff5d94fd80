"""Rules that multiply matrices, rewritten: mutants, and others that mean the same."""

from __future__ import annotations

from typing import Any

from refgrad import optimizers as o

DECAYED = {"weight_decay": 0.1}
GALORE = o.GaLore(rank=2, interval=3)

MUTANTS: list[tuple[Any, ...]] = [
    (o.Muon(), "self.momentum * now + late if", "now + late if"),
    (o.Muon(), "self.safety * np.sqrt(tree_sum(u * u))", "np.sqrt(tree_sum(g * g))"),
    (o.Muon(), "newton_schulz(x, self._polynomials()", "newton_schulz(x, self._polynomials()[1:]"),
    (o.Muon(), "newton_schulz(x, self._polynomials()", "newton_schulz(u, self._polynomials()"),
    (o.Muon(), "[(self.a, self.b, self.c)]", "[(self.a, self.c, self.b)]", "_polynomials"),
    (o.Muon(), "[(self.a, self.b, self.c)]", "[(3.4, self.b, self.c)]", "_polynomials"),
    (o.Muon(coefficients="polar_express"), "known[min(step, len(known) - 1)]", "known[0]", "_polynomials"),
    (o.Muon(), "np.sqrt(rows / np.maximum(columns, 1))", "rows / columns", "_scale"),
    (o.Muon(scale="rms"), "np.maximum(rows, columns)", "np.minimum(rows, columns)", "_scale"),
    (o.Muon(**DECAYED), "self.weight_decay * p", "self.weight_decay * g"),
    (o.Muon(correction=True), "(t + self.nesterov)", "t"),
    (o.Shampoo(), "left + gram(g", "gram(g"),
    (o.Shampoo(), "else 2 * axes", "else axes"),
    (o.Shampoo(), "matmul(step, right_root)", "step"),
    (o.Shampoo(), "inverse_root(right, order)", "inverse_root(right, 5)"),
    (o.Shampoo(**DECAYED), "g + self.weight_decay * p", "g"),
    (o.Shampoo(interval=2), "(t - 1) % self.interval == 0", "t % self.interval == 0"),
    (o.SOAP(), "g if vector else into(g, left_basis, right_basis)", "g"),
    (o.SOAP(), "m if vector else into(m, left_basis, right_basis)", "m"),
    (o.SOAP(), "right_basis, False, True)", "right_basis, False, False)"),
    (o.SOAP(), "1 - self.beta2 ** (t - 1)", "1 - self.beta2**t"),
    (o.SOAP(interval=1), 'v = reordered(reordered(v, left_basis, new_left, "row")', "v = reordered(v"),
    (o.SOAP(interval=1), "orthonormal(reordered(matmul(s, q), q", "orthonormal(reordered(q, q", "_followed"),
    (o.SOAP(interval=1), "orthonormal(reordered(matmul(s, q), q, s", "(reordered(matmul(s, q), q, s", "_followed"),
    (
        o.SOAP(interval=1),
        'orthonormal(reordered(matmul(s, q), q, s, "column"))',
        "orthonormal(matmul(s, q))",
        "_followed",
    ),
    (o.SOAP(), "eigenbasis(new_left)", "eigenbasis(-1 * new_left)"),
    (o.SOAP(shampoo_beta=0.9), '(1 - self.shampoo_beta) * gram(g, "right")', 'gram(g, "right")'),
]

MUTANTS += [
    (GALORE, "lift(n, basis, g, self.side)", "lift(r, basis, g, self.side)"),
    (GALORE, "project(g, basis, self.side)", "project(p, basis, self.side)"),
    (GALORE, "subspace(g, self.rank", "subspace(p + g, self.rank"),
    (GALORE, "self.scale * lift", "lift"),
    (GALORE, "steps % self.interval == 0", "False"),
    (GALORE, "(1 - self.beta2) * r * r", "(1 - self.beta2) * r"),
    (GALORE.replace(weight_decay=0.1), "self.weight_decay * p), m", "self.scale * self.weight_decay * p), m"),
]

MUTANTS += [
    (o.PSGDKron(), "step = matmul(left, matmul(left, m_hat), True)", "step = matmul(left, matmul(left, m_hat))"),
    (o.PSGDKron(), "matmul(matmul(step, right, False, True), right)", "matmul(step, right)"),
    (o.PSGDKron(), 'solve(left, noise, "left")', "noise"),
    (o.PSGDKron(), "a = matmul(matmul(left, m_hat), right, False, True)", "a = m_hat"),
    (o.PSGDKron(clip=0.1), "self.clip / (rms + self.padding)", "self.clip / (rms * rms + self.padding)"),
    (o.PSGDKron(), "upper(seen - drawn)", "upper(seen + drawn)", "_fitted"),
    (o.PSGDKron(), "matmul(upper(seen - drawn), q)", "matmul(seen - drawn, q)", "_fitted"),
    (o.PSGDKron(), "norm_bound(seen + drawn)", "norm_bound(seen)", "_fitted"),
]

LEGAL: list[tuple[Any, ...]] = [
    (o.Muon(), "self.momentum * m + gain * g", "m + gain * (g - m)"),
    (o.Muon(), "u / (norm + self.eps if", "u * 1 / (norm + self.eps if"),
    (o.Muon(coefficients="cubic"), "newton_schulz(x, self._polynomials()", "newton_schulz(x, [(1.5, -0.5, 0.0)] * 5"),
    (o.Shampoo(), "self.lr * matmul(step, right_root)", "matmul(self.lr * step, right_root)"),
    (o.Shampoo(), 'left + gram(g, "left")', 'left + gram(-1 * g, "left")'),
    (o.SOAP(), "self.beta1 * m + (1 - self.beta1) * g", "m + (1 - self.beta1) * (g - m)"),
    (o.SOAP(), "eigenbasis(new_left)", "-eigenbasis(new_left)"),
    (o.SOAP(interval=1), "orthonormal(reordered(", "-1 * orthonormal(2 * reordered(", "_followed"),
    (
        o.SOAP(),
        "matmul(matmul(left_basis, step), right_basis, False, True)",
        "matmul(left_basis, matmul(step, right_basis, False, True))",
    ),
    (GALORE, "subspace(g, self.rank", "-1 * subspace(2 * g, self.rank"),
    (GALORE, "self.beta1 * m + (1 - self.beta1) * r", "m + (1 - self.beta1) * (r - m)"),
    (GALORE, "self.scale * lift(n, basis", "lift(self.scale * n, basis"),
    (
        o.PSGDKron(),
        'solve(right, solve(left, noise, "left"), "right")',
        'solve(left, solve(right, noise, "right"), "left")',
    ),
    (
        o.PSGDKron(),
        "a = matmul(matmul(left, m_hat), right, False, True)",
        "a = matmul(left, matmul(m_hat, right, False, True))",
    ),
    (o.PSGDKron(), "norm_bound(seen + drawn)", "norm_bound(-1 * (seen + drawn))", "_fitted"),
]
