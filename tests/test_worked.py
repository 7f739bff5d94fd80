"""Rules without steps on a few numbers, by formulas that are no part of refgrad."""

from __future__ import annotations

from pathlib import Path

import mpmath
import pytest

from refgrad.optimizers.base import Optimizer
from refgrad.rule import rules
from tests.worked import page
from tests.worked.digits import rounded
from tests.worked.example import Example, flat
from tests.worked.table import EXAMPLES, WITHOUT

PAGE = Path(__file__).parents[1] / "docs" / "worked-examples-others.md"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example.rule))
def test_refgrad_gives_the_numbers_that_were_worked_out(example: Example) -> None:
    """In float64 to 1e-12 of the larger of the number and 1."""
    ours = example.by_refgrad()
    for name, numbers in example.by_hand().items():
        assert len(numbers) == len(ours[name]) >= 1
        for a, b in zip(numbers, ours[name], strict=True):
            assert abs(a - b) <= mpmath.mpf("1e-12") * max(1, abs(a)), name


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example.rule))
def test_an_example_tells_its_numbers_apart(example: Example) -> None:
    """What comes out is not one number throughout, and a single number is none that a constant would give."""
    numbers = [v for values in example.by_hand().values() for v in values]
    assert len({str(v) for v in numbers}) > 1 or (len(numbers) == 1 and numbers[0] not in (0, 1))


def test_no_rule_without_steps_lacks_one() -> None:
    others = {name for name, cls in rules().items() if not issubclass(cls, Optimizer)}
    assert others - {example.name for example in EXAMPLES} == set(WITHOUT)


def test_the_page_is_that_of_the_formulas() -> None:
    assert PAGE.read_text(encoding="utf-8") == page.text(), (
        "run python -m tests.worked > docs/worked-examples-others.md"
    )


@pytest.mark.parametrize(
    ("number", "printed"),
    [
        ("0.50634765625", "0.5063476562"),  # a tie to the even digit, which versions of mpmath print differently
        ("0.50634765635", "0.5063476564"),
        ("0.506347656250000000000000001", "0.5063476563"),
        ("-0.50634765625000000000000000000000000000000000000001", "-0.5063476562"),  # the last digits are not trusted
        ("9999999999.5", "1.0e+10"),
        ("-2.5e-7", "-2.5e-7"),
        ("0.0001", "0.0001"),
        ("0", "0.0"),
        ("-inf", "-inf"),
        ("nan", "nan"),
    ],
)
def test_digits_are_those_of_no_version_of_mpmath(number: str, printed: str) -> None:
    with mpmath.workdps(50):
        assert rounded(mpmath.mpf(number), 10) == printed


#: rules that hand a gradient on as it is, whatever the numbers
STRAIGHT_THROUGH = {"IdentitySTE", "MDGFGradient", "ProxConnect", "VectorQuantization"}


def test_an_example_shows_what_its_rule_does_to_numbers() -> None:
    """No value is what was given throughout, and no gradient the cotangent, unless the rule's gradient is that."""
    same = set()
    for example in EXAMPLES:
        found = example.by_hand()
        for result, given in (("y", "x"), ("x_grad", "cotangent")):
            if result in found and given in example.given and found[result] == flat(example.given[given]):
                same.add((example.name, result))
    assert same == {(name, "x_grad") for name in STRAIGHT_THROUGH}
