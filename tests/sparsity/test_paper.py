"""The scores as the papers have them, in fifty digits, written here apart from the rules: candidates that must conform."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

import refgrad
import refgrad.oracle.inputs.masks
from refgrad import sparsity
from refgrad.candidates.masks import MaskSeen
from refgrad.errors import ArgumentError
from refgrad.rule import rules
from refgrad.sparsity.base import Mask
from tests.sparsity import restated

Numbers = np.ndarray  # of mpmath numbers

sqrt, absolute = np.frompyfunc(mpmath.sqrt, 1, 1), np.frompyfunc(abs, 1, 1)
sigmoid = np.frompyfunc(lambda x: 1 / (1 + mpmath.exp(-x)), 1, 1)


def each_row(function: Callable[[list[Any]], Any]) -> Callable[[Numbers], Numbers]:
    """A function of each row, as a column."""
    return lambda x: np.asarray([[function(list(row.ravel()))] for row in x], dtype=object)


row_sum = each_row(mpmath.fsum)
everything = lambda x: mpmath.fsum(list(x.ravel()))  # noqa: E731


def blocks(w: Numbers, pool: Callable[[list[Any]], Any]) -> Numbers:
    """A pooled number for each 4 x 4 block of a matrix, those at the edges ragged."""
    return np.asarray(
        [
            pool(list(absolute(w[i : i + 4, j : j + 4]).ravel()))
            for i in range(0, w.shape[0], 4)
            for j in range(0, w.shape[1], 4)
        ],
        dtype=object,
    )


mean = lambda values: mpmath.fsum(values) / len(values)  # noqa: E731

#: a rule, and its score from the paper; arguments are the rule's arrays by name
SCORES: list[tuple[Mask, Callable[..., Numbers]]] = [
    (sparsity.Magnitude(sparsity=0.3), lambda w: absolute(w)),
    (sparsity.Magnitude(measure="square"), lambda w: w * w),
    (sparsity.Magnitude(measure="signed", granularity="row"), lambda w: w),
    (sparsity.NormalizedMagnitude(), lambda w: absolute(w) / (mpmath.sqrt(everything(w * w)) + mpmath.mpf(10) ** -8)),
    (sparsity.RandomMask(), lambda w, u: u),
    (sparsity.Block(), lambda w: blocks(w, mean)),
    (sparsity.Block(pool="sum"), lambda w: blocks(w, mpmath.fsum)),
    (sparsity.Block(pool="max"), lambda w: blocks(w, max)),
    (sparsity.L1Filters(), lambda w: row_sum(absolute(w))),
    (sparsity.L1Filters(axis=1), lambda w: row_sum(absolute(w.T))),
    (sparsity.L2Filters(), lambda w: sqrt(row_sum(w * w))),
    (sparsity.NetworkSlimming(), lambda w: absolute(w)),
    (sparsity.NOfM(), lambda w: absolute(w)),
    (sparsity.ASP(), lambda w: absolute(w)),
    (sparsity.SRSTE(n=1, m=8), lambda w: absolute(w)),
    (sparsity.MDGF(), lambda w: absolute(w)),
    (sparsity.SDGF(), lambda w: absolute(w)),
    (sparsity.Transposable(), lambda w: absolute(w)),
    (sparsity.SNIP(), lambda w, g: absolute(w * g)),
    (sparsity.SNIP(normalized="layer"), lambda w, g: absolute(w * g) / everything(absolute(w * g))),
    (sparsity.FORCE(), lambda w, g: absolute(w * g)),
    (sparsity.GraSP(), lambda w, hg: -(-w * hg)),
    (sparsity.SynFlow(), lambda w, g: absolute(g * w)),
    (sparsity.Movement(), lambda w, s: s),
    (sparsity.SoftMovement(), lambda w, s: sigmoid(s)),
    (sparsity.Wanda(), lambda w, a: absolute(w) * sqrt(a)),
    (sparsity.WandaNOfM(), lambda w, a: absolute(w) * sqrt(a)),
    (
        sparsity.RIA(),
        lambda w, a: (absolute(w) / row_sum(absolute(w.T)).T + absolute(w) / row_sum(absolute(w))) * sqrt(sqrt(a)),
    ),
    (sparsity.OBD(), lambda w, h: h * w * w / 2),
    (sparsity.OBS(), lambda w, d: w * w / (2 * d)),
    (sparsity.WoodFisher(), lambda w, d: w * w / (2 * d)),
    (sparsity.WoodFisher(offset="code"), lambda w, d: w * w / (d + mpmath.mpf("1e-10")) + mpmath.mpf("1e-10")),
    (sparsity.SparseGPT(), lambda w, u: w * w / u**2),
]


class FromPaper:
    """A candidate whose scores are the truth, rounded once, and whose mask is restated from these scores."""

    name = "the paper"

    def __init__(self, formula: Callable[..., Numbers]) -> None:
        self.formula = formula

    def prune(self, rule: Mask, arrays: Any) -> Any:
        """Scores from the formula in fifty digits."""
        shape = arrays["w"].shape
        full = {n: np.broadcast_to(a, shape) for n, a in arrays.items()}
        with mpmath.workdps(50):
            exact = {
                n: np.frompyfunc(lambda x: mpmath.mpf(float(x)), 1, 1)(a) for n, a in full.items() if n in rule.takes()
            }
            if rule.inputs.get("entries") == "ones":
                exact.pop("entries")
            scores = np.asarray(self.formula(**exact)).astype(np.float64).astype(arrays["w"].dtype)
        return MaskSeen(restated.mask(rule, scores, shape), scores)


@pytest.mark.sample(suite=33)
@pytest.mark.parametrize(("rule", "formula"), SCORES, ids=[str(rule) for rule, _ in SCORES])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_papers_scores_conform(rule: Mask, formula: Callable[..., Numbers], dtype: str) -> None:
    inputs = refgrad.oracle.inputs.masks.generate(rule, np.dtype(dtype), 3)
    # what the paper says of NaN and infinities is nothing; zeros and equal numbers are in
    chosen = [i for i, n in enumerate(inputs.names) if n in ("normal", "few magnitudes", "neighbours", "subnormals")]
    given = refgrad.Cases([inputs.arrays[i] for i in chosen], [inputs.names[i] for i in chosen], 3)
    verdict = refgrad.verify(FromPaper(formula), rule, inputs=given, dtype=dtype).raise_if_wrong()
    assert verdict.counts["scores"].inside > 0
    assert verdict.counts["mask"].inside > 0


def test_every_mask_is_here() -> None:
    assert {type(rule).__name__ for rule, _ in SCORES} == set(rules(Mask))


class Restated:
    """A candidate whose scores are the rule's, and whose mask is restated from these scores."""

    name = "restated"

    def prune(self, rule: Mask, arrays: Any) -> MaskSeen:
        """The mask by plain Python."""
        w, others = arrays["w"], {n: a for n, a in arrays.items() if n in rule.takes() and n != "w"}
        scores = rule.score(w, **others)
        return MaskSeen(restated.mask(rule, scores, w.shape), scores)


