"""The oracle on masks: legal ones conform whatever they do with ties, wrong ones are named and shrunk."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.candidates.masks import MaskSeen
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.selections import judge_mask
from refgrad.sparsity import Block, L1Filters, L2Filters, Magnitude, Movement, NOfM, Transposable, Wanda
from refgrad.sparsity.base import Mask


def best_n(scores: np.ndarray, n: int, m: int, last: bool = False) -> np.ndarray:
    """A mask of the n largest of every m, NaN ahead of all; of equal ones the first or the last."""
    groups = np.where(np.isnan(scores), np.inf, scores).reshape(-1, m).astype(np.float64)
    groups[np.isnan(scores).reshape(-1, m)] = 1e308 * 10
    nan = np.isnan(scores).reshape(-1, m)
    index = np.broadcast_to(np.arange(m), groups.shape)
    order = np.lexsort((-index if last else index, -groups, ~nan), axis=1)[:, :n]
    mask = np.zeros(groups.shape, bool)
    np.put_along_axis(mask, order, True, axis=1)
    return mask.reshape(scores.shape)


def low(w: Any, n: int, m: int) -> Any:
    return best_n(np.abs(w), n, m)


def high(w: Any, n: int, m: int) -> Any:
    return best_n(np.abs(w), n, m, last=True)


def as_floats(w: Any, n: int, m: int) -> Any:
    return low(w, n, m).astype(w.dtype)


def with_scores(w: Any, n: int, m: int) -> Any:
    return np.abs(w), high(w, n, m)


@pytest.mark.parametrize("legal", [low, high, as_floats, with_scores])
@pytest.mark.parametrize("rule", [NOfM(), NOfM(n=1, m=8), NOfM(ties="high")], ids=str)
def test_legal_masks_conform(legal: Callable[..., Any], rule: Mask) -> None:
    verdict = refgrad.verify(legal, rule).raise_if_wrong()
    assert verdict.counts["mask"].undecided > 0
    assert verdict.counts["mask"].inside > 0


def above(w: Any, sparsity: float) -> Any:
    size, pruned = np.abs(w), round(sparsity * w.size)
    return size > (np.sort(size, axis=None)[pruned - 1] if pruned else -np.inf)


def from_a_threshold_on(w: Any, sparsity: float) -> Any:
    size = np.abs(w)
    return size >= np.sort(size, axis=None)[round(sparsity * w.size)]


@pytest.mark.parametrize(("legal", "ties"), [(above, "prune_all"), (from_a_threshold_on, "keep_all")])
def test_a_comparison_with_a_threshold_drops_nan_and_is_legal(legal: Callable[..., Any], ties: str) -> None:
    """Its rank is as high as in the rule's order, and yet it is above no threshold; nothing else is let go."""
    w = np.float32([np.nan, 3, -1, 2, -4, 5])
    masks = {"": legal(w, 0.5), "one lost": legal(w, 0.5) & (w != 5)}
    rule = Magnitude(ties=ties)
    outside = {n: judge_mask(rule, {"w": w}, MaskSeen(m), Policy())["mask"].status.tolist() for n, m in masks.items()}
    assert outside == {"": [0] * 6, "one lost": [0] * 5 + [1]}
    refgrad.verify(lambda w: legal(w, 0.5), rule, steps=2).raise_if_wrong()


def signed(w: Any, n: int, m: int) -> Any:
    return best_n(w, n, m)


def smallest(w: Any, n: int, m: int) -> Any:
    return ~low(w, n, m)


def columns(w: Any, n: int, m: int) -> Any:
    return low(np.ascontiguousarray(w.T), n, m).T


def pruned(w: Any, n: int, m: int) -> Any:
    return low(w, m - n, m)


def squared(w: Any, n: int, m: int) -> Any:
    with np.errstate(all="ignore"):
        return best_n(w * w, n, m)


def nan_first_to_go(w: Any, n: int, m: int) -> Any:
    return best_n(np.where(np.isnan(w), -1, np.abs(w)), n, m)


def whole_tensor(w: Any, n: int, m: int) -> Any:
    return best_n(np.abs(w).reshape(1, -1), w.size * n // m, w.size).reshape(w.shape)


def one_swapped(w: Any, n: int, m: int) -> Any:
    mask = low(w, n, m).copy()
    mask.reshape(-1, m)[7] = ~mask.reshape(-1, m)[7]
    return mask


@pytest.mark.sample(quick=1, suite=3)
@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (signed, "measure=signed"),
        (columns, "along=first"),
        (pruned, "n_is=pruned"),
        (squared, "measure=square"),
        (nan_first_to_go, "nan_rank=smallest"),
        (smallest, "n_is=pruned, minus scores, nan_rank=smallest"),
        (whole_tensor, None),
        (one_swapped, None),
    ],
)
def test_wrong_masks_are_named(wrong: Callable[..., Any], why: str | None) -> None:
    verdict = refgrad.verify(wrong, NOfM(n=1, m=4))
    assert verdict.outcome == "does not conform"
    assert (verdict.explanation.name if verdict.explanation else None) == why
    assert verdict.first is not None
    assert f"case {verdict.first.step}, mask[" in str(verdict)
    assert "refgrad.Cases.of" in verdict.reproduce or wrong in (one_swapped, whole_tensor)


