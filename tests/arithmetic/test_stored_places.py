"""Places of a formula at which programs may round: which kernels a policy lets in, and which it does not."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import refgrad
from refgrad.arithmetic.bounded import Bounded
from refgrad.arithmetic.stored_places import rounded_or_not
from refgrad.errors import ArgumentError
from refgrad.examples.formulas import attention, softmax
from refgrad.oracle.acceptance.policy import Policy

IN_BFLOAT16 = Policy(stored={"p": "bfloat16"})


def kept_in(dtype: Any, precise: Any = np.float32, scale: float = 0.125) -> Any:
    """Attention whose shares are rounded to a dtype before they meet the values."""

    def kernel(q, k, v):
        logits = np.float32(scale) * (q.astype(precise) @ k.T.astype(precise))
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares = (powers / powers.sum(axis=1, keepdims=True)).astype(dtype).astype(precise)
        return (shares @ v.astype(precise)).astype(q.dtype)

    return kernel


def judged(kernel: Any, policy: Any = None, dtype: str = "float32") -> str:
    return refgrad.verify(kernel, attention(), dtype=dtype, policy=policy, explain=False, shrink=False).outcome


@pytest.mark.slow
def test_shares_in_bfloat16_are_right_under_a_policy_that_says_so() -> None:
    rounded, exact = kept_in(ml_dtypes.bfloat16), kept_in(np.float32)
    assert judged(rounded) == "does not conform"
    assert judged(rounded, {"stored": {"p": "bfloat16"}}) == "conforms"
    assert judged(rounded, IN_BFLOAT16, "bfloat16") == "conforms"
    assert judged(exact, IN_BFLOAT16) == "conforms"
    assert judged(kept_in(np.float16), IN_BFLOAT16) == "conforms"


def test_what_is_rounder_or_wrong_is_refused_under_it() -> None:
    assert judged(kept_in(ml_dtypes.float8_e4m3fn), IN_BFLOAT16) == "does not conform"
    assert judged(kept_in(ml_dtypes.bfloat16, scale=0.13), IN_BFLOAT16) == "does not conform"
    assert judged(kept_in(ml_dtypes.bfloat16), Policy(stored={"p": "float16"})) == "does not conform"


@pytest.mark.slow
def test_the_backward_has_the_places_too() -> None:
    def backward(q, k, v, grad_output):
        logits = np.float32(0.125) * (q @ k.T)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares = powers / powers.sum(axis=1, keepdims=True)
        mean = (grad_output * (shares @ v)).sum(axis=1, keepdims=True)
        of_logits = np.float32(0.125) * shares * (grad_output @ v.T - mean)
        return of_logits @ k, of_logits.T @ q, shares.astype(ml_dtypes.bfloat16).astype("f4").T @ grad_output

    rule = attention().backward
    assert not refgrad.verify(backward, rule, explain=False, shrink=False).conforms
    assert refgrad.verify(backward, rule, policy=IN_BFLOAT16, explain=False, shrink=False).conforms


def test_a_policy_says_its_places_and_is_refused_where_there_are_none() -> None:
    assert IN_BFLOAT16.changed() == {"stored": {"p": "bfloat16"}}
    assert Policy.of(IN_BFLOAT16.changed()) == IN_BFLOAT16
    assert hash(IN_BFLOAT16) == hash(Policy(stored=(("p", "bfloat16"),)))
    with pytest.raises(ArgumentError, match=r"Policy.stored names 'q', no place of attention\(.*legal: p"):
        judged(kept_in(np.float32), {"stored": {"q": "bfloat16"}})
    for rule in (softmax(), refgrad.optimizers.SGD()):
        with pytest.raises(ArgumentError, match=r"Policy.stored names 'p', no place of .*legal: none"):
            refgrad.verify(rule, rule, policy=IN_BFLOAT16)
    with pytest.raises(ArgumentError, match=r"Policy.stored\['p'\] is 'int8'; legal: a float dtype"):
        Policy(stored={"p": "int8"})
    for wrong in ("p", {"p": 1}, 3):
        with pytest.raises(
            ArgumentError, match=r"Policy.stored is .*legal: a sequence of places with formats, or a dict"
        ):
            Policy(stored=wrong)
    with pytest.raises(ArgumentError, match=r"the place of refgrad.stored is 3; legal: a name"):
        refgrad.stored(np.ones(2), 3)


def test_both_the_number_and_what_it_rounds_to_are_held() -> None:
    values = np.random.default_rng(0).standard_normal(1000) * 2.0 ** np.arange(1000) / 2.0**860
    found = rounded_or_not(Bounded(values), "bfloat16")
    with np.errstate(over="ignore"):
        rounded = values.astype(ml_dtypes.bfloat16).astype(float)
    held = (np.abs(rounded - values) <= found.bound()) | np.isinf(found.bound())
    assert held.all()
    assert np.isinf(found.bound())[np.isinf(rounded)].all()
    assert rounded_or_not(Bounded(np.zeros(1)), "bfloat16").bound() == 0.0
