"""Simple faults of a formula's results and labels: what each computes, and what it is called."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad.examples import formulas as gallery
from refgrad.kinds.result_faults import LabelFault, ResultFault, faults_of

LINEAR = gallery.linear().backward
ARRAYS = LINEAR.drawn({"batch": 3, "in": 4, "out": 5}, np.random.Generator(np.random.Philox(0)))


@pytest.mark.parametrize(
    ("fault", "factor", "words"),
    [
        (ResultFault("grad_x", "twice"), 2.0, "grad_x is taken twice"),
        (ResultFault("grad_x", "halved"), 0.5, "grad_x is halved"),
        (ResultFault("grad_x", "with the other sign"), -1.0, "grad_x is taken with the other sign"),
        (ResultFault("grad_x", "zero"), 0.0, "grad_x is zero"),
        (ResultFault("grad_bias", "batch", True), 1 / 3, "grad_bias is divided by batch"),
        (ResultFault("", "out"), 5.0, "every result is multiplied by out"),
    ],
)
def test_a_result_is_off_by_a_factor_and_the_others_are_not(fault: ResultFault, factor: float, words: str) -> None:
    own, found = LINEAR(*ARRAYS.values()), fault.made(LINEAR, list(ARRAYS.values()))
    assert fault.words == words
    for name, right in own.items():
        assert np.allclose(found[name], right * (factor if fault.result in ("", name) else 1.0), rtol=1e-15)


@pytest.mark.parametrize(
    ("shift", "rows", "words"),
    [
        (1, [1, 0], "tokens are read as the next ones"),
        (-1, [2, 1], "tokens are read as the previous ones"),
        (None, [0, 0], "tokens are not read: the first is taken everywhere"),
    ],
)
def test_labels_are_read_otherwise(shift: int | None, rows: list[int], words: str) -> None:
    fault, table = LabelFault("tokens", shift), np.arange(6.0).reshape(3, 2)
    found: Any = fault.made(gallery.embedding(), [table, np.array([0, 2])])
    assert fault.words == words
    assert found.tolist() == table[rows].tolist()


def test_every_result_has_its_faults_and_one_alone_none_for_all_together() -> None:
    several, one = (list(faults_of(rule, _arrays(rule))) for rule in (LINEAR, gallery.attention()))
    assert {fault.result for fault in several if isinstance(fault, ResultFault)} == {
        "grad_x",
        "grad_weight",
        "grad_bias",
        "",
    }
    assert ResultFault("result", "scale", True) in one
    assert ResultFault("", "twice") not in one
    labels = [
        fault for fault in faults_of(gallery.embedding(), _arrays(gallery.embedding())) if isinstance(fault, LabelFault)
    ]
    assert [fault.shift for fault in labels] == [1, -1, None]


def _arrays(rule: Any) -> dict[str, np.ndarray]:
    return rule.drawn(rule.lengths, np.random.Generator(np.random.Philox(0)))  # type: ignore[no-any-return]