def test_the_counterexample_is_small_and_fails() -> None:
    verdict = refgrad.verify(signed, NOfM(n=1, m=4))
    assert verdict.counterexample is not None
    assert verdict.counterexample.shape == (1, 4)
    again = eval(verdict.reproduce.replace("tests.kinds.test_mask.", ""), {"refgrad": refgrad, "signed": signed})
    assert again.counts["mask"].outside > 0


def test_only_what_is_wrong_is_outside() -> None:
    w = np.arange(1, 17, dtype=np.float32).reshape(2, 8)
    mask = low(w, 2, 4)
    mask[0, :4] = [True, False, False, True]
    judged = judge_mask(NOfM(), {"w": w}, MaskSeen(mask), Policy())
    assert np.argwhere(judged["mask"].status == 1).tolist() == [[0, 0], [0, 2]]


@pytest.mark.slow
def test_counts_of_unstructured_masks() -> None:
    def off_by_one(w: Any, sparsity: float) -> Any:
        return best_n(np.abs(w).reshape(1, -1), w.size - round(sparsity * w.size) - 1, w.size).reshape(w.shape)

    verdict = refgrad.verify(off_by_one, Magnitude(sparsity=0.25), shrink=False)
    assert {fault.kind for fault in verdict.faults} == {"count"}
    assert verdict.explanation is not None
    assert verdict.explanation.name in (
        "rounding=ceil_plus_one",
        "rounding=floor_plus_one",
        "rounding=half_even_plus_one",
    )


def test_a_threshold_takes_all_that_is_tied() -> None:
    def at_least(w: Any, sparsity: float) -> Any:
        score = np.where(np.isnan(w), np.inf, np.abs(w))
        return score >= np.sort(score.ravel())[round(sparsity * w.size)]

    verdict = refgrad.verify(at_least, Magnitude(), shrink=False)
    assert verdict.explanation is not None
    assert verdict.explanation.name == "ties=keep_all"
    refgrad.verify(at_least, Magnitude(ties="keep_all"), inputs=refgrad.Cases.of(w=[[1, 1, 2, 0]])).raise_if_wrong()


def test_scores_are_judged_first() -> None:
    def doubled(w: Any) -> Any:
        return 2 * np.abs(w), NOfM().mask(w)

    verdict = refgrad.verify(doubled, NOfM(), explain=False, shrink=False)
    assert verdict.counts["scores"].outside > 0
    assert verdict.counts["mask"].outside == 0
    assert verdict.first is not None
    assert verdict.first.tensor == "scores"


@pytest.mark.slow
def test_scores_within_rounding_go_either_way() -> None:
    # two weights whose Wanda scores are equal to within their rounding, and one that is clearly smaller
    w = np.asarray([[1.0, 1.0, 0.5, 0.25]], np.float32)
    a = np.asarray([2.0, np.nextafter(np.float32(2), np.float32(3)), 2.0, 2.0], np.float32)
    inputs = refgrad.Cases.of(w=w, a=a)
    rule = Wanda(sparsity=0.75)
    for kept, fine in ((0, True), (1, True), (2, False)):
        verdict = refgrad.verify(lambda w, a, kept=kept: np.arange(4) == np.full_like(w, kept), rule, inputs=inputs)
        assert verdict.counts["mask"].outside == (0 if fine else 2)
        assert verdict.counts["mask"].undecided == (2 if fine else 0)


def in_float32(w: np.ndarray, a: np.ndarray, sparsity: float) -> tuple[np.ndarray, np.ndarray]:
    """Wanda as its authors write it, another order of rounding."""
    scores = np.sqrt(a, dtype=w.dtype).reshape(1, -1) * np.abs(w)
    order = np.argsort(scores, axis=1, kind="stable")[:, : int(w.shape[1] * sparsity)]
    mask = np.ones(w.shape, bool)
    np.put_along_axis(mask, order, False, axis=1)
    return scores, mask


def test_wanda_in_float32_conforms() -> None:
    verdict = refgrad.verify(in_float32, Wanda(sparsity=0.3)).raise_if_wrong()
    assert verdict.counts["scores"].outside == 0


