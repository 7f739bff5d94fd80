"""Checkpoints of DeepSpeed's ZeRO 1, 2 and 3: float32 parameters and moments in flat partitions, one file a rank.

In stages 1 and 2 each parameter group is one vector, of which each rank has a stretch; in stage 3 each parameter is cut in
as many equal parts as there are ranks, the last one filled up. ``param_shapes`` beside the model's weights says in which order
parameters lie. What is no plain number in these files, such as a loss scaler, becomes a record that does nothing.
Source: https://github.com/deepspeedai/DeepSpeed, deepspeed/utils/zero_to_fp32.py and deepspeed/runtime/zero.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from refgrad.audits import torch_file
from refgrad.audits.inert_pickle import Record
from refgrad.audits.sharded import joined, reshaped, section, whole
from refgrad.audits.stored import Contents, Piece, RecordError, Stored, identity

#: the state's name of the float32 parameters, beside the moments'
MASTER = "float32 parameters"
NAME = re.compile(r"(?:bf16_)?zero_pp_rank_(\d+)_mp_rank_(\d+)\w*_optim_states\.pt")
MODELS = ("mp_rank_00_model_states.pt", "zero_pp_rank_0_mp_rank_00_model_states.pt")
Flat = list[dict[str, Stored]]


@dataclass(frozen=True, eq=False)
class Rank:
    """What one rank saved.

    Attributes:
        path: of the file.
        stage: of ZeRO.
        count: how many ranks there are.
        flat: of each partition the float32 parameters and the moments, flat arrays by slot.
        numbers: of each partition what of its state is a number, such as its count of steps.
        groups: the hyperparameters of each partition's group.
    """

    path: str
    stage: int
    count: int
    flat: Flat
    numbers: list[dict[str, Any]]
    groups: list[dict[str, Any]]


def read(folder: str) -> Contents:
    """What a folder that DeepSpeed saved a checkpoint in holds: parameters in float32, and the optimizer's state of each.

    Args:
        folder: with ``*_optim_states.pt`` and ``*_model_states.pt``.

    Raises:
        RecordError: a file is missing, was cut, or is not what ZeRO writes.
    """
    paths = _files(folder)
    ranks = [_rank(path) for path in paths]
    model, shapes = _shapes(folder)
    first = ranks[0]
    if first.count != len(ranks):
        missing = f"the files of {first.count} ranks, 0 to {first.count - 1}"
        raise RecordError(f"{folder}: {len(ranks)} files *_optim_states.pt; legal: {missing}")
    for other in ranks[1:]:
        if [sorted(each) for each in other.flat] != [sorted(each) for each in first.flat]:
            raise RecordError(f"{other.path} has other partitions than {first.path}; legal: files of one checkpoint")
    parameters = list((_whole_vectors if first.stage < 3 else _cut_parameters)(folder, ranks, shapes))
    groups: dict[int, dict[str, Any]] = {}
    state = {}
    for name, arrays, partition in parameters:
        own = first.groups[partition]
        groups.setdefault(id(own), {**own, "params": []})["params"].append(name)
        state[name] = {**first.numbers[partition], **{slot: a for slot, a in arrays.items() if slot != MASTER}}
    optimizer = {"param_groups": list(groups.values()), "state": state}
    params = {name: arrays[MASTER] for name, arrays, _ in parameters}
    return Contents(params, {}, (optimizer,), {}, tuple(map(identity, [*paths, model])), ordered=True)


def _files(folder: str) -> list[str]:
    """The files of all ranks, in order."""
    ranks: dict[int, str] = {}
    for name in sorted(os.listdir(folder)):
        found = NAME.fullmatch(name)
        if found is None:
            continue
        if int(found[2]) or int(found[1]) in ranks:
            raise RecordError(f"{folder}: {name} is of a model that is cut across ranks too; legal: mp_rank_00 alone")
        ranks[int(found[1])] = os.path.join(folder, name)
    missing = [number for number in range(max(ranks, default=0) + 1) if number not in ranks]
    if missing:
        raise RecordError(f"{folder}: the *_optim_states.pt of rank {missing[0]} is missing; legal: those of all ranks")
    return [ranks[number] for number in sorted(ranks)]


def _shapes(folder: str) -> tuple[str, list[dict[str, tuple[int, ...]]]]:
    """The file with the model's weights, and of each partition the parameters' shapes in order."""
    path = next((p for name in MODELS if os.path.isfile(p := os.path.join(folder, name))), None)
    if path is None:
        raise RecordError(f"{folder}: {' or '.join(MODELS)} is missing, which says in which order parameters lie")
    loaded = torch_file.load_inert(path, mmap=True)
    given = loaded.get("param_shapes") if isinstance(loaded, Mapping) else None
    found: list[dict[str, tuple[int, ...]]] = []
    for each in given if isinstance(given, list) else []:
        if not isinstance(each, Mapping) or not all(_is_shape(shape) for shape in each.values()):
            raise RecordError(f"{path}: param_shapes has no shapes by name")
        found.append({str(name): tuple(shape) for name, shape in each.items()})
    if not found:
        raise RecordError(f"{path}: no param_shapes; legal: a file that DeepSpeed wrote beside those of ZeRO")
    return path, found


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, list | tuple) and all(type(n) is int and n >= 0 for n in shape)


def _rank(path: str) -> Rank:
    """What one file holds."""
    loaded = torch_file.load_inert(path, mmap=True)
    outer = loaded.get("optimizer_state_dict") if isinstance(loaded, Mapping) else None
    if not isinstance(outer, Mapping):
        raise RecordError(f"{path}: no optimizer_state_dict; legal: a file of DeepSpeed's ZeRO")
    stage = 3 if "fp32_flat_groups" in outer else 2
    masters = outer.get("fp32_flat_groups" if stage == 3 else "single_partition_of_fp32_groups")
    base = outer.get("optimizer_state_dict" if stage == 3 else "base_optimizer_state")
    count = outer.get("partition_count", 1)
    count = max(count, default=0) if isinstance(count, list) else count
    if not isinstance(masters, list) or not all(isinstance(t, torch.Tensor) for t in masters) or type(count) is not int:
        raise RecordError(f"{path}: no partitions in float32; legal: a file of DeepSpeed's ZeRO")
    states, groups = _states(path, base, outer.get("base_optimizer_state_step"))
    if len(states) != len(masters):
        raise RecordError(f"{path}: {len(masters)} partitions and the state of {len(states)}; legal: as many")
    flat: Flat = []
    for number, (master, state) in enumerate(zip(masters, states, strict=True)):
        arrays = {MASTER: torch_file.stored(f"{path}!partition {number}", master.reshape(-1))}
        for slot, value in state.items():
            if isinstance(value, torch.Tensor) and value.dim() and value.numel() >= master.numel():
                # what fills a partition up is cut from the parameters alone
                arrays[str(slot)] = torch_file.stored(f"{path}!{slot} {number}", value.reshape(-1)[: master.numel()])
        flat.append(arrays)
    numbers = [{str(n): v for n, v in map(_number, s.items()) if v is not None} for s in states]
    return Rank(path, stage, count, flat, numbers, groups)


def _number(item: tuple[Any, Any]) -> tuple[Any, Any]:
    name, value = item
    if isinstance(value, torch.Tensor) and not value.dim():
        value = value.item()
    return name, value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _states(path: str, base: Any, step: Any) -> tuple[list[Mapping[Any, Any]], list[dict[str, Any]]]:
    """The state of each partition and the hyperparameters of its group."""
    if isinstance(base, list):  # what is saved to be loaded by another number of ranks
        more = {"step": step} if isinstance(step, int) else {}
        elastic: list[Mapping[Any, Any]] = [{**more, **each} for each in base if isinstance(each, Mapping)]
        return elastic, [{} for _ in elastic]
    groups = base.get("param_groups") if isinstance(base, Mapping) else None
    kept = base.get("state") if isinstance(base, Mapping) else None
    if not isinstance(groups, list) or not isinstance(kept, Mapping):
        raise RecordError(f"{path}: no state of an optimizer; legal: a file of DeepSpeed's ZeRO")
    states, found = list[Mapping[Any, Any]](), list[dict[str, Any]]()
    for group in groups:
        told = {str(n): v for n, v in group.items() if n != "params" and not isinstance(v, Record)}
        more = {"step": told["step"]} if isinstance(told.get("step"), int) else {}
        for key in group.get("params", ()):
            states.append({**more, **kept.get(key, {})})
            found.append(told)
    return states, found


Parameter = tuple[str, dict[str, Stored], int]


def _whole_vectors(folder: str, ranks: Sequence[Rank], shapes: list[dict[str, tuple[int, ...]]]) -> Iterator[Parameter]:
    """Parameters of stages 1 and 2: each group is one vector, cut among the ranks."""
    if len(shapes) != len(ranks[0].flat):
        raise RecordError(
            f"{folder}: {len(shapes)} groups in param_shapes and {len(ranks[0].flat)} in the state; legal: as many"
        )
    for number, group in enumerate(shapes):
        slots = ranks[0].flat[number]
        vectors = {n: joined([r.flat[number][n] for r in ranks], f"{folder}!{n} of group {number}") for n in slots}
        start = 0
        for name, shape in group.items():
            stop = start + math.prod(shape)
            _check_long_enough(folder, name, stop, vectors[MASTER].size)
            yield name, {n: reshaped(section(v, start, stop), shape) for n, v in vectors.items()}, number
            start = stop


def _cut_parameters(
    folder: str, ranks: Sequence[Rank], shapes: list[dict[str, tuple[int, ...]]]
) -> Iterator[Parameter]:
    """Parameters of stage 3: each is cut among the ranks, and each rank's parts lie one behind the other."""
    slots = sorted(set.intersection(*(set(partition) for partition in ranks[0].flat)))
    vectors = [{n: joined([p[n] for p in r.flat], f"{r.path}!{n}") for n in slots} for r in ranks]
    ends = list(itertools.accumulate(partition[MASTER].size for partition in ranks[0].flat))
    start = 0
    for name, shape in ((n, s) for group in shapes for n, s in group.items()):
        size = math.prod(shape)
        each = -(-size // len(ranks))
        _check_long_enough(folder, name, start + each, min(v[MASTER].size for v in vectors))
        found = {}
        for slot in slots:
            pieces = [
                Piece((rank * each,), section(vector[slot], start, start + max(0, min(each, size - rank * each))))
                for rank, vector in enumerate(vectors)
                if rank * each < size
            ]
            found[slot] = reshaped(whole((size,), pieces, f"{folder}!{slot} of {name}"), shape)
        yield name, found, next((i for i, end in enumerate(ends) if start < end), len(ends) - 1)
        start += each


def _check_long_enough(folder: str, name: str, stop: int, size: int) -> None:
    if stop > size:
        where = f"{folder}: {name[:80]!r} ends at element {stop:,} of partitions that have {size:,}"
        raise RecordError(f"{where}; legal: shards and param_shapes of one checkpoint")
