"""What a program says of itself is held against the protocol and the rule: each fault is a sentence that names what is legal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from refgrad.candidates import program_hello
from refgrad.errors import CandidateError
from refgrad.optimizers import AdamW
from refgrad.rule import Rule
from refgrad.sparsity import Magnitude

SAYS: dict[str, Any] = {"refgrad": 1, "rules": ["AdamW"], "dtypes": ["float32"], "takes": ["p", "g"], "gives": ["p"]}


@pytest.mark.parametrize(
    ("said", "legal"),
    [
        ({"gives": ["p", "p"]}, "a list of names, one at least, each once"),
        ({"takes": ["a b"]}, "a list of names"),
        ({"rules": ["\x1b[2J"]}, r"\\x1b\[2J'\]; legal: a list of names"),
        ({"restrictions": 5}, "a list of sentences"),
        ({"restrictions": "one axis"}, "a list of sentences"),
        ({"name": 5}, "it said name: 5; legal: a text that is not empty"),
        ({"name": " "}, "a text that is not empty"),
        ({"gives": []}, r"said gives: \[\]; legal: a list of names, one at least, each once"),
        ({"name": "mine", "gives": 5}, "^mine said gives"),
        ({"encoding": []}, "hex, base64"),
        ({"refgrad": True}, "speaks version True; legal: 1"),
        ({"rules": ["Lion"]}, "is no AdamW; it says: Lion"),
        (
            {"dtypes": ["float33"]},
            "'float33' is none; legal: float formats, such as float16, bfloat16, float32 and float64",
        ),
        ({"dtypes": ["single"]}, "'single' is none; legal: float formats"),
        ({"dtypes": ["float32", "int8"]}, "'int8' is none; legal: float formats"),
        (
            {"takes": ["p", "g", "foo"]},
            r"takes 'foo', which AdamW\(\) does not have.*; legal: p, g, m, v, t, lr, .*, scalars$",
        ),
        ({"takes": ["lr"]}, "takes no 'p'; legal: p, g, and any of m, v, t, lr"),
        ({"gives": ["p", "q"]}, r"gives 'q', which is nothing that AdamW\(\) gives; legal: p$"),
        ({"gives": ["p", "m"]}, "gives 'm', .* to who does not take m; legal: p$"),
        ({"takes": ["p", "g", "m"]}, "gives no 'm'; legal: p, m$"),
        ({"refused": "not today"}, "refuses to be AdamW: not today"),
    ],
    ids=str,
)
def test_a_greeting_of_other_words_is_no_candidate(said: dict[str, Any], legal: str) -> None:
    told = json.loads(json.dumps({**SAYS, **said}))
    with pytest.raises(CandidateError, match=legal) as caught:
        program_hello.checked(told, AdamW(), "it")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("field", SAYS)
def test_what_is_not_said_is_told_by_its_name(field: str) -> None:
    with pytest.raises(CandidateError, match=f"^it does not say '{field}'; legal: "):
        program_hello.checked({n: v for n, v in SAYS.items() if n != field}, AdamW(), "it")


@pytest.mark.parametrize("name", ["AdamW", "refgrad.optimizers:AdamW"])
def test_a_rule_has_a_plain_and_a_qualified_name(name: str) -> None:
    assert program_hello.checked({**SAYS, "rules": [name]}, AdamW(), "it")["encoding"] == "hex"


@pytest.mark.parametrize(
    ("rule", "takes", "gives", "legal"),
    [
        (Magnitude(), ["w"], ["scores"], "gives no 'mask'; legal: mask"),
        (Magnitude(), ["sparsity"], ["mask"], "takes no 'w'"),
    ],
    ids=["gives", "takes"],
)
def test_names_of_other_kinds_are_held_against_the_rule(rule: Rule, takes: Any, gives: Any, legal: str) -> None:
    with pytest.raises(CandidateError, match=legal):
        program_hello.checked({**SAYS, "rules": ["Magnitude"], "takes": takes, "gives": gives}, rule, "it")
