"""`python -m tests.backends.cuda.on_card`: what a card that CuPy finds makes of refgrad's kernels, as one JSON, in five minutes.

Parts: the bits of every rule in each way to store ("bits"); every rule of the catalogue on CuPy's arrays ("rules"); torch's own
CUDA optimizers, judged on the card and on the CPU ("survey"); and times beside a copy of memory and torch's ("speed"). What
there is no time for is named. ``--interpreted`` interprets PTX for the bits, and ``--emulated`` tries every part with kernels
compiled for the host, on few rules and small arrays: no card has run this.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import numpy as np

from refgrad.backends.cuda import cupy_device, nvrtc
from refgrad.backends.cuda.device import Device
from refgrad.errors import OnHostWarning
from refgrad.rule import Rule, rules
from tests.backends.cuda import on_card_speed, on_card_survey
from tests.backends.cuda.covered import SHAPES, TIERS, case, defaults, different, launched, literal
from tests.backends.cuda.devices import Interpreted
from tests.used import used

#: seconds that all parts may take, and after which no part begins
MOST = 300.0
PARTS = ("bits", "rules", "survey", "speed")


class Clock:
    """Says whether there is time left.

    Args:
        seconds: how many there are.
    """

    def __init__(self, seconds: float) -> None:
        self.start, self.seconds = time.perf_counter(), seconds

    def gone(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.start

    def over(self, share: float = 1.0) -> bool:
        """True if a share of the time has gone."""
        return self.gone() > share * self.seconds


def compared(
    device: Device,
    get: Callable[[Any], np.ndarray],
    rules: Sequence[Rule],
    tiers: Iterable[str] = TIERS,
    clock: Clock | None = None,
) -> dict[str, dict[str, Any]]:
    """How many elements were compared with NumPy's and how many differ, by tier, and what was amiss of which rule."""
    told: dict[str, dict[str, Any]] = {}
    for tier in tiers:
        amiss: dict[str, Any] = {}
        row = told[tier] = {"runs": 0, "elements": 0, "different": 0, "rules": amiss, "no time for": 0}
        for rule in rules:
            if clock is not None and clock.over(0.4):
                row["no time for"] += 1
                continue
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


def catalogue(card: Card, names: Sequence[str], clock: Clock) -> dict[str, Any]:
    """Every rule on the card's arrays beside NumPy's: how many elements differ, and which rules ran on the host.

    Functions of gradients add along the tree on a card, and in NumPy's order on the host: what differs of these is told apart.
    """
    told: dict[str, Any] = {
        "rules": 0,
        "elements": 0,
        "on the host": [],
        "different": {},
        "sums differ": {},
        "raised": {},
    }
    left: list[str] = told.setdefault("no time for", [])
    for name in names:
        if clock.over(0.7):
            left.append(name)
            continue
        rule = rules()[name]()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", OnHostWarning)
            try:
                found = used(card.handed(rule))
            except Exception as error:  # as above
                told["raised"][name] = f"{type(error).__name__}: {error}"
                continue
        wrong = sum(_unlike(a, b) for a, b in zip(found, used(rule), strict=True))
        told["rules"] += 1
        told["elements"] += sum(a.size for a in found)
        if any(issubclass(each.category, OnHostWarning) for each in said):
            told["on the host"].append(name)
        if wrong:
            own = rule.kind == "transform" or getattr(rule, "bits_are_its_own", False)
            told["sums differ" if own else "different"][name] = wrong
    return told


def _unlike(a: np.ndarray, b: np.ndarray) -> int:
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return max(a.size, 1)
    return different(a, b) if a.dtype.kind not in "iub" else int(np.sum(a != b))


