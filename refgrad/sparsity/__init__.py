"""Every mask and sparse method, by name."""

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

__all__ = [
    "SRSTE",
    "Block",
    "L1Filters",
    "L2Filters",
    "Magnitude",
    "NOfM",
    "NetworkSlimming",
    "NormalizedMagnitude",
    "RandomMask",
]
