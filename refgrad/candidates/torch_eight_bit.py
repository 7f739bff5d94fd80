"""torch optimizers that keep their state in codes: as bitsandbytes does, and as torchao does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from refgrad.candidates.names import slot_names
from refgrad.candidates.protocol import COUNTED, Observation, Value
from refgrad.candidates.torch_optimizer import TorchOptimizer, TorchRun, to_array, to_tensor
from refgrad.optimizers.base import Optimizer
from refgrad.quantizers.blockwise import Codebook
from refgrad.quantizers.eight_bit import EightBit


def candidate(optimizer: Any, rule: EightBit) -> TorchEightBit | None:
    """A candidate if what an optimizer's adapter made is a torch optimizer."""
    return TorchEightBit(optimizer, rule) if isinstance(optimizer, TorchOptimizer) else None


@dataclass(frozen=True)
class TorchEightBit:
    """A torch optimizer as a candidate, whose codes are read."""

    optimizer: TorchOptimizer
    rule: EightBit
    abilities: frozenset[str] = frozenset({COUNTED})
    takes_small: bool = True

    @property
    def name(self) -> str:
        """How reports call it."""
        return self.optimizer.name

    def start(self, rule: Optimizer, params: Sequence[np.ndarray]) -> EightBitRun:
        """The optimizer over tensors that hold copies of the parameters."""
        tensors = [to_tensor(np.array(p, order="C", copy=True)).requires_grad_() for p in params]
        return EightBitRun(self.name, self.optimizer.made(rule, tensors), tensors, rule, {}, self.rule)


class EightBitRun(TorchRun):
    """A torch optimizer with its parameters; see `refgrad.candidates.eight_bit` for what its observations hold."""

    def __init__(self, *given: Any) -> None:
        *usual, self._eight = given
        super().__init__(*usual)

    def observe(self) -> Observation:
        """The parameters and, by slot and part, what the optimizer keeps of each."""
        return Observation([to_array(p) for p in self._tensors], [self._parts(p) for p in self._tensors])

    def _parts(self, p: torch.Tensor) -> dict[str, Value]:
        state = self._optimizer.state.get(p, {})
        slots = [n for n, slot in self._eight.rule.slots().items() if not slot.scalar]
        kept = _numbered(state, p, slots) if "state1" in state else _named(state, slots, self._name)
        found: dict[str, Value] = {}
        for slot, value in kept:
            if isinstance(value, torch.Tensor) and not hasattr(value, "codes"):
                found[slot] = to_array(value)
            else:
                found |= self._read(slot, value)
        return found

    def _read(self, slot: str, value: Any) -> dict[str, Value]:
        """The parts of one slot, and a note where its map is another than the rule's."""
        quantizer = self._eight.quantizer(slot)
        scale = next(part for part in quantizer.parts if part != "codes")
        codes = to_array(value.codes if value.codes.dtype == torch.uint8 else value.codes.view(torch.uint8))
        if codes.size * 2 == value.numel():
            codes = np.stack([codes >> 4, codes & 15], axis=-1)
        if isinstance(quantizer, Codebook) and value.qmap is not None:
            theirs, ours = to_array(value.qmap), quantizer.code_values
            differ = len(ours) if len(theirs) != len(ours) else int((theirs != ours).sum())
            if differ:
                self._note(f"the map of {slot} has {differ} of {len(ours)} values that are not those of {quantizer}")
        return {f"{slot}.{scale}": to_array(value.scale), f"{slot}.codes": codes.reshape(tuple(value.shape))}


@dataclass(frozen=True)
class _Codes:
    """A slot of bitsandbytes: codes, absmax and map."""

    codes: torch.Tensor
    scale: torch.Tensor
    qmap: torch.Tensor

    @property
    def shape(self) -> torch.Size:
        """One code an element."""
        return self.codes.shape

    def numel(self) -> int:
        """How many elements."""
        return self.codes.numel()


def _numbered(state: Mapping[str, Any], p: torch.Tensor, slots: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """bitsandbytes: ``state1`` and ``state2`` in the order of the rule's slots; the first may hold two, stacked."""
    found: list[Any] = []
    for number in ("1", "2"):
        codes, scale = state.get(f"state{number}"), state.get(f"absmax{number}")
        if codes is None:
            continue
        stacked = codes.dim() > p.dim()
        for i in range(len(codes) if stacked else 1):
            one = codes[i] if stacked else codes
            if codes.dtype == torch.uint8:
                assert scale is not None
                found.append(_Codes(one, scale[i] if stacked else scale, state[f"qmap{number}"]))
            else:
                found.append(one)
    return zip(slots, found, strict=False)


def _named(state: Mapping[str, Any], slots: Sequence[str], name: str) -> Iterator[tuple[str, Any]]:
    """torchao: each slot under its usual name, a tensor with codes, scale and perhaps a map."""
    for slot, key in slot_names(slots, {}, state, name).items():
        value = state[key]
        if hasattr(value, "codes") and not hasattr(value, "qmap"):
            value = _WithoutMap(value)
        yield slot, value


class _WithoutMap:
    """A slot whose codes are numbers by themselves."""

    qmap = None

    def __init__(self, value: Any) -> None:
        self.codes, self.scale, self.shape = value.codes, value.scale, value.shape

    def numel(self) -> int:
        """How many elements."""
        return int(np.prod(self.shape))
