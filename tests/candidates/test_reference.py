from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad import CandidateError
from refgrad.candidates.resolve import resolve
from refgrad.optimizers import Adam, AdamW


@pytest.mark.parametrize("thing", [AdamW, AdamW(lr=0.01)])
def test_a_rule_has_its_own_bits(thing: Any, pair: Any) -> None:
    both = pair(resolve(thing), AdamW(lr=0.01))
    for _ in range(3):
        both.step()
    seen = both.run.observe()
    for leaf, params in enumerate(both.params):
        assert seen.params[leaf].tobytes() == params.tobytes()
        assert {n: np.asarray(a).tobytes() for n, a in seen.state[leaf].items()} == {
            n: both.state[n][leaf].tobytes() for n in ("m", "v")
        }


def test_a_class_takes_over_what_it_shares(pair: Any) -> None:
    both = pair(resolve(Adam), AdamW(lr=0.5, weight_decay=0.25))
    both.step()
    seen = both.run.observe().params[0]
    assert not np.array_equal(seen, both.params[0])  # weight decay is in the gradient, so that step 1 is lr * sign
    np.testing.assert_allclose(np.abs(seen - both.before[0]), 0.5, rtol=1e-5)


def test_options_are_hyperparameters() -> None:
    with pytest.raises(CandidateError, match="takes no option 'beta3'; did you mean 'beta"):
        resolve(AdamW, {"beta3": 0.5}).start(AdamW(), [np.ones(2, np.float32)])
