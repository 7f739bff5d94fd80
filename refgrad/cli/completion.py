"""What a shell offers for the word that is being typed: nothing of a rule is imported for it.

Click makes the scripts: ``eval "$(_REFGRAD_COMPLETE=bash_source refgrad)"`` (or ``zsh_source``, ``fish_source``).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

#: the packages that hold the rules, as `refgrad.rule.ROOMS` has them
ROOMS = ("optimizers", "quantizers", "estimators", "sparsity", "gradients")
#: what they export besides rules
OTHERS = frozenset({"Estimator", "Optimizer", "PercentileClipping", "Quantized", "Quantizer"})


def rule_names() -> list[str]:
    """The names of refgrad's own rules, as their packages' texts list them: importing them all takes a second."""
    found: list[str] = []
    for room in ROOMS:
        text = (Path(__file__).parents[1] / room / "__init__.py").read_text("utf-8")
        exported = text.partition("__all__ = [")[2].partition("]")[0]
        found += re.findall(r'"([A-Z]\w*)"', exported)
    return sorted(set(found) - OTHERS)


def complete_rule(ctx: Any, param: Any, incomplete: str) -> list[CompletionItem]:
    """Rules whose names begin as the word does, whatever its capitals."""
    from click.shell_completion import CompletionItem

    from refgrad.installed_rules import names

    begun = incomplete.casefold()
    return [CompletionItem(name) for name in [*rule_names(), *names()] if name.casefold().startswith(begun)]
