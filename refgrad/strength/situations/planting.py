"""The faults planted into a rule: a fixed number of each situation's list, drawn by seed."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from refgrad.arithmetic.dtypes import as_dtype
from refgrad.kinds.table import kind_of
from refgrad.rule import Rule, short_name
from refgrad.strength.situations import run_faults, setting_faults, shape_faults, value_faults
from refgrad.strength.situations.fault import SITUATIONS, Fault
from refgrad.strength.situations.stateless_program import Program, right
from refgrad.strength.situations.stepped_program import SteppedProgram

#: how many faults of a situation are planted into a rule at most
MOST: Mapping[str, int] = {
    "shape": 3,
    "claim": 2,
    "default": 2,
    "part": 2,
    "call": 3,
    "leaf": 3,
    "value": 3,
    "time": 2,
}
STEPPED = ("optimizer", "8-bit-optimizer")


def planted(rule: Rule, seed: int = 0) -> list[Fault]:
    """The faults that are planted into a rule.

    Of each situation's list at most `MOST` are drawn at random, from the seed and the rule's name, first one of each kind: which
    they are depends on nothing that was seen of a run.

    Args:
        rule: a rule with its defaults.
        seed: of the lots.

    >>> from refgrad.optimizers import Lion
    >>> sorted({fault.situation for fault in planted(Lion())})[:3]
    ['call', 'claim', 'default']
    """
    found = []
    for number, situation in enumerate(SITUATIONS):
        every = [fault for fault in _faults(rule) if fault.situation == situation]
        random = np.random.Generator(np.random.Philox([seed, number, zlib.crc32(short_name(type(rule)).encode())]))
        lots = random.permutation(len(every))
        drawn = sorted(lots, key=lambda i, e=every, o=list(lots): (_repeated(e, o, i), o.index(i)))  # type: ignore[misc]
        found += [every[i] for i in sorted(drawn[: MOST[situation]])]
    return found


def _repeated(every: list[Fault], order: list[Any], i: int) -> int:
    """How many faults of the same kind were drawn before."""
    return sum(every[j].kind == every[i].kind for j in order[: order.index(i)])


def _faults(rule: Rule) -> Iterator[Fault]:
    own = outputs(rule)
    stepped = rule.kind in STEPPED
    scaling = rule.kind == "scaling"
    yield from () if scaling else shape_faults.faults(own, rule.kind in ("optimizer", "estimator"))
    # an optimizer in 8 bits is told the settings of the rule within it, as others are
    inner = rule.rule if rule.kind == "8-bit-optimizer" else rule  # type: ignore[attr-defined]
    if inner is rule:
        yield from setting_faults.claim_faults(rule)
        yield from setting_faults.default_faults(rule)
    yield from run_faults.part_faults(own)
    if stepped:
        yield from _of_steps(rule, own)
    else:
        yield from run_faults.stateless_call_faults(own)
    if not scaling:
        yield from value_faults.faults("g" if stepped else rule.primary, own, stepped)
    if not stepped and not scaling:
        yield from value_faults.decisions(lambda given: right(rule, given), rule.primary)
    if stepped or rule.kind == "mask-update":
        yield from run_faults.time_faults(inner)


def _of_steps(rule: Any, own: tuple[str, ...]) -> Iterator[Fault]:
    simple = rule.kind == "optimizer"
    alone = simple and rule.scope != "tree" and not any(slot.scalar for slot in rule.slots().values())
    yield from run_faults.call_faults(rule, own if simple else own[:1], alone and not rule.inner_rules())
    slots = simple and bool(rule.slots()) and rule.scope != "tree"
    groups = alone and setting_faults.other_setting(rule, rule.reads()) is not None
    yield from run_faults.leaf_faults(own, slots, groups)


def outputs(rule: Any) -> tuple[str, ...]:
    """The results of a rule by name: of an optimizer the parameter and its arrays of state."""
    if rule.kind == "8-bit-optimizer":
        return ("p",)
    if rule.kind == "optimizer":
        return ("p", *(n for n, slot in rule.slots().items() if not slot.scalar))
    kind = kind_of(rule)
    cases = kind.generate(rule, 1, as_dtype(rule.kept_in), 0)
    handed = getattr(kind, "handed", lambda _, arrays: arrays)(rule, cases.arrays[0])
    return tuple(itertools.islice(right(rule, handed), 16))


def program(rule: Any, fault: Fault | None) -> Any:
    """A candidate for `refgrad.verify`: the rule's own program, with a fault or without.

    Args:
        rule: the rule.
        fault: what is wrong; None for the right program.
    """
    if rule.kind in STEPPED:
        return SteppedProgram(fault, rule if rule.kind == "8-bit-optimizer" else None)
    return Program(rule.kind, fault).candidate()
