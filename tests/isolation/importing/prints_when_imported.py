"""Prints much when it is imported, and is right."""

from refgrad.examples.numpy_adamw import adamw as candidate

print("CONFORMS\n" * 100_000)

__all__ = ["candidate"]
