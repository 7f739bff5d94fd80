"""Rules over a whole tree: kernels run over the leaves where they are, with the bits of the body on one vector."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any
from unittest import mock

import ml_dtypes
import numpy as np
import pytest

from refgrad.arithmetic.folding import BLOCK
from refgrad.backends import numba_backend
from refgrad.backends.tree_backend import stretches
from refgrad.optimizers import AdaptiveClip, DoG, NormalizedGradient, Optimizer, coupled
from refgrad.rule import rules
from tests.backends.test_same_bits import adversarial, bits, ordinary
from tests.optimizers.made_up import extras

#: of leaves smaller than a block, larger than many, without elements, and without axes
SHAPES: tuple[tuple[int, ...], ...] = ((3000,), (100, 123), (5,), (), (0, 3), (2, 3, 7), (41_000,), (17,))
OVER_TREES = [cls() for cls in rules(Optimizer).values() if cls().scope == "tree"]


def run(rule: Optimizer, draw: Any, backend: str, dtypes: list[Any], threads: int | None = None) -> list[bytes]:
    """The bits of all leaves and of the state after three steps."""
    random = np.random.default_rng(1)
    tree = [draw(random, shape, np.float32).astype(kind) for shape, kind in zip(SHAPES, dtypes, strict=True)]
    state = rule.init(tree)
    for _ in range(3):
        g = [draw(random, shape, np.float32) for shape in SHAPES]
        more = {n: [extras(rule, each)[n] for each in g] for n in extras(rule, g[0])}
        more = {n: each[0] if isinstance(each[0], float) else each for n, each in more.items()}
        tree, state = rule.step(tree, g, state, backend=backend, threads=threads, **more)
    arrays = [*tree, *(a for n in sorted(state) if isinstance(state[n], list) for a in state[n])]
    return [bits(a.astype(np.float32)) if isinstance(a, np.ndarray) else repr(a).encode() for a in arrays]


@pytest.mark.parametrize(
    ("rule", "draw"),
    [
        (NormalizedGradient(), ordinary),
        (NormalizedGradient(), adversarial),
        pytest.param(DoG(), ordinary, marks=pytest.mark.slow),
    ],
    ids=lambda x: getattr(x, "__name__", str(x)),
)
def test_leaves_where_they_are_give_the_bits_of_one_vector(rule: Optimizer, draw: Any) -> None:
    single = [np.float32] * len(SHAPES)
    narrow = [ml_dtypes.bfloat16 if k % 2 else np.float32 for k in range(len(SHAPES))]
    for kinds in (single, narrow):
        wanted = run(rule, draw, "numpy", kinds)
        with mock.patch.object(coupled, "join", side_effect=AssertionError("joined")):
            assert run(rule, draw, "numba", kinds, 1) == wanted
            assert run(rule, draw, "numba", kinds, 3) == wanted


@pytest.mark.slow
def test_leaves_of_two_working_dtypes_are_joined() -> None:
    kinds = [np.float64, *[np.float32] * (len(SHAPES) - 1)]
    with (
        pytest.raises(AssertionError, match="joined"),
        mock.patch.object(coupled, "join", side_effect=AssertionError("joined")),
    ):
        run(NormalizedGradient(), ordinary, "numba", kinds)
    assert run(NormalizedGradient(), ordinary, "numba", kinds) == run(NormalizedGradient(), ordinary, "numpy", kinds)


@pytest.mark.parametrize("rule", OVER_TREES, ids=str)
def test_every_rule_over_a_tree_runs_over_its_leaves(rule: Optimizer) -> None:
    for t in (1, 2, 10):
        assert numba_backend.takes_leaves(rule.plan((8,), t), np.dtype(np.float32))


def test_rows_are_no_affair_of_a_vector() -> None:
    assert not numba_backend.takes_leaves(AdaptiveClip().plan((8, 8), 1), np.dtype(np.float32))


@pytest.mark.parametrize(
    "sizes", [[1], [BLOCK] * 3, [9000, 9000], [5000, 0, 1, 30_000, 77, 12_288, 1], [3] * 4000], ids=len
)
def test_stretches_cover_the_vector_once(sizes: list[int]) -> None:
    found, starts = list(stretches(sizes)), [0, *accumulate(sizes)]
    assert found[0][0] == 0
    assert found[-1][1] == sum(sizes)
    for (_, end, _), (begin, _, _) in pairwise(found):
        assert begin == end
        assert begin % BLOCK == 0
    for begin, end, k in found:
        assert k is None or starts[k] <= begin < end <= starts[k + 1]
