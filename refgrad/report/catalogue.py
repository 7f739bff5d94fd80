"""A rule on one page: where it comes from, its formula, state and hyperparameters, and the variants that it knows."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from refgrad.arithmetic import formula
from refgrad.axes import ELEMENT, described
from refgrad.candidates import mask_function, transform_arguments
from refgrad.candidates.estimator_arguments import ARGUMENTS
from refgrad.candidates.names import HYPERPARAMETERS, PACKED, SLOTS, Names
from refgrad.citation import Source
from refgrad.estimators.base import Estimator, Parameter
from refgrad.formulas import Formula
from refgrad.layout import WIDTH, columns, wrapped
from refgrad.optimizers import elsewhere
from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.transform import Transform
from refgrad.quantizers.base import Quantizer
from refgrad.rule import Choice, Flag, Range, Rule, Slot, Whole, qualified_name
from refgrad.sparsity.base import Mask
from refgrad.surveys.implementations import known

#: distributions whose names of a rule are told
FRAMEWORKS = ("torch", "optax", "keras")

#: what stands before a line under a title
INDENT = "  "
#: characters from which on a line of a docstring was full
FULL = 112

#: a shape with rows, so that rules which treat matrices and vectors differently show their general form
SHAPE = (4, 4)


def page(rule: Rule, step: int, width: int = WIDTH) -> str:
    """All that is known of a rule; of an optimizer also its state, and its update as it runs.

    Args:
        rule: an instance.
        step: the step from 1 whose update is shown, since some rules do something else every k steps.
        width: characters a line; only what has no spaces is longer.

    Returns:
        The text, under titles.
    """
    parts = _parts(rule, step, width - len(INDENT))
    return "\n\n".join("\n".join([title, *(f"{INDENT}{line}".rstrip() for line in lines)]) for title, lines in parts)


def _parts(rule: Rule, step: int, width: int) -> list[tuple[str, list[str]]]:
    """Titles, each with its lines."""
    listed, said = partial(_listed, width), partial(_said, width)
    cited = getattr(type(rule), "citation", None)
    source = ["a formula without a citation"] if cited is None else said([str(cited), cited.provenance()])
    parts = [(str(rule), [*source, "", *_prose(inspect.cleandoc(type(rule).__doc__ or ""), width)])]
    if isinstance(rule, Formula):
        parts.append(("Formula", rule.formula_lines()))
    if theirs := [*elsewhere_with_difference(rule), *itself_elsewhere(type(rule))]:
        parts.append(("Elsewhere", said(theirs)))
    parts += _computed(rule, step, width)
    parts += [(title, listed(rows)) for title, rows in arrays(rule)]
    parts.append(
        ("Hyperparameters", listed([(n, shown_value(getattr(rule, n)), text) for n, text in legal_texts(rule)], ()))
    )
    if others := other_names(rule):
        parts.append(("Other names that are understood", listed(others)))
    parts += [
        ("Named behaviours", listed(behaviours(rule))),
        ("Variants", listed(variants(rule))),
    ]
    if rule.unspecified:
        parts.append(("Not said by the source, or said otherwise", said([rule.citation.told(rule.unspecified)])))
    if rule.default_reasons:
        parts.append(("Defaults that are not the publication's", listed(list(rule.default_reasons.items()))))
    return parts


def _listed(width: int, rows: Sequence[tuple[str, ...]], nothing: Sequence[str] = ("none",)) -> list[str]:
    return columns(rows, width) or list(nothing)


def _said(width: int, texts: Iterable[str]) -> list[str]:
    return [line for text in texts for line in wrapped(text, width, rest=INDENT)]


def _computed(rule: Rule, step: int, width: int) -> Iterator[tuple[str, list[str]]]:
    """What an optimizer or an estimator computes, and from what."""
    if isinstance(rule, Optimizer):
        yield f"Update at step {step}", _said(width, update(rule, step))
        yield "State", _listed(width, [(name, slot_text(slot)) for name, slot in rule.slots().items()])
        if rule.inputs():
            yield "Extra inputs", _listed(width, [(n, extra.facts.sentence) for n, extra in rule.inputs().items()])
    if isinstance(rule, Estimator):
        yield "Value and gradients", _said(width, update(rule, step))
        yield "Parameters", _listed(width, parameters(rule))


def _prose(text: str, width: int) -> list[str]:
    """A docstring in lines of another width: a line that had no room for the next one's first word goes on in it."""
    lines: list[str] = []
    for line in text.splitlines():
        begun = bool(lines and lines[-1] and line) and not line.startswith(" ")
        if begun and len(lines[-1]) - lines[-1].rfind("\n") + len(line.split()[0]) > FULL:
            lines[-1] += f"\n{line}"
        else:
            lines.append(line)
    return [short for line in lines for short in wrapped(line.replace("\n", " "), width)]


def elsewhere_with_difference(rule: Rule) -> list[str]:
    """What others call a rule that is another of its named behaviours there, one line each, with what they do otherwise.

    >>> from refgrad.optimizers import AdamW
    >>> print(*elsewhere_with_difference(AdamW()), sep="\\n")
    keras.optimizers.AdamW is AdamW(eps_placement='uncorrected'): eps is added to the root of the uncorrected second moment
    """
    legal, lines = rule.legal(), []
    for name, changes in elsewhere.ELSEWHERE.get(type(rule).__name__, {}).items():
        told = [
            _meaning(behaviour, value)
            for field, value in changes.items()
            if isinstance(behaviour := legal[field], Choice | Flag)
        ]
        difference = f": {'; '.join(told)}" if told else ""
        lines.append(f"{name} is {elsewhere.written(type(rule).__name__, changes)}{difference}")
    return lines


