"""Which rule a target may claim to be, by its name alone: what is said where none is named."""

from __future__ import annotations

from difflib import get_close_matches

from refgrad.rule import rules
from refgrad.surveys.implementations import known

#: how many rules are proposed at most
MOST = 3


def proposals(target: str) -> list[str]:
    """Names of rules that a target may be, the likeliest first.

    Args:
        target: ``package.module:name`` or ``path/to/file.py:name``; nothing of it is imported.

    Returns:
        At most `MOST` names: what the survey judges this very target as, then rules whose names are in the target's, the
        longest first, then rules of nearly its name.

    >>> proposals("torch.optim:AdamW")[0], proposals("mine.py:fused_adamw_kernel")[0], proposals("a:b")
    ('AdamW', 'AdamW', [])
    """
    surveyed = [type(row.claim).__name__ for row in known() if row.target == target]
    name = _plain(target.rpartition(":")[2])
    plain = {_plain(rule): rule for rule in rules()}
    within = sorted((p for p in plain if len(p) > 2 and p in name), key=len, reverse=True)
    near = get_close_matches(name, plain, MOST, 0.75)
    return list(dict.fromkeys([*surveyed, *(plain[p] for p in [*within, *near])]))[:MOST]


def _plain(name: str) -> str:
    return name.replace("_", "").casefold()


def advice(target: str) -> str:
    """What to write where a target is judged and no rule is named."""
    found = proposals(target)
    named = f"legal: --as RULE, by its name perhaps --as {' or --as '.join(found)}" if found else "legal: --as RULE"
    return f"{named}; `refgrad list` has all rules, and `refgrad identify {target}` finds out what it is"
