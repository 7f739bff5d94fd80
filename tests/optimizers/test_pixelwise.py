"""Pixel-wise clipping restated in sixty digits, and its laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refgrad import optimizers as o
from refgrad.errors import ArgumentError
from tests.depth import examples
from tests.optimizers.tracked import Tracked, dot, exponential, holds, largest, least, lift, root

V = np.random.default_rng(9).standard_normal((2, 3, 2, 4))
FORMS = [(m, f) for m in ("euclidean", "largest") for f in ("hard", "soft")]


@pytest.mark.parametrize(("measure", "form"), FORMS)
@pytest.mark.parametrize("threshold", [0.1, 1.5])
def test_the_sources_equations(measure: str, form: str, threshold: float) -> None:
    got = o.PixelwiseClip(threshold=threshold, measure=measure, form=form)(V)
    for n, i, j in np.ndindex(2, 2, 4):
        pixel = V[n, :, i, j].tolist()
        size: Tracked = root(dot(pixel, pixel))
        if measure == "largest":
            size = largest(abs(lift(pixel[0])), largest(abs(lift(pixel[1])), abs(lift(pixel[2]))))
        factor = threshold / (size + threshold) if form == "soft" else least(1.0, threshold / size)
        holds(got[n, :, i, j], [x * factor for x in pixel])


pixels = hnp.arrays(np.float64, (3, 2, 2), elements=st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-6))


@pytest.mark.parametrize(("measure", "form"), FORMS)
@examples(40)
@given(v=pixels, power=st.integers(-30, 30))
def test_laws(measure: str, form: str, v: np.ndarray, power: int) -> None:
    rule = o.PixelwiseClip(threshold=0.25, measure=measure, form=form)
    got = rule(v)
    known = ~np.isnan(got)
    assert np.array_equal(rule(-v), -got, equal_nan=True)
    assert np.all(np.abs(got[known]) <= 0.25 * (1 + 2.0**-50))
    assert np.all(np.signbit(got) == np.signbit(v))
    scaled = o.PixelwiseClip(threshold=float(np.ldexp(0.25, power)), measure=measure, form=form)(np.ldexp(v, power))
    assert np.array_equal(scaled, np.ldexp(got, power))
    other = v.copy()
    other[:, 0, 0] = 7.0
    assert np.array_equal(rule(other)[:, 1], got[:, 1])


@pytest.mark.parametrize("form", ["value", "soft_value", "sigmoid", "rescaled"])
def test_the_other_modes_of_the_authors_code(form: str) -> None:
    c = 0.75
    top = float(np.max(np.abs(V)))
    want = {
        "value": lambda x: max(min(x, c), -c),
        "soft_value": lambda x: c * lift(x) / (abs(lift(x)) + c),
        "sigmoid": lambda x: c * (1.0 / (1.0 + exponential(-x)) - 0.5),
        "rescaled": lambda x: lift(x) / top * c,
    }[form]
    holds(o.PixelwiseClip(threshold=c, form=form)(V), [want(x) for x in V.ravel().tolist()])


def test_the_euclidean_factor_is_never_larger() -> None:
    euclidean, largest_one = (o.PixelwiseClip(measure=m)(V) for m in ("euclidean", "largest"))
    assert np.all(np.abs(euclidean) <= np.abs(largest_one) * (1 + 2.0**-50))
    assert np.all(np.abs(largest_one) <= np.abs(euclidean) * 3**0.5 * (1 + 2.0**-50))


def test_special_pixels() -> None:
    v = np.zeros((3, 1, 3))
    v[0, 0, 1], v[1, 0, 2] = np.nan, np.inf
    got = o.PixelwiseClip()(v)
    assert np.array_equal(got[:, 0, 0], np.zeros(3))
    assert np.all(np.isnan(got[:, 0, 1]))
    assert np.isnan(got[1, 0, 2])
    assert got[0, 0, 2] == 0.0
    with pytest.raises(ArgumentError, match=r"at least 3: \[..., channels, height, width\]"):
        o.PixelwiseClip()(np.zeros((2, 2)))
