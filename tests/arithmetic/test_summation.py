"""Orders of addition: how deep trees are, what sums are off by, and programs that add up in each of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import refgrad
from refgrad.arithmetic.summation import RUN, height
from tests.depth import at_depth

F = np.float32
BLOCKED = {"sums": "blocked"}
FEW: dict[str, Any] = {"explain": False, "shrink": False}


@refgrad.formula(x="row term")
def total(x: Any) -> Any:
    return np.sum(x, axis=-1)


@refgrad.formula(a="row term", b="term column")
def multiplied(a: Any, b: Any) -> Any:
    return a @ b


@functools.cache
def depth_of_numpy(n: int) -> int:
    """Additions above a term of NumPy's sum along the last axis: eight lanes of up to 128 terms, and halves of more."""
    if n <= 8:
        return max(n - 1, 0)
    if n <= 128:
        return n // 8 - 1 + 3 + n % 8
    half = n // 2 - (n // 2) % 8
    return 1 + max(depth_of_numpy(half), depth_of_numpy(n - half))


def test_numpy_adds_up_in_blocks() -> None:
    lengths = [*range(1, 2000), *np.random.default_rng(0).integers(2000, 1 << 24, 2000).tolist()]
    assert [n for n in lengths if depth_of_numpy(n) > height(n)] == []


