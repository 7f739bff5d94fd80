"""Rules that see all parameters as one vector: leaves of several dtypes give what they give as one vector."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from refgrad.optimizers.base import Optimizer
from refgrad.rule import rules
from tests.bits import kinds
from tests.bits.inputs import Source

#: two narrow dtypes have no common one in NumPy
DTYPES: dict[str, Any] = {"a": ml_dtypes.float8_e4m3fn, "b": ml_dtypes.bfloat16, "c": np.float16}
COUPLED = [name for name, cls in rules(Optimizer).items() if cls().scope == "tree"]


@pytest.mark.parametrize("method", ["step", "step_"])
@pytest.mark.parametrize("name", COUPLED)
def test_leaves_of_several_narrow_dtypes_are_one_vector(name: str, method: str) -> None:
    rule, source = rules()[name](), Source("narrow")
    p, g = ({n: source.grid((2, 3), dtype) for n, dtype in DTYPES.items()} for _ in "pg")
    state = rule.init(p, state_dtype=np.float32)
    extras = {n: kinds._extra(extra, g, Source(n)) for n, extra in rule.inputs().items()}
    given = {n: a.copy() for n, a in p.items()}
    found = getattr(rule, method)(given, g, state, **extras)
    new = given if method == "step_" else found[0]

    flat = lambda tree: np.concatenate([np.ravel(a).astype(np.float32) for a in tree.values()])  # noqa: E731
    joined = {n: flat(e) if isinstance(e, dict) else e for n, e in extras.items()}
    vector, _ = rule.step(flat(p), flat(g), rule.init(flat(p)), **joined)
    for part, (leaf, array) in zip(np.split(vector, 3), new.items(), strict=True):
        assert array.dtype == DTYPES[leaf]
        assert array.tobytes() == part.reshape(2, 3).astype(array.dtype).tobytes(), leaf
