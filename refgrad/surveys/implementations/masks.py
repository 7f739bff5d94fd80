"""Sparsity masks: torch.nn.utils.prune, torch.ao.pruning, jaxpruner."""

from __future__ import annotations

from typing import Any

from refgrad import sparsity as s
from refgrad.sparsity.base import Mask
from refgrad.surveys.implementations.record import Implementation, unreached


def torch(name: str, claim: Mask, options: dict[str, Any] | None = None, **others: Any) -> Implementation:
    """What torch has by a dotted name."""
    place, _, attribute = name.rpartition(".")
    target = f"torch.{place}:{attribute}"
    return Implementation(
        package="torch", target=target, claim=claim, options=options or {}, **{"name": f"torch.{name}", **others}
    )


def jaxpruner(
    kind: str, arguments: tuple[Any, ...], claim: Mask, inputs: str = "", note: str = "", **variant: Any
) -> Implementation:
    """A kind of sparsity of jaxpruner; XLA on a CPU flushes subnormal numbers."""
    told = ", ".join(map(str, arguments))
    return Implementation(
        package="jaxpruner",
        target="jaxpruner.mask_calculator:get_topk_fn",
        claim=claim,
        variant=variant,
        policy={"subnormals": "either"},
        through="drivers.top_of_groups",
        arguments={"kind": kind, "arguments": arguments},
        inputs=inputs,
        explained=inputs != "ragged_blocks",
        name=f"jaxpruner.sparsity_types.{kind}({told}){' (ragged blocks)' if inputs == 'ragged_blocks' else ''}",
        note=note,
    )


def groups(kept: int, norm: int) -> dict[str, Any]:
    """The options of torch's sparsifier for groups of four."""
    return {"sparsity_level": 1.0, "sparse_block_shape": (1, 4), "zeros_per_block": 4 - kept, "norm": norm}


BLOCKS = {"sparsity_level": 0.5, "sparse_block_shape": (2, 4), "zeros_per_block": 8, "norm": 1}
HALF = {"sparsity_level": 0.5, "sparse_block_shape": (1, 4), "zeros_per_block": 2, "norm": 1}

TORCH = [
    *[torch("nn.utils.prune.L1Unstructured", s.Magnitude(sparsity=share)) for share in (0.29, 0.5, 1.0)],
    torch("nn.utils.prune.l1_unstructured", s.Magnitude(sparsity=0.57)),
    *[
        torch("nn.utils.prune.ln_structured", rule(sparsity=0.3, axis=axis), {"n": norm, "dim": axis})
        for norm, rule in ((1, s.L1Filters), (2, s.L2Filters))
        for axis in (0, 1)
    ],
    *[torch("ao.pruning.WeightNormSparsifier", s.NOfM(n=kept), groups(kept, 1)) for kept in (1, 2, 3)],
    torch("ao.pruning.WeightNormSparsifier", s.NOfM(n=2), groups(2, 2), variant={"measure": "square"}),
    torch(
        "ao.pruning.WeightNormSparsifier",
        s.NOfM(),
        HALF,
        note="only half of the blocks are pruned at 0.5",
        explained=False,
    ),
    torch("ao.pruning.WeightNormSparsifier", s.Block(height=2, width=4), BLOCKS, inputs="even_blocks"),
]

UNSTRUCTURED: dict[str, Any] = {"nan_rank": "smallest", "counted": "kept_float32", "at_least": 1}

JAXPRUNER = [
    jaxpruner("NByM", (2, 4), s.NOfM()),
    jaxpruner("NByM", (1, 8), s.NOfM(n=1, m=8)),
    jaxpruner("Unstructured", (), s.Magnitude(sparsity=0.29), **UNSTRUCTURED),
    unreached(jaxpruner("Block", ((4, 4),), s.Block(), "even_blocks", nan_rank="smallest")),
    jaxpruner("Block", ((4, 4),), s.Block(), "ragged_blocks", "pads by the remainder, not by what is missing"),
]

ROWS = [*TORCH, *JAXPRUNER]
