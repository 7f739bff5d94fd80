"""Recorded steps for tests: what a rule gives of small arrays, written in every format, right or with a fault."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

import refgrad
from refgrad.audits import safetensors_file
from refgrad.optimizers import AdamW
from refgrad.optimizers.base import Optimizer

Arrays = dict[str, np.ndarray]
SHAPES = {"first.weight": (24, 9), "first.bias": (24,), "second.weight": (24, 9), "scale": ()}
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


class Step:
    """A step of a rule: parameters, states and gradients by name; `write` leaves files, and `audit` asks about them."""

    def __init__(
        self, rule: Optimizer | None = None, t: int = 5, dtype: Any = np.float32, shapes: Mapping[str, Any] = SHAPES
    ) -> None:
        self.rule, self.t = rule or AdamW(lr=0.01), t
        self.p, self.g = dict[str, np.ndarray](), dict[str, np.ndarray]()
        self.state, self.new, self.new_state = (dict[str, Any]() for _ in range(3))
        rng = np.random.default_rng(0)
        for name, shape in shapes.items():
            p, g = (rng.normal(size=shape).astype(dtype) for _ in range(2))
            state = self.rule.init(p)
            for _ in range(t - 1):
                p, state = self.rule.step(p, rng.normal(size=shape).astype(dtype), state, backend="numpy")
            self.p[name], self.g[name], self.state[name] = p, g, state
            self.step(name)

    def step(self, name: str, rule: Optimizer | None = None) -> None:
        """What is recorded after the step of one parameter, as the rule or another one gives it."""
        p, state = (rule or self.rule).step(self.p[name], self.g[name], self.state[name], backend="numpy")
        self.new[name], self.new_state[name] = np.asarray(p), state

    def moments(self) -> dict[str, tuple[Arrays, Mapping[str, Any]]]:
        """The parameters and states of both moments."""
        return {"before": (self.p, self.state), "after": (self.new, self.new_state)}

    def flat(self, moment: str, key: str = "state/{name}/{slot}") -> Arrays:
        """One moment as arrays by name."""
        params, states = self.moments()[moment]
        found = dict(params)
        for name, state in states.items():
            for slot, value in state.items():
                found[key.format(name=name, slot="step" if slot == "t" else slot)] = np.asarray(value)
        return found

    def write(self, folder: Path, suffix: str = ".safetensors") -> dict[str, Any]:
        """Files of a suffix, as the arguments of `refgrad.audit`."""
        moments = {"before": self.flat("before"), "after": self.flat("after"), "grads": self.g}
        for moment, arrays in moments.items():
            written(folder / f"{moment}{suffix}", arrays)
        return {moment: folder / f"{moment}{suffix}" for moment in moments}

    def audit(self, folder: Path, claim: Optimizer | None = None, **options: Any) -> Any:
        """What is found of these files."""
        return refgrad.audit(claim or self.rule, **self.write(folder), **options)


def written(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Arrays in a file of the format that its name says; sharded in two where it is an index."""
    if path.name.endswith(".index.json"):
        names, shards = sorted(arrays), dict[str, str]()
        for number in (0, 1):
            shard = path.name.replace(".safetensors.index.json", f"-{number}.safetensors")
            own = {n: np.ascontiguousarray(arrays[n]) for n in names[number::2]}
            safetensors_file.write(str(path.parent / shard), own)
            shards |= dict.fromkeys(own, shard)
        path.write_text(json.dumps({"metadata": {}, "weight_map": shards}))
    elif path.suffix == ".safetensors":
        safetensors_file.write(str(path), arrays)
    elif path.name.endswith(".packed.npz"):
        np.savez_compressed(path, **arrays)
    else:
        np.savez(path, **arrays)
