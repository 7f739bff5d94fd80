"""Another setting of a rule: a fault in what 0, 1 or infinity hides shows there."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from typing import TypeVar

from refgrad.errors import ArgumentError
from refgrad.rule import Range, Rule, Whole

Given = TypeVar("Given", bound=Rule)

#: what a number becomes, the first that is legal: so many times what it is, or one of these
FACTOR, NUMBERS = 0.37, (0.37, 1.7, 2.3, -0.37, 37.0)
#: small numbers beside a root or a norm, so large that they are seen
EPS = (1e-3, 1e-4, 1e-2)
#: a rate below the one becomes so many times what it is: what is done with its square is lost in rounding
SMALL_RATE, RATE = 0.01, 37.0
#: what rates are called, and the largest that they reach
RATE_NAME, PEAK = "lr", "peak_lr"
#: scales are powers of two: what is divided by them is not rounded, and ties stay ties
SCALES = (0.25, 4.0, 0.5)
#: numbers of steps
COUNTS = (3.0, 2.0)
#: whole numbers that select no behaviour, and what numbers of bits become
NO_BEHAVIOURS, BITS = frozenset({"seed"}), (4, 8, 3)
#: what whole numbers of steps are called, from one to the next of something
STEPS = frozenset({"interval", "period", "every"})


def neutral(value: float) -> bool:
    """True if a number hides what is done with it: 0, 1, or infinite."""
    return value in (0.0, 1.0) or math.isinf(value)


def other_setting(rule: Given, names: Iterable[str], eps: bool = False) -> Given | None:
    """The rule with other numbers, none of them 0 or 1; None if none of them can be changed.

    Args:
        rule: the rule.
        names: of the hyperparameters that are changed, of those that the rule reads.
        eps: whether small numbers beside a root or a norm are changed too, if all that the rule has are named.

    >>> from refgrad.optimizers import SGD
    >>> print(other_setting(SGD(lr=0.1), ["lr", "momentum", "weight_decay"]))
    SGD(lr=0.037, momentum=0.37, weight_decay=0.37)
    """
    changed, found, names = rule, False, set(names)
    eps = eps and {n for n in rule.reads() if n.startswith("eps") and rule.numbers()[n]} <= names
    for name in sorted(names):
        for value in _others(changed, name, eps):
            try:
                changed, found = changed.replace(**{name: value}), True
                break
            except ArgumentError:
                continue
    return changed if found else None


def _others(rule: Rule, name: str, eps: bool) -> Iterator[float]:
    """Legal numbers that one may become, the best first; of small numbers beside a root or a norm all the same.

    They hide nothing, and packages have one eps where another has two.
    """
    try:
        legal, value = rule.range_of(name), rule.numbers().get(name)
    except KeyError:
        return
    if not isinstance(legal, Range) or not isinstance(value, float):
        return
    name = _called_by_its_own(rule, name)
    if name.startswith("eps") and value and not eps:
        return
    tried: tuple[float, ...] = EPS if name.startswith("eps") else COUNTS if _counts(name, value, legal) else ()
    tried = SCALES if name.endswith("scale") else tried
    factor = RATE if name == RATE_NAME and abs(value) < SMALL_RATE else FACTOR
    tried = tried or (((value * factor,) if not neutral(value) else ()) + NUMBERS)
    if legal.whole:  # where no other number has a meaning
        tried = tuple(float(round(x)) for x in tried)
    yield from (x for x in tried if x in legal and x != value and not (legal.whole and neutral(x)))


def _called_by_its_own(rule: Rule, name: str) -> str:
    """What the rule that has a number calls it: ``lr`` of ``inner_lr``."""
    for field, inner in rule.inner_rules().items():
        if name not in rule.legal() and name.startswith(f"{field}_"):
            return _called_by_its_own(inner, name.removeprefix(f"{field}_"))
    return name


def _counts(name: str, value: float, legal: Range) -> bool:
    """True if a number is one of steps: by its name, or because it is whole and may not be less than one."""
    if legal.low == 1.0 and not legal.open_low and value.is_integer():
        return True
    return any(part in ("steps", "interval", "period", "every", "warmup") for part in name.split("_"))


def settable(rule: Rule, named: Collection[str]) -> frozenset[str]:
    """The names of the numbers of which a candidate is made with others.

    A rate is none of them where the candidate is not told its peak: it may take the rate that it is made with for that.

    Args:
        rule: the rule.
        named: the hyperparameters that the candidate takes by name.

    >>> from refgrad.optimizers import AdamW
    >>> sorted(settable(AdamW(decay="corrected"), ["lr", "eps"]))
    ['eps']
    """
    found = rule.uses() & set(named)
    return found - {RATE_NAME} if PEAK in rule.reads() - found else found


def other_settings(rule: Given, names: Iterable[str], beyond: Iterable[str] = ()) -> list[Given]:
    """The rule with other numbers, then those that leave one of them as it is: some numbers exclude others.

    Args:
        rule: the rule.
        names: of the hyperparameters that are changed.
        beyond: of those that are changed too where they are steps from one to the next of something that is done at each.
    """
    other = other_setting(rule, names, eps=True)
    other = _rarely(rule if other is None else other, beyond) or other
    if other is None:
        return []
    numbers = rule.numbers()
    changed = {n: numbers[n] for n in sorted(set(names)) if n in numbers and numbers[n] != other.numbers()[n]}
    alone = [_with(other, name, value) for name, value in changed.items()] if len(changed) > 1 else []
    return [other, *(each for each in alone if each is not None)]


def whole_settings(rule: Given, names: Iterable[str]) -> list[Given]:
    """The rule with another whole number that selects a behaviour, for each that it has: bits, the size of a block, rounds.

    Args:
        rule: the rule.
        names: of the hyperparameters that may be changed.

    >>> from refgrad.quantizers import NF4
    >>> [each.block_size for each in whole_settings(NF4(), ["block_size"])]
    [32]
    """
    legal = rule.legal()
    left = NO_BEHAVIOURS.union(every_step(rule, names))  # which `other_settings` change
    wholes = [n for n in sorted(set(names) - left) if isinstance(legal.get(n), Whole)]
    found = (
        (each for x in _other_wholes(n, getattr(rule, n)) if (each := _with(rule, n, x)) is not None) for n in wholes
    )
    return [first for each in found if (first := next(each, None)) is not None]


def _other_wholes(name: str, value: int) -> Iterator[int]:
    """Whole numbers that one may become, the best first: of bits those that programs have."""
    tried = BITS if name.endswith("bits") else (value // 2 if value > 3 else value + 1, value + 1, value - 1)
    yield from (x for x in tried if x != value and x > 0)


def every_step(rule: Rule, names: Iterable[str]) -> list[str]:
    """The names of steps from one to the next of something that the rule, as it is set, does at each.

    >>> from refgrad.optimizers import Shampoo
    >>> every_step(Shampoo(), ["lr", "interval"])
    ['interval']
    """
    legal = rule.legal()
    return [n for n in sorted(set(names)) if isinstance(legal.get(n), Whole) and n in STEPS and getattr(rule, n) == 1]


def _rarely(rule: Given, names: Iterable[str]) -> Given | None:
    """The rule that does at every third step, or second, what it does at each; None if it has nothing of the kind."""
    changed = rule
    for name in every_step(rule, names):
        for count in COUNTS:
            other = _with(changed, name, int(count))
            if other is not None:
                changed = other
                break
    return changed if changed != rule else None


def _with(rule: Given, name: str, value: float | int) -> Given | None:
    try:
        return rule.replace(**{name: value})
    except ArgumentError:
        return None
