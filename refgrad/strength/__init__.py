"""How strong the oracle is, in figures: right programs and mutants of a rule, judged by refgrad and by others.

`measure` measures one rule, your own too; ``python -m refgrad.strength`` all of them. The method is in docs/strength.md.
"""

from __future__ import annotations

from refgrad.strength.figures import MutantFigures, ProgramFigures, RewriteFigures, Strength, Survivor
from refgrad.strength.measurement import measure

__all__ = ["MutantFigures", "ProgramFigures", "RewriteFigures", "Strength", "Survivor", "measure"]
