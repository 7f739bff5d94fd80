"""The survey: every rule against every implementation of it that is installed, each in a process that may fail."""

from __future__ import annotations

from refgrad.oracle.survey.cell import Cell
from refgrad.oracle.survey.run import Survey, survey

__all__ = ["Cell", "Survey", "survey"]