def test_runs_in_turn_and_a_tree_of_them_are_blocks() -> None:
    for n in range(1, 5000):
        runs = -(-n // RUN)
        assert min(n, RUN) - 1 + (runs - 1).bit_length() <= height(n) <= n - 1


@pytest.mark.parametrize("digits", [8, 11, 24, 53])
def test_the_error_of_a_tree_is_within_what_is_charged(digits: int) -> None:
    u = Fraction(1, 2**digits)
    for high in range(1, min(2**digits, 60)):
        assert (1 + u) ** high - 1 <= high * u * (1 + high * u)


# programs; each takes rows of products or terms in the dtype in which it adds, and adds each row up
def in_turn(x: Any) -> Any:
    found = np.zeros(x.shape[:-1], x.dtype)
    for i in range(x.shape[-1]):
        found = found + x[..., i]
    return found


def tree(x: Any) -> Any:
    while x.shape[-1] > 1:
        even = x[..., : x.shape[-1] // 2 * 2]
        left = x[..., even.shape[-1] :]
        x = np.concatenate([even[..., ::2] + even[..., 1::2], left], axis=-1)
    return x[..., 0] if x.shape[-1] else np.zeros(x.shape[:-1], x.dtype)


def in_runs(length: int) -> Callable[[Any], Any]:
    def added(x: Any) -> Any:
        parts = [in_turn(x[..., i : i + length]) for i in range(0, x.shape[-1], length)]
        return tree(np.stack(parts, axis=-1)) if parts else in_turn(x)

    return added


def lanes(count: int) -> Callable[[Any], Any]:
    """Each lane takes every so manieth term of a block of `RUN` times as many; lanes and blocks are a tree."""

    def block(x: Any) -> Any:
        rest = x.shape[-1] % count
        x = np.concatenate([x, np.zeros((*x.shape[:-1], -rest % count), x.dtype)], axis=-1)
        return tree(in_turn(np.moveaxis(x.reshape(*x.shape[:-1], -1, count), -2, -1)))

    def added(x: Any) -> Any:
        size = RUN * count
        parts = [block(x[..., i : i + size]) for i in range(0, x.shape[-1], size)]
        return tree(np.stack(parts, axis=-1)) if parts else in_turn(x)

    return added


def shuffled(inner: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: inner(x[..., np.random.default_rng(x.shape[-1]).permutation(x.shape[-1])])


PROGRAMS: dict[str, Callable[[Any], Any]] = {
    "tree": tree,
    "runs of 32": in_runs(32),
    "runs of 7": in_runs(7),
    "4 lanes": lanes(4),
    "32 lanes": lanes(32),
    "shuffled runs": shuffled(in_runs(32)),
    "shuffled tree": shuffled(tree),
    "NumPy": lambda x: np.sum(x, axis=-1),
}


def rows(dtype: Any, seed: int, length: int) -> Any:
    """Rows of what sums are hard of: one sign, equal terms, many magnitudes, and what cancels."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((4, length))
    x[1] = np.abs(x[1]) + 0.1
    x[2] = random.uniform(0.05, 0.15)
    x[3] *= 2.0 ** random.integers(-12, 12, length)
    return x.astype(dtype)


def sums_of(x: Any) -> refgrad.Cases:
    return refgrad.Cases.of(x.dtype.name, x=np.float64(x).tolist())


LENGTHS = at_depth(quick=(33, 1000), suite=(2, 33, 65, 1000, 4099), thorough=(2, 33, 65, 129, 1000, 4099, 20000))


@pytest.mark.parametrize("name", PROGRAMS)
def test_blocked_programs_are_inside(name: str) -> None:
    for seed, length in enumerate(LENGTHS):
        verdict = refgrad.verify(
            lambda x: PROGRAMS[name](x), total(), inputs=sums_of(rows(F, seed, length)), policy=BLOCKED, **FEW
        )
        assert verdict.conforms
        assert not verdict.notes, (length, verdict.notes)


@pytest.mark.parametrize("name", ["tree", "runs of 32", "32 lanes", "shuffled runs"])
def test_blocked_products_are_inside(name: str) -> None:
    for seed, length in enumerate(LENGTHS[:4]):
        a, b = rows(F, seed, length), rows(F, seed + 9, length)[:3].T
        cases = refgrad.Cases.of("float32", a=a.tolist(), b=b.tolist())
        program = lambda a, b: PROGRAMS[name](a[:, None, :] * b.T[None])  # noqa: E731
        verdict = refgrad.verify(program, multiplied(), inputs=cases, policy=BLOCKED, **FEW)
        assert verdict.conforms
        assert not verdict.notes, (length, verdict.notes)


def test_longer_runs_conform_with_a_note() -> None:
    x = np.full((4, 20000), 0.1, F)
    verdict = refgrad.verify(in_turn, total(), inputs=sums_of(x), policy=BLOCKED, **FEW)
    assert verdict.conforms
    assert verdict.policy == BLOCKED
    (note,) = verdict.notes
    assert note.startswith("longer runs than blocked: 4 elements of result are outside")
    assert "policy={'sums': 'blocked'}" in verdict.reproduce
    assert not refgrad.verify(in_turn, total(), inputs=sums_of(x), **FEW).notes
    ordinary = refgrad.verify(lambda x: np.asarray(in_runs(4096)(x)), total(), policy=BLOCKED, **FEW)
    assert ordinary.conforms


@refgrad.formula(x="batch feature")
def shares(x: Any) -> Any:
    return refgrad.softmax(x, axis=-1)


def online(block: int, low: bool = False) -> Any:
    """A softmax in one pass, whose sum is scaled again at every block; with factors that are all rounded down, perhaps."""

    def kernel(x: Any) -> Any:
        largest, total = np.full((len(x), 1), -np.inf, F), np.zeros((len(x), 1), F)
        for start in range(0, x.shape[-1], block):
            part = x[:, start : start + block]
            larger = np.maximum(largest, part.max(axis=-1, keepdims=True))
            factor = np.exp(largest - larger)
            factor = np.nextafter(factor, F(0)) if low else factor
            total = total * factor + np.sum(np.exp(part - larger), axis=-1, keepdims=True)
            largest = larger
        return np.exp(x - largest) / total

    return kernel


@pytest.mark.parametrize(
    ("block", "low", "longer"), [(1, False, True), (2, True, True), (8, False, True), (64, True, False)]
)
def test_rescalings_of_an_online_softmax_are_inside_where_maxima_rise_at_every_block(
    block: int, low: bool, longer: bool
) -> None:
    steps = F([37, 91, 113, 211])[:, None] * F(2.0**-18)
    cases = refgrad.Cases.of("float32", x=np.arange(1031, dtype=F) * steps)  # exact, so that every factor is off alike
    verdict = refgrad.verify(online(block, low), shares(), inputs=cases, policy=BLOCKED, **FEW)
    assert verdict.conforms
    assert any(note.startswith("longer runs than blocked") for note in verdict.notes) == longer
    assert refgrad.verify(online(block, low), shares(), inputs=cases, **FEW).conforms


@pytest.mark.parametrize("units", [1, 4])
def test_sums_of_online_programs_have_room_for_factors_of_any_library(units: int) -> None:
    """Term by term, with every factor off to the same side by as much as a library's may be."""

    def kernel(x: Any) -> Any:
        largest, total = x[:, :1], np.ones((len(x), 1), F)
        for part in x.T[1:, :, None]:
            larger = np.maximum(largest, part)
            factor = np.exp(largest - larger) * F(1 - units * 2.0**-24)
            total, largest = total * factor + np.exp(part - larger), larger
        return np.exp(x - largest) / total

    steps = F([37, 91, 113, 211])[:, None] * F(2.0**-18)
    cases = refgrad.Cases.of("float32", x=np.arange(1031, dtype=F) * steps)
    assert not refgrad.verify(kernel, shares(), inputs=cases, **FEW).conforms
    verdict = refgrad.verify(kernel, shares(), inputs=cases, policy={"sums": "online"}, **FEW)
    assert verdict.conforms
    assert verdict.policy == {"sums": "online"}
    wrong = lambda x: kernel(x) * F(1.01)  # noqa: E731
    assert not refgrad.verify(wrong, shares(), inputs=cases, policy={"sums": "online"}, **FEW).conforms


def test_an_online_softmax_that_forgets_to_scale_its_sum_is_refused() -> None:
    steps = F([37, 91, 113, 211])[:, None] * F(2.0**-12)
    cases = refgrad.Cases.of("float32", x=np.arange(1031, dtype=F) * steps)

    def forgot(x: Any) -> Any:
        parts = [x[:, i : i + 64] for i in range(0, x.shape[-1], 64)]
        total = sum(np.exp(p - p.max(axis=-1, keepdims=True)).sum(axis=-1, keepdims=True) for p in parts)
        return np.exp(x - x.max(axis=-1, keepdims=True)) / total

    assert refgrad.verify(forgot, shares(), inputs=cases, **FEW).outcome == "does not conform"


@pytest.mark.parametrize("factor", [1 + 2e-5, 1 - 2e-5, 1 + 1e-4])
def test_what_is_wrong_by_less_than_any_order_is_told(factor: float) -> None:
    """A factor that is hidden by the bound of any order is outside that of blocks; one that is not is refused."""
    x = np.abs(rows(F, 3, 20000)) + F(1)
    wrong = lambda x: np.sum(x, axis=-1) * F(factor)  # noqa: E731
    assert refgrad.verify(wrong, total(), inputs=sums_of(x), **FEW).conforms
    verdict = refgrad.verify(wrong, total(), inputs=sums_of(x), policy=BLOCKED, **FEW)
    assert verdict.conforms
    assert verdict.notes[0].startswith("longer runs than blocked: 4 elements")
    much = refgrad.verify(lambda x: np.sum(x, axis=-1) * F(1.01), total(), inputs=sums_of(x), policy=BLOCKED, **FEW)
    assert much.outcome == "does not conform"
    assert much.policy == BLOCKED


B = ml_dtypes.bfloat16
STORED: dict[str, Any] = {"precision": "storage", "accumulate": "float32", "sums": "blocked"}


@pytest.mark.parametrize("name", ["tree", "runs of 32", "32 lanes", "shuffled runs"])
def test_sums_in_float32_of_products_in_bfloat16_are_inside(name: str) -> None:
    for seed, length in enumerate(LENGTHS[:4]):
        a, b = rows(B, seed, length), rows(B, seed + 9, length)[:3].T
        cases = refgrad.Cases.of("bfloat16", a=np.float64(a).tolist(), b=np.float64(b).tolist())
        program = lambda a, b: PROGRAMS[name](F(a)[:, None, :] * F(b).T[None]).astype(B)  # noqa: E731
        verdict = refgrad.verify(program, multiplied(), inputs=cases, policy=STORED, **FEW)
        assert verdict.conforms
        assert not verdict.notes, (length, verdict.notes)


def test_sums_in_bfloat16_are_no_sums_in_float32() -> None:
    x = np.full((4, 1000), 0.1, B)
    for policy, conforms in ((STORED, False), ({"precision": "storage"}, True)):
        verdict = refgrad.verify(in_turn, total(), inputs=sums_of(x), policy=policy, **FEW)
        assert verdict.conforms == conforms, str(verdict)
    once = lambda x: in_turn(F(x)).astype(B)  # noqa: E731
    assert refgrad.verify(once, total(), inputs=sums_of(x), policy={**STORED, "sums": "any"}, **FEW).conforms


def test_sums_in_float64_are_held_to_it() -> None:
    x = np.full((4, 1000), 0.1, F)
    policy = {"accumulate": "float64"}
    wide = lambda x: in_turn(np.float64(x)).astype(F)  # noqa: E731
    assert refgrad.verify(wide, total(), inputs=sums_of(x), policy=policy, **FEW).conforms
    assert not refgrad.verify(in_turn, total(), inputs=sums_of(x), policy=policy, **FEW).conforms
    assert refgrad.verify(in_turn, total(), inputs=sums_of(x), policy={"accumulate": "float32"}, **FEW).conforms
