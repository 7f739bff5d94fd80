"""No legal program of any mask or mask update is rejected, and no mutant of any is accepted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.candidates.mask_updates import UpdateCandidate
from refgrad.candidates.masks import MaskSeen
from refgrad.oracle.mask_inputs import MaskInputs, generate
from refgrad.rule import rules
from refgrad.sparsity import NOfM, Transposable
from refgrad.sparsity.base import Mask
from refgrad.sparsity.dynamic import MaskUpdate
from tests.oracle.graph_programs import legal, mutants, mutated

MASKS = [cls() for cls in rules(Mask).values()]
MASKS += [Transposable(method="greedy_pruned"), Transposable(method="at_most"), NOfM(n=1, m=8), Transposable(n=3, m=6)]
UPDATES = [cls() for cls in rules(MaskUpdate).values()]
#: mutants of a rule that are looked at
MOST = 12


class FromScores:
    """A candidate with scores by a function, and the rule's selection of them with equal ones in random order."""

    name = "a program"

    def __init__(
        self, scores: Callable[..., Any], shows: bool = False, change: Callable[..., Any] = lambda m: m
    ) -> None:
        self.scores, self.shows, self.change = scores, shows, change
        self.random = np.random.Generator(np.random.Philox(1))

    def prune(self, rule: Any, arrays: Any) -> MaskSeen:
        given = rule.prepare(arrays["w"], {n: a for n, a in arrays.items() if n != "w"})
        scores = self.scores(given)
        prefer = None
        if getattr(rule, "ties", "low") in ("low", "high"):
            prefer = self.random.random(scores.shape) < 0.5
        mask = rule.spread(rule.select(scores, prefer), arrays["w"].shape)
        return MaskSeen(self.change(mask), scores if self.shows else None)


def judged(candidate: Any, rule: Any, inputs: MaskInputs) -> Any:
    return refgrad.verify(candidate, rule, inputs=inputs, shrink=False, explain=False, time_limit=float("inf"))


def finite(rule: Any) -> MaskInputs:
    """The generated inputs without NaN and infinities, of which rewritten programs make other NaN."""
    inputs = generate(rule, np.dtype(np.float32), 2)
    kept = [i for i, name in enumerate(inputs.names) if name != "NaN and infinities"]
    return MaskInputs([inputs.leaves[i] for i in kept], [inputs.names[i] for i in kept], 2)


@pytest.mark.parametrize("rule", MASKS, ids=str)
def test_legal_programs_conform(rule: Any) -> None:
    random = np.random.Generator(np.random.Philox(1))
    scores = lambda given: legal(rule, given, random)["scores"]  # noqa: E731
    verdict = judged(FromScores(scores, shows=True), rule, finite(rule))
    assert verdict.conforms, str(verdict)
    verdict = judged(FromScores(scores), rule, finite(rule))
    assert verdict.conforms, str(verdict)


#: what may be wrong with a mask whatever its rule
CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "complement": lambda mask: ~mask,
    "all": np.ones_like,
    "shifted": lambda mask: np.roll(mask, 1),
    "upside down": lambda mask: mask[::-1].copy(),
}


@pytest.mark.parametrize("rule", MASKS, ids=str)
def test_mutants_are_rejected(rule: Any) -> None:
    inputs = finite(rule)
    first = rule.prepare(inputs.leaves[0]["w"], {n: a for n, a in inputs.leaves[0].items() if n != "w"})
    own = lambda given: mutated(rule, None, given)["scores"]  # noqa: E731
    left = [n for n, change in CHANGES.items() if judged(FromScores(own, change=change), rule, inputs).conforms]
    for mutation in mutants(rule, [{n: a[:2, :8].copy() for n, a in first.items()}], MOST):
        scores = lambda given, m=mutation: mutated(rule, m, given)["scores"]  # noqa: E731
        if judged(FromScores(scores, shows=True), rule, inputs).conforms:
            left.append(mutation.name)
    assert not left


def moved(rule: Any, change: Callable[..., dict[str, np.ndarray]]) -> Any:
    """The verdict on the rule's own update with equal entries in random order, changed."""
    random = np.random.Generator(np.random.Philox(3))

    def following(asked: Any, arrays: Any, t: int) -> dict[str, np.ndarray]:
        mask = rule.after(arrays, t, random.random(arrays["w"].shape) < 0.5)
        return change(mask, rule.weights(arrays, mask, t), arrays)

    return refgrad.verify(UpdateCandidate("a program", following), rule, shrink=False, explain=False)


#: what may be wrong with a mask update whatever its rule
WRONG: dict[str, Callable[..., dict[str, np.ndarray]]] = {
    "not moved": lambda mask, w, given: {"mask": given["mask"]},
    "complement": lambda mask, w, given: {"mask": ~mask},
    "one more": lambda mask, w, given: {"mask": mask | (np.cumsum(~mask).reshape(mask.shape) == 1)},
    "one less": lambda mask, w, given: {"mask": mask & (np.cumsum(mask).reshape(mask.shape) != 1)},
    "shifted": lambda mask, w, given: {"mask": np.roll(mask, 1)},
    "weights not masked": lambda mask, w, given: {"mask": mask, "w": given["w"]},
    "weights doubled": lambda mask, w, given: {"mask": mask, "w": 2 * w},
}


@pytest.mark.parametrize("rule", UPDATES, ids=str)
def test_mask_updates(rule: Any) -> None:
    verdict = moved(rule, lambda mask, w, given: {"mask": mask, "w": w})
    assert verdict.conforms, str(verdict)
    assert verdict.counts["mask"].undecided > 0
    assert not [name for name, change in WRONG.items() if moved(rule, change).conforms]


@pytest.mark.parametrize("rule", UPDATES, ids=str)
def test_named_variants_of_mask_updates_are_told_apart(rule: Any) -> None:
    for text, variant in rule.variants():
        if text.startswith(("scalars", "ties")):
            continue
        verdict = refgrad.verify(variant, rule, shrink=False)
        assert not verdict.conforms, text
        assert verdict.explanation is not None
