"""The gallery: every rule as a card that leads to its page, filtered by kind, package and words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from refgrad.estimators.base import Estimator
from refgrad.report.site.pictures import pictures
from refgrad.report.site.rule_page import state_of
from refgrad.rule import Rule

#: where rules' pages stand
FOLDER = "rule"
#: kinds in the order in which they stand, before all others
FIRST = ("optimizer", "quantizer", "estimator", "mask")

HEAD = """# Gallery

Every rule, with what it does where that can be drawn. {count} rules; a card leads to the rule's page, which has its formula,
state, hyperparameters, variants, sources, laws and implementations.

"""

FILTERS = """<div class="gallery-filters" role="search">
<label>Words <input type="search" name="words" placeholder="momentum" autocomplete="off"></label>
{chosen}<span role="status" aria-live="polite"></span>
</div>
"""


def filters(**choices: Iterable[str]) -> str:
    """A bar of filters, as HTML: words, and a choice for each name, whose values stand in ``data-NAME`` of what is filtered.

    Args:
        choices: the values of each, sorted here.
    """
    chosen = "".join(
        f'<label>{name.capitalize()} <select name="{name}"><option value="">all</option>'
        f"{''.join(f'<option>{escape(v)}</option>' for v in sorted(set(values), key=str.lower))}</select></label>\n"
        for name, values in choices.items()
    )
    return FILTERS.format(chosen=chosen)


def page(classes: Iterable[type[Rule]]) -> str:
    """The gallery in Markdown; rules' pages stand in no other table of contents, which would be as long beside every page.

    Args:
        classes: the rules.
    """
    states = [(state_of(cls()), cls) for cls in classes]
    kinds = sorted({state["kind"] for state, _ in states}, key=_place)
    packages = sorted({package for state, _ in states for package in state["packages"]})
    parts = [HEAD.format(count=len(states)), filters(kind=kinds, package=packages)]
    for kind in kinds:
        of_kind = [(state, cls) for state, cls in states if state["kind"] == kind]
        cards = "".join(card(state, cls()) for state, cls in of_kind)
        parts.append(f'\n## {title(kind)}\n\n<div class="gallery" data-group>{cards}</div>\n')
    return "".join(parts)


def _place(kind: str) -> tuple[int, str]:
    return FIRST.index(kind) if kind in FIRST else len(FIRST), kind


def title(kind: str) -> str:
    """What rules of a kind are called in a heading.

    >>> title("8-bit-optimizer"), title("mask-update")
    ('8-bit optimizers', 'Mask updates')
    """
    words = kind.replace("bit-", "bit ") if kind[:1].isdigit() else kind.replace("-", " ")
    return f"{words[:1].upper()}{words[1:]}s"


def card(state: Mapping[str, Any], rule: Rule) -> str:
    """A rule's card, as HTML on one line.

    Args:
        state: its entry, as `state_of` gives it.
        rule: an instance, for one of its pictures.
    """
    words = f"{state['name']} {state['summary']} {state['source']}".lower()
    # the values of many estimators are the same, and their gradients are what they are for
    drawn = next(iter(pictures(rule)[:: -1 if isinstance(rule, Estimator) else 1]), "")
    marks = f'data-words="{escape(words)}" data-kind="{escape(state["kind"])}"'
    marks += f' data-package="{escape("|".join(state["packages"]))}"'
    return (
        f'<a class="card" href="{FOLDER}/{state["name"]}.html" {marks}>{drawn}<strong>{escape(state["name"])}</strong>'
        f"<span>{escape(state['summary'].replace('`', ''))}</span></a>"
    )
