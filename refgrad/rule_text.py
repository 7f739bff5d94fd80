"""Rules and their hyperparameters as they are written on the command line.

Nothing that is written is ever run; a qualified name, such as ``package.module:MyRule``, imports the module, as a target does.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from refgrad.errors import ArgumentError, bad_argument
from refgrad.float_environment import in_standard
from refgrad.rule import Flag, Nested, Range, Rule, Whole, find

Legal = Any

WORDS: Mapping[str, Any] = {"true": True, "false": False, "none": None}

#: what reading a text that is no Python literal may raise
UNREADABLE = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)

FORM = "the name of a rule, or a rule such as AdamW(lr=0.01)"

#: a text in quotes, or a qualified name, which is no expression of Python
QUALIFIED = re.compile(r"""'[^']*'|"[^"]*"|(?P<name>[^\W\d][\w.]*:[^\W\d][\w.]*)""")


#: from a rule and texts by name to the same by the rule's own names
Renaming = Callable[[Rule, Mapping[str, str]], Mapping[str, str]]


def build_rule(name: str, hyperparameters: Iterable[str], renaming: Renaming = lambda rule, texts: texts) -> Rule:
    """A rule, by name or written out, with hyperparameters as texts.

    Args:
        name: what `rule_of` reads.
        hyperparameters: texts ``name=value``. A value is a number, true, false, a behaviour's name, or a rule
            (``inner=SGD(lr=0.1)``); the hyperparameters of a rule inside are known as ``inner_lr`` too.
        renaming: reads names that others give the rule's hyperparameters, such as ``betas=(0.9, 0.99)``.

    Returns:
        The rule.

    Raises:
        ArgumentError: no such rule or hyperparameter, or a value that is not legal.

    >>> build_rule("Lookahead", ["inner=SGD(lr=0.1)", "inner_momentum=0.9", "k=3"]).inner.momentum
    0.9
    """
    rule = rule_of(name, "the rule")
    texts = renaming(rule, pairs(hyperparameters, "HYPER=VALUE", str))
    legal = rule.legal()
    inner = {word: text for word, text in texts.items() if isinstance(legal.get(word), Nested)}
    rule = rule.replace(**{word: rule_of(text, _place(rule, word)) for word, text in inner.items()})
    return rule.replace(**{w: _value(text, _legal(rule, w)) for w, text in texts.items() if w not in inner})


def rule_of(text: str, place: str) -> Rule:
    """The rule that a text says.

    Args:
        text: a name, plain or qualified (see `refgrad.rule.find`), or a call of one with keywords: numbers, names of
            behaviours, true and false, and rules.
        place: what errors call the argument.

    Returns:
        The rule.

    Raises:
        ArgumentError: the text says no rule, or one that is not legal.

    >>> print(rule_of("Lookahead(inner=refgrad.optimizers:SGD(lr=0.1))", "the rule"))
    Lookahead(inner=SGD(lr=0.1))
    """
    try:
        node = _parsed(text.strip())
    except UNREADABLE:
        raise bad_argument(place, text, FORM) from None
    return _rule(node, place, text)


def _parsed(text: str) -> ast.expr:
    """The expression that a text is, with qualified names as names."""
    names: dict[str, str] = {}

    def stand_in(match: re.Match[str]) -> str:
        if match["name"] is None:
            return match[0]
        names[f"_{len(names)}_"] = match["name"]
        return list(names)[-1]

    tree = ast.parse(QUALIFIED.sub(stand_in, text), mode="eval")
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            node.id = names.get(node.id, node.id)
    return tree.body


def _rule(node: ast.expr, place: str, text: str) -> Rule:
    name = node.func if isinstance(node, ast.Call) else node
    if not isinstance(name, ast.Name):
        raise bad_argument(place, text, FORM)
    cls = find(name.id)
    if not isinstance(node, ast.Call):
        return cls()
    words = [k.arg for k in node.keywords if k.arg is not None]
    if node.args or len(words) < len(node.keywords):
        raise bad_argument(place, text, "hyperparameters by name, as in AdamW(lr=0.01)")
    for word in words:
        if words.count(word) > 1:
            raise ArgumentError(f"{place} gives {word!r} twice, in {text!r}; legal: once")
    legal = cls.legal()
    values = zip(words, node.keywords, strict=True)
    return cls().replace(**{w: _read(k.value, legal.get(w), f"{name.id}.{w}") for w, k in values})


def _read(node: ast.expr, legal: Legal, place: str) -> Any:
    """One value in a rule that is written out."""
    text = ast.unparse(node)
    if isinstance(legal, Nested):
        return _rule(node, place, text)
    return _value(node.id, legal) if isinstance(node, ast.Name) else literal(text)


def _value(text: str, legal: Legal) -> Any:
    """A hyperparameter's text as the type that its legal values have; `Rule.replace` says what is unknown."""
    value = literal(text) if isinstance(legal, (Range, Whole, Flag)) else text
    return text if isinstance(legal, Range) and isinstance(value, bool) else value


def _legal(rule: Rule, word: str) -> Legal:
    """A hyperparameter's legal values, that of a rule inside as well; None if there is none of the name."""
    try:
        return rule.range_of(word)
    except KeyError:
        return None


def _place(rule: Rule, word: str) -> str:
    return f"{type(rule).__name__}.{word}"


def pairs(texts: Iterable[str], what: str, read: Callable[[str], Any]) -> dict[str, Any]:
    """Texts ``name=value`` as a dict.

    Args:
        texts: the texts.
        what: what errors call them.
        read: from a value's text to the value.

    Returns:
        Name -> value as read, in the order of the texts.

    Raises:
        ArgumentError: a text is none, or two give one name.

    >>> pairs(["lr=0.01", "fused=true"], "--set", literal)
    {'lr': 0.01, 'fused': True}
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise ArgumentError(f"{what} is {text!r}; legal: name=value, such as lr=0.01")
        if name in found:
            raise ArgumentError(f"{what} gives {name!r} twice, as {found[name]!r} and {value!r}; legal: once")
        found[name] = read(value)
    return found


@in_standard  # Python reads decimals as the processor rounds
def literal(text: str) -> Any:
    """What a text says.

    Args:
        text: a Python literal; ``true``, ``false`` and ``none`` in any case; or any other text.

    Returns:
        The value, or the text itself.

    >>> literal("1e-3"), literal("none"), literal("[1, 2]"), literal("inside")
    (0.001, None, [1, 2], 'inside')
    """
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    try:
        return ast.literal_eval(text)
    except UNREADABLE:
        return text


def as_python(value: Any) -> str:
    """A value as Python reads it again: as `repr` writes it, but for infinities and NaN, which are names there.

    Args:
        value: text, a number, or a list, a tuple or a dict of such.

    Returns:
        An expression.

    >>> as_python({"betas": (0.9, float("inf"))})
    "{'betas': (0.9, float('inf'))}"
    """
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{float(value)}')"
    if type(value) in (list, tuple):
        held = ", ".join(map(as_python, value))
        one = "," if type(value) is tuple and len(value) == 1 else ""
        return f"[{held}]" if type(value) is list else f"({held}{one})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {as_python(each)}" for key, each in value.items()) + "}"
    return repr(value)
