"""What the block formats are tried on: the inputs that all quantizers share, and groups of many magnitudes."""

from __future__ import annotations

import numpy as np

from tests.quantizers.golden_inputs import SMALL, SPREAD, TIES

_PLACE = np.arange(8192)
#: every group of 16 of another magnitude from 2**-8 to 2**8, one element in seven a zero of either sign, one group in
#: five all zeros
MIXED = np.where(_PLACE % 7 == 3, 0.0, np.tile(SPREAD, 8)) * np.exp2(_PLACE // 16 * 5 % 17 - 8.0)
MIXED = (np.copysign(1.0, np.tile(SPREAD, 8)) * np.abs(MIXED) * (_PLACE // 16 % 5 != 4)).astype(np.float32)

INPUTS = {"spread": SPREAD, "ties": TIES, "small": SMALL, "mixed": MIXED}
