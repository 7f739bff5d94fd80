"""The survey: every rule against every implementation of it that is installed, each in a process that may fail."""

from __future__ import annotations

from refgrad.surveys.cell import Cell
from refgrad.surveys.run import Survey, survey

__all__ = ["Cell", "Survey", "survey"]
