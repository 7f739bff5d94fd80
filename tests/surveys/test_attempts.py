"""What one implementation is found to be, and under which conditions."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.float_environment import FLUSHED, is_standard
from refgrad.optimizers import SGD
from refgrad.surveys.attempts import judge
from refgrad.surveys.cell import CONFORMS, DIFFERS, VARIANT
from tests.float_environments import make
from tests.surveys import fakes

LIMIT = 60.0
EITHER = {"subnormals": "either"}


def flushing(p: np.ndarray, g: np.ndarray, lr: float) -> np.ndarray:
    """Descent that has no subnormal numbers."""
    new = fakes.right(p, g, lr)
    return np.where(np.abs(new) < np.finfo(new.dtype).tiny, new.dtype.type(0), new)


def row(name: str, **others: object) -> fakes.Implementation:
    return fakes.Implementation(package="fakes", target=f"tests.surveys.test_attempts:{name}", name=name, **others)  # type: ignore[arg-type]


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize(
    ("given", "outcome", "granted", "attempts"),
    [
        ({"policy": EITHER}, CONFORMS, ("subnormals=either",), ["as claimed", "under subnormals=either"]),
        (
            {"policy": EITHER, "scalars": "float32"},
            CONFORMS,
            ("subnormals=either",),
            [
                "as claimed",
                "under scalars=float32, subnormals=either",
                "without scalars=float32",
                "without subnormals=either",
            ],
        ),
        ({"policy": {"roundings": 5}}, DIFFERS, ("roundings=5",), ["as claimed", "under roundings=5", "searched"]),
    ],
    ids=["what is needed", "and what is not", "what does not help"],
)
def test_of_the_conditions_those_are_granted_that_are_needed(
    given: dict[str, object], outcome: str, granted: tuple[str, ...], attempts: list[str]
) -> None:
    found = judge(row("flushing", claim=SGD(lr=0.1), **given), 0.0, LIMIT)
    assert (found.outcome, found.conditions) == (outcome, granted)
    assert [a.what for a in found.attempts] == attempts


class Leaving(fakes.Implementation):
    """An implementation whose package flushes subnormal numbers once it is loaded."""

    def candidate(self) -> object:
        make(FLUSHED)
        return super().candidate()


def test_what_a_package_leaves_behind_is_not_for_the_next_row() -> None:
    target = "tests.surveys.test_attempts:flushing"
    found = judge(
        Leaving(package="fakes", target=target, name="flushing", claim=SGD(lr=0.1), policy=EITHER), 0.0, LIMIT
    )
    assert is_standard()
    assert found.outcome == CONFORMS


@pytest.mark.slow
def test_of_a_variant_too() -> None:
    claim = SGD(lr=0.1, momentum=0.9, dampening=0.5)
    undamped = fakes.row("undamped", claim=claim, variant={"first_step": "undamped"}, policy=EITHER, scalars="float32")
    found = judge(undamped, 0.0, LIMIT)
    assert (found.outcome, found.variant, found.conditions) == (VARIANT, "first_step=undamped", ())
