"""Rules whose terms all show: what is zero by default is switched on, so that there is something to be wrong."""

from __future__ import annotations

from refgrad.optimizers.base import Optimizer
from refgrad.rule import Range

#: the hyperparameters that mutants need, where a rule has them
DECAYS = {"weight_decay": 0.1, "momentum": 0.9, "lr_decay": 0.1}


def exercised(rule: Optimizer) -> Optimizer:
    """The rule with every hyperparameter set that is zero and may be a tenth: decay, momentum and the like.

    A memory is short: more of the same takes longer and shows no more.

    >>> from refgrad.optimizers import Lion
    >>> str(exercised(Lion()))
    'Lion(weight_decay=0.1)'
    """
    if "history" in rule.legal():
        rule = rule.replace(history=2)
    zeros = [n for n, value in rule.numbers().items() if value == 0.0]
    return rule.replace(**{n: 0.1 for n in zeros if isinstance(r := rule.legal().get(n), Range) and 0.1 in r})


def with_decays(cls: type[Optimizer]) -> Optimizer:
    """A rule with its decays and momentum switched on, so that there is something to mutate."""
    legal = cls.legal()
    return cls().replace(**{n: v for n, v in DECAYS.items() if isinstance(legal.get(n), Range)})
