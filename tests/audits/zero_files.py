"""A recorded step as DeepSpeed's ZeRO lays it out: partitions of every rank, what fills them up, and objects of its classes."""

from __future__ import annotations

import enum
import math
import sys
import types
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.audits.steps import Arrays, Step

#: the parameters of each group
GROUPS = (("first.weight", "second.weight"), ("first.bias", "scale"))
SLOTS = {"exp_avg": "m", "exp_avg_sq": "v"}


class Scaler:
    """What stands for a loss scaler, which no loader of weights alone knows."""

    __module__, __qualname__ = "deepspeed.runtime.fp16.loss_scaler", "LossScaler"

    def __init__(self) -> None:
        self.cur_scale = 1.0


class Stage(int, enum.Enum):
    """The stages of ZeRO as DeepSpeed names them."""

    __module__, __qualname__ = "deepspeed.runtime.zero.config", "ZeroStageEnum"
    optimizer_states = 1
    gradients = 2
    weights = 3


def foreign(monkeypatch: Any) -> None:
    """Have the classes where pickles name them: in modules of DeepSpeed, which is not installed."""
    for of in (Scaler, Stage):
        words = of.__module__.split(".")
        for i in range(1, len(words) + 1):
            name = ".".join(words[:i])
            monkeypatch.setitem(sys.modules, name, sys.modules.get(name) or types.ModuleType(name))
        setattr(sys.modules[of.__module__], of.__qualname__, of)


def write(folder: Path, step: Step, moment: str, stage: int, ranks: int = 3, elastic: bool = False) -> Path:
    """One moment of a step.

    Args:
        folder: in which one for the moment is made.
        step: of AdamW.
        moment: "before" or "after".
        stage: of ZeRO.
        ranks: how many there are.
        elastic: as for loading by another number of ranks, which stages 1 and 2 know.
    """
    params, states = step.moments()[moment]
    place = folder / moment
    place.mkdir(parents=True)
    slots = {"p": params, **{kept: {n: states[n][own] for n in params} for kept, own in SLOTS.items()}}
    flat = {kept: (_cut if stage == 3 else _vectors)(arrays, ranks) for kept, arrays in slots.items()}
    count = int(next(iter(states.values()))["t"])
    for rank in range(ranks):
        saved = _rank({kept: each[rank] for kept, each in flat.items()}, stage, count, step, elastic)
        common = {"ds_config": {"zero_optimization": {"stage": stage}}, "ds_version": "0.16.4"}
        saved |= {"loss_scaler": Scaler(), "partition_count": ranks if stage == 3 else [ranks] * len(GROUPS)}
        torch.save({"optimizer_state_dict": saved, **common}, place / f"zero_pp_rank_{rank}_mp_rank_00_optim_states.pt")
    shapes = [OrderedDict((n, torch.Size(np.shape(params[n]))) for n in group) for group in GROUPS]
    half = {n: torch.tensor(np.asarray(p)).bfloat16() for n, p in params.items()}
    name = "zero_pp_rank_0_mp_rank_00_model_states.pt" if stage == 3 else "mp_rank_00_model_states.pt"
    torch.save({"module": half, "param_shapes": shapes, "buffer_names": [], "loss_scaler": Scaler()}, place / name)
    return place


def _vectors(arrays: Arrays, ranks: int) -> list[list[torch.Tensor]]:
    """Of each rank a stretch of each group's vector, which is filled up to a multiple of twice the ranks."""
    found: list[list[torch.Tensor]] = [[] for _ in range(ranks)]
    for group in GROUPS:
        vector = np.concatenate([np.reshape(arrays[n], -1) for n in group])
        each = 2 * math.ceil(vector.size / (2 * ranks))
        vector = np.pad(vector, (0, each * ranks - vector.size))
        for rank in range(ranks):
            found[rank].append(torch.tensor(vector[rank * each : (rank + 1) * each]))
    return found


def _cut(arrays: Arrays, ranks: int) -> list[list[torch.Tensor]]:
    """Of each rank its part of each parameter, one behind the other."""
    found: list[list[torch.Tensor]] = [[] for _ in range(ranks)]
    for group in GROUPS:
        parts: list[list[np.ndarray]] = [[] for _ in range(ranks)]
        for name in group:
            vector = np.reshape(arrays[name], -1)
            each = math.ceil(vector.size / ranks)
            vector = np.pad(vector, (0, each * ranks - vector.size))
            for rank in range(ranks):
                parts[rank].append(vector[rank * each : (rank + 1) * each])
        for rank in range(ranks):
            found[rank].append(torch.tensor(np.concatenate(parts[rank])))
    return found


def _rank(flat: Mapping[str, list[torch.Tensor]], stage: int, count: int, step: Step, elastic: bool) -> dict[str, Any]:
    """The optimizer's part of a rank's file."""
    rates: Sequence[float] = [step.rule.lr] * len(GROUPS)  # type: ignore[attr-defined]
    state = {
        i: {"step": torch.tensor(float(count)), **{kept: flat[kept][i] for kept in SLOTS}} for i in range(len(GROUPS))
    }
    groups = [{"lr": lr, "betas": (0.9, 0.999), "eps": 1e-8, "params": [i]} for i, lr in enumerate(rates)]
    base: Any = {"state": state, "param_groups": groups}
    if stage == 3:
        return {"zero_stage": Stage(3), "optimizer_state_dict": base, "fp32_flat_groups": flat["p"]}
    if elastic:
        base = [{**state[i], "step": count} for i in range(len(GROUPS))]
    # the parameters are saved without what fills them up, and the moments with it
    lengths = [int(torch.count_nonzero(each)) for each in flat["p"]]
    masters = [each[:n] for each, n in zip(flat["p"], lengths, strict=True)]
    return {"zero_stage": Stage(stage), "base_optimizer_state": base, "single_partition_of_fp32_groups": masters}
