"""What every GGUF block format can do: fields from numbers, bytes from fields, and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from refgrad.arithmetic.operations.op import Value
from refgrad.arithmetic.rounding import gathered
from refgrad.arithmetic.steps import TableCodes
from refgrad.axes import ROW, Axes
from refgrad.derived import derived
from refgrad.errors import bad_argument
from refgrad.quantizers.base import Quantized
from refgrad.quantizers.decoding import Decoded
from refgrad.quantizers.gguf.layout import Fields, Layout
from refgrad.quantizers.parts import Part, whole

BINARY16 = np.dtype(np.float16)
#: every field that a block may have, in the order in which they are computed
FIELDS = ("scale", "minimum", "scales", "minimums", "codes")


class BlockFormat(Decoded):
    """A format of fixed blocks along the last axis, each with its own scale, stored byte for byte as ggml stores it.

    Fields of a block: ``scale`` (binary16) and, where there is one, ``minimum`` (binary16); in a super-block also
    ``scales`` and ``minimums``, a small integer for each group of elements; ``codes``. All arithmetic is float32 with one
    rounding an operation, sums from left to right, no FMA. An element decodes to ``value(code) * s``, plus the block's
    minimum (or minus that of its group), with ``s = scale`` (or ``scale * value(scales)``).

    A block that holds NaN or an infinity has NaN for its scale and zeros elsewhere, and decodes to NaN (ggml itself
    leaves this to undefined conversions). A scale beyond 65504 is stored as infinity, as ggml does.
    """

    device_module = "refgrad.quantizers.body_on_device"

    block: ClassVar[int]
    layout: ClassVar[Layout]
    #: the number that each code stands for
    values: ClassVar[np.ndarray]
    #: the number that each entry of ``scales`` stands for
    scale_values: ClassVar[np.ndarray | None] = None

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "layout" in vars(cls):
            cls.parts = tuple(name for name in FIELDS if name in cls.layout.lengths)

    @property
    def legal_codes(self) -> tuple[int, int] | None:
        """Those that stand for numbers; where all of a byte do, it may be signed."""
        return None if len(self.values) == 256 else (0, len(self.values) - 1)

    def search(self, x: np.ndarray) -> Fields:
        """The fields of finite blocks, one a row of float32; a subclass writes it."""
        raise NotImplementedError

    def encode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """The fields of every block, by name."""
        return self.encoded(x, self.search)

    def encoded(self, x: np.ndarray, search: Callable[[np.ndarray], Fields]) -> dict[str, np.ndarray]:
        """The same by another search; blocks that are not finite have the codes that they have here."""
        blocks = self.blocks_of(x)
        finite = np.isfinite(blocks)
        if finite.all():
            fields = search(blocks)
        else:
            poisoned = ~finite.all(axis=1)
            fields = search(np.where(poisoned[:, None], np.float32(0), blocks))
            for field in fields.values():
                field[poisoned] = 0
            fields["scale"][poisoned] = np.nan
        return {name: fields[name] for name in self.parts}

    @property
    @derived
    def read_codes(self) -> TableCodes:
        """Places in the table of numbers that codes stand for."""
        return TableCodes(tuple(self.values.tolist()))

    def part_axes(self) -> dict[str, Axes]:
        """What a group of elements shares: the scale, and what is added, if something is."""
        return {"scale": ROW} | ({"offset": ROW} if "minimum" in self.parts else {})

    def kept_parts(self, shape: tuple[int, ...]) -> dict[str, Part]:
        """The fields of blocks along the last axis: any binary16 numbers, and integers of as many bits as are stored."""
        if not shape or shape[-1] % self.block:
            raise bad_argument("quantized.shape", shape, f"a last axis of a multiple of {self.block} elements")
        blocks, found = math.prod(shape) // self.block, {}
        for name, length in self.layout.lengths.items():
            if not length:
                found[name] = Part((blocks,), widest=BINARY16)
            elif name == "codes":
                found[name] = whole((blocks, length))
            else:
                found[name] = whole((blocks, length), 0, 2 ** self.layout.bits(name) - 1)
        return found

    def opened(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Codes by groups, and scale and offset of each group in float32; those of super-blocks are worked out here."""
        scale = arrays["scale"].astype(np.float32)[:, None]
        if self.scale_values is not None:
            scale = scale * gathered(self.scale_values, arrays["scales"])
        codes = arrays["codes"] if isinstance(arrays["codes"], Value) else np.asarray(arrays["codes"])
        codes = codes.reshape(scale.size, self.block // scale.shape[1])
        groups = {"codes": codes, "scale": scale.reshape(-1, 1)}
        if "minimum" in self.parts:
            offset = arrays["minimum"].astype(np.float32)[:, None]
            if "minimums" in self.parts:
                offset = -(offset * arrays["minimums"].astype(np.float32))
            groups["offset"] = offset.reshape(-1, 1)
        return groups

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """Each code's number times the scale, plus the offset."""
        y = parts["codes"] * parts["scale"]
        return y + parts["offset"] if "minimum" in self.parts else y

    def pack(self, quantized: Quantized) -> np.ndarray:
        """The bytes as GGUF files hold them, shaped like the array but for the last axis, in blocks of `layout.size`."""
        blocks = self.layout.pack(quantized.arrays)
        return blocks.reshape(*quantized.shape[:-1], quantized.shape[-1] // self.block * self.layout.size)

    def unpack(self, data: np.ndarray) -> Quantized:
        """What bytes hold.

        Raises:
            ArgumentError: not uint8, or a last axis that is not whole blocks.
        """
        blocks = self.stored_blocks(data)
        shape = (*data.shape[:-1], data.shape[-1] // self.layout.size * self.block)
        return Quantized(self.layout.unpack(blocks), shape, np.dtype(np.float32))

    def blocks_of(self, x: np.ndarray) -> np.ndarray:
        """An array as float32 rows of one block each; `ArgumentError` if its last axis is not whole blocks."""
        if x.ndim == 0 or x.shape[-1] % self.block:
            raise bad_argument("x.shape", x.shape, f"a last axis of a multiple of {self.block} elements")
        return x.reshape(-1, self.block).astype(np.float32, copy=False)

    def stored_blocks(self, data: np.ndarray) -> np.ndarray:
        """Bytes as rows of one block each."""
        size = self.layout.size
        if data.dtype != np.uint8:
            raise bad_argument("data.dtype", str(data.dtype), "uint8")
        if data.ndim == 0 or data.shape[-1] % size:
            raise bad_argument("data.shape", data.shape, f"a last axis of a multiple of {size} bytes")
        return data.reshape(-1, size)


def numbers(*codes: float) -> np.ndarray:
    """A table of the numbers that codes stand for."""
    return np.asarray(codes, np.float32)


def half(x: np.ndarray) -> np.ndarray:
    """Float32 rounded once to binary16."""
    return x.astype(np.float16)
