"""What checks of NumPy's arrays see of an array on a device: its shape for nothing, its values where they look at them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from refgrad.backends.cuda.host_values import HostValues
from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.optimizers.transform_on_device import _check
from refgrad.rule import rules
from tests.backends.cuda.devices import OnHost


class Counted(OnHost):
    """A device that counts what came from it."""

    gets = 0

    def get(self, array: np.ndarray) -> np.ndarray:
        self.gets += 1
        return super().get(array)


@pytest.fixture
def device() -> Counted:
    return Counted()


def of_shape(x: Any) -> Any:
    check_axes(x, "x", 2, "")
    check_count(x.T, "x.T", 3, "")
    check_same(x, "x", (2, 3), "")
    return (
        x[0].shape,
        x[..., None, 1:].shape,
        [each.shape for each in x],
        x.shape,
        x.ndim,
        x.size,
        x.dtype,
        len(x),
        len(x.T),
        np.shape(x),
        np.ndim(x),
        np.size(x),
        x.T.shape,
    )


def test_what_is_known_of_the_shape_asks_for_no_value(device: Counted) -> None:
    x = np.arange(6.0, dtype=np.float32).reshape(2, 3)
    assert of_shape(HostValues(x, device)) == of_shape(x)
    assert device.gets == 0


LOOKED_AT: tuple[Callable[[Any], Any], ...] = (
    lambda x: x.min(),
    lambda x: np.max(x),
    lambda x: x.tolist(),
    lambda x: x[1:, 0],
    lambda x: x[x > 2],
    lambda x: x.T[0] + 1,
    lambda x: np.isfinite(x).all(),
    lambda x: (x == x).any(axis=0),
    lambda x: np.concatenate([x, x]),
    lambda x: np.asarray(x[0, 1:]),
    lambda x: np.asarray(x),
    lambda x: 2.0 - x,
    lambda x: np.add(x, x, out=np.empty(x.shape, np.float32)),
)


@pytest.mark.parametrize("function", LOOKED_AT)
def test_what_is_looked_at_is_the_array_itself(function: Callable[[Any], Any], device: Counted) -> None:
    x = np.arange(6.0, dtype=np.float32).reshape(2, 3)
    assert np.array_equal(function(HostValues(x, device)), function(x))
    assert device.gets == 1


def test_one_number_is_one_here_too(device: Counted) -> None:
    one = HostValues(np.float32(2.5), device)
    assert (bool(one), int(one), float(one)) == (True, 2, 2.5)
    with pytest.raises(TypeError, match="unsized"):
        len(one)


def test_checks_copy_labels_and_what_they_look_at_alone() -> None:
    read = set()
    for name, cls in rules(Transform).items():
        rule, device = cls(), Counted()
        drawn = rule.drawn(rule.lengths, np.random.default_rng(1))
        whole = [a.dtype.kind in "iu" for a in drawn.values()]
        _check(rule, list(drawn.values()), whole, device)
        assert device.gets <= max(sum(whole), 1)
        if device.gets and not any(whole):
            read.add(name)
    # these ask how many rows have no infinity
    assert read == {"LeastDiameterMean", "LeastSpreadMean"}


def test_a_check_that_reads_values_refuses_wrong_ones() -> None:
    class Positive(Transform):
        """A rule whose check looks at numbers."""

        def check(self, *arrays: np.ndarray) -> None:
            """Refuses what is negative."""
            if (arrays[0] < 0).any():
                raise ValueError(f"least is {arrays[0].min()}")

    x, device = np.array([1.0, -2.0], np.float32), Counted()
    with pytest.raises(ValueError, match=r"least is -2\.0"):
        _check(Positive.__new__(Positive), [x], [False], device)
    assert device.gets == 1
