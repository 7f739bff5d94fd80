"""What a mask update gives: the next mask, then the weights given it."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.kinds.mask_update import judge_update
from refgrad.kinds.table import kind_of
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE
from refgrad.sparsity import SET, RigL
from refgrad.sparsity.dynamic import MaskUpdate


@pytest.mark.parametrize("rule", [RigL(), SET()], ids=str)
def test_weights_are_judged_given_the_candidates_own_mask(rule: MaskUpdate) -> None:
    kind = kind_of(rule)
    arrays = kind.generate(rule, 2, np.dtype(np.float32), 0).arrays[0]
    mask, w = (np.asarray(a) for a in kind.literal(rule, arrays))
    seen = {"mask": mask.astype(bool), "w": w.astype(np.float32)}
    right = judge_update(rule, arrays, seen)
    assert {n: (j.status == INSIDE).all() for n, (j, _) in right.items()} == {"mask": True, "w": True}
    wrong = seen["w"].copy()
    wrong.flat[3] += 1
    judged, values = judge_update(rule, arrays, {**seen, "w": wrong})["w"]
    assert values.flat[3] == wrong.flat[3]
    assert np.flatnonzero(judged.status != INSIDE).tolist() == [3]
    other = ~seen["mask"]
    found = judge_update(rule, arrays, {"mask": other, "w": wrong})
    assert (found["mask"][0].status == OUTSIDE).any()
    assert set(judge_update(rule, arrays, {"mask": seen["mask"]})) == {"mask"}
