"""Torch's CUDA optimizers, judged with their tensors on a device and on the CPU: where the two verdicts differ is a finding."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import refgrad
from refgrad.candidates.on_device import OnDevice
from refgrad.optimizers import SGD, Adagrad, Adam, AdamW, RMSprop

#: torch's class, the rule that it claims to be, and the forms in which torch computes it
FORMS = ("for", "foreach", "fused")


def rows() -> list[tuple[str, Any]]:
    """The classes by name, with the rules that they claim to be."""
    return [
        ("AdamW", AdamW()),
        ("Adam", Adam()),
        ("SGD", SGD(momentum=0.9)),
        ("Adagrad", Adagrad()),
        ("RMSprop", RMSprop()),
    ]


def judged(device: str, few: bool, over: Callable[[], bool]) -> dict[str, Any]:
    """The outcome of each class, in each form, on the device and on the CPU.

    Args:
        device: torch's name for it.
        few: True for the first class alone.
        over: says that there is no time left.
    """
    if importlib.util.find_spec("torch") is None:
        return {"torch": "not installed"}
    import torch

    told: dict[str, Any] = {"torch": torch.__version__, "no time for": [], "different": []}
    for name, rule in rows()[: 1 if few else None]:
        for form in FORMS:
            row = f"{name} {form}"
            if over():
                told["no time for"].append(row)
                continue
            options = {} if form == "for" else {form: True}
            found = {}
            for place in (device, ""):
                thing = getattr(torch.optim, name)
                candidate = OnDevice(thing, place) if place else thing
                try:
                    verdict = refgrad.verify(candidate, rule, steps=3, options=options, explain=False, shrink=False)
                    found[place or "memory"] = str(verdict.outcome)
                except refgrad.errors.RefgradError as error:
                    found[place or "memory"] = f"{type(error).__name__}: {error}"
            told[row] = found
            if len(set(found.values())) > 1:
                told["different"].append(row)
    return told
