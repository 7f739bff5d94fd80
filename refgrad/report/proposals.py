"""Which rule a target may claim to be, by its name alone: what is said where none is named."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType

from refgrad.rule import rules
from refgrad.surveys.implementations import known

#: how many rules are proposed at most
MOST = 3
#: what people call what has another name here
CALLED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "int8": ("Affine", "Blockwise"),
        "int4": ("Affine", "Q4_0"),
        "fp8": ("ScaledFloat", "Cast"),
        "quant": ("Affine", "Blockwise", "Cast"),
        "prune": ("Magnitude",),
        "2of4": ("NOfM",),
        "clip": ("ClipByGlobalNorm", "ClipByNorm"),
    }
)


def proposals(target: str) -> list[str]:
    """Names of rules that a target may be, the likeliest first.

    Args:
        target: ``package.module:name`` or ``path/to/file.py:name``; nothing of it is imported.

    Returns:
        At most `MOST` names: what the survey judges this very target as, then rules whose names are in the target's, the
        longest first, then what people call so, then rules of nearly its name.

    >>> proposals("torch.optim:AdamW")[0], proposals("mine.py:fused_adamw_kernel")[0], proposals("int8.py:quantize")[0]
    ('AdamW', 'AdamW', 'Affine')
    >>> proposals("a:b")
    []
    """
    surveyed = [type(row.claim).__name__ for row in known() if row.target == target]
    name = _plain(target.rpartition(":")[2])
    plain = {_plain(rule): rule for rule in rules()}
    within = sorted((p for p in plain if len(p) > 2 and p in name), key=len, reverse=True)
    called = [rule for word, found in CALLED.items() if word in _plain(target.rpartition("/")[2]) for rule in found]
    near = get_close_matches(name, plain, MOST, 0.75)
    return list(dict.fromkeys([*surveyed, *(plain[p] for p in within), *called, *(plain[p] for p in near)]))[:MOST]


def _plain(name: str) -> str:
    return name.replace("_", "").casefold()


def advice(target: str) -> str:
    """What to write where a target is judged and no rule is named."""
    found = proposals(target)
    named = f"legal: --as RULE; by its name it may be --as {' or --as '.join(found)}" if found else "legal: --as RULE"
    kinds = {rules()[name].kind for name in found}
    # an optimizer is what is tried where nothing is said
    kind = f" --kind {kinds.pop()}" if len(kinds) == 1 and kinds != {"optimizer"} else ""
    return f"{named}; `refgrad list` has all rules, and `refgrad identify {target}{kind}` finds out what it is"
