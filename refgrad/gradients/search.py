"""Search for architectures: weights that choices share, weights of choices, and which layers and widths to leave out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np

from refgrad.arguments import number
from refgrad.arithmetic.function_arguments import AT_LEAST_ONE, COUNT, REAL, Function, gated
from refgrad.arithmetic.subgradients import top_k
from refgrad.errors import bad_argument
from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Choice, Citation, Positive, Whole, by

_SUKTHANKER = Citation(
    "Sukthanker et al. 2023",
    "Weight-Entanglement Meets Gradient-Based Neural Architecture Search",
    "arXiv:2312.10440",
    read="authors' code",
    source="automl/TangleNAS 20aa4b1, by notes on it",
)


class EntangledWeights(Transform):
    """The weights of a layer whose choices of size share them: the sum of each choice's part, padded by zeros, times its weight.

    ``weights`` [out, in]; ``shares`` [choice]; ``rows``, ``columns`` [choice], the last row and column that the choice takes,
    from 0. Each element is multiplied by the shares of all choices that have it. Source: Sukthanker et al. 2023,
    arXiv:2312.10440.
    """

    citation = _SUKTHANKER
    shapes: ClassVar[Mapping[str, str]] = {
        "weights": "out in",
        "shares": "choice",
        "rows": "choice below:out",
        "columns": "choice below:in",
    }
    lengths: ClassVar[Mapping[str, int]] = {"out": 4, "in": 3, "choice": 5}
    unspecified = "nothing: a choice that is made twice counts twice"

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "weights", 2, "[out, in]")
        check_axes(arrays[1], "shares", 1, "[choice]")
        for name, array in zip(("rows", "columns"), arrays[2:], strict=True):
            check_same(array, name, arrays[1].shape, "the shape of shares")

    def apply(self, weights: Any, shares: Any, rows: Any, columns: Any) -> Any:
        out, into = weights.shape
        within = (np.arange(out)[:, None, None] <= rows) & (np.arange(into)[None, :, None] <= columns)
        return weights * np.sum(np.where(within, shares, 0.0), axis=-1)


class EntangledKernel(Transform):
    """The kernel of a convolution whose choices of size share it: the sum of each choice's crop times its weight.

    ``kernel`` [side, side]; ``shares`` [choice]; ``sizes`` [choice], one less than the crop's side. Source: Sukthanker et al.
    2023, arXiv:2312.10440.
    """

    crop: Annotated[
        str,
        Choice(
            centered=by("from (side - size) // 2 on: in the middle", "authors: the mixture"),
            corner=by("from 0 on: the first rows and columns", "authors: the layer of one choice"),
        ),
    ] = "centered"
    citation = _SUKTHANKER
    shapes: ClassVar[Mapping[str, str]] = {"kernel": "side side", "shares": "choice", "sizes": "choice below:side"}
    lengths: ClassVar[Mapping[str, int]] = {"side": 5, "choice": 3}
    unspecified = (
        "a side that is even and a size that is odd: the crop's middle is half a place before that of the kernel"
    )

    def check(self, *arrays: np.ndarray) -> None:
        kernel, shares, sizes = arrays
        check_axes(kernel, "kernel", 2, "[side, side]")
        check_same(kernel, "kernel", (len(kernel),) * 2, "a square")
        check_axes(shares, "shares", 1, "[choice]")
        check_same(sizes, "sizes", shares.shape, "the shape of shares")

    def apply(self, kernel: Any, shares: Any, sizes: Any) -> Any:
        side = kernel.shape[0]
        start = (side - 1 - sizes) // 2 if self.crop == "centered" else 0 * sizes
        places = np.arange(side)[:, None]
        within = (places >= start) & (places <= start + sizes)
        return kernel * np.sum(np.where(within[:, None] & within[None, :], shares, 0.0), axis=-1)


class GumbelArchitectureWeights(Transform):
    """The weights of choices by Gumbel noise: one choice is taken, and its gradient is that of a softmax.

    ``alpha``, ``noise`` [choice], noise of Gumbel's distribution. Logits are (log softmax(alpha) + noise) / tau, p their
    softmax; the weights are 1 for the largest and 0 else. Gives ``(weights, p)``. Source: Dong & Yang 2019, arXiv:1910.04465
    (GDAS).
    """

    tau: Positive = 1.0
    citation = Citation(
        "Dong & Yang 2019",
        "Searching for a Robust Neural Architecture in Four GPU Hours",
        "CVPR, arXiv:1910.04465",
        read="study",
        source=_SUKTHANKER.source,
    )
    shapes: ClassVar[Mapping[str, str]] = {"alpha": "choice", "noise": "choice"}
    lengths: ClassVar[Mapping[str, int]] = {"choice": 5}
    unspecified = "choices of equal logits: any one of them; the forward value has no p - p, which rounding leaves"

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "alpha", 1, "[choice]")
        check_count(arrays[0], "alpha", 1, "one choice")
        check_same(arrays[1], "noise", arrays[0].shape, "the shape of alpha")

    def apply(self, alpha: Any, noise: Any) -> Any:
        shifted = alpha - np.max(alpha)
        logits = (shifted - np.log(np.sum(np.exp(shifted))) + noise) / self.tau
        share = np.exp(logits - np.max(logits))
        return np.where(top_k(logits, 1), np.ones_like(logits), 0.0), share / np.sum(share)


class GumbelArchitectureGradient(Transform):
    """The gradient of the architecture's parameters through weights of choices by Gumbel noise.

    ``alpha``, ``noise``, ``upstream`` [choice], the gradient of the weights. Gives p (upstream - <p, upstream>) / tau. Source:
    Dong & Yang 2019, arXiv:1910.04465 (GDAS).
    """

    tau: Positive = 1.0
    citation = GumbelArchitectureWeights.citation
    shapes: ClassVar[Mapping[str, str]] = {"alpha": "choice", "noise": "choice", "upstream": "choice"}
    lengths: ClassVar[Mapping[str, int]] = {"choice": 5}
    unspecified = "nothing: the straight-through gradient is that of the softmax"

    def check(self, *arrays: np.ndarray) -> None:
        GumbelArchitectureWeights(tau=self.tau).check(*arrays[:2])
        check_same(arrays[2], "upstream", arrays[0].shape, "the shape of alpha")

    def apply(self, alpha: Any, noise: Any, upstream: Any) -> Any:
        _, share = GumbelArchitectureWeights(tau=self.tau).apply(alpha, noise)
        return share * (upstream - np.sum(share * upstream)) / self.tau


class DirichletConcentration(Transform):
    """The concentration of a Dirichlet distribution of the weights of choices: elu(alpha) + 1.

    ``alpha`` [choice]. Source: Chen et al. 2021, arXiv:2006.10355 (DrNAS).
    """

    citation = Citation(
        "Chen et al. 2021",
        "DrNAS: Dirichlet Neural Architecture Search",
        "ICLR, arXiv:2006.10355",
        read="study",
        source=_SUKTHANKER.source,
    )
    shapes: ClassVar[Mapping[str, str]] = {"alpha": "choice"}
    lengths: ClassVar[Mapping[str, int]] = {"choice": 5}
    unspecified = "a very negative number: 0, of which there is no Dirichlet distribution"

    def apply(self, alpha: Any) -> Any:
        return np.where(alpha > 0, alpha, np.expm1(np.minimum(alpha, 0.0))) + 1.0


class WidthImportance(Transform):
    """How much a layer's outputs or inputs matter: absolute weights times the norm of each input, added up; and which are kept.

    ``weights`` [out, in]; ``inputs`` [token, in]. Gives ``(importance, kept)``, kept 1 for the ``keep`` largest. Source: Fu et
    al. 2024 (AmoebaLLM).
    """

    keep: Annotated[int, Whole(1)] = 2
    over: Annotated[
        str,
        Choice(
            inputs="of each output: added over the inputs",
            outputs="of each input: added over the outputs",
        ),
    ] = "inputs"
    citation = Citation(
        "Fu et al. 2024",
        "AmoebaLLM: Constructing Any-Shape Large Language Models for Efficient and Instant Deployment",
        "NeurIPS",
        read="study",
        source="a study of GATECH-EIC/AmoebaLLM abb8f7e",
    )
    shapes: ClassVar[Mapping[str, str]] = {"weights": "out in", "inputs": "token in"}
    lengths: ClassVar[Mapping[str, int]] = {"out": 4, "in": 5, "token": 3}
    unspecified = "units of equal importance: any of them; more kept than there are: all"

    def check(self, *arrays: np.ndarray) -> None:
        weights, inputs = arrays
        check_axes(weights, "weights", 2, "[out, in]")
        check_axes(inputs, "inputs", 2, "[token, in]")
        check_same(inputs, "inputs", (len(inputs), weights.shape[1]), "one column an input of the layer")

    def apply(self, weights: Any, inputs: Any) -> Any:
        norm = np.sqrt(np.sum(inputs * inputs, axis=0))
        importance = np.sum(np.abs(weights) * norm, axis=1 if self.over == "inputs" else 0)
        return importance, np.where(top_k(importance, self.keep), np.ones_like(importance), 0.0)


class DepthProgram(NamedTuple):
    """Which layers to leave out, for every number of them.

    Args:
        metrics: [considered, removed], the best metric with so many of the last layers considered and so many left out; infinite
            where that is not possible, and NaN at none left out, which is not evaluated.
        strategies: for each number left out, from 0, which layers are.
    """

    metrics: np.ndarray
    strategies: list[tuple[int, ...]]


@gated(evaluate=Function(), layers=Whole(0, 10_000), removed=Whole(0, 10_000))
def depth_program(evaluate: Callable[[tuple[int, ...]], float], layers: int, removed: int) -> DepthProgram:
    """Choose layers to leave out by a dynamic program over the last layers, each evaluated in the whole model.

    With the last n layers considered and m left out, the candidate is the strategy of n - 1 and m - 1 with layer N - n; it is
    taken where its metric is strictly less than that of n - 1 and m. A strategy extends a stored one, so that the result is the
    best where the metric adds up over layers. Source: Fu et al. 2024 (AmoebaLLM), as its authors' code has it.

    Args:
        evaluate: from the layers that are left out, in rising order, to a metric; less is better, and NaN is never taken.
        layers: N.
        removed: how many are left out at most.

    Returns:
        The table, with the strategies of all layers considered; a strategy that no metric was found for is empty.

    Raises:
        ArgumentError: more are to be left out than there are layers.

    >>> depth_program(lambda out: sum([5.0, 1.0, 2.0, 9.0][i] for i in out), layers=4, removed=2).strategies
    [(), (1,), (1, 2)]
    """
    if removed > layers:
        raise bad_argument("removed", removed, f"a whole number from 0 to {layers}")
    metrics = np.full((layers + 1, removed + 1), math.inf)
    metrics[:, 0] = math.nan
    chosen: list[tuple[int, ...] | None] = [(), *[None] * removed]
    for considered in range(1, layers + 1):
        before, chosen = chosen, list(chosen)
        for count in range(1, min(considered, removed) + 1):
            metrics[considered, count] = metrics[considered - 1, count]
            stored = before[count - 1]
            if stored is None:
                continue
            candidate = (layers - considered, *stored)
            metric = number(evaluate(candidate), "evaluate's metric")
            if metric < metrics[considered, count]:
                metrics[considered, count], chosen[count] = metric, candidate
    return DepthProgram(metrics, [each or () for each in chosen])


@gated(epoch=COUNT, epochs=AT_LEAST_ONE, first=REAL, last=REAL)
def linear_temperature(epoch: int, epochs: int, first: float = 10.0, last: float = 0.1) -> float:
    """The temperature of Gumbel noise at an epoch, from a first to a last one in equal steps.

    Args:
        epoch: from 0.
        epochs: how many; of one alone the temperature is the first.
        first: of epoch 0; 10 as reported of GDAS and not checked.
        last: of the last epoch; 0.1 likewise.

    Returns:
        The temperature.

    Raises:
        ArgumentError: an argument is no such number, or the epoch is none of them.

    >>> linear_temperature(0, 5), round(linear_temperature(4, 5), 12)
    (10.0, 0.1)
    """
    if epoch >= epochs:
        raise bad_argument("epoch", epoch, f"a whole number from 0 to {epochs - 1}")
    return first if epochs == 1 else first - (first - last) * epoch / (epochs - 1)
