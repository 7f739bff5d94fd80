"""`python -m tests.backends.cuda.on_card`: every rule's bits on a card that CuPy finds, as one JSON.

With ``--interpreted`` PTX is interpreted instead, so that the script can be tried without a card.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from refgrad.backends.cuda import cupy_device, nvrtc
from refgrad.backends.cuda.device import Device
from refgrad.rule import Rule
from tests.backends.cuda.covered import SHAPES, TIERS, case, defaults, different, launched, literal
from tests.backends.cuda.devices import Interpreted


def compared(
    device: Device, get: Callable[[Any], np.ndarray], rules: Sequence[Rule], tiers: Iterable[str] = TIERS
) -> dict[str, dict[str, Any]]:
    """How many elements were compared with NumPy's and how many differ, by tier, and what was amiss of which rule."""
    told: dict[str, dict[str, Any]] = {}
    for tier in tiers:
        amiss: dict[str, Any] = {}
        row = told[tier] = {"runs": 0, "elements": 0, "different": 0, "rules": amiss}
        for rule in rules:
            for tame in (True, False):
                given = case(rule, tier, 3, SHAPES[-1], tame)
                wanted = literal(given)
                row["runs"] += 1
                try:
                    found = launched(given, device, get)
                except Exception as error:  # a card's errors are of many kinds: each is told, and the next rule tried
                    amiss[type(rule).__name__] = f"{type(error).__name__}: {error}"
                    continue
                wrong = sum(different(found[name], wanted[name]) for name in wanted)
                row["elements"] += sum(a.size for a in wanted.values())
                row["different"] += wrong
                if wrong:
                    amiss[type(rule).__name__] = wrong
    return told


def card() -> dict[str, Any]:
    """The card and what runs it."""
    import cupy

    facts = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    driver, name = cupy.cuda.runtime.driverGetVersion(), facts["name"].decode()
    return {
        "card": name,
        "capability": cupy.cuda.Device().compute_capability,
        "driver": driver,
        "cupy": cupy.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--interpreted", action="store_true", help="interpret PTX, where there is no card")
    parser.add_argument("--tier", action="append", choices=TIERS, help="one way to store alone; may be repeated")
    chosen = parser.parse_args()
    start = time.perf_counter()
    if chosen.interpreted:
        told: dict[str, Any] = {"card": "none: PTX interpreted"}
        bits = compared(Interpreted(), np.asarray, defaults(), chosen.tier or TIERS)
    else:
        import cupy

        told = card()
        bits = compared(cupy_device.device(), cupy.asnumpy, defaults(), chosen.tier or TIERS)
    told |= {"nvrtc": nvrtc.version(), "rules": len(defaults()), "bits": bits, "seconds": time.perf_counter() - start}
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
