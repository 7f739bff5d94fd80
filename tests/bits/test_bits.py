"""Every rule gives the bits that it gave."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.rule import rules
from tests.bits import digests, inputs, kinds


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", rules())
def test_a_rule_gives_the_bits_that_it_gave(name: str) -> None:
    """In float32; ``python -m tests.bits --check`` looks at the variants and the other dtypes too."""
    known = digests.known()
    if not digests.compared(known)(name):
        pytest.skip("its bits depend on the processor, and the digests were made on another one")
    assert digests.entry(name, dtypes=("float32",))["float32"] == known[name]["float32"]


def test_every_rule_and_variant_has_a_digest() -> None:
    assert set(digests.names()) == set(digests.known()) - {digests.PROBE}


def test_variants_are_seen() -> None:
    """Most named behaviours show in the inputs; precision of host scalars shows where there are such."""
    known = digests.known()
    variants = [key for key in known if " " in key and not key.startswith("_") and "scalars=" not in key]
    unseen = [key for key in variants if known[key]["float32"] == known[key.partition(" ")[0]]["float32"]]
    assert len(unseen) < len(variants) / 8, unseen


def test_inputs_are_the_same_on_every_machine() -> None:
    """Worked out once; no function of NumPy that may differ from machine to machine is used."""
    source = inputs.Source("a text")
    made = [source.signed((5,), np.float32), source.whole((5,), -3, 3), source.between((5,), 0.0, 1.0, np.float32)]
    assert digests.digest([*made, source.wide((9,), np.float32), source.grid((9,), np.float64)]) == "0401e114aedb073c"


def test_a_digest_tells_bits_shapes_and_dtypes_apart() -> None:
    a = np.zeros(2, np.float32)
    others = [-a, a.reshape(2, 1), a.astype(np.float64), a.view(np.int32), [a], "refused"]
    assert len({digests.digest(x) for x in [a, *others]}) == 7
    assert digests.digest({"x": a}) == digests.digest([a]) == digests.digest((a,))
    nan = np.asarray([np.nan], np.float32)
    assert digests.digest(nan) == digests.digest(-nan)


def test_a_rule_that_refuses_everything_is_no_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(kinds.KINDS, "optimizer", lambda rule, dtype, backend: iter(["refused"]))
    with pytest.raises(AssertionError, match="refuses every input"):
        digests.entry("Adam", dtypes=("float32",))
