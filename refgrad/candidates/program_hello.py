"""What a program says of itself, held against the protocol and the rule that it is asked to be (docs/judge.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from refgrad.arithmetic.dtypes import as_dtype
from refgrad.candidates.program_arrays import ENCODINGS, same_number
from refgrad.candidates.program_names import names_of, wrong_names
from refgrad.errors import ArgumentError, CandidateError
from refgrad.layout import printable
from refgrad.rule import Rule

#: the version of the protocol
VERSION = 1
#: characters of a program's name, and of a sentence of its own, that are shown
NAMED, SAID = 80, 400
NAMES = "a list of names, one at least, each once"
DTYPES = "float formats, such as float16, bfloat16, float32 and float64"


def checked(told: dict[str, Any], rule: Rule, name: str) -> Mapping[str, Any]:
    """What a program says of itself, with what it leaves out.

    Args:
        told: what it says.
        rule: what it is asked to be.
        name: how errors call it.

    Raises:
        CandidateError: it is no such rule, or this is no such answer.
    """
    names = names_of(type(rule))
    name = called(told, name)
    if "refused" in told:
        raise CandidateError(f"{name} refuses to be {names[0]}: {words_of(told['refused'])}")
    if "refgrad" not in told:
        raise CandidateError(f"{name} does not say 'refgrad'; legal: {VERSION}, the version that it speaks")
    if not same_number(told["refgrad"], VERSION):
        raise CandidateError(f"{name} speaks version {shown_of(told['refgrad'])}; legal: {VERSION}")
    for field, is_name in FIELDS.items():
        if field not in told:
            raise CandidateError(f"{name} does not say {field!r}; legal: {NAMES}")
        if not told[field] or not _are_names(told[field], is_name):
            raise CandidateError(f"{name} said {field}: {shown_of(told[field])}; legal: {NAMES}")
    if not set(names) & set(told["rules"]):
        raise CandidateError(f"{name} is no {names[0]}; it says: {', '.join(told['rules'])}")
    for dtype in told["dtypes"]:
        if not _is_format(dtype):
            raise CandidateError(f"{name} said dtypes: {shown_of(told['dtypes'])}; {dtype!r} is none; legal: {DTYPES}")
    wrong = wrong_names(rule, told["takes"], told["gives"])
    if wrong:
        raise CandidateError(f"{name} {wrong}")
    _check_rest(told, name)
    return told


def _check_rest(told: dict[str, Any], name: str) -> None:
    """What a program may leave out, set where it does."""
    if told.setdefault("encoding", "hex") not in ENCODINGS:
        raise CandidateError(f"{name} said encoding {shown_of(told['encoding'])}; legal: {', '.join(ENCODINGS)}")
    said = told.setdefault("restrictions", [])
    if not isinstance(said, list) or not all(isinstance(each, str) for each in said):
        raise CandidateError(f"{name} said restrictions: {shown_of(said)}; legal: a list of sentences")
    if not isinstance(told.setdefault("name", name), str) or not told["name"].strip():
        raise CandidateError(f"{name} said name: {shown_of(told['name'])}; legal: a text that is not empty")


def called(told: Mapping[str, Any], otherwise: str) -> str:
    """The name that a program says of itself, as messages have it; what it is started with may be an interpreter of many.

    Args:
        told: what it says.
        otherwise: how it is called where that is no name.
    """
    said = told.get("name")
    return printable(said[:NAMED]) if isinstance(said, str) and said.strip() else otherwise


def _are_names(words: Any, legal: Callable[[str], bool]) -> bool:
    """True of a list of names, each once."""
    named = isinstance(words, list) and all(isinstance(word, str) and legal(word) for word in words)
    return named and len(set(words)) == len(words)


def _is_rule(word: str) -> bool:
    """True of a plain or a qualified name, with the dots of what a rule brings along."""
    return all(part.isidentifier() for part in word.replace(":", ".").split("."))


def _is_result(word: str) -> bool:
    """True of a name, and of one of several results without names, as ``result[0]``."""
    name, bracket, index = word.partition("[")
    return name.isidentifier() and (not bracket or (index.endswith("]") and index[:-1].isdecimal()))


#: what is said by names, and what of each is one
FIELDS: Mapping[str, Callable[[str], bool]] = {
    "rules": _is_rule,
    "dtypes": str.isidentifier,
    "takes": str.isidentifier,
    "gives": _is_result,
}


def _is_format(name: str) -> bool:
    """True of a float format by the name that arrays have it by."""
    try:
        return str(as_dtype(name)) == name
    except ArgumentError:
        return False


def shown_of(value: Any) -> str:
    """The beginning of what a program said, without what would steer a terminal.

    Args:
        value: as JSON had it.
    """
    found = ascii(value)
    return found if len(found) <= NAMED else f"{found[: NAMED - 1]}…"


def words_of(value: Any) -> str:
    """The beginning of a sentence of a program's own.

    Args:
        value: as JSON had it.
    """
    return printable(str(value)[:SAID])
