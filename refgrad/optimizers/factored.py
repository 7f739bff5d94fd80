"""Second moments kept by rows and columns: Adafactor, CAME, SM3.

Rows are those of the first axis, columns all other axes together. A parameter of one axis has rows of one number, for
which the factored second moment is the whole one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from refgrad.arithmetic.primitives import Over, length, tree_max, tree_sum
from refgrad.axes import COLUMN, ROW
from refgrad.optimizers.base import Optimizer
from refgrad.rule import Choice, Citation, Decay, Flag, NonNegative, Positive, Slot, State, by


def mean(x: Any, p: Any, over: Over) -> Any:
    """The mean of a value of every element of ``p`` over all elements, each row, or each column."""
    return tree_sum(x, over) / length(p, over)


def factored_means(v_row: Any, v_column: Any, square: Any, p: Any, beta: Any) -> tuple[Any, Any, Any]:
    """The averages of row and column means of a square, and the mean of the former."""
    alone = p.ndim == 0  # a row and a column of one number
    v_row = beta * v_row + (1 - beta) * (square if alone else mean(square, p, "row"))
    v_column = beta * v_column + (1 - beta) * (square if alone else mean(square, p, "column"))
    return v_row, v_column, v_row if alone else tree_sum(v_row) / length(p, "column")


class Adafactor(Optimizer):
    """A gradient scaled by a second moment that is the product of its row and column means, at a relative step size.

    Sums, kept in place of the means that are kept here, would give the same product. Source: Shazeer & Stern 2018,
    arXiv:1804.04235, Algorithm 4 with the settings of Algorithm 6. One NaN reaches the whole tensor.
    """

    lr: NonNegative = 1e-2
    decay_exponent: NonNegative = 0.8
    clip_threshold: Positive = 1.0
    eps1: NonNegative = 1e-30
    eps2: NonNegative = 1e-3
    beta1: Decay = 0.0
    weight_decay: NonNegative = 0.0
    relative_step: Annotated[
        bool, Flag(by("the step size is at most one over the root of the step", "published", "torch"))
    ] = True
    scale_parameter: Annotated[bool, Flag("the step size is relative to the parameter's root mean square")] = True
    eps_placement: Annotated[
        str,
        Choice(
            square=by("eps1 is added to the squared gradient", "published", "optax", "transformers"),
            clamp=by("the mean of a matrix' row means is at least eps1, and the second moment eps1 squared", "torch"),
        ),
    ] = "square"
    decay: Annotated[
        str,
        Choice(
            lr=by("the parameter decays by lr times weight_decay", "torch"),
            step=by("the parameter decays by the step size times weight_decay", "transformers", "pytorch-optimizer"),
            fixed=by("the parameter decays by weight_decay alone", "optax"),
        ),
    ] = "lr"

    citation = Citation(
        "Shazeer & Stern 2018",
        "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost",
        "arXiv:1804.04235, Algorithms 4 and 6",
        read="package",
        source="torch 2.13.0 Adafactor; transformers 5.23 Adafactor; optax 0.2.8 adafactor",
    )
    revision = 2  # with eps_placement=clamp a vector's second moment is no product of means, as in torch
    unspecified = (
        "weight decay, which the paper has not: scaled by lr here as in torch; Hugging Face's scales it by the "
        "step size, optax by nothing; where eps enters differs in torch (eps_placement=clamp)"
    )
    state = State(v_row=Slot(axes=ROW), v_column=Slot(axes=COLUMN), m=Slot(when="beta1"))

    def exempt(self) -> Mapping[str, str]:
        """What does not hold, and why."""
        return {"still": "the step is relative to a root mean square, which overflows for huge parameters"}

    def update(self, p: Any, g: Any, v_row: Any, v_column: Any, m: Any, t: Any) -> tuple[Any, ...]:
        size = np.minimum(self.lr, 1 / np.sqrt(t)) if self.relative_step else 1.0 * self.lr
        if self.scale_parameter:
            size = np.maximum(np.sqrt(mean(p * p, p, "tensor")), self.eps2) * size
        clamp = self.eps_placement == "clamp"
        beta = 1 - 1 / t**self.decay_exponent
        square = g * g if clamp else g * g + self.eps1
        v_row, v_column, middle = factored_means(v_row, v_column, square, p, beta)
        if clamp:  # a vector is not factored there: its rows are its elements
            v = v_row if p.ndim < 2 else v_row / np.maximum(middle, self.eps1) * v_column
            v = np.maximum(v, self.eps1 * self.eps1)
        else:
            v = v_row / middle * v_column
        u = g / np.sqrt(v)
        u = u / np.maximum(1.0, np.sqrt(mean(u * u, p, "tensor")) / self.clip_threshold)
        step = size * u
        if self.beta1:
            m = self.beta1 * m + (1 - self.beta1) * step
            step = m
        if self.weight_decay:
            decay = {"lr": self.lr, "step": size, "fixed": 1.0}[self.decay]
            step = step + decay * self.weight_decay * p
        return p - step, v_row, v_column, m


class CAME(Optimizer):
    """Adafactor's direction, averaged, and scaled by how far it is from its average, by rows and columns too.

    Source: Luo et al. 2023, arXiv:2307.02047, Algorithm 2. A parameter of one axis steps by the average alone, as in the
    authors' code. Weight decay is decoupled. One NaN reaches the whole tensor.
    """

    lr: NonNegative = 2e-4
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    beta3: Decay = 0.9999
    clip_threshold: Positive = 1.0
    eps1: NonNegative = 1e-30
    eps2: NonNegative = 1e-16
    weight_decay: NonNegative = 0.0

    scaling = "invariant"
    citation = Citation(
        "Luo et al. 2023",
        "CAME: Confidence-guided Adaptive Memory Efficient Optimization",
        "arXiv:2307.02047, Algorithm 2",
        read="authors' code",
        source="yangluo7/CAME e77c5c0; came-pytorch 0.1.3",
    )
    unspecified = (
        "parameters of one axis: they step by the average alone, as in the authors' code; weight decay, which the "
        "algorithm has not: decoupled, by lr"
    )
    state = State(
        m=Slot(),
        v_row=Slot(axes=ROW),
        v_column=Slot(axes=COLUMN),
        s_row=Slot(axes=ROW),
        s_column=Slot(axes=COLUMN),
    )

    def update(
        self, p: Any, g: Any, m: Any, v_row: Any, v_column: Any, s_row: Any, s_column: Any, t: Any
    ) -> tuple[Any, ...]:
        v_row, v_column, middle = factored_means(v_row, v_column, g * g + self.eps1, p, self.beta2)
        u = g / np.sqrt(v_row / middle * v_column)
        u = u / np.maximum(1.0, np.sqrt(mean(u * u, p, "tensor")) / self.clip_threshold)
        m = self.beta1 * m + (1 - self.beta1) * u
        step = m
        if p.ndim >= 2:
            instability = (u - m) * (u - m) + self.eps2
            s_row, s_column, middle = factored_means(s_row, s_column, instability, p, self.beta3)
            step = m / np.sqrt(s_row / middle * s_column)
        return p - self.lr * (step + self.weight_decay * p), m, v_row, v_column, s_row, s_column


class SM3(Optimizer):
    """Adagrad whose sums are bounded from above by one number a row and one a column.

    A gradient whose sum is zero gives no step. Source: Anil et al. 2019, arXiv:1901.11150, Algorithm SM3-II with the covers by
    rows and columns of section 4; momentum as in its section 5. One NaN reaches its row and column.
    """

    lr: NonNegative = 1e-1
    momentum: Decay = 0.9
    eps: NonNegative = 0.0

    scaling = "invariant"
    citation = Citation(
        "Anil et al. 2019",
        "Memory-Efficient Adaptive Optimization",
        "arXiv:1901.11150, Algorithm SM3-II",
        read="package",
        source="optax 0.2.8 sm3; pytorch-optimizer 4.1.0 SM3",
    )
    unspecified = (
        "eps: none here, where optax adds 1e-8 under the root; the momentum is an average, as in the paper's "
        "experiments; parameters of one axis have exact sums"
    )
    state = State(s_row=Slot(axes=ROW), s_column=Slot(axes=COLUMN), buffer=Slot(when="momentum"))

    def update(self, p: Any, g: Any, s_row: Any, s_column: Any, buffer: Any, t: Any) -> tuple[Any, ...]:
        s = np.minimum(s_row, s_column) + g * g
        direction = np.where(s > 0, g / np.sqrt(s + self.eps), 0.0 * s)
        if p.ndim == 0:
            s_row, s_column = s, s
        else:
            s_row, s_column = tree_max(s, "row"), tree_max(s, "column")
        if self.momentum:
            buffer = self.momentum * buffer + (1 - self.momentum) * direction
            direction = buffer
        return p - self.lr * direction, s_row, s_column, buffer
