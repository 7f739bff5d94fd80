"""Every mask and sparse method, by name."""

from typing import TYPE_CHECKING

from refgrad.rooms import on_demand

if TYPE_CHECKING:
    from refgrad.sparsity import allocation, compressed, permutation, schedules
    from refgrad.sparsity.activations import RIA, Wanda, WandaNOfM
    from refgrad.sparsity.asp import ASP
    from refgrad.sparsity.dynamic import ACDC, SET, LotteryTicket, RigL
    from refgrad.sparsity.learned import STR, ContinuousSparsification, HardConcrete, Powerpropagation
    from refgrad.sparsity.magnitude import (
        Block,
        L1Filters,
        L2Filters,
        Magnitude,
        NetworkSlimming,
        NormalizedMagnitude,
        RandomMask,
    )
    from refgrad.sparsity.n_of_m import SRSTE, NOfM
    from refgrad.sparsity.progressive import MDGF, SDGF
    from refgrad.sparsity.second_order import OBD, OBS, SparseGPT, WoodFisher
    from refgrad.sparsity.sensitivity import FORCE, SNIP, GraSP, Movement, SoftMovement, SynFlow
    from refgrad.sparsity.training import MDGFGradient, MovementGradient, SRSTEGradient, TopKAST
    from refgrad.sparsity.transposable import Transposable

__getattr__, __dir__ = on_demand(__name__)

__all__ = [
    "ACDC",
    "ASP",
    "FORCE",
    "MDGF",
    "OBD",
    "OBS",
    "RIA",
    "SDGF",
    "SET",
    "SNIP",
    "SRSTE",
    "STR",
    "Block",
    "ContinuousSparsification",
    "GraSP",
    "HardConcrete",
    "L1Filters",
    "L2Filters",
    "LotteryTicket",
    "MDGFGradient",
    "Magnitude",
    "Movement",
    "MovementGradient",
    "NOfM",
    "NetworkSlimming",
    "NormalizedMagnitude",
    "Powerpropagation",
    "RandomMask",
    "RigL",
    "SRSTEGradient",
    "SoftMovement",
    "SparseGPT",
    "SynFlow",
    "TopKAST",
    "Transposable",
    "Wanda",
    "WandaNOfM",
    "WoodFisher",
    "allocation",
    "compressed",
    "permutation",
    "schedules",
]
