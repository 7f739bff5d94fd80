"""A candidate whose outputs have other shapes than its claim's is named, if a named variant of the claim has these shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.oracle.explanation import IDENTIFIED
from refgrad.quantizers import MX, NF4, NVFP4
from refgrad.rule import find

#: rules with the variants that keep something else, or as many numbers of it as there are other things
VARIANTS = [
    *[(name, "nested", True) for name in ("AF4", "Blockwise", "FP4", "NF4")],
    *[(name, "granularity", told) for name in ("Affine", "ScaledFloat") for told in ("channel", "group", "block")],
    *[(name, "per", told) for name in ("BWN", "BitNetActivations", "BitNetWeights", "N2UQWeights", "TWN")
      for told in ("tensor", "token", "filter")],
    *[("SignSGD", "scaled", told) for told in ("mean", "rms")],
    ("AdamMini", "blocks", "tensor"),
    ("GaLore", "side", "longer"),
]  # fmt: skip
VARIANTS = [
    pytest.param(*told, marks=pytest.mark.thorough if told[0] == "GaLore" else ())  # whose trials take long
    for told in VARIANTS
    if getattr(find(told[0])(), told[1]) != told[2]
]


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=1)
@pytest.mark.parametrize(("name", "field", "value"), VARIANTS, ids=str)
def test_a_variant_of_other_shapes_is_named(name: str, field: str, value: Any) -> None:
    rule = find(name)()
    variant = rule.replace(**{field: value})
    verdict = refgrad.verify(variant, rule, shrink=False)
    assert "shape" in {fault.kind for fault in verdict.faults}
    assert not verdict.conforms
    assert verdict.explanation is not None
    assert (verdict.explanation.name, verdict.explanation.sure) == (f"{field}={value}", "fact")
    found = refgrad.identify(variant, rule)
    assert (found.outcome, found.best.title) == (IDENTIFIED, str(variant))


@pytest.mark.slow
def test_what_has_other_shapes_and_is_no_variant_is_not_named() -> None:
    def by_channel(x: np.ndarray) -> dict[str, np.ndarray]:
        quantized = refgrad.quantizers.Affine(granularity="channel").quantize(x)
        return {**quantized.arrays, "scale": quantized.arrays["scale"] * np.float32(1.01)}

    verdict = refgrad.verify(by_channel, refgrad.quantizers.Affine(), explain=2, shrink=False)
    assert not verdict.conforms
    assert verdict.explanation is None


@pytest.mark.slow
def test_what_somebodys_rule_of_the_name_is_known_to_be_is_said() -> None:
    rule = refgrad.optimizers.GaLore()
    text = str(refgrad.verify(rule.replace(side="longer"), rule, shrink=False))
    assert "agrees with what is known of optax.contrib.galore" in text.split("\n\n")[0]


@pytest.mark.slow
@pytest.mark.sample(suite=1)
@pytest.mark.parametrize("rule", [MX(block_size=16), NVFP4(block_size=32), NF4(block_size=128)], ids=str)
def test_blocks_of_another_size_are_named(rule: Any) -> None:
    claim = type(rule)()
    verdict = refgrad.verify(rule, claim, shrink=False)
    assert verdict.explanation is not None
    assert verdict.explanation.name == f"block_size={rule.block_size}"
    assert [e.title for e in refgrad.identify(rule, claim).explanations] == [str(rule)]
    found = refgrad.identify(rule, "quantizer", steps=4)
    assert str(rule) in [e.title for e in found.explanations], str(found)