def sums_of_infinities(rule: Mask) -> bool:
    """Whether infinities of both signs may be added up, of which the rule says nothing."""
    return isinstance(rule, sparsity.Transposable) and rule.method in ("exact", "at_most")


@pytest.mark.sample(quick=2, suite=8)
@pytest.mark.parametrize("rule", [rule for rule, _ in SCORES], ids=str)
def test_every_variant_selects_as_it_says(rule: Mask) -> None:
    inputs = refgrad.oracle.inputs.masks.generate(rule, np.dtype("float32"), 4)
    for variant in (rule, *(changed for name, changed in rule.variants() if not name.startswith("scalars"))):
        families = ("few magnitudes",) if sums_of_infinities(variant) else ("few magnitudes", "NaN and infinities")
        if variant.example_shape() == rule.example_shape():
            given = refgrad.Cases([inputs.arrays[i] for i, name in enumerate(inputs.names) if name in families])
            verdict = refgrad.verify(Restated(), variant, inputs=given, shrink=False, explain=False)
            verdict.raise_if_wrong()


def test_a_selection_that_is_another_is_found() -> None:
    """The negative control: the mask of each behaviour is not that of another."""
    rule = sparsity.Magnitude()
    inputs = refgrad.oracle.inputs.masks.generate(rule, np.dtype("float32"), 4)
    given = refgrad.Cases([inputs.arrays[inputs.names.index("few magnitudes")]])
    for name, variant in rule.variants():
        if name.startswith(("ties=keep", "ties=prune", "rounding=floor_plus", "granularity=row")):
            wrong = lambda w, variant=variant: restated.mask(variant, variant.score(w), w.shape)  # noqa: E731
            assert not refgrad.verify(wrong, rule, inputs=given, shrink=False, explain=False).conforms, name


def test_layers_are_ranked_together_or_each_by_itself() -> None:
    """Two of four are kept: the two large ones of one layer, or the larger one of each."""
    layers = [np.float32([[1.0, 2.0]]), np.float32([[30.0], [-40.0]])]
    together = sparsity.Magnitude(sparsity=0.5, granularity="together").masks(layers)
    apart = sparsity.Magnitude(sparsity=0.5).masks(layers)
    assert [m.tolist() for m in together] == [[[False, False]], [[True], [True]]]
    assert [m.tolist() for m in apart] == [[[False, True]], [[False], [True]]]


@pytest.mark.parametrize(
    "rule", [sparsity.Magnitude(sparsity=0.7), sparsity.NOfM(), sparsity.Magnitude(granularity="row")], ids=str
)
@pytest.mark.parametrize("shape", [(6, 8), (4, 2, 2, 4), (8,), (3, 0), (0, 4)], ids=str)
def test_a_sparse_matrix_has_what_is_kept_and_no_more(rule: Mask, shape: tuple[int, ...]) -> None:
    if shape == (8,) and isinstance(rule, sparsity.NOfM):
        shape = (8, 4)
    w = np.random.default_rng(2).integers(-2, 3, shape).astype(np.float32)
    mask, kept = rule.mask(w), rule.sparse(w)
    rows = (shape[0], math.prod(shape[1:]))
    assert (kept.shape, kept.dtype, kept.nnz) == (rows, w.dtype, np.count_nonzero(mask))
    assert np.array_equal(kept.toarray(), np.where(mask, w, 0).reshape(rows))
    kept.data[:] = 1  # what is kept is stored, zeros too
    assert np.array_equal(kept.toarray().astype(bool), mask.reshape(rows))
    assert kept.has_canonical_format


@pytest.mark.parametrize("w", [np.ones((2, 4), np.float16), np.float32(1.0)], ids=["narrow", "number"])
def test_what_no_sparse_matrix_holds_is_refused(w: np.ndarray) -> None:
    with pytest.raises(ArgumentError, match=r"^w is .*legal: float32 or float64, of at least one axis"):
        sparsity.Magnitude().sparse(w)