def _meaning(legal: Choice | Flag, value: Any) -> str:
    """What a named behaviour is, without who has it."""
    if isinstance(legal, Choice):
        return legal.alternatives[value].sentence
    return legal.alternative.sentence if value else f"not: {legal.alternative.sentence}"


def other_names(rule: Rule) -> list[tuple[str, str]]:
    """The hyperparameters and the state, each with the names besides its own that are understood.

    >>> from refgrad.optimizers import Lion
    >>> dict(other_names(Lion()))["beta2"]
    'b2, beta_2, betas'
    """
    slots = tuple(rule.slots()) if isinstance(rule, Optimizer) else ()
    numbers = [word for word, legal in rule.legal().items() if isinstance(legal, Range | Whole)]
    packed = PACKED if isinstance(rule, Optimizer) else {}
    packs = {word: [pack for pack, fields in packed.items() if word in fields] for word in numbers}
    known = _names(rule)
    rows = [(word, [*known.get(word, ()), *packs[word]]) for word in numbers]
    rows += [(slot, list(SLOTS.get(slot, ()))) for slot in slots]
    own = {*rule.legal(), *slots}
    return [(word, ", ".join(names)) for word, given in rows if (names := [n for n in given if n not in own])]


def _names(rule: Rule) -> Names:
    """By hyperparameter the names that candidates of a rule's kind are told it by."""
    if isinstance(rule, Optimizer):
        return HYPERPARAMETERS
    if isinstance(rule, Estimator):
        return ARGUMENTS
    return (
        mask_function.NAMES
        if isinstance(rule, Mask)
        else transform_arguments.NAMES
        if isinstance(rule, Transform)
        else {}
    )


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
    cited = getattr(type(rule), "citation", None)
    for name, legal in rule.legal().items():
        if isinstance(legal, Choice):
            behaviours[name] = {v: _told(a.sentence, a.sources) for v, a in legal.alternatives.items()}
        elif isinstance(legal, Flag):
            behaviours[name] = {"true": _told(legal.alternative.sentence, legal.alternative.sources)}
    return {
        "rule": str(rule),
        "name": qualified_name(type(rule)),
        "kind": rule.kind,
        "citation": None if cited is None else cited.to_dict(),
        "unspecified": "" if cited is None else cited.told(rule.unspecified),
        "behaviours": behaviours,
        "default_reasons": dict(rule.default_reasons),
    }


def _told(sentence: str, sources: Sequence[Source]) -> dict[str, Any]:
    return {"sentence": sentence, "sources": [source.to_dict() for source in sources]}


def parameters(rule: Estimator) -> list[tuple[str, ...]]:
    """Each parameter with its axes, its legal numbers, and whether it is learned."""
    axes = rule.parameter_axes()
    given = [
        (n, p, described(axes[n]) if axes[n] != ELEMENT else "an array like x") for n, p in rule.parameters.items()
    ]
    what = dict.fromkeys(rule.chosen, "a choice, which is made, and read off a candidate's results")
    listed: list[tuple[str, ...]] = [(n, f"{shape} in {p.legal}", what.get(n, _role(p))) for n, p, shape in given]
    return listed + [(n, "an array of its own shape", "given; choices depend on it") for n in rule.tables]


def arrays(rule: Rule) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """What a mask, a quantizer or a transform takes and gives, under titles: names, each with its axes."""
    if isinstance(rule, Formula):
        yield "Takes", [(n, f"an array of axes {axes}" if axes else "one number") for n, axes in rule.shapes.items()]
    elif isinstance(rule, Transform):
        yield "Takes", [(n, f"an array of axes {axes}" if axes else "a number") for n, axes in rule.shapes.items()]
    elif isinstance(rule, Mask):
        yield "Takes", [(n, described(axes)) for n, axes in rule.takes().items()]
        yield "Gives", [("mask", f"{described(ELEMENT)}: true where it is kept")]
    elif isinstance(rule, Quantizer):
        besides = rule.besides(np.zeros((2, 256), np.float32), np.random.default_rng(0))
        yield "Takes", [(n, described(rule.takes().get(n, ELEMENT))) for n in (*rule.takes(), *besides)]
        own = rule.gives()
        yield "Gives", [(n, described(own[n]) if n in own else "as the rule keeps it") for n in rule.parts]


def _role(parameter: Parameter) -> str:
    return "learned" if parameter.learned else "given, such as noise"


def update(rule: Optimizer | Estimator, step: int) -> list[str]:
    """The update as formulas, and the conditions on ``t`` under which they hold."""
    return formula.guarded_lines(rule.plan(SHAPE, step))


def legal_texts(rule: Rule) -> list[tuple[str, str]]:
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
            found.append((f"{name}={shown_value(value)}", legal.said(value)))
    return found


def variants(rule: Rule) -> list[tuple[str, str]]:
    """Each hyperparameter's other named behaviours, as (``field=value``, sentence)."""
    found = []
    for name, legal in rule.legal().items():
        if isinstance(legal, Choice):
            found += [(f"{name}={v}", s) for v, s in legal.sentences.items() if v != getattr(rule, name)]
        elif isinstance(legal, Flag):
            value = not getattr(rule, name)
            found.append((f"{name}={shown_value(value)}", legal.said(value)))
    return found


def slot_text(slot: Slot) -> str:
    shape = "an array like the parameter" if slot.axes == ELEMENT else slot.described()
    fill = slot.fill if isinstance(slot.fill, str) else f"{slot.fill:g}"
    return f"{'one float64 number a parameter' if slot.scalar else shape}, {fill} at first"


def shown_value(value: object) -> str:
    """A hyperparameter's value as people write it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
