"""What every transform does with its arguments, whatever it computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from refgrad import optimizers as o
from refgrad.errors import ArgumentError
from refgrad.optimizers.transform import Transform
from refgrad.rule import Positive, rules
from tests.used import transform_arrays

RANDOM = np.random.default_rng(14)


def standard(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape)


#: arrays that each transform takes
ARGUMENTS: dict[str, tuple[np.ndarray, ...]] = {
    "AdAdaGrad": (standard(3), standard(4, 3), standard(3) ** 2),
    "AdAdaGradNorm": (standard(3), standard(4, 3), standard(1) ** 2),
    "AugmentedInnerProductTest": (standard(4, 3),),
    "BatchPerceptron": (standard(3), standard(5, 3)),
    "Coherence": (standard(4, 3),),
    "CoordinateTest": (standard(4, 3),),
    "Diff2Difference": (standard(2, 4, 3), standard(2, 4, 3), standard(3), standard(3), standard(3)),
    "Diff2Restart": (standard(2, 4, 3), standard(3)),
    "GaussNewtonDiagonal": (standard(4, 3),),
    "GhostBatchNorm": (standard(5, 2, 3), standard(2), standard(2), standard(2), standard(2) ** 2),
    "GhostBatchNormGradient": (standard(5, 2, 3), standard(2), standard(5, 2, 3)),
    "GradientBefore": (standard(4, 3), standard(4, 3)),
    "HutchinsonDiagonal": (standard(3, 2, 2, 2), standard(3, 2, 2, 2)),
    "InnerProductTest": (standard(4, 3),),
    "LogisticDescent": (standard(3), standard(5, 3)),
    "M3": (standard(6, 3),),
    "MoNNA": (standard(4, 3), standard(4, 3), standard(4, 3)),
    "NearestNeighborAverage": (standard(4, 3), standard(3)),
    "NormTest": (standard(4, 3),),
    "NormalizedBatchPerceptron": (standard(3), standard(5, 3)),
    "NormalizedLogisticDescent": (standard(3), standard(5, 3)),
    "ParameterScaledRate": (standard(4, 3),),
    "Perceptron": (standard(3), standard(5, 3)),
    "PixelwiseClip": (standard(3, 4, 5),),
    "QKLayerNorm": (standard(2, 3), standard(4, 3), standard(2, 4)),
    "PrivateAggregate": (standard(4, 3), standard(3)),
    "RateSensitivity": (standard(4) ** 2, np.asarray(4.0)),
    "TrActConvolution": (standard(2, 2, 4, 4), standard(2, 3, 2, 2)),
    "TrActLinear": (standard(5, 3), standard(5, 2)),
    "WinsorizedMean": (standard(4, 3),),
    "ZLoss": (standard(4, 3),),
    "ZeroNaNs": (standard(4, 3),),
}
NAMES = list(ARGUMENTS)
PAGE = Path(__file__).parents[2] / "docs" / "transforms.md"


def leaves(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple) else [result]


def test_every_transform_is_here() -> None:
    ours = {n for n, cls in rules(Transform).items() if cls.__module__.startswith("refgrad.optimizers")}
    assert ours - {"BatchScaledRate", "RegimeAdaptation", "SpikedRate"} == set(ARGUMENTS)
    assert all(f"`{name}`" in PAGE.read_text() for name in ours)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, ml_dtypes.bfloat16])
def test_dtypes_are_kept_and_arguments_are_left_alone(name: str, dtype: Any) -> None:
    rule = rules(Transform)[name]()
    arrays = [a.astype(dtype) for a in ARGUMENTS[name]]
    for array in arrays:
        array.flags.writeable = False
    before = [a.copy() for a in arrays]
    results = leaves(rule(*arrays))
    assert all(isinstance(r, float) or r.dtype == dtype for r in results)
    assert all(np.array_equal(a, b) for a, b in zip(arrays, before, strict=True))
    assert not any(np.shares_memory(r, a) for r in results if isinstance(r, np.ndarray) for a in arrays)


@pytest.mark.parametrize("name", NAMES)
def test_strides_do_not_matter(name: str) -> None:
    rule = rules(Transform)[name]()
    strided = [np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a for a in ARGUMENTS[name]]
    for a, b in zip(leaves(rule(*ARGUMENTS[name])), leaves(rule(*strided)), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_in_memory_changes_no_bit(name: str) -> None:
    """NumPy adds in the order in which numbers lie in memory; the axes are long enough for that to show."""
    rule, random = rules(Transform)[name](), np.random.default_rng(3)
    for dtype in (np.float32, np.float64):
        floats = lambda shape, dtype=dtype: np.abs(np.asarray(random.standard_normal(shape), dtype))  # noqa: E731
        arrays = transform_arrays(rule, random, floats, times=7)
        try:
            expected = leaves(rule(*arrays))
        except ArgumentError:  # of lengths that go together otherwise
            continue
        found = leaves(rule(*(np.array(a, order="F") for a in arrays)))
        assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_what_does_not_fit_is_refused(name: str) -> None:
    rule, arrays = rules(Transform)[name](), ARGUMENTS[name]
    with pytest.raises(ArgumentError, match="was called with 0 arrays; legal:"):
        rule()
    with pytest.raises(ArgumentError, match="is a list; legal: a NumPy array"):
        rule(*arrays[:-1], arrays[-1].tolist() if arrays[-1].ndim else [1.0])
    with pytest.raises(ArgumentError, match="legal: a float dtype"):
        rule(arrays[0].astype(np.int64), *arrays[1:])
    if len(arrays) > 1:
        with pytest.raises(ArgumentError, match="dtype is 'float32'; legal: float64, the dtype of"):
            rule(*arrays[:-1], arrays[-1].astype(np.float32))
        with pytest.raises(ArgumentError, match=r"\.(shape|ndim) is"):
            rule(*arrays[:-1], np.zeros((9, 9, 9, 9, 9)))


def test_numbers_out_of_range_are_refused() -> None:
    for make, text in [
        (lambda: o.NormTest(threshold=1.0), "threshold"),
        (lambda: o.WinsorizedMean(percent=50.0), "percent"),
        (lambda: o.TrActLinear(damping=0.0), "damping"),
        (lambda: o.MoNNA(faults=-1), "faults"),
        (lambda: o.GhostBatchNorm(size=0), "size"),
        (lambda: o.NormTest(scalars="float32"), "scalars"),
    ]:
        with pytest.raises(ArgumentError, match=text):
            make()


class Overwriting(Transform):
    """A body that writes into what it is handed."""

    shapes = {"x": "n"}

    def apply(self, x: Any) -> Any:
        x += 1
        return x


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_of_the_caller_are_not_overwritten(dtype: type) -> None:
    x = np.zeros(3, dtype)
    assert Overwriting()(x).tolist() == [1, 1, 1]
    assert x.tolist() == [0, 0, 0]


class Powers(Transform):
    """A body with a number that may be no float."""

    shapes = {"x": "n"}
    base: Positive = 10.0

    def apply(self, x: Any) -> Any:
        return x * self.base**300


def test_a_number_that_is_no_float_is_told_by_the_hyperparameters() -> None:
    assert Powers()(np.ones(1))[0] == 1e300
    with pytest.raises(ArgumentError, match=r"Powers\.base: Powers\(base=1000\.0\) has no value"):
        Powers(base=1000.0)(np.ones(1))
