"""Every public function gives the same bits in every floating-point environment, and leaves the environment as it was."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from refgrad.errors import RefgradError
from refgrad.float_environment import deviations, is_marked, make_standard
from refgrad.optimizers import SGD
from refgrad.rule import rules
from tests.float_environments import EVERY, deviating
from tests.fuzz import calls, judge, room_functions, subjects
from tests.fuzz.functions import FUNCTIONS, SCHEDULES
from tests.fuzz.subjects import Drawn

#: arrays with subnormal numbers and every magnitude, where flushing shows, and ordinary ones, where rounding does
DRAWN = (Drawn((7,), "float32", "wide", 3), Drawn((4, 8), "bfloat16", "signed", 4), Drawn((), "float64", "wide", 5))


def told(call: Callable[[], Any]) -> Any:
    """What a call gives: its value, or the text of refgrad's own error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return call()
        except RefgradError as error:
            return str(error)


def differing(made: Callable[[], Callable[[], Any]]) -> list[str]:
    """The environments in which a call gives something else, or which it does not leave as they were.

    Args:
        made: makes the call, with arguments of its own, in the standard environment.
    """
    usual = judge.plain(told(made()))
    found = []
    for each in EVERY:
        call = made()
        with deviating(each):
            value = told(call)
            after = deviations()
        if after != (each,):
            found.append(f"{each} became {after}")
        elif not judge._same(judge.plain(value), usual):
            found.append(f"{each}: {value} for {usual}")
    return found


def of_record(record: calls.Record) -> Callable[[], Callable[[], Any]]:
    """Makes the call of a record."""

    def made() -> Callable[[], Any]:
        subject = calls.built(record)
        return (lambda: None) if subject is None else (lambda: subject.call(dict(subject.arguments)))

    return made


@pytest.mark.sample(quick=30, suite=50)
@pytest.mark.parametrize("name", sorted(rules()))
def test_methods_of_every_rule_give_the_same_bits(name: str) -> None:
    every = subjects.variants(name)
    for variant in {0, len(every) - 1}:
        for method in subjects.methods(every[variant]):
            for drawn in DRAWN:
                record = (name, variant, method, drawn, [])
                assert differing(of_record(record)) == [], calls.written(record)


@pytest.mark.parametrize("name", sorted(room_functions.CALLS))
def test_functions_of_rooms_give_the_same_bits(name: str) -> None:
    assert differing(lambda: room_functions.CALLS[name]) == []


@pytest.mark.slow
@pytest.mark.sample(suite=50)
@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - calls.SLOW))
def test_functions_that_are_fuzzed_give_the_same_bits(name: str) -> None:
    for seed in (0, 7):
        record = (name, 0, "", Drawn((7,), "float32", "wide", seed), [])
        assert differing(of_record(record)) == []


@pytest.mark.slow
def test_every_public_function_is_called() -> None:
    public = dict(room_functions.public())
    assert public.keys() <= {*room_functions.CALLS, *room_functions.ELSEWHERE}
    assert public.keys() >= room_functions.ELSEWHERE.keys()
    unmarked = {name for name, function in public.items() if not is_marked(function)}
    handed_on = {
        "formula",
        "opaque",
        "record",
        "stop_gradient",
        "stored",
        "survey",
        "estimators.on_device.differentiate",
    }
    assert unmarked == {f"refgrad.{name}" for name in handed_on} <= room_functions.ELSEWHERE.keys()


@pytest.mark.slow
def test_every_public_function_has_a_gate() -> None:
    """Its arguments are refused by name, and it is called at random with others; so are those of schedules, by their names."""
    public = dict(room_functions.public())
    gated = {name for name, function in public.items() if room_functions.gate_of(function) is not None}
    schedules = {name for name in public if name.startswith("refgrad.schedules.")}
    assert {name.rpartition(".")[2] for name in schedules} == SCHEDULES.keys()
    assert public.keys() == gated | schedules | {"refgrad.sets"} | room_functions.ELSEWHERE.keys()
    assert room_functions.ARGUMENTS.keys() == gated | {"refgrad.quantizers.PercentileClipping.__call__"}


def test_functions_in_a_cache_and_functions_that_docs_name_are_public() -> None:
    cached = functools.cache(lambda x: x)
    assert [room_functions.is_function(each) for each in (cached, len, int, np.sin, judge)] == [
        True,
        False,
        False,
        False,
        False,
    ]
    assert {f"refgrad.quantizers.tables.{name}" for name in ("dynamic", "linear", "quantile")} <= {
        name for name, _ in room_functions.documented()
    }


def test_what_a_rule_alone_has_is_guarded_too() -> None:
    own = [
        f"{name}.{method}"
        for name, cls in rules().items()
        for method, function in vars(cls).items()
        if inspect.isfunction(function) and not method.startswith("_") and not is_marked(function)
        if not any(hasattr(base, method) for base in cls.__bases__)
    ]
    assert own == []


def test_a_call_that_depends_on_the_environment_is_seen() -> None:
    little = np.float32([2e-38])
    assert differing(lambda: lambda: little * np.float32(0.1))[0].startswith(f"{EVERY[0]}: ")
    assert differing(lambda: make_standard) == [f"{each} became ()" for each in EVERY]
    assert differing(lambda: lambda: SGD(lr=0.5).step(little, little, SGD().init(little))) == []
