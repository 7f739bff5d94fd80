"""What a rule computes, as mathematics: from its graph where it is traced, else from the text of its methods."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from refgrad.arithmetic import formula
from refgrad.errors import RefgradError
from refgrad.estimators.base import Estimator
from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.transform import Transform
from refgrad.quantizers.base import Quantizer
from refgrad.quantizers.eight_bit import EightBit
from refgrad.report import catalogue
from refgrad.report.site import formula_lines
from refgrad.report.site.prose import escaped
from refgrad.report.site.written_formula import method_lines
from refgrad.rule import Rule
from refgrad.sparsity.base import Mask
from refgrad.tracing import Plan, free_values, plan_for

#: the step whose update is shown: no rule does something special at it
STEP = 10
#: characters of a line of mathematics, and lines, beyond which the formula is shown as text
WIDEST, LONGEST = 900, 40
#: methods that say how arrays are kept and checked, and nothing of what is computed
HOUSEKEEPING = {
    *("admitted", "at_device", "besides", "check", "check_start", "checked_method", "door", "kept_parts", "legal"),
    *("part_axes", "quantize", "seen", "steps", "takes"),
}
#: numbers of which a formula has a group of lines each, and those that it is shown with where it would be too long
SHORTER = {"history": 2}
AS_TEXT = "As text, which is too wide or too long for mathematics. A prime marks the value after the step.\n"
PRIMED = "A prime marks the value after the step, a hat what is corrected for its start.\n"
SCORED = (
    "Kept are the entries, or groups of entries, of the largest scores; how many, and which of equal ones, the hyperparameters "
    "say.\n"
)
PARTS = "From `x`, in rows of what shares its numbers, to what is kept of it, and back to `y`.\n"


def section(rule: Rule) -> str:
    """What a rule computes, in Markdown.

    Args:
        rule: an instance.

    Returns:
        A block of mathematics with what is to be said of it; text where mathematics would be too wide; nothing of a rule whose
        body can be written as neither.
    """
    if isinstance(rule, EightBit):
        return f"Between its slots, which are quantized after each step, that of `{rule.rule}`:\n\n{section(rule.rule)}"
    found = plan(rule)
    return _traced(rule, found) if found is not None else "\n".join(_written(rule))


def plan(rule: Rule) -> Plan | None:
    """The plan whose graph is shown; None of a rule that is not traced."""
    if isinstance(rule, Optimizer | Estimator):
        return rule.plan(catalogue.SHAPE, STEP)
    if not isinstance(rule, Quantizer | Mask):
        return None
    try:
        return plan_for(rule, 2, free_values((4, 8), {}))
    except (RefgradError, NotImplementedError):
        return None


def _traced(rule: Rule, found: Plan) -> str:
    text, lines = formula.latex(found), formula.guarded_lines(found)
    shorter = {name: few for name, few in SHORTER.items() if name in rule.legal() and getattr(rule, name) > few}
    if _too_wide(text.splitlines()) and shorter:
        told = ", ".join(f"`{name}={few}`" for name, few in shorter.items())
        return f"With {told}; with more there are more lines of the same kind.\n\n{section(rule.replace(**shorter))}"
    if _too_wide(text.splitlines()):
        return f"{AS_TEXT}\n```text\n" + "\n".join(lines) + "\n```"
    conditions = "".join(f"- {escaped(line)}\n" for line in lines if line.startswith("as long as"))
    head, *rows, tail = text.split("\n")
    body = " \\\\\n".join(formula_lines.block([row.removesuffix(" \\\\") for row in rows]))
    return f"```{{math}}\n{head}\n{body}\n{tail}\n```\n\n{_said(rule)}\n{conditions}"


def _said(rule: Rule) -> str:
    told = {Optimizer: PRIMED, Mask: SCORED, Quantizer: PARTS}
    return next((text for kind, text in told.items() if isinstance(rule, kind)), "")


def _written(rule: Rule) -> Iterator[str]:
    """A block for each method that computes something, as its class has it; the rule's own ones first."""
    names = ["apply"] if isinstance(rule, Transform) and type(rule).apply is not Transform.apply else _own(rule)
    for name in names:
        method = inspect.getattr_static(type(rule), name, None) or getattr(type(rule), name)
        lines = method_lines(rule, getattr(method, "__func__", method))
        if lines and not _too_wide(lines):
            body = " \\\\\n".join(formula_lines.block(lines))
            title = f"`{name}`, as it is written, with the default hyperparameters:\n\n"
            yield f"{title}```{{math}}\n\\begin{{aligned}}\n{body}\n\\end{{aligned}}\n```\n"


def _own(rule: Rule) -> list[str]:
    """The methods in which a rule's class, or that of its family, says what it computes."""
    own = [
        name
        for name, value in vars(type(rule)).items()
        if callable(getattr(value, "__func__", value)) and not name.startswith("_") and name not in HOUSEKEEPING
    ]
    family = ["encode", "decode"] if isinstance(rule, Quantizer) else []
    return [*own, *(name for name in family if name not in own)]


def _too_wide(lines: list[str]) -> bool:
    return max(map(len, lines)) > WIDEST or len(lines) > LONGEST
