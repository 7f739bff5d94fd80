"""Rules as they are written on the command line."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from refgrad import optimizers as o
from refgrad import quantizers as q
from refgrad import sparsity as s
from refgrad.errors import ArgumentError
from refgrad.rule import Rule
from refgrad.rule_text import as_python, build_rule, literal, pairs

LEGAL: list[tuple[str, list[str], Rule]] = [
    ("AdamW", ["lr=0.01"], o.AdamW(lr=0.01)),
    ("Lookahead", ["inner=AdamW"], o.Lookahead(inner=o.AdamW())),
    ("Lookahead", ["inner_lr=0.5"], o.Lookahead(inner=o.AdamW(lr=0.5))),
    ("Lookahead", ["k=3", "inner_lr=0.5", "inner=SGD(lr=0.1, nesterov=true, momentum=0.9)"],
     o.Lookahead(inner=o.SGD(lr=0.5, nesterov=True, momentum=0.9), k=3)),
    ("Lookahead", ["inner=SAM(inner=SGD(lr=1e-2))"], o.Lookahead(inner=o.SAM(inner=o.SGD(lr=0.01)))),
    ("Lookahead(inner=SGD(lr=0.1), sync='after')", ["alpha=1"], o.Lookahead(inner=o.SGD(lr=0.1), alpha=1, sync="after")),
    ("EightBit", ["rule=Adam(eps_placement=inside)", "signed=Blockwise(block_size=256)", "min_8bit_size=1"],
     q.EightBit(o.Adam(eps_placement="inside"), q.Blockwise(block_size=256), min_8bit_size=1)),
    ("GradientBefore", ["of=ClipByValue( bound = 0.5 )"], o.GradientBefore(of=o.ClipByValue(bound=0.5))),
    ("ACDC", ["pattern=Magnitude(sparsity=0.5)"], s.ACDC(pattern=s.Magnitude(sparsity=0.5))),
]  # fmt: skip


@pytest.mark.parametrize(("name", "texts", "rule"), LEGAL, ids=str)
def test_a_rule_in_a_rule_can_be_written(name: str, texts: list[str], rule: Rule) -> None:
    assert build_rule(name, texts) == rule
    assert build_rule(str(rule), []) == rule  # as reports write it


FORM = "legal: the name of a rule, or a rule such as AdamW(lr=0.01)"
ILLEGAL = [
    ("Lookahead", "inner=1", f"Lookahead.inner is '1'; {FORM}"),
    ("Lookahead", "inner=", f"Lookahead.inner is ''; {FORM}"),
    ("Lookahead", "inner=SGD(lr=1", f"Lookahead.inner is 'SGD(lr=1'; {FORM}"),
    ("Lookahead", "inner=SGD(lr=1, lr=2)", "Lookahead.inner gives 'lr' twice"),
    ("Lookahead", "inner=o.SGD()", f"Lookahead.inner is 'o.SGD()'; {FORM}"),
    ("Lookahead", f"inner={'(' * 300}{')' * 300}", FORM),
    ("Lookahead", "inner=SGD(0.1)", "Lookahead.inner is 'SGD(0.1)'; legal: hyperparameters by name, as in"),
    ("Lookahead", "inner=SGD(**x)", "legal: hyperparameters by name, as in AdamW(lr=0.01)"),
    ("Lookahead", "inner=AdmW", "no rule is called 'AdmW'; did you mean 'AdamW'?"),
    ("Lookahead", "inner=SGD(lrr=1)", "SGD has no 'lrr'; did you mean 'lr'?"),
    ("Lookahead", "inner=SGD(lr=fast)", "SGD.lr is 'fast'; legal: a number in"),
    ("Lookahead", "inner=SGD(lr=true)", "SGD.lr is 'true'; legal: a number in"),
    ("Lookahead", "inner_lrr=1", "AdamW has no 'lrr'; did you mean 'lr'?"),
    ("Lookahead", "innr=SGD", "Lookahead has no 'innr'; did you mean 'inner'?"),
    ("Lookahead", "inner=Affine", "Lookahead.inner is 'Affine()'; legal: a rule of the kind optimizer"),
    ("Lookahead", "inner=SAM(inner=2)", f"SAM.inner is '2'; {FORM}"),
    ("EightBit", "rule=Sophia", "the gradient alone; this one takes h too"),
    ("EightBit", "signed=HQQ", "legal: a quantizer of rows, such as Blockwise()"),
    ("Lookahead(inner=SGD", "k=2", f"the rule is 'Lookahead(inner=SGD'; {FORM}"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "message"), ILLEGAL)
def test_errors_name_what_is_legal(name: str, text: str, message: str) -> None:
    with pytest.raises(ArgumentError) as error:
        build_rule(name, [text])
    assert message in str(error.value)


def test_nothing_that_is_written_is_run(tmp_path: Path) -> None:
    file = tmp_path / "made"
    call = f"open({str(file)!r}, 'w')"
    for text in (f"inner=SGD(lr={call})", f"inner={call}", f"inner_lr={call}"):
        with pytest.raises(ArgumentError):
            build_rule("Lookahead", [text])
    assert not file.exists()


def test_what_is_given_twice_is_refused() -> None:
    assert pairs(["lr=1", "fused=true"], "--set", literal) == {"lr": 1, "fused": True}
    for texts in (["lr=1", "lr=2"], ["lr=1", "lr=1"], ["lr=1", "k=2", "lr="]):
        with pytest.raises(ArgumentError, match="--set gives 'lr' twice, as 1 and"):
            pairs(texts, "--set", literal)


@pytest.mark.parametrize(
    "value",
    [
        1,
        -0.0,
        1e-300,
        "it's",
        None,
        True,
        float("inf"),
        -float("inf"),
        (),
        (1.5,),
        [float("inf"), (2, [])],
        {"a": {"b": (0.9,)}},
    ],
    ids=str,
)
def test_a_value_is_written_as_python_reads_it(value: object) -> None:
    found = eval(as_python(value), {"float": float, "__builtins__": {}})
    assert (found, str(found), type(found)) == (value, str(value), type(value))


def test_what_is_no_number_is_written_as_python_reads_it() -> None:
    assert math.isnan(eval(as_python(float("nan"))))
    assert as_python(np.float64("inf")) == "float('inf')"
