"""A rule whose parameter and states are kept in narrow formats: rounded to nearest, by chance, or with what was lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import ml_dtypes
import numpy as np

from refgrad import trees
from refgrad.arguments import FROM_ZERO, check_options
from refgrad.arithmetic.arrays import as_array, as_given
from refgrad.arithmetic.dtypes import as_dtype, format_of, working
from refgrad.arithmetic.storage import CHANCE, FORMATS, Grid, to_grid
from refgrad.backends.cuda.device import Device
from refgrad.errors import bad_argument
from refgrad.optimizers import on_device
from refgrad.optimizers.base import Optimizer, OptimizerState, check_state, steps_taken
from refgrad.optimizers.wrapper import Wrapper
from refgrad.rule import Choice, Citation, Extra, Extras, Slot, State, Whole, by

#: random bits that decide one rounding: as many as bfloat16 cuts off float32
BITS = 16


class Stored(Wrapper):
    """The inner rule, computed in the working precision, with its parameter and states kept in narrow formats.

    Each new state is rounded once to ``states`` as it is stored; the step itself goes on from the number before that. The
    parameter is rounded to ``parameter``; with compensation what that loses is kept, in its format, and added to the next
    update: the sum of both is what the rule follows. With ``compensation="master"`` it is that sum which is kept, in the working
    precision, as ``master``: the step is taken on it, and the parameter is that, rounded (states are then kept in float32, as a
    rule). The arrays have the dtypes of the formats, or wider ones.

    Source: Zamirai et al. 2020, arXiv:2010.06192, section 4 (stochastic rounding, and Kahan's sum); Kahan 1965; for master
    weights Micikevicius et al. 2018, arXiv:1710.03740, section 3.1.
    """

    parameter: Annotated[str, FORMATS] = "bfloat16"
    states: Annotated[str, FORMATS] = "bfloat16"
    rounding: Annotated[
        str,
        Choice(
            nearest="the parameter is rounded to nearest, ties to even",
            stochastic="the parameter goes to one of its two neighbours by sixteen random bits an element",
        ),
    ] = "nearest"
    chance: Annotated[str, CHANCE] = "below"
    seed: Annotated[int, Whole(0, 2**32 - 1)] = 0
    compensation: Annotated[
        str,
        Choice(
            none="what rounding the parameter loses is lost",
            kahan=by(
                "y = c + u, p = p + y, c = y - (p - its old value), each operation rounded to the format",
                "published",
                "torch-optimi: its loops",
                "pytorch-optimizer",
            ),
            wide="the same in the working precision; p and c are rounded as they are stored",
            master=by(
                "the step is taken on a copy in the working precision that is kept; the parameter is that copy, rounded",
                "elsewhere: Micikevicius et al. 2018",
            ),
        ),
    ] = "none"

    citation = Citation(
        "Zamirai et al. 2020",
        "Revisiting BFloat16 Training",
        "arXiv:2010.06192, section 4",
        read="package",
        source="torchao 0.18.0; torch-optimi 0.3.3; pytorch-optimizer 4.1.0; heavyball 3.2.1",
    )
    default_reasons = {
        "compensation": "most who keep parameters narrow keep nothing besides; "
        "Kahan's sum and master weights are two ways out of three"
    }
    unspecified = (
        "whether the step reads the states before or after they are rounded: before, here and in torchao; whether the update "
        "is itself rounded before it is added: not here"
    )
    needs = {("compensation", "master"): {"states": "float32"}}
    state = State(lost=Slot(when="compensated"), master=Slot(fill="p", when="mastered"))
    extras = Extras(bits=Extra("bits", when="stochastic", bits=BITS))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stochastic and self.compensation != "none":
            raise bad_argument(
                "Stored.compensation", self.compensation, "none with rounding='stochastic', which needs none"
            )
        if self.mastered and self.states != "float32":
            raise bad_argument("Stored.compensation", "master", "none, kahan or wide, unless states='float32'")

    @property
    def stochastic(self) -> bool:
        """True if the parameter is rounded by chance."""
        return self.rounding == "stochastic"

    @property
    def compensated(self) -> bool:
        """True if what rounding loses is kept."""
        return self.compensation in ("kahan", "wide")

    @property
    def mastered(self) -> bool:
        """True if a copy is kept that is not rounded."""
        return self.compensation == "master"

    @property
    def kept_in(self) -> str:
        """`Rule.kept_in`."""
        return self.parameter

    def told(self) -> Optimizer:
        """`Optimizer.told`: the inner rule."""
        return self.inner.told()

    def exempt(self) -> Mapping[str, str]:
        """`Optimizer.exempt`."""
        return {
            "still": "a parameter that is not on the grid is rounded onto it",
            "no rate": "a parameter that is not on the grid is rounded onto it",
            **{law: why for law, why in self.inner.exempt().items() if law not in ("still", "no rate")},
        }

    def update(  # type: ignore[override]
        self, p: Any, g: Any, bits: Any, lost: Any, master: Any, step: Any, t: Any
    ) -> tuple[Any, ...]:
        if self.stochastic:
            return to_grid(step(p, g), Grid(self.parameter, BITS, self.chance), bits), lost, master
        if self.mastered:
            new = step(master, g)
            return self._rounded(new), lost, new
        if not self.compensated:
            return self._rounded(step(p, g)), lost, master
        kept = self._rounded if self.compensation == "kahan" else lambda x: x
        y = kept(lost + (step(p, g) - p))
        new = self._rounded(p + y)
        return new, self._rounded(y - kept(new - p)), master

    def _rounded(self, x: Any) -> Any:
        return to_grid(x, Grid(self.parameter))

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """`Wrapper.body`, with the inner rule's states rounded."""
        arrays = {n for n, slot in self.slots().items() if not slot.scalar and n not in self.state}
        results = super().body(given)
        return {n: to_grid(v, Grid(self.states)) if n in arrays else v for n, v in results.items()}

    def step(self, p: Any, g: Any, state: Mapping[str, Any], **options: Any) -> Any:
        """`Optimizer.step`; without ``bits`` they are `random_bits` of the step."""
        return super().step(p, g, state, **self._with_bits(p, state, options))

    def step_(self, p: Any, g: Any, state: OptimizerState, **options: Any) -> None:
        """`Optimizer.step_`; without ``bits`` they are `random_bits` of the step."""
        super().step_(p, g, state, **self._with_bits(p, state, options))

    def _with_bits(self, p: Any, state: Mapping[str, Any], options: dict[str, Any]) -> dict[str, Any]:
        if not self.stochastic or "bits" in options:
            return options
        check_state(state)
        t = steps_taken(state) + 1
        return {**options, "bits": self.random_bits(p, t, options.get("backend", "auto"), options.get("threads"))}

    def random_bits(self, p: Any, t: int, backend: str = "auto", threads: int | None = None) -> Any:
        """The bits of step ``t``, as uint32 arrays structured like ``p``.

        They are the highest of the words of Philox4x32-10 with the key (``seed``, ``t``); the elements of all leaves, in their
        order, are counted from 0.

        Args:
            p: the parameters, an array or a tree of arrays.
            t: the step, counted from 1.
            backend: "auto", "numpy" or "numba"; the bits are the same.
            threads: how many threads a kernel may use; by default all that the process may.

        Returns:
            Arrays of uint32 below 2**16, shaped and structured like ``p``.

        Raises:
            ArgumentError: something that is no array of a float dtype, no step, or an unknown backend.
        """
        from refgrad.backends.philox_kernel import random_words

        options: dict[str, Any] = {"backend": backend, "threads": threads}
        check_options(options)
        t = FROM_ZERO.check("t", t)
        leaves = [as_given(leaf, f"p{path}") for path, leaf in trees.leaves(p)]
        count = sum(leaf.size for leaf in leaves)
        words = random_words(count, self.seed, t, **options) >> np.uint32(32 - BITS)
        ends = np.cumsum([leaf.size for leaf in leaves])
        parts = [words[end - leaf.size : end].reshape(leaf.shape) for end, leaf in zip(ends, leaves, strict=True)]
        return trees.rebuild(p, parts)

    def at_device(self, method: str, device: Device, p: Any, *args: Any, **keywords: Any) -> Any:
        """`init`, `step` and `step_` on arrays of a device, where random bits are drawn too."""
        from refgrad.backends.cuda.philox_source import random_words

        leaves = [leaf for _, leaf in trees.leaves(p)]
        if method != "init":
            state: Any = args[1] if len(args) > 1 else keywords.get("state")
            check_state(state)
            if self.stochastic and "bits" not in keywords:
                starts = np.cumsum([0, *(leaf.size for leaf in leaves)]).tolist()
                t = steps_taken(state) + 1
                words = [
                    random_words(leaf.shape, self.seed, device, t, start, BITS)
                    for leaf, start in zip(leaves, starts, strict=False)
                ]
                keywords["bits"] = trees.rebuild(p, words)
            return super().at_device(method, device, p, *args, **keywords)
        given = self._state_dtype({path: leaf.dtype for path, leaf in trees.leaves(p)}, keywords.get("state_dtype"))
        state = super().at_device(method, device, p, state_dtype=given)
        if self.compensated:
            zeros = [device.put(np.zeros(leaf.shape, leaf.dtype)) for leaf in leaves]
            state["lost"] = trees.rebuild(p, zeros)
        if self.mastered:
            wide = [on_device.converted(leaf, working(leaf.dtype), device) for leaf in leaves]
            state["master"] = trees.rebuild(p, wide)
        return state

    def init(self, p: Any, *, state_dtype: Any = None) -> OptimizerState:
        """`Optimizer.init`; the states of a parameter of a narrow dtype have that of their format unless told otherwise.

        Raises:
            ArgumentError: a dtype does not hold the numbers of its format.
        """
        dtypes = {path: as_array(leaf, f"p{path}").dtype for path, leaf in trees.leaves(p)}
        state = super().init(p, state_dtype=self._state_dtype(dtypes, state_dtype))
        if self.compensated:
            state["lost"] = trees.rebuild(p, [np.zeros(leaf.shape, leaf.dtype) for _, leaf in trees.leaves(p)])
        if self.mastered:
            state["master"] = trees.rebuild(p, [leaf.astype(working(leaf.dtype)) for _, leaf in trees.leaves(p)])
        return state

    def _state_dtype(self, dtypes: Mapping[str, np.dtype], given: Any) -> Any:
        """The dtype of the states of parameters of some dtypes, by their paths; None for each parameter's own."""
        for path, dtype in dtypes.items():
            check_holds(dtype, self.parameter, f"p{path}.dtype")
        if given is not None:
            given = as_dtype(given, "state_dtype")
            check_holds(given, self.states, "state_dtype")
        narrow = any(dtype != working(dtype) for dtype in dtypes.values())
        return given or (dtype_of(self.states) if narrow else None)


def dtype_of(format: str) -> np.dtype:
    """The dtype of a format by name."""
    return np.dtype(getattr(ml_dtypes, format, format))


def check_holds(dtype: np.dtype, format: str, name: str) -> None:
    """`ArgumentError` unless a dtype holds all numbers of a format."""
    outer, inner = format_of(dtype), format_of(dtype_of(format))
    fits = outer.unit_roundoff <= inner.unit_roundoff and outer.smallest_subnormal <= inner.smallest_subnormal
    if not (fits and outer.largest >= inner.largest):
        raise bad_argument(name, str(dtype), f"{format}, or a dtype that holds its numbers")
