"""What a program is told by name of a rule: how the rule is called, and the arrays and settings that the program may take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from refgrad.errors import nearest
from refgrad.optimizers.transform import named_results
from refgrad.rule import Rule, qualified_name, short_name


def _settings(rule: Rule) -> list[str]:
    """The hyperparameters that are no rules."""
    return [n for n, value in rule.hyperparameters().items() if not isinstance(value, Rule)]


def _inside(rule: Rule) -> list[str]:
    """The numbers of the rules that a rule has within, as ``inner_lr``."""
    return [n for n in rule.numbers() if n not in rule.hyperparameters()]


def _of_optimizer(rule: Any) -> list[str]:
    return ["p", "g", *rule.inputs(), *rule.slots(), "t", *_settings(rule), *_inside(rule)]


def _of_quantizer(rule: Any) -> list[str]:
    tried = rule.besides(np.zeros((2, 2), np.float32), np.random.default_rng(0))
    return ["x", *tried, *rule.parts, *_settings(rule)]


def _of_arrays(rule: Any) -> list[str]:
    return [*(n for n in rule.takes() if n not in getattr(rule, "chosen", ())), *_settings(rule)]


def _of_transform(rule: Any) -> list[str]:
    numbers = [n for n in _settings(rule) if not isinstance(getattr(rule, n), str)]
    return [*rule.shapes, *numbers, *_inside(rule)]


#: the kinds of rules that programs are asked to be, each with what of a rule a program may be handed; a formula is a transform
KINDS: Mapping[str, Callable[[Any], list[str]]] = {
    "optimizer": _of_optimizer,
    "quantizer": _of_quantizer,
    "estimator": _of_arrays,
    "mask": _of_arrays,
    "transform": _of_transform,
}


def takeable(rule: Rule) -> list[str]:
    """The names of what a program may be handed.

    Args:
        rule: what it claims to be.

    >>> from refgrad.estimators import ClippedSTE
    >>> takeable(ClippedSTE())[:3]
    ['x', 'cotangent', 'sign_at_zero']
    """
    return list(dict.fromkeys(KINDS[rule.kind](rule)))


def _gives_optimizer(rule: Any, takes: Sequence[str]) -> tuple[list[str], list[str]]:
    own = ["p", *(n for n in rule.slots() if n in takes)]
    return own, own


def _gives_quantizer(rule: Any, takes: Sequence[str]) -> tuple[list[str], list[str]]:
    return [rule.parts[-1]], [*(n for n in rule.parts if n not in takes), "y"]


def _gives_estimator(rule: Any, takes: Sequence[str]) -> tuple[list[str], list[str]]:
    return ["x_grad"], [*rule.results()]


def _gives_mask(rule: Any, takes: Sequence[str]) -> tuple[list[str], list[str]]:
    return ["mask"], ["mask", "scores"]


def _gives_transform(rule: Any, takes: Sequence[str]) -> tuple[list[str], list[str]]:
    names = result_names(rule)
    return names, names


def result_names(rule: Any) -> list[str]:
    """What the results of a transform are called, if there are several or its body names them; of one result none.

    Args:
        rule: a transform or a formula, whose body is run on arrays that are drawn for it.

    >>> import refgrad
    >>> @refgrad.formula(x="n")
    ... def doubled_and_halved(x):
    ...     return x * 2.0, x * 0.5
    >>> result_names(doubled_and_halved())
    ['result[0]', 'result[1]']
    """
    arrays = rule.drawn(rule.lengths, np.random.Generator(np.random.Philox(0)))
    try:
        with np.errstate(all="ignore"):
            names = list(named_results(rule.sketched(*arrays.values())))
    except Exception:  # whatever a body of the user's does is said where cases are made for it
        return []
    return names if len(names) > 1 else []


#: kinds of rules with what a program gives that takes some names: what it has to give, and all that it may
GIVES: Mapping[str, Callable[[Any, Sequence[str]], tuple[list[str], list[str]]]] = {
    "optimizer": _gives_optimizer,
    "quantizer": _gives_quantizer,
    "estimator": _gives_estimator,
    "mask": _gives_mask,
    "transform": _gives_transform,
}


def wrong_names(rule: Rule, takes: Sequence[str], gives: Sequence[str]) -> str:
    """What is wrong with the names of what a program takes and gives, and what is legal; empty if nothing is.

    Args:
        rule: what it claims to be.
        takes, gives: what it says.

    >>> from refgrad.optimizers import SignDescent
    >>> wrong_names(SignDescent(), ["p", "g", "lr"], ["p", "m"])
    "gives 'm', which is nothing that SignDescent() gives; legal: p"
    """
    return _wrong_in(rule, takes) or _wrong_out(rule, takes, gives)


def _wrong_in(rule: Rule, takes: Sequence[str]) -> str:
    legal = takeable(rule)
    needed = {"optimizer": ["p", "g"], "transform": []}.get(rule.kind, [rule.primary])
    for name in takes:
        if name not in legal:
            return f"takes {name!r}, which {rule} does not have{nearest(name, legal)}; legal: {', '.join(legal)}"
    for name in needed:
        if name not in takes:
            more = ", ".join(n for n in legal if n not in needed)
            return f"takes no {name!r}; legal: {', '.join(needed)}, and any of {more}"
    return ""


def _wrong_out(rule: Rule, takes: Sequence[str], gives: Sequence[str]) -> str:
    needed, legal = GIVES[rule.kind](rule, takes)
    if not legal:
        return "" if len(gives) == 1 else f"gives {', '.join(gives)}; legal: one name, since {rule} has one result"
    for name in gives:
        if name not in legal:
            return f"gives {name!r}, which is nothing that {rule} gives{_unless(name, rule, takes)}; legal: {', '.join(legal)}"
    missing = next((name for name in needed if name not in gives), "")
    return f"gives no {missing!r}; legal: {', '.join(needed)}" if missing else ""


def _unless(name: str, rule: Rule, takes: Sequence[str]) -> str:
    """What is given where it is taken too."""
    return f" to who does not take {name}" if rule.kind == "optimizer" and name in rule.slots() else ""


def names_of(cls: type[Rule]) -> list[str]:
    """The names that a program may have for a rule: the one that it is asked by first.

    Args:
        cls: the rule.

    >>> from refgrad.optimizers import AdamW
    >>> names_of(AdamW)
    ['AdamW', 'refgrad.optimizers:AdamW']
    """
    return list(dict.fromkeys([short_name(cls), cls.__name__, cls.__qualname__, qualified_name(cls)]))
