"""Arrays of many shapes: which of them a rule is driven in, and where the largest numbers of long ones stand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad.estimators import LSQ, IdentitySTE
from refgrad.kinds.table import kind_of
from refgrad.optimizers import LAMB, Adafactor, AdamW, ClipByGlobalNorm
from refgrad.oracle.inputs.sizes import DECIDED_AT_THE_END, DECIDED_IN_ROWS, MANY, decide_at_the_end, normal
from refgrad.quantizers import NF4, Affine
from refgrad.sparsity import Magnitude, NOfM, Wanda

F32 = np.dtype(np.float32)


@pytest.mark.parametrize("shape", [*DECIDED_AT_THE_END, *DECIDED_IN_ROWS])
def test_the_largest_numbers_of_an_array_stand_beyond_whole_blocks(shape: tuple[int, ...]) -> None:
    x = normal(np.random.default_rng(0), shape, F32)
    last = np.abs(x).reshape(-1)
    assert last.argmax() == last.size - 1
    assert x.argmin() == x.size - 2
    assert last[-1] ** 2 > np.sum(last[:-2] ** 2) / 2  # a norm without it is another
    if len(shape) == 1:
        assert x.size % 4 == 3
        assert x.size % 1024 in (3, 7)


def test_every_other_row_and_column_has_its_largest_last() -> None:
    values = np.random.default_rng(0).standard_normal((7, 9))
    before = values.copy()
    decide_at_the_end(values)
    assert (np.abs(values).argmax(axis=1)[[0, 2, 4]] == 8).all()
    assert (np.abs(values).argmax(axis=0)[[0, 2, 4]] == 6).all()
    assert (values[:-1, :-1] == before[:-1, :-1]).all()


@pytest.mark.parametrize(
    ("rule", "reduces"),
    [
        *(
            (rule, True)
            for rule in (LAMB(), ClipByGlobalNorm(), Adafactor(), LSQ(), Affine(), NF4(), Magnitude(), Wanda())
        ),
        *((rule, False) for rule in (AdamW(), IdentitySTE())),
    ],
    ids=str,
)
def test_rules_that_reduce_are_driven_in_them(rule: Any, reduces: bool) -> None:
    cases = kind_of(rule).sizes(rule, F32, 0)
    assert cases is not None
    shapes = {arrays[rule.primary if rule.kind != "optimizer" else "p"].shape for arrays in cases.arrays}
    assert bool(shapes & {*DECIDED_AT_THE_END, *DECIDED_IN_ROWS}) == reduces


def test_of_groups_alone_the_last_one_is_decided_by_its_last_element() -> None:
    cases = kind_of(NOfM()).sizes(NOfM(), F32, 0)
    assert cases is not None
    (large,) = [arrays["w"] for arrays in cases.arrays if arrays["w"].size > MANY]
    assert NOfM().mask(large).reshape(-1)[-1]
