"""Step sizes from the distance walked against implementations that we did not write, on several leaves at once."""

from __future__ import annotations

from typing import Any

import pytest

import refgrad
from refgrad import optimizers as o
from refgrad.oracle.inputs import generate

F32 = {"scalars": "float32"}


def without_wide_magnitudes() -> refgrad.Inputs:
    """The leaves of ordinary numbers and of edges: the square of the distance overflows on the others."""
    every = generate(10, "float32", 0)
    return refgrad.Inputs(every.p[::2], [g[::2] for g in every.g])


OPTAX: list[tuple[str, Any, dict[str, Any]]] = [
    ("optax.contrib:dog", o.DoG(**F32), {}),
    ("optax.contrib:dog", o.DoG(weight_decay=0.01, **F32), {}),
    ("optax.contrib:dowg", o.DoWG(**F32), {}),
    ("optax.contrib:prodigy", o.Prodigy(bias_correction="adam", weight_decay=0.1, **F32), {}),
    ("optax.contrib:dadapt_adamw", o.DAdaptAdam(bias_correction="adam", weight_decay=0.1, **F32), {}),
]


@pytest.mark.parametrize(("target", "rule", "options"), OPTAX, ids=str)
def test_optax(target: str, rule: Any, options: dict[str, Any]) -> None:
    pytest.importorskip("optax")
    inputs = without_wide_magnitudes() if isinstance(rule, o.DoWG) else None
    refgrad.verify(target, rule, options=options, inputs=inputs, policy={"subnormals": "either"}).raise_if_wrong()


@pytest.mark.parametrize(
    ("package", "name", "rule", "options"),
    [
        ("prodigyopt", "Prodigy", o.Prodigy(weight_decay=0.1), {}),
        ("prodigyopt", "Prodigy", o.Prodigy(bias_correction="adam"), {"use_bias_correction": True}),
        ("dadaptation", "DAdaptAdam", o.DAdaptAdam(weight_decay=0.1), {"decouple": True}),
        (
            "dadaptation",
            "DAdaptAdam",
            o.DAdaptAdam(bias_correction="adam"),
            {"decouple": True, "use_bias_correction": True},
        ),
    ],
    ids=str,
)
def test_the_authors_package(package: str, name: str, rule: Any, options: dict[str, Any]) -> None:
    """They keep the estimate with the group of parameters, where it is read: step by step."""
    pytest.importorskip(package, reason=f"{package} is not installed")
    verdict = refgrad.verify(f"{package}:{name}", rule, options=options).raise_if_wrong()
    assert verdict.mode == "step-locked"


@pytest.mark.parametrize(
    ("target", "rule"),
    [("optax.contrib:prodigy", o.Prodigy(**F32)), ("optax.contrib:dadapt_adamw", o.DAdaptAdam(**F32))],
    ids=str,
)
def test_a_departure_is_named(target: str, rule: Any) -> None:
    pytest.importorskip("optax")
    verdict = refgrad.verify(target, rule, policy={"subnormals": "either"}, shrink=False)
    assert not verdict.conforms
    assert verdict.explanation is not None
    assert verdict.explanation.name == "bias_correction=adam"
