"""A field of the rule that another one wraps is honoured, or refused with what to do; none is ignored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from refgrad import optimizers as o
from refgrad.errors import ArgumentError
from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.wrapper import Wrapper
from refgrad.quantizers import EightBit
from refgrad.rule import Choice, Flag, Range, Whole, rules
from tests.optimizers.made_up import extras

WRAPPERS = {name: cls for name, cls in rules(Optimizer).items() if issubclass(cls, Wrapper)}
INNER = {name: cls for name, cls in rules(Optimizer).items() if not issubclass(cls, Wrapper)}
#: what else a wrapper is given, so that small steps are not rounded away
TOLD = {o.Stored: {"parameter": "float32"}}
F = np.float32


def bits(rule: Any) -> list[bytes]:
    """Parameters and state after each of some steps."""
    random = np.random.default_rng(4)
    p = random.uniform(1, 2, (3, 4)).astype(F)
    state, found = rule.init(p), []
    for _ in range(6):
        g = random.standard_normal(p.shape).astype(F) / F(8)
        p, state = rule.step(p, g, state, backend="numpy", **extras(rule, g))
        found.append(b"".join(np.asarray(x).tobytes() for x in (p, *state.values())))
    return found


def changed(rule: Any) -> Iterator[tuple[str, Any]]:
    """Each field with another legal value; an array of behaviours gives each of them."""
    for name, legal in rule.legal().items():
        now = getattr(rule, name)
        others: list[Any] = []
        if isinstance(legal, Choice):
            others = [value for value in legal.sentences if value != now]
        elif isinstance(legal, Flag):
            others = [not now]
        elif isinstance(legal, Whole):
            others = [now + 1]
        elif isinstance(legal, Range):
            tried = (0.75 * now + 0.0625, 2.0 * now, 0.5 * now, -0.5, now + 1.0)  # the last where numbers are whole
            others = [next(value for value in tried if value in legal and value != now)]
        for value in others:
            yield name, value


def built(make: Any) -> Any:
    """A rule; None if it is refused."""
    try:
        return make()
    except ArgumentError:
        return None


def ignored(wrapper: type[Wrapper], inner: Any) -> list[str]:
    """The fields of the inner rule that change it, and not what is around it."""
    told = TOLD.get(wrapper, {})
    around, alone = built(lambda: wrapper(inner=inner, **told)), bits(inner)
    found = []
    for name, value in changed(inner):
        other = built(lambda name=name, value=value: inner.replace(**{name: value}))
        if around is None or other is None or bits(other) == alone:
            continue
        wrapped = built(lambda other=other: wrapper(inner=other, **told))
        if wrapped is not None and bits(wrapped) == bits(around):
            found.append(f"{wrapper.__name__}(inner={other})")
    return found


@pytest.mark.sample(suite=16)
@pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS)
@pytest.mark.parametrize("inner", [o.AdamW(eps=0.01), o.SGD(momentum=0.5), o.RAdam()], ids=str)
def test_no_field_of_an_inner_rule_is_ignored_by_any_wrapper(wrapper: type[Wrapper], inner: Any) -> None:
    assert ignored(wrapper, inner) == []


@pytest.mark.sample(quick=3, suite=24)
@pytest.mark.parametrize("name", INNER)
def test_no_field_of_any_rule_is_ignored_by_a_wrapper(name: str) -> None:
    assert ignored(o.Lookahead, INNER[name]()) == []


@pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS)
def test_the_precision_of_scalars_is_said_of_the_wrapper(wrapper: type[Wrapper]) -> None:
    with pytest.raises(ArgumentError, match=rf"{wrapper.__name__}\.inner is .*say so of {wrapper.__name__}"):
        wrapper(inner=o.AdamW(scalars="float32"))
    both = wrapper(inner=o.AdamW(scalars="float32"), scalars="float32")
    assert bits(both) == bits(wrapper(inner=o.AdamW(), scalars="float32"))


def test_a_transform_has_plain_numbers() -> None:
    with pytest.raises(ArgumentError, match="scalars='float64'"):
        o.GradientBefore(of=o.ClipByNorm(scalars="float32"))


#: what an 8-bit optimizer is made of
PARTS = {"rule": o.Adam(), "signed": EightBit().signed, "unsigned": EightBit().unsigned}


def in_eight_bits(rule: EightBit) -> bytes:
    """The parameter after three steps with a state of two blocks."""
    random = np.random.default_rng(6)
    p = random.standard_normal(4096).astype(F)
    state = rule.init(p)
    for _ in range(3):
        p, state = rule.step(p, random.standard_normal(4096).astype(F), state)
    return bytes(p.tobytes())


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize("part", PARTS)
def test_no_field_of_what_an_eight_bit_optimizer_is_made_of_is_ignored(part: str) -> None:
    x = np.abs(np.random.default_rng(7).standard_normal(4096)).astype(F)
    look = bits if part == "rule" else lambda rule: [rule.round_trip(x).tobytes()]
    around, ignored = in_eight_bits(EightBit(min_8bit_size=1)), []
    for name, value in changed(PARTS[part]):
        other = built(lambda name=name, value=value: PARTS[part].replace(**{name: value}))
        if other is None or look(other) == look(PARTS[part]):
            continue
        made = built(lambda other=other: EightBit(min_8bit_size=1, **{part: other}))
        if made is not None and in_eight_bits(made) == around:
            ignored.append(f"{part}={other}")
    assert ignored == []