@pytest.mark.slow
def test_whole_units_or_nothing() -> None:
    def torn(w: Any, sparsity: float) -> Any:
        mask = L1Filters(sparsity=sparsity).mask(w)
        mask[np.argmax(mask.any(axis=1)), 0] = False
        return mask

    assert refgrad.verify(torn, L1Filters(), explain=False, shrink=False).counts["mask"].outside > 0
    explanation = refgrad.verify(L1Filters(), L2Filters()).explanation
    assert explanation is not None
    assert explanation.name == "L1Filters"
    refgrad.verify(lambda w: Block().mask(w), Block()).raise_if_wrong()


@pytest.mark.slow
def test_every_mask_of_a_small_case_by_brute_force() -> None:
    """All masks of 2:4 on every pattern of few magnitudes: acceptable exactly if no other mask keeps more."""
    masks = [np.isin(np.arange(4), kept) for kept in combinations(range(4), 2)]
    for values in product([0.0, 1.0, 2.0], repeat=4):
        if list(values[:2]) > list(values[2:]):
            continue  # the same group with its halves swapped is there
        w = np.asarray([values], np.float32)
        best = max(sum(Fraction(v) for v, keep in zip(values, mask, strict=True) if keep) for mask in masks)
        for mask in (np.asarray(bits) for bits in product([False, True], repeat=4)):
            total = sum(Fraction(v) for v, keep in zip(values, mask, strict=True) if keep)
            judged = judge_mask(NOfM(), {"w": w}, MaskSeen(mask[None]), Policy())
            fine = not (judged["mask"].status == 1).any()
            assert fine == (mask.sum() == 2 and total == best)


def test_transposable_masks_by_brute_force() -> None:
    """Tiles of few magnitudes: a pattern is acceptable exactly if it keeps as much as the best one."""
    from refgrad.sparsity.transposable import patterns

    w = np.random.default_rng(0).integers(0, 3, (4, 4)).astype(np.float32)
    sums = [Fraction(float(w.ravel()[p].sum())) for p in patterns(2, 4)]
    assert len(set(sums)) > 1
    for pattern, total in zip(patterns(2, 4), sums, strict=True):
        judged = judge_mask(Transposable(), {"w": w}, MaskSeen(pattern.reshape(4, 4)), Policy())
        assert (not (judged["mask"].status == 1).any()) == (total == max(sums))


class Rude:
    """A candidate that does one thing wrong."""

    name = "rude"

    def __init__(self, action: Callable[..., Any]) -> None:
        self.action = action

    def prune(self, rule: Mask, arrays: Any) -> Any:
        return self.action(arrays["w"])


def spoil(w: np.ndarray) -> MaskSeen:
    mask = NOfM().mask(w)
    w[...] = 0
    return MaskSeen(mask)


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        (lambda w: MaskSeen(NOfM().mask(w)[:-1]), "shape"),
        (lambda w: MaskSeen(NOfM().mask(w) * 2), "structure"),
        (lambda w: MaskSeen(NOfM().mask(w), np.abs(w).astype(int)), "dtype"),
        (lambda w: MaskSeen(NOfM().mask(w), np.abs(w)[:1, :3]), "shape"),
        (spoil, "mutated"),
        (lambda w: 1 / 0, "raised"),
        (lambda w: MaskSeen(np.ones_like(w, bool)), "count"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_faults(action: Callable[..., Any], kind: str) -> None:
    verdict = refgrad.verify(Rude(action), NOfM(), shrink=False)
    assert verdict.outcome == "does not conform"
    assert {fault.kind for fault in verdict.faults} == {kind}


def test_a_hung_candidate_is_given_up_on() -> None:
    import time

    verdict = refgrad.verify(lambda w: time.sleep(5), NOfM(), time_limit=0.05)
    assert [fault.kind for fault in verdict.faults] == ["hung"]


def test_bad_arguments() -> None:
    with pytest.raises(refgrad.ArgumentError, match="inputs is"):
        refgrad.verify(low, NOfM(), inputs=refgrad.Inputs.of([1.0], [[1.0]]))
    with pytest.raises(refgrad.CandidateError, match="takes 'k', which NOfM"):
        refgrad.verify(lambda w, k: w, NOfM())
    with pytest.raises(refgrad.CandidateError, match="takes no option 'j'"):
        refgrad.verify(low, NOfM(), options={"j": 1})
    with pytest.raises(refgrad.CandidateError, match="legal: a function"):
        refgrad.verify(3, NOfM())


def test_scores_that_are_other_arrays_have_ties() -> None:
    """A program that keeps all that are as large as the last one that is kept keeps too many."""
    rule = Movement()

    def every(w: np.ndarray, s: np.ndarray) -> np.ndarray:
        kept = rule.mask(w, s=s)
        least = np.min(s, where=kept, initial=np.inf)
        return np.asarray(kept | (s == least))

    assert not refgrad.verify(every, rule, explain=False, shrink=False).conforms
