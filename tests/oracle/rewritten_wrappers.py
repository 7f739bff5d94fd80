"""Rules around a rule, rewritten: mutants, and others that mean the same."""

from __future__ import annotations

from typing import Any

from refgrad import optimizers as o

MUTANTS: list[tuple[Any, ...]] = [
    (o.NormalizedGradient(), "g / size", "g / (size * size)"),
    (o.NonNegative(), "np.maximum(step(p, g), 0.0)", "np.abs(step(p, g))"),
    (o.Lookahead(k=2.0), "self.alpha * (p - slow)", "(1 - self.alpha / 2) * (p - slow)"),
    (o.Lookahead(k=2.0), "        p = slow\n", "        p = 1.0 * p\n"),
    (o.AveragedWeights(), "p = step(p, g)\n", "q, p = p, step(p, g)\n    p, q = q, p\n"),
    (o.ClipByValue(bound=0.5), "np.clip(g, -self.bound, self.bound)", "np.clip(g, -self.bound, 2 * self.bound)"),
    (o.ClipByNorm(), "scaled(g, self)", "scaled(g, self) * 0.5"),
    (o.ClipByGlobalNorm(), "scaled(g, self)", "g"),
    (o.AdaptiveClip(), "g_norm <= most", "g_norm >= most"),
    (o.AdaptiveClip(eps=1e3), "np.maximum(np.sqrt(tree_sum(p * p, over)), self.eps)", "np.sqrt(tree_sum(p * p, over))"),
    (o.Centralize(), 'length(p, "row")', "length(p)"),
    (o.Stored(compensation="kahan"), "lost + (step(p, g) - p)", "(step(p, g) - p) - lost"),
    (o.Stored(compensation="kahan"), "y - kept(new - p)", "kept(new - p) - y"),
    (o.Stored(compensation="kahan"), "y = kept(lost", "y = (lost"),
    (o.Stored(compensation="wide"), "p + y)", "self._rounded(p) + self._rounded(self._rounded(y) * 4) / 4.5)"),
    (o.Stored(rounding="stochastic"), "to_grid(step(p, g), Grid", "to_grid(self._rounded(step(p, g)), Grid"),
]

LEGAL: list[tuple[Any, ...]] = [
    (o.Stored(), "self._rounded(step(p, g))", "self._rounded(self._rounded(step(p, g)))"),
    (o.Stored(compensation="kahan"), "p + y", "y + p"),
    (o.Stored(compensation="wide"), "y - kept(new - p)", "(p + y) - new"),
    (o.NormalizedGradient(), "g / size", "g * (1 / size)"),
    (o.NonNegative(), "(np.maximum(step(p, g), 0.0),)", "((lambda new: np.where(new > 0, new, 0.0))(step(p, g)),)"),
    (o.Lookahead(k=2.0), "slow + self.alpha * (p - slow)", "(1 - self.alpha) * slow + self.alpha * p"),
    (o.AveragedWeights(), "self.decay * average + (1 - self.decay) * p", "average + (1 - self.decay) * (p - average)"),
    (
        o.ClipByValue(bound=0.5),
        "np.clip(g, -self.bound, self.bound)",
        "np.minimum(np.maximum(g, -self.bound), self.bound)",
    ),
    (o.ClipByNorm(), "scaled(g, self)", "1.0 * scaled(g, self)"),
    (o.ClipByGlobalNorm(), "scaled(g, self)", "1.0 * scaled(g, self)"),
    (o.AdaptiveClip(), "most / g_norm", "most * (1 / g_norm)"),
    (o.Centralize(), 'g - tree_sum(g, "row") / length(p, "row")', 'g - tree_sum(g / length(p, "row"), "row")'),
]
