"""How much of what goes wrong in situations the default run finds: faults planted by rule into every rule's own program.

The second half of the oracle's strength. `refgrad.strength` measures mutants of one operation; here the mathematics is right,
and the program is wrong about shapes, settings, parts, calls, parameters, values or time.
"""

from __future__ import annotations

from refgrad.strength.situations.fault import SITUATIONS, Fault
from refgrad.strength.situations.planting import planted
from refgrad.strength.situations.trial import Trial

__all__ = ["SITUATIONS", "Fault", "Trial", "planted"]
