"""Stored bytes and decoded numbers by digest: those of ggml's C code (commit d99724f, gcc -O2, no FMA) on the same inputs."""

from __future__ import annotations

import pytest

from refgrad.quantizers import gguf
from tests.quantizers.gguf.inputs import INPUTS
from tests.quantizers.golden_inputs import digest

#: for each format, on each input in turn: digest of the bytes / digest of the float32 numbers
DIGESTS = {
    "IQ4_NL": (
        "9843c271a765124e/ca73534cf9f0bd4e a96cbf2295df092a/37be7cd515c5ef0a "
        "82c3a97cc6474d20/6f7b6a33d0f63fac 1a92bd9ce4c6bd80/d87f3ffc962f9986"
    ),
    "Q2_K": (
        "9542811af56c0cbb/e1c5bd07c8a74f2a 0cde1397c5135db0/5ba808d0447b24a1 "
        "eaaadce196856308/70231bf45469c18b 10cf64429313846b/395ef4bbb575b6f6"
    ),
    "Q3_K": (
        "9bea520fbba24667/304fb59ec92832a1 47a9bbca23a21361/1d0dfdfaaac99849 "
        "f827a335412892ed/653004f4465d3c2b d7c283f5ddea3624/c9683f0768deeedc"
    ),
    "Q4_0": (
        "33b61d67467f5369/4dca59e559841d01 7e36737cfe6fb4f5/9d5c46562eb4aeab "
        "91bbea37a9bd289d/81870f2703f63d97 f20aa7c5c9592bab/f91850c399566362"
    ),
    "Q4_1": (
        "799f241b90a43757/1f0ad6c104ca1aab 84a736d10d836d71/179a410439dbafa0 "
        "9a8569a0948ddd1b/77b8742c4f0e9440 2f477afa7e1e88db/eea8ac55dc3f02f8"
    ),
    "Q4_K": (
        "008a9f902a918269/551915f3dcddc1c2 4a537ed2a80ae5a0/83f3fb0bf555ebcc "
        "b009e2f0e404ba06/8e6e3d586da345d0 9d2384debdeba459/256ca1eb544c209e"
    ),
    "Q5_0": (
        "83e892be407bb516/67c52a689918780b b12c28c62ca6ba5a/007a08dba6f85404 "
        "120020fb4db5b3ed/5d1d97b9b71be66f 1bd1e294ad4e7a4f/47d5e3331bc53347"
    ),
    "Q5_1": (
        "e9ffdd0dd7cbb2c6/4eb926137c30ae13 02549e7b0c646f65/d5ae5af7567ede22 "
        "6a0afbe94e135187/8809587afb2b3990 426e3a26d3363336/7940156c2bdea7f3"
    ),
    "Q5_K": (
        "8289cc826bd4b18d/2e76f04bbf66fc72 1c3a79b12bf748e1/e0824d2538e2f7b7 "
        "1e285216227af82c/5a65f17c008fd2f8 93ba171f490ad21b/569dd7866dfb0bac"
    ),
    "Q6_K": (
        "dfc0d8933552ce75/5ccb726e8025789d a4c846c9287c43d1/cd4fefd3463977bf "
        "011984174d9e03f3/ca0cbbb46aa04372 7550fcb972ac65c3/9844cb62e3cac743"
    ),
    "Q8_0": (
        "9921b486d5859a3b/fd1b98657b5626e7 59306a14aabc4d02/e3c666964cfc7c15 "
        "e95fcb663c5d5195/3c54b932e9c069bd 0b64e74ae3a0249d/1232b98fb35df990"
    ),
    "TQ1_0": (
        "3f46cc400304f9fb/5577f633c35a0fab 2226bb9f3114bc13/2631afc97b082bb0 "
        "7404ee01eaadeda2/8501a32dfcdedc96 3cbbf4f46ef1c1a5/7a0cdf3ce0dc05bd"
    ),
    "TQ2_0": (
        "1631d4311427f5cf/5577f633c35a0fab 12a6e966ed1d4456/2631afc97b082bb0 "
        "c7c29ac522713b9d/8501a32dfcdedc96 e40355faad6b5d69/7a0cdf3ce0dc05bd"
    ),
}
FITTED_ONCE = {
    "spread": "e3bdae57c8b1cb9f/85225b2247553d31",
    "ties": "62eee458ad024285/3aad2fa53a0cdb71",
    "small": "6286fb4a1c1ca2fe/80b574811abb722c",
}
CASES = [(name, given, d) for name, row in DIGESTS.items() for given, d in zip(INPUTS, row.split(), strict=True)]


def stored_and_decoded(rule: gguf.BlockFormat, given: str) -> str:
    """The two digests of an input, decoded from the stored bytes."""
    stored = rule.pack(rule.quantize(INPUTS[given]))
    return f"{digest(stored)}/{digest(rule.dequantize(rule.unpack(stored)))}"


@pytest.mark.parametrize(("name", "given", "wanted"), CASES)
def test_as_ggml_stores_it(name: str, given: str, wanted: str) -> None:
    assert stored_and_decoded(getattr(gguf, name)(), given) == wanted


@pytest.mark.parametrize(("given", "wanted"), FITTED_ONCE.items())
def test_the_second_quantizer_of_iq4_nl(given: str, wanted: str) -> None:
    assert stored_and_decoded(gguf.IQ4_NL(tries="none"), given) == wanted


def test_the_inputs_are_the_golden_ones() -> None:
    wanted = ["7871f00bce770e66", "278c18f05c6bb091", "dfc7a5adbd2475f2", "a2876bcf3d5ef8a2"]
    assert [digest(given) for given in INPUTS.values()] == wanted


def test_every_format_has_digests() -> None:
    assert set(DIGESTS) == set(gguf.__all__) - {"BlockFormat"}
