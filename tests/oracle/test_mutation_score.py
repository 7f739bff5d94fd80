"""The oracle rejects every mutant that a rule's own graph gives, and is not fooled into rejecting the rule."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.oracle.changes import NONE
from refgrad.oracle.inputs import generate
from refgrad.oracle.policy import Policy
from refgrad.oracle.trajectory import judge_record
from tests.oracle.mutation_score import configured, considered, run, small, survivors


@pytest.mark.parametrize("name", ["SGD", "Lion", "AdamW", "LAMB"])
def test_the_rule_run_from_its_graph_conforms(name: str) -> None:
    rule = configured(name)
    record = run(rule, NONE, small(generate(10, np.dtype(np.float32), 0)))
    assert judge_record(record, record.rules, Policy()).first is None


@pytest.mark.parametrize("name", ["SGD"])
def test_every_mutant_is_rejected(name: str) -> None:
    rule = configured(name)
    found = considered(rule)
    assert len(found) > 50
    assert not list(survivors(rule, found))
