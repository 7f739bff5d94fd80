"""Optimizers whose state is kept in 8 bits: any update rule, wrapped. And what goes with them in the paper.

Source: Dettmers et al. 2022, arXiv:2110.02861, sections 2 and 2.3, and bitsandbytes for what the paper leaves open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad import trees
from refgrad.arithmetic.arrays import as_array
from refgrad.arithmetic.dtypes import working
from refgrad.arithmetic.function_arguments import (
    AT_LEAST_ONE,
    NOT_NEGATIVE,
    AnyNumber,
    Floats,
    Labels,
    Numbers,
    Several,
    gated,
)
from refgrad.axes import ELEMENT
from refgrad.backends.cuda.device import Device
from refgrad.derived import derived
from refgrad.errors import ArgumentError, bad_argument
from refgrad.optimizers.adam import Adam
from refgrad.optimizers.base import Optimizer, check_state, steps_taken
from refgrad.quantizers.base import Quantized
from refgrad.quantizers.blockwise import Blockwise
from refgrad.quantizers.eight_bit_blocks import NONNEGATIVE, Blocks
from refgrad.quantizers.rows import RowQuantizer
from refgrad.rule import Choice, Citation, Iterations, Nested, Range, Rule, Whole, by

#: blocks of optimizer states in the paper
BLOCK_SIZE = 2048


class EightBit(Rule):
    """An update rule whose state slots are quantized between steps, by blocks, to 8 bits.

    A step dequantizes the slots, takes the rule's own step in the working dtype, and quantizes the new slots. The new
    parameter comes of the slots before they are quantized again. A parameter of fewer elements than
    ``min_8bit_size`` keeps its slots as they are, in the working dtype, and so do slots that are not one number an element.
    ``signed`` and ``unsigned`` quantize the slots that may be negative and those that may not; any quantizer of rows will do,
    of fewer bits as well. Source: Dettmers et al. 2022, arXiv:2110.02861, 2.

    >>> import numpy as np
    >>> from refgrad.optimizers import Adam
    >>> rule = EightBit(Adam(lr=0.1), min_8bit_size=1)
    >>> p, state = rule.step(np.zeros(4), np.ones(4), rule.init(np.zeros(4)))
    >>> state["m"].codes.dtype, p.round(3)
    (dtype('uint8'), array([-0.1, -0.1, -0.1, -0.1]))
    """

    computing: ClassVar[frozenset[str]] = frozenset({"init", "step"})

    rule: Annotated[Optimizer, Nested("optimizer")] = field(default=Adam(), kw_only=False)
    signed: Annotated[RowQuantizer, Nested("quantizer")] = field(
        default=Blockwise(block_size=BLOCK_SIZE), kw_only=False
    )
    unsigned: Annotated[RowQuantizer, Nested("quantizer")] = field(
        default=Blockwise(map="dynamic_unsigned", block_size=BLOCK_SIZE), kw_only=False
    )
    min_8bit_size: Annotated[int, Whole(0)] = field(default=4096, kw_only=False)
    tails: Annotated[
        str,
        Choice(
            short=by("the last block of a parameter may be short", "published", "bitsandbytes"),
            unquantized=by("a parameter whose size is no multiple of the block keeps its slots as they are", "torchao"),
        ),
    ] = "short"

    kind = "8-bit-optimizer"
    citation = Citation(
        "Dettmers et al. 2022",
        "8-bit Optimizers via Block-wise Quantization",
        "arXiv:2110.02861, section 2",
        read="authors' code",
        source="bitsandbytes 95f9af3, csrc/kernels.cu line 915, kOptimizerStatic8bit2StateBlockwise; bitsandbytes 0.50.2",
    )
    unspecified = (
        "which slots are never negative; whether the step comes of the state before or after it is quantized again: before; "
        "the size below which a parameter keeps its state: 4096, of bitsandbytes"
    )

    @classmethod
    def legal(cls) -> dict[str, Any]:
        """Each hyperparameter's legal values; the precision of scalars is that of the update rule."""
        return {name: legal for name, legal in super().legal().items() if name != "scalars"}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rule.scope == "tree":
            raise bad_argument("EightBit.rule", str(self.rule), "an update rule that steps each parameter by itself")
        if self.rule.inputs():
            legal = f"an update rule that takes the gradient alone; this one takes {', '.join(self.rule.inputs())} too"
            raise bad_argument("EightBit.rule", str(self.rule), legal)
        for name in ("signed", "unsigned"):
            if not isinstance(getattr(self, name), RowQuantizer):
                raise bad_argument(f"EightBit.{name}", getattr(self, name), "a quantizer of rows, such as Blockwise()")

    def quantizer(self, slot: str) -> RowQuantizer:
        """The quantizer of a slot."""
        return self.unsigned if slot in NONNEGATIVE else self.signed

    def quantized_slots(self, shape: tuple[int, ...]) -> tuple[str, ...]:
        """The slots that are quantized of a parameter of a shape."""
        size = int(np.prod(shape))
        if size < self.min_8bit_size:
            return ()
        slots = (n for n, slot in self.rule.slots().items() if not slot.scalar and slot.axes == ELEMENT)
        if self.tails == "short":
            return tuple(slots)
        return tuple(n for n in slots if size % self.quantizer(n).layout(shape).width == 0)

    def init(self, p: Any) -> dict[str, Any]:
        """The state before the first step; the scales of a slot of zeros are zero.

        Args:
            p: an array of any float dtype and shape, or a pytree (dict, list, tuple) of arrays.

        Returns:
            A dict with ``t`` (steps taken, 0) and one entry a slot, structured like ``p``: `Quantized`, or an array.

        Raises:
            ArgumentError: a leaf is not an array of a float dtype.
        """
        return self._of_leaves(p, lambda leaf, path: self._first(as_array(leaf, f"p{path}"), np.zeros_like))

    def _of_leaves(self, p: Any, first: Callable[[Any, str], dict[str, Any]]) -> dict[str, Any]:
        states = [first(leaf, path) for path, leaf in trees.leaves(p)]
        return {"t": 0} | {name: trees.rebuild(p, [state[name] for state in states]) for name in self.rule.slots()}

    def _first(self, p: Any, zeros: Callable[[Any], Any]) -> dict[str, Any]:
        state = self._kept(p, self.rule.init(p, state_dtype=working(p.dtype)))
        for name, slot in self.rule.slots().items():
            kept = state[name]
            if isinstance(kept, Quantized) and slot.fill == 0.0:
                parts = {n: a if n == "codes" else zeros(a) for n, a in kept.arrays.items()}
                state[name] = Quantized(parts, kept.shape, kept.dtype)
        return state

    def step(self, p: Any, g: Any, state: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """One step; nothing that is handed in is changed.

        Large parameters of an update that looks at each element by itself are stepped by one kernel, with the same bits.

        Args:
            p: the parameters: an array of a float dtype, or a pytree of them.
            g: the gradients, structured and shaped like ``p``.
            state: what `init` or the last step returned.

        Returns:
            ``(p, state)``, new arrays of the dtypes that came in.

        Raises:
            ArgumentError: structures, shapes or dtypes that do not fit, or a state that lacks a slot.
        """
        return self._over(lambda *leaf: self._by_kernel(*leaf) or self._next(*leaf), p, g, state)

    def _by_kernel(self, p: Any, g: Any, state: Mapping[str, Any]) -> tuple[Any, dict[str, Any]] | None:
        from refgrad.quantizers import eight_bit_kernel

        return eight_bit_kernel.step(self._blocks(), self.quantized_slots, p, g, state)

    @derived
    def _blocks(self) -> Blocks:
        return Blocks(rule=self.rule, signed=self.signed, unsigned=self.unsigned)

    def _over(self, one: Callable[..., Any], p: Any, g: Any, state: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """A step of each leaf by itself."""
        check_state(state)
        if trees.is_leaf(p):
            return one(p, g, state)
        slots = tuple(self.rule.slots())
        for name in ("t", *slots):
            if name not in state:
                raise ArgumentError(f"state has no {name!r}; legal: what {type(self).__name__}.init returned")
        gs = trees.matching(p, g, "g")
        kept = {name: trees.matching(p, state[name], f"state[{name!r}]") for name in slots}
        done = [
            one(leaf, gs[i], {"t": state["t"]} | {name: kept[name][i] for name in slots})
            for i, (_, leaf) in enumerate(trees.leaves(p))
        ]
        new = {name: trees.rebuild(p, [after[name] for _, after in done]) for name in slots}
        return trees.rebuild(p, [leaf for leaf, _ in done]), {"t": steps_taken(state) + 1, **new}

    def at_device(self, method: str, device: Device, p: Any, *args: Any, **keywords: Any) -> Any:
        """`init` and `step` on arrays of a device."""
        if method == "init":
            zeros = lambda a: device.put(np.zeros(a.shape, a.dtype))  # noqa: E731
            return self._of_leaves(p, lambda leaf, path: self._first(leaf, zeros))
        return self._over(self._next, p, *args, **keywords)

    def _next(self, p: Any, g: Any, state: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        p, new = self.rule.step(p, g, self.opened(state))
        return p, self._kept(p, new)

    def opened(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """The state with its slots as arrays."""
        check_state(state)
        return {
            n: self.quantizer(n).dequantize(value) if isinstance(value, Quantized) else value
            for n, value in state.items()
        }

    def _kept(self, p: np.ndarray, state: Mapping[str, Any]) -> dict[str, Any]:
        slots = self.quantized_slots(p.shape)
        return {n: self.quantizer(n).quantize(value) if n in slots else value for n, value in state.items()}


START = Choice(
    grows="the first norms are compared with themselves alone",
    filled=by("the first norm fills the whole history", "bitsandbytes"),
)
#: what `PercentileClipping` is made of; a history longer than that is kept by nobody
CLIPPING: Mapping[str, Range | Whole | Choice] = {
    "percentile": Range(0.0, 100.0, False, False),
    "length": Iterations(),
    "start": START,
}


@dataclass(frozen=True)
class PercentileClipping:
    """Gradients scaled down to a percentile of the norms of the last 100, this one among them.

    The percentile is an order statistic: of n norms in order, that with index ``floor(n * percentile / 100)``, counted
    from 0, or the last. The history is a tuple that the caller keeps. The paper does not have it; bitsandbytes had, until
    it was taken out before 0.50 (``percentile_clipping``, of each parameter by itself): its state is allocated as zeros, and its
    CUDA kernel ``kPercentileClipping`` (c27dc58, csrc/kernels.cu line 1397, ``if (step == 1)``) adds the first squared norm to
    all 100 of them.
    """

    percentile: float = 5.0
    length: int = 100
    #: "grows": the first norms are compared with themselves; "filled" (bitsandbytes): the history begins as ``length``
    #: times the first norm
    start: str = "grows"

    def __post_init__(self) -> None:
        for name, legal in CLIPPING.items():
            object.__setattr__(self, name, legal.check(f"PercentileClipping.{name}", getattr(self, name)))

    @gated(g=Floats(), history=Several(AnyNumber(), kind=tuple))
    def __call__(self, g: np.ndarray, history: tuple[float, ...] = ()) -> tuple[np.ndarray, tuple[float, ...]]:
        """The gradient, scaled if it has to be, and the history with its norm (in float64).

        Args:
            g: of a float dtype.
            history: the norms so far, as the last call gave them.

        Raises:
            ArgumentError: another dtype, or a norm that is no number.
        """
        norm = float(np.sqrt(np.sum(np.square(g.astype(np.float64)))))
        if self.start == "filled" and not history:
            history = (norm,) * self.length
        history = (*history, norm)[-self.length :]
        limit = sorted(history)[min(int(len(history) * self.percentile / 100), len(history) - 1)]
        if not norm > limit:
            return g, history
        return (g * np.asarray(limit / norm, g.dtype)).astype(g.dtype), history


@gated(
    weight=Floats(axes=2),
    indices=Labels(0, 2**62),
    gain=Numbers(axes=1),
    bias=Numbers(axes=1),
    eps=NOT_NEGATIVE,
)
def stable_embedding(
    weight: np.ndarray, indices: np.ndarray, gain: np.ndarray, bias: np.ndarray, eps: float = 1e-5
) -> np.ndarray:
    """Rows of an embedding, each normalized: (w - mean) / sqrt(variance + eps) * gain + bias.

    Args:
        weight: ``(words, width)``; the paper draws it by Xavier's uniform rule, and keeps its optimizer state in 32 bits.
        indices: integers of any shape.
        gain, bias: ``(width,)``.
        eps: added to the variance, of which the divisor is the width.

    Returns:
        ``(*indices.shape, width)``, computed in float64 and rounded once to the dtype of ``weight``. Position embeddings
        are added after this, by the caller. Source: arXiv:2110.02861, 2.3.

    Raises:
        ArgumentError: an index is outside the words, or shapes do not fit.
    """
    if indices.size and indices.max() >= len(weight):
        raise bad_argument("indices", int(indices.max()), f"integers from 0 to {len(weight) - 1}")
    for name, array in (("gain", gain), ("bias", bias)):
        if array.shape != weight.shape[1:]:
            raise bad_argument(f"{name}.shape", array.shape, f"{weight.shape[1:]}, the width of weight")
    rows = weight[indices].astype(np.float64)
    centred = rows - rows.mean(axis=-1, keepdims=True)
    variance = np.mean(centred * centred, axis=-1, keepdims=True)
    return (centred / np.sqrt(variance + eps) * gain + bias).astype(weight.dtype)


@gated(words=AT_LEAST_ONE, width=AT_LEAST_ONE)
def xavier_limit(words: int, width: int) -> float:
    """The uniform rule of Glorot & Bengio 2010 that a stable embedding is drawn by: from minus to plus this."""
    return float(np.sqrt(6.0 / (words + width)))
