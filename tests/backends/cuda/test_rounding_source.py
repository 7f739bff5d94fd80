"""Rounding to small formats and random words on a device, with kernels emulated on the host, against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.arithmetic import philox, rounding
from refgrad.arithmetic.minifloats import MINIFLOATS, PASSES_LARGEST
from refgrad.backends.cuda import philox_source, rounding_source
from tests.backends.cuda.conftest import needs_compiler
from tests.backends.cuda.devices import Emulated
from tests.backends.test_same_bits import adversarial

#: every mode; each format with one of them and, where it has room, with saturation
CASES = [
    (form, mode, overflow, bits)
    for i, form in enumerate(MINIFLOATS.values())
    for mode, overflow, bits in (
        (list(PASSES_LARGEST)[i % len(PASSES_LARGEST)], "overflow", 32),
        ("nearest_even", "saturate", 32),
        ("stochastic", "overflow", 8 + 24 * (i % 2)),
    )
]


@pytest.mark.slow
@needs_compiler
def test_words_are_those_of_the_counter(emulated: Emulated) -> None:
    for start, stream, bits in ((0, 0, 32), (3, 5, 32), (2**34 + 1, 2**32 - 1, 16)):
        found = philox_source.random_words((101,), 77, emulated, stream, start, bits)
        assert found.tolist() == (philox.random_words(101, 77, stream, start) >> np.uint32(32 - bits)).tolist()


@pytest.mark.slow
@needs_compiler
def test_every_format_and_mode_gives_the_codes_of_numpy(emulated: Emulated) -> None:
    random = np.random.default_rng(2)
    scaled = random.standard_normal(300) * 2.0 ** random.integers(-149, 127, 300)
    x = np.concatenate([adversarial(random, (300,), np.float32), scaled.astype(np.float32)])
    emulated.compile([rounding_source.source(*case) for case in CASES])
    for form, mode, overflow, bits in CASES:
        given = np.where(np.isnan(x), np.float32(0), x) if form.nan_code is None else x
        words = philox.random_words(x.size, 9) >> np.uint32(32 - bits) if mode == "stochastic" else None
        with np.errstate(all="ignore"):
            wanted = rounding.encode(given, form, mode, overflow, words, bits)
        found = rounding_source.encode(emulated.put(given), form, mode, overflow, 9, bits, emulated)
        assert found.tolist() == wanted.tolist(), (form.name, mode, overflow)
