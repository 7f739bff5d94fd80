"""Every update rule, by name."""

from refgrad.optimizers.adam import Adam, AdamW
from refgrad.optimizers.sign import Lion

__all__ = ["Adam", "AdamW", "Lion"]
