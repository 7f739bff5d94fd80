"""Rules that keep more than the claim does are named where the candidate keeps it too."""

from __future__ import annotations

import pytest

import refgrad
from refgrad.optimizers import Adam, AdamW, AMSGrad
from refgrad.oracle.hypotheses.relatives import arrays_of, relatives
from tests.oracle.hypotheses.test_departures import claim_of


def test_only_rules_that_keep_more_are_tried() -> None:
    claim = claim_of(AMSGrad(order="torch"), Adam())
    (found,) = relatives(claim, claim.driven(claim.cases()))
    assert arrays_of(Adam()) < arrays_of(found.claim.rule) == {"m", "v", "v_max"}
    assert found.title(next(s.change for s in found.search.ranked if s.fits)) == "AMSGrad(order='torch')"
    claim = claim_of(AdamW(eps_placement="inside"), AdamW())
    assert not list(relatives(claim, claim.driven(claim.cases())))


@pytest.mark.sample(suite=1)
@pytest.mark.slow
@pytest.mark.parametrize("rule", [Adam(), AdamW()], ids=str)
def test_amsgrad_is_named_for_what_claims_to_be_adam(rule: Adam) -> None:
    verdict = refgrad.verify(AMSGrad(order="torch"), rule, steps=5, shrink=False)
    assert verdict.explanation is not None
    assert verdict.explanation.name == "AMSGrad(order='torch')"
    assert verdict.explanation.sure == "fact"
    found = refgrad.identify(AMSGrad(order="torch"), rule, steps=5)
    assert [e.title for e in found.explanations] == ["AMSGrad(order='torch')"], str(found)


@pytest.mark.slow
def test_torch() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    for cls, name in (
        (torch.optim.Adam, "AMSGrad(order='torch')"),
        (torch.optim.AdamW, "AMSGrad(weight_decay=0.01, order='torch', decay='before')"),
    ):
        rule = Adam() if cls is torch.optim.Adam else AdamW()
        verdict = refgrad.verify(cls, rule, options={"amsgrad": True}, steps=5, shrink=False)
        assert verdict.explanation is not None
        assert (verdict.explanation.name, verdict.explanation.sure) == (name, "fact")
