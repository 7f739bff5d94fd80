"""Times of steps on a device, beside a copy of memory of the same run and beside torch's optimizers."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from refgrad.optimizers import SGD, AdamW, Lion
from refgrad.optimizers.base import Optimizer

REPEATS = 7
#: what is timed: the rule, the bytes that a step of a float32 element reads and writes, and torch's class
ROWS: tuple[tuple[Optimizer, int, str], ...] = (
    (AdamW(), 28, "AdamW"),
    (Lion(), 20, ""),
    (SGD(momentum=0.9), 20, "SGD"),
)
#: many small tensors in one launch, beside one of as many elements
TENSORS, EACH = 1000, 1000


def timed(card: Any, size: int, over: Callable[[], bool]) -> dict[str, Any]:
    """Gigabytes a second, and shares of the copy's.

    Args:
        card: what is timed on (`tests.backends.cuda.on_card.Card`).
        size: how many elements.
        over: says that there is no time left.
    """
    random = np.random.default_rng(0)
    p = card.put(random.standard_normal(size, np.float32))
    g = card.put(random.standard_normal(size, np.float32))
    copied = 8 * size / _seconds(lambda: card.copy(p, g), card.wait) / 1e9
    told: dict[str, Any] = {"elements": size, "copy, GB/s": copied, "no time for": []}
    for rule, moved, name in ROWS:
        if over():
            told["no time for"].append(type(rule).__name__)
            continue
        state = rule.init(p)
        seconds = _seconds(lambda rule=rule, state=state: rule.step_(p, g, state), card.wait)
        row = {"seconds": seconds, "GB/s": moved * size / seconds / 1e9}
        row["share of the copy"] = row["GB/s"] / copied
        told[type(rule).__name__] = row | (_torch(name, size, card) if name else {})
    if not over():
        told |= _many(card, size)
    return told


def _many(card: Any, size: int) -> dict[str, Any]:
    """A thousand tensors in one launch, beside one of as many elements."""
    count, each = (TENSORS, EACH) if size >= TENSORS * EACH else (10, size // 10)
    rule, found = AdamW(), {}
    for name, shapes in (("one tensor", [count * each]), ("many tensors", [each] * count)):
        p = [card.put(np.ones(n, np.float32)) for n in shapes]
        g, state = [card.put(np.ones(n, np.float32)) for n in shapes], rule.init(p)
        found[f"AdamW, {name} of {count * each} elements, s"] = _seconds(
            lambda p=p, g=g, s=state: rule.step_(p, g, s), card.wait
        )
    return found


def _torch(name: str, size: int, card: Any) -> dict[str, float]:
    """Torch's own, fused and by lists of tensors."""
    if importlib.util.find_spec("torch") is None:
        return {}
    import torch

    found = {}
    for form in ("fused", "foreach"):
        p = torch.ones(size, device=card.torch_device, requires_grad=True)
        p.grad = torch.ones_like(p)
        optimizer = getattr(torch.optim, name)([p], lr=1e-3, **{form: True})
        wait = torch.cuda.synchronize if card.torch_device == "cuda" else card.wait
        found[f"torch {form}, s"] = _seconds(optimizer.step, wait)
    return found


def _seconds(step: Callable[[], Any], wait: Callable[[], None]) -> float:
    """The median of some calls, each until its work has ended; the first one compiles, and does not count."""
    step()
    wait()
    found = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        step()
        wait()
        found.append(time.perf_counter() - start)
    return max(median(found), 1e-9)
