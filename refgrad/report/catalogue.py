"""A rule on one page: where it comes from, its formula, state and hyperparameters, and the variants that it knows."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from refgrad.arithmetic import formula
from refgrad.axes import ELEMENT, described
from refgrad.citation import Source
from refgrad.estimators.base import Estimator, Parameter
from refgrad.optimizers import elsewhere
from refgrad.optimizers.base import Optimizer
from refgrad.rule import Choice, Flag, Rule, Slot, qualified_name
from refgrad.surveys.implementations import known

#: distributions whose names of a rule are told
FRAMEWORKS = ("torch", "optax", "keras")

#: a shape with rows, so that rules which treat matrices and vectors differently show their general form
SHAPE = (4, 4)


def page(rule: Rule, step: int) -> str:
    """All that is known of a rule; of an optimizer also its state, and its update as it runs at a step from 1."""
    source = [str(rule.citation), rule.citation.provenance()]
    parts = [(str(rule), [*source, "", *inspect.cleandoc(type(rule).__doc__ or "").splitlines()])]
    if isinstance(rule, Optimizer):
        parts.append((f"Update at step {step}", update(rule, step)))
        parts.append(("State", _columns([(name, _slot(slot)) for name, slot in rule.slots().items()]) or ["none"]))
        if rule.inputs():
            parts.append(("Extra inputs", _columns([(n, extra.facts.sentence) for n, extra in rule.inputs().items()])))
    if isinstance(rule, Estimator):
        parts.append(("Value and gradients", update(rule, step)))
        parts.append(("Parameters", _columns(_parameters(rule)) or ["none"]))
    parts += [
        ("Hyperparameters", _columns([(n, _shown(getattr(rule, n)), text) for n, text in _legal_texts(rule)])),
        ("Named behaviours", _columns(behaviours(rule)) or ["none"]),
        ("Variants", _columns(variants(rule)) or ["none"]),
    ]
    if rule.unspecified:
        parts.append(("Not said by the source, or said otherwise", [rule.citation.told(rule.unspecified)]))
    others = [*elsewhere.sentences(type(rule).__name__), *itself_elsewhere(type(rule))]
    if others:
        parts.insert(1, ("Elsewhere", others))
    if rule.default_reasons:
        parts.append(("Defaults that are not the publication's", _columns(list(rule.default_reasons.items()))))
    return "\n\n".join("\n".join([title, *(f"  {line}".rstrip() for line in lines)]) for title, lines in parts)


def itself_elsewhere(cls: type[Rule]) -> list[str]:
    """What torch, optax and Keras call a rule that is its default there, one line each, with what the survey grants it.

    >>> from refgrad.optimizers import AdamW
    >>> itself_elsewhere(AdamW)
    ['torch.optim.AdamW is AdamW()', "optax.adamw is AdamW(scalars='float32'), with subnormals=either"]
    """
    told = {name.partition("(")[0] for name in elsewhere.ELSEWHERE.get(cls.__name__, {})}
    lines: dict[str, str] = {}
    for row in known():
        name = row.target.replace(":", ".")
        if (
            type(row.claim) is cls
            and row.package in FRAMEWORKS
            and not row.variant
            and row.explained
            and name not in told
        ):
            changes = {"scalars": row.scalars} if row.scalars != row.claim.scalars else {}
            granted = "".join(f", with {field}={value}" for field, value in row.policy.items())
            lines.setdefault(name, f"{name} is {elsewhere.written(cls.__name__, changes)}{granted}")
    return list(lines.values())


def record(rule: Rule) -> dict[str, Any]:
    """What `page` says of a rule's sources, as JSON has it.

    Args:
        rule: an instance.

    Returns:
        Its name and kind, the citation with what was read, and for each named behaviour its values with sentence and sources.
    """
    behaviours: dict[str, Any] = {}
    for name, legal in rule.legal().items():
        if isinstance(legal, Choice):
            behaviours[name] = {v: _told(a.sentence, a.sources) for v, a in legal.alternatives.items()}
        elif isinstance(legal, Flag):
            behaviours[name] = {"true": _told(legal.alternative.sentence, legal.alternative.sources)}
    return {
        "rule": str(rule),
        "name": qualified_name(type(rule)),
        "kind": rule.kind,
        "citation": rule.citation.to_dict(),
        "unspecified": rule.citation.told(rule.unspecified),
        "behaviours": behaviours,
        "default_reasons": dict(rule.default_reasons),
    }


def _told(sentence: str, sources: Sequence[Source]) -> dict[str, Any]:
    return {"sentence": sentence, "sources": [source.to_dict() for source in sources]}


def _parameters(rule: Estimator) -> list[tuple[str, ...]]:
    """Each parameter with its axes, its legal numbers, and whether it is learned."""
    axes = rule.parameter_axes()
    given = [
        (n, p, described(axes[n]) if axes[n] != ELEMENT else "an array like x") for n, p in rule.parameters.items()
    ]
    what = dict.fromkeys(rule.chosen, "a choice, which is made, and read off a candidate's results")
    listed: list[tuple[str, ...]] = [(n, f"{shape} in {p.legal}", what.get(n, _role(p))) for n, p, shape in given]
    return listed + [(n, "an array of its own shape", "given; choices depend on it") for n in rule.tables]


def _role(parameter: Parameter) -> str:
    return "learned" if parameter.learned else "given, such as noise"


def update(rule: Optimizer | Estimator, step: int) -> list[str]:
    """The update as formulas, and the conditions on ``t`` under which they hold."""
    return formula.guarded_lines(rule.plan(SHAPE, step))


def _legal_texts(rule: Rule) -> list[tuple[str, str]]:
    """What is legal of each hyperparameter; and of a number that it is not read under the rule's named behaviours."""
    unread = rule.numbers().keys() - rule.reads()
    return [
        (n, f"{legal}; not read at these settings" if n in unread else str(legal)) for n, legal in rule.legal().items()
    ]


def behaviours(rule: Rule) -> list[tuple[str, str]]:
    """The named behaviours that a rule has, as (``field=value``, sentence)."""
    found = []
    for name, legal in rule.legal().items():
        value = getattr(rule, name)
        if isinstance(legal, Choice):
            found.append((f"{name}={value}", legal.sentences[value]))
        elif isinstance(legal, Flag):
            found.append((f"{name}={_shown(value)}", legal.said(value)))
    return found


def variants(rule: Rule) -> list[tuple[str, str]]:
    """Each hyperparameter's other named behaviours, as (``field=value``, sentence)."""
    found = []
    for name, legal in rule.legal().items():
        if isinstance(legal, Choice):
            found += [(f"{name}={v}", s) for v, s in legal.sentences.items() if v != getattr(rule, name)]
        elif isinstance(legal, Flag):
            value = not getattr(rule, name)
            found.append((f"{name}={_shown(value)}", legal.said(value)))
    return found


def _slot(slot: Slot) -> str:
    shape = "an array like the parameter" if slot.axes == ELEMENT else slot.described()
    fill = slot.fill if isinstance(slot.fill, str) else f"{slot.fill:g}"
    return f"{'one float64 number a parameter' if slot.scalar else shape}, {fill} at first"


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows set under each other, all columns but the last padded."""
    if not rows:
        return []
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    return ["  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]) for row in rows]
