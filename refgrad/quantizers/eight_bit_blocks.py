"""An update with 8-bit states as a body on blocks: what codes stand for, the update, and codes and scales of the new slots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from refgrad.axes import ELEMENT, ROW, Axes
from refgrad.optimizers.base import Optimizer
from refgrad.quantizers.rows import RowQuantizer
from refgrad.rule import Nested, Rule

#: slots that are never negative: they are kept by the map without a sign
NONNEGATIVE = frozenset({"v", "v_max", "s", "s_max", "u"})


class Blocks(Rule):
    """An update whose slots are codes and scales of blocks, on rows.

    It takes ``p``, ``g`` and of each slot its parts, as ``m_codes`` and ``m_absmax``; it gives ``new_p`` and the new parts, as
    ``new_m_codes``, and its numbers by their own names. No registry has it: it is made of an `EightBit`.
    """

    primary: ClassVar[str] = "p"

    rule: Annotated[Optimizer, Nested("optimizer")]
    signed: Annotated[RowQuantizer, Nested("quantizer")]
    unsigned: Annotated[RowQuantizer, Nested("quantizer")]

    def slots_of(self) -> dict[str, RowQuantizer]:
        """The quantizer of each slot that is an array."""
        arrays = [name for name, slot in self.rule.slots().items() if not slot.scalar]
        return {name: self.unsigned if name in NONNEGATIVE else self.signed for name in arrays}

    def takes(self) -> dict[str, Axes]:
        """The parameter, its gradient, and parts of slots."""
        return {"p": ELEMENT, "g": ELEMENT} | {
            f"{slot}_{part}": ELEMENT if part == "codes" else ROW
            for slot, quantizer in self.slots_of().items()
            for part in quantizer.body_parts()
        }

    def gives(self) -> dict[str, Axes]:
        """The new scales, one a row."""
        return {f"new_{name}": axes for name, axes in self.takes().items() if axes == ROW}

    def scalar_inputs(self) -> tuple[str, ...]:
        """Those of the update."""
        return self.rule.scalar_inputs()

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Slots from their parts, the update, and the parts of new slots."""
        quantizers = self.slots_of()
        opened = {
            slot: quantizer.restore({part: given[f"{slot}_{part}"] for part in quantizer.body_parts()})
            for slot, quantizer in quantizers.items()
        }
        results = self.rule.body({**given, **opened})
        found = {n: value for n, value in results.items() if n in self.scalar_inputs()} | {"new_p": results["p"]}
        for slot, quantizer in quantizers.items():
            parts = quantizer.body({"x": results[slot]})
            found |= {f"new_{slot}_{part}": parts[part] for part in quantizer.body_parts()}
        return found