class Card:
    """What parts are run on.

    Args:
        facts: what is said of it.
        device: refgrad's device.
        put: an array of NumPy's as CuPy's.
        get: the reverse.
        torch_device: where torch's tensors lie.
        wait: returns when all work has ended.
        copy: a copy of one array of CuPy's to another of its size.
    """

    def __init__(
        self,
        facts: dict[str, Any],
        device: Device,
        put: Callable[[np.ndarray], Any],
        get: Callable[[Any], np.ndarray],
        torch_device: str,
        wait: Callable[[], None],
        copy: Callable[[Any, Any], None],
    ) -> None:
        self.facts, self.device, self.put, self.get = facts, device, put, get
        self.torch_device, self.wait, self.copy = torch_device, wait, copy

    def handed(self, rule: Any) -> Any:
        """The rule, handed arrays of the card, and whose results are NumPy's again."""
        from tests.backends.cuda.handed import Handed

        return Handed(rule, self.put, self.get)


@contextmanager
def real() -> Iterator[Card]:
    """The card that CuPy finds."""
    import cupy

    facts = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    told = {
        "card": facts["name"].decode(),
        "capability": cupy.cuda.Device().compute_capability,
        "driver": cupy.cuda.runtime.driverGetVersion(),
        "cupy": cupy.__version__,
    }
    device = cupy_device.device()

    def copy(of: Any, to: Any) -> None:
        cupy.cuda.runtime.memcpyAsync(to.data.ptr, of.data.ptr, of.nbytes, 3, cupy.cuda.get_current_stream().ptr)

    yield Card(told, device, device.put, device.get, "cuda", cupy.cuda.Device().synchronize, copy)


@contextmanager
def emulated(folder: Path | None = None) -> Iterator[Card]:
    """CuPy's arrays in the host's memory, with kernels compiled for the host."""
    from tests.backends.cuda import cupy_on_host

    with TemporaryDirectory() as made:
        device = cupy_on_host.EmulatedCupy(folder or Path(made))
        with mock.patch.object(cupy_device, "device", return_value=device):

            def copy(of: Any, to: Any) -> None:
                cupy_on_host.seen(to)[...] = cupy_on_host.seen(of)

            facts = {"card": "none: kernels emulated on the host"}
            yield Card(facts, device, device.put, device.get, "cpu", lambda: None, copy)


def told(card: Card, parts: Sequence[str], few: bool, seconds: float) -> dict[str, Any]:
    """All parts.

    Args:
        card: what they are run on.
        parts: their names.
        few: True for a few rules and small arrays.
        seconds: how many they may take.
    """
    clock, found = Clock(seconds), dict[str, Any](card.facts)
    found["nvrtc"] = nvrtc.version() if nvrtc.is_here() else "not installed"
    chosen, names = defaults(), sorted(rules())
    if few:
        chosen, names = chosen[::40], names[::60]
    if "bits" in parts:
        found["bits"] = compared(card.device, card.get, chosen, list(TIERS)[:: 3 if few else 1], clock)
    if "rules" in parts:
        found["rules"] = catalogue(card, names, clock)
    if "survey" in parts:
        found["survey"] = on_card_survey.judged(card.torch_device, few, lambda: clock.over(0.85))
    if "speed" in parts:
        found["speed"] = on_card_speed.timed(card, 1 << 12 if few else 1 << 26, clock.over)
    return found | {"seconds": clock.gone()}


def main(arguments: Sequence[str] | None = None) -> None:
    """The JSON of what is told."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--interpreted", action="store_true", help="the bits alone, of PTX that is interpreted")
    parser.add_argument("--emulated", action="store_true", help="a few rules, with kernels compiled for the host")
    parser.add_argument("--tier", action="append", choices=TIERS, help="one way to store alone; may be repeated")
    parser.add_argument("--part", action="append", choices=PARTS, help="one part alone; may be repeated")
    parser.add_argument("--seconds", type=float, default=MOST, help="how many all parts may take")
    chosen = parser.parse_args(arguments)
    if chosen.interpreted:
        start = time.perf_counter()
        bits = compared(Interpreted(), np.asarray, defaults(), chosen.tier or TIERS)
        facts = {"card": "none: PTX interpreted", "nvrtc": nvrtc.version(), "rules": len(defaults()), "bits": bits}
        print(json.dumps(facts | {"seconds": time.perf_counter() - start}, indent=2))
        return
    with emulated() if chosen.emulated else real() as card:
        print(json.dumps(told(card, chosen.part or PARTS, chosen.emulated, chosen.seconds), indent=2))


if __name__ == "__main__":
    main()
