"""A rule's hyperparameters as the arguments of a candidate's constructor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from refgrad.candidates.arguments import (
    for_rule,
    looks_like_update,
    parameters_of,
    takes_parameters,
    with_options,
)
from refgrad.errors import CandidateError
from refgrad.optimizers import SGD, AdamW, Yogi


def torch_like(
    params: Any, lr: float = 1e-3, betas: Any = (0.9, 0.999), eps: float = 1e-8, foreach: Any = None
) -> None:
    """A constructor that packs two numbers."""


def optax_like(learning_rate: float, b1: float = 0.9, b2: float = 0.999, weight_decay: float = 1e-4) -> None:
    """A constructor with names of its own."""


def update(param: Any, grad: Any, lr: float = 0.1) -> None:
    """A function of the arrays."""


class Base:
    def __init__(self, lr: float = 1.0, eps: float = 1e-8) -> None: ...


class Child(Base):
    def __init__(self, wd: float = 0.0, **keywords: Any) -> None: ...


def told(function: Callable[..., Any], rule: Any, options: dict[str, Any] | None = None, built_in: bool = False) -> Any:
    return for_rule(parameters_of(function), rule, options or {}, "it", built_in=built_in)


def test_numbers_go_by_the_names_that_the_candidate_has_and_into_packs() -> None:
    rule = AdamW(lr=0.5, beta1=0.8, beta2=0.99, eps=1e-3, weight_decay=0.0)
    found = told(torch_like, rule)
    assert found.keywords == {"lr": 0.5, "betas": (0.8, 0.99), "eps": 1e-3}
    assert {"lr", "beta1", "beta2", "eps"} <= found.given
    other = told(optax_like, AdamW(lr=0.5, weight_decay=0.25))
    assert other.keywords == {"learning_rate": 0.5, "b1": 0.9, "b2": 0.999, "weight_decay": 0.25}


def test_options_win_and_must_be_known() -> None:
    found = told(torch_like, AdamW(weight_decay=0.0), {"betas": (0.5, 0.5), "foreach": True})
    assert found.keywords["betas"] == (0.5, 0.5)
    assert found.keywords["foreach"] is True
    assert "beta1" not in found.given
    with pytest.raises(CandidateError, match=r"it takes no option 'foreech'.*foreach"):
        told(torch_like, AdamW(weight_decay=0.0), {"foreech": True})


def test_a_number_that_cannot_be_told_is_an_error_or_a_note() -> None:
    with pytest.raises(CandidateError, match=r"it takes no weight_decay, but the rule has weight_decay=0\.5"):
        told(torch_like, AdamW(weight_decay=0.5))
    found = told(torch_like, AdamW(weight_decay=0.5), built_in=True)
    assert any("it takes no weight_decay" in note for note in found.notes)
    assert told(torch_like, AdamW(weight_decay=0.0)).notes == []


def test_zero_stands_for_none() -> None:
    def sgd(learning_rate: float, momentum: float | None = None) -> None: ...

    assert told(sgd, SGD(lr=0.5)).keywords == {"learning_rate": 0.5}
    assert told(sgd, SGD(lr=0.5, momentum=0.9)).keywords == {"learning_rate": 0.5, "momentum": 0.9}


def test_the_parameters_of_parents_are_those_of_a_child_that_takes_any() -> None:
    assert list(parameters_of(Child)) == ["lr", "eps", "wd", "keywords"]
    assert list(parameters_of(Base)) == ["lr", "eps"]
    assert set(parameters_of(update)) == {"param", "grad", "lr"}


def test_which_functions_are_updates_and_which_take_parameters() -> None:
    assert [looks_like_update(f) for f in (update, torch_like, optax_like)] == [True, False, False]
    assert [takes_parameters(f) for f in (update, torch_like, optax_like, Base)] == [False, True, False, False]
    assert with_options("f", {"a": 1, "b": "x"}) == "f(a=1, b='x')"
    assert with_options("f", {}) == "f"


def test_one_argument_that_stands_for_two_numbers_is_not_set_for_one_of_them() -> None:
    def both(params: Any, lr: float = 1e-3, initial_accumulator: float = 1e-6) -> None:
        """Both averages start at one number."""

    def apart(params: Any, lr: float = 1e-3, initial_m: float = 0.0, initial_accumulator: float = 1e-6) -> None:
        """The first average has a number of its own."""

    rule = Yogi(initial_m=1e-6, initial_v=1e-6)
    found = for_rule(parameters_of(both), rule, {}, "both", built_in=True)
    assert found.keywords == {"lr": rule.lr, "initial_accumulator": 1e-6}
    assert found.given == {"lr"}
    assert for_rule(parameters_of(apart), rule, {}, "apart", built_in=True).given == {"lr", "initial_m", "initial_v"}
