"""Two processes that train a model by FSDP and save a step in every way: ``python -m tests.audits.fsdp_ranks FOLDER``."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

RANKS = 2
#: lengths that two do not divide, and a matrix that is cut by columns
WIDE = (6, 5)


def run(rank: int, folder: str) -> None:
    """One process: its second step of AdamW, with what stands before and after it."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=RANKS)
    mesh = init_device_mesh("cpu", (RANKS,))
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.Linear(5, 3))
    for layer in (*model, model):
        fully_shard(layer, mesh=mesh)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    _backward(model, optimizer, rank)
    optimizer.step()
    _backward(model, optimizer, rank)
    grads = {name: _full(p.grad).numpy() for name, p in model.named_parameters()}
    if rank == 0:
        np.savez(f"{folder}/grads.npz", **grads)
    _save(folder, "before", rank, model, optimizer)
    optimizer.step()
    _save(folder, "after", rank, model, optimizer)
    wide = torch.arange(float(np.prod(WIDE))).reshape(WIDE)
    cut = {"columns": Shard(1), "rows": Shard(0), "copies": Replicate()}
    tensors = {name: distribute_tensor(wide, mesh, [placement]) for name, placement in cut.items()}
    dcp.save(tensors, checkpoint_id=f"{folder}/placements")
    torch.save(tensors, f"{folder}/placements-{rank}.pt")
    dist.destroy_process_group()


def _backward(model: Any, optimizer: Any, rank: int) -> None:
    optimizer.zero_grad()
    model(torch.ones(2, 7) * (rank + 1)).square().sum().backward()


def _full(tensor: Any) -> torch.Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _save(folder: str, moment: str, rank: int, model: Any, optimizer: Any) -> None:
    """As folders of torch.distributed.checkpoint, nested and flattened; as a file a rank; and as one file of whole tensors."""
    for kind, options in (("nested", {}), ("flat", {"flatten_optimizer_state_dict": True})):
        weights, state = get_state_dict(model, optimizer, options=StateDictOptions(**options))
        dcp.save({"model": weights, "optim": state}, checkpoint_id=f"{folder}/{moment}-{kind}")
    torch.save({"model": model.state_dict(), "optim": optimizer.state_dict()}, f"{folder}/{moment}-rank{rank}.pt")
    full = StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights, state = get_state_dict(model, optimizer, options=full)
    if rank == 0:
        torch.save({"model": weights, "optim": state}, f"{folder}/{moment}-full.pt")


if __name__ == "__main__":
    torch.multiprocessing.spawn(run, sys.argv[1:2], RANKS)
