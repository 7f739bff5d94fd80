"""Kernels with reductions have the bits of the rule's body, along the tree of fixed shape, in whatever order threads run."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from refgrad.arithmetic.folding import BLOCK
from refgrad.arithmetic.steps import WholeCodes
from refgrad.axes import COLUMN, ROW, TENSOR
from refgrad.backends import row_kernels
from refgrad.backends.between_source import ONE_THREAD, Between, own_axes
from refgrad.backends.cuda import staged_source
from refgrad.backends.cuda.run import program_of, run
from refgrad.backends.cuda.storage import Codes, Number
from refgrad.errors import ArgumentError
from refgrad.estimators import Estimator
from refgrad.optimizers import CAME, LAMB, SM3
from refgrad.quantizers import KMeans
from refgrad.rule import Rule
from refgrad.tracing import free_values
from tests.backends.covering import cover
from tests.backends.cuda.conftest import needs_compiler, needs_nvrtc
from tests.backends.cuda.covered import TIERS, Case, case, covered, is_one_loop, plan, staged
from tests.backends.cuda.devices import Emulated, Interpreted
from tests.backends.cuda.test_run import check

#: no axes, one element, less than a block of the tree, rows that are longer, columns that are longer
SHAPES = [(), (1,), (7, 31), (3, 1500), (1100, 3)]


@cache
def few() -> tuple[Rule, ...]:
    """Some rules among whose reductions all are that there are: by operation, axes and what they leave."""
    return tuple(cover(staged(), lambda rule: {(n.op, n.axes, n.attribute) for n in plan(rule, 3).graph.reductions()}))


def cases(rule: Rule, tier: str) -> list[Case]:
    """All shapes on tame numbers, and one with infinities and NaN, which would be all that is seen of a sum."""
    shapes = [
        shape for shape in SHAPES if shape or not isinstance(rule, Estimator)
    ]  # which take one number as a row of one
    return [*(case(rule, tier, 3, shape, tame=True) for shape in shapes), case(rule, tier, 3, (7, 31))]


@needs_compiler
@pytest.mark.slow
def test_every_reduction_has_its_bits_where_kernels_are_emulated(
    emulated: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [each for rule in few() for each in cases(rule, "float32")]
    given += cases(CAME(), "bfloat16")
    # reductions whose terms do not fit into shared memory together are computed in several passes
    assert staged_source.most_reductions(np.dtype(np.float64)) == 6
    whole = len(case(LAMB(eps=2e-6), "float32", 3, (3, 700)).sources())
    monkeypatch.setattr(staged_source, "most_reductions", lambda dtype: 1)
    given += [case(LAMB(eps=3e-6), "float32", 3, (3, 700), tame=True)]
    assert len(given[-1].sources()) == whole + 1
    emulated.compile([source for each in given for source in each.sources()])
    for emulated.seed, each in enumerate(given, 1):
        check(each, emulated)


#: rows and what one has: more rows than a block has threads, of several blocks of the tree; of columns the same; few of each
MATRICES = [(300, 5000), (6200, 70), (23, 7)]


def betweens() -> list[tuple[Between, Between]]:
    """What runs between passes of some rules, as kernels of a block of threads and of one thread."""
    found = []
    for rule in few():
        forms, graph = {"p": Number("float32")}, plan(rule, 3).graph
        shared = staged_source.stages(graph, np.dtype(np.float32), "shared", forms)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(staged_source, "BLOCK_THREADS", ONE_THREAD)
            alone = staged_source.stages(graph, np.dtype(np.float32), "alone", forms)
        found += [(a.ahead, b.ahead) for a, b in zip(shared, alone, strict=True) if a.ahead and b.ahead]
    return found


def between_passes(of: Between, shape: tuple[int, int], device: Any, threads: int) -> list[np.ndarray]:
    """What such a kernel makes of numbers that blocks may have left, where it says that its values come to lie."""
    rows, row_length = shape
    n, random = rows * row_length, np.random.default_rng(5)
    lengths = {TENSOR: 1, ROW: rows, COLUMN: row_length}
    blocks = {TENSOR: -(-n // BLOCK), ROW: rows * -(-row_length // BLOCK), COLUMN: row_length * -(-rows // BLOCK)}
    arrays = of.arrays
    rooms = [lengths[own_axes(x)] for x in arrays.given] + [blocks[own_axes(x)] for x in arrays.folded]
    rooms += [lengths[x.args[0].axes] for x in arrays.vectors] + [lengths[own_axes(x)] for x in arrays.kept]
    held = [device.put(random.random(room, np.float32) + np.float32(0.125)) for room in rooms]
    given = [n, row_length, *map(device.address, held), *(0.5 for _ in of.scalars)]
    device.launch(of.source, 1, threads, given, None)
    return [device.get(a)[: lengths[own_axes(x)]] for a, x in zip(held, arrays.nodes, strict=True)]


@pytest.mark.slow
@needs_compiler
def test_a_block_of_threads_gives_between_passes_what_one_thread_gives(emulated: Emulated) -> None:
    pairs = betweens()
    emulated.compile([kernel.source for pair in pairs for kernel in pair])
    folds = {(x.op, own_axes(x)) for shared, _ in pairs for x in shared.arrays.folded}
    assert {axes for _, axes in folds} == {ROW, COLUMN, TENSOR}
    assert any(shared.arrays.vectors for shared, _ in pairs)
    for shared, alone in pairs:
        for shape in MATRICES:
            wanted = between_passes(alone, shape, emulated, 1)
            for emulated.seed in (1, 2, 3):
                for a, b in zip(between_passes(shared, shape, emulated, 24), wanted, strict=True):
                    assert a.tobytes() == b.tobytes(), shared.source.text
        emulated.arrays.clear()


@needs_nvrtc
def test_a_block_of_threads_between_passes_as_ptx() -> None:
    device = Interpreted()
    for shared, alone in betweens():
        for shape in ((100, 5000), (6200, 2), (23, 7)):  # more rows than the interpreter has threads
            wanted = between_passes(alone, shape, device, 1)
            found = between_passes(shared, shape, device, 96)
            assert all(a.tobytes() == b.tobytes() for a, b in zip(found, wanted, strict=True)), shared.source.text
            device.arrays.clear()


@pytest.mark.slow
@needs_compiler
def test_a_table_that_is_handed_in_is_read_at_places(emulated: Emulated) -> None:
    codes = np.random.default_rng(2).integers(0, 9, (7, 31)).astype(np.uint8)
    for dtype in (np.float32, np.float64):
        book = np.linspace(-1, 1, 9).astype(dtype)
        held = {
            name: emulated.put(a) for name, a in (("codes", codes), ("codebook", book), ("y", np.empty((7, 31), dtype)))
        }
        held["x"] = held["y"]
        decoder, kept = row_kernels.decoder(KMeans(clusters=9)), {"codes": Codes(WholeCodes("uint8"))}
        run(decoder, free_values((7, 31), {}), held, emulated, kept, np.dtype(dtype))
        np.testing.assert_array_equal(held["y"], book[codes])


@needs_compiler
@pytest.mark.thorough  # the rules above have every reduction
@pytest.mark.parametrize("tier", TIERS)
def test_every_rule_with_reductions_has_its_bits_where_kernels_are_emulated(tier: str, emulated: Emulated) -> None:
    every = [rule for rule in covered() if not is_one_loop(plan(rule, 3).graph)]
    given = [each for rule in (every if tier == "float32" else staged()) for each in cases(rule, tier)]
    emulated.compile([source for each in given for source in each.sources()])
    for each in given:
        check(each, emulated)


@needs_nvrtc
@pytest.mark.parametrize("tier", ["float32", "float64"])
def test_every_rule_with_reductions_has_its_bits_as_ptx(tier: str) -> None:
    device = Interpreted()
    assert len(staged()) > 50
    for rule in staged():
        for tame in (True, False):
            check(case(rule, tier, 3, (7, 31), tame), device)
            device.arrays.clear()


@needs_nvrtc
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes_and_narrow_states_as_ptx(shape: tuple[int, ...]) -> None:
    device = Interpreted()
    for rule in few():
        check(case(rule, "float32", 3, shape, tame=True), device)
        check(case(rule, "bfloat16", 3, shape, tame=True), device)
        device.arrays.clear()
    assert {"bar.sync", "ld.shared.f32", "st.shared.f32"} <= set(device.executed)


def test_what_is_set_from_no_elements_is_refused(emulated: Emulated) -> None:
    assert program_of(plan(SM3(), 3), {n: np.dtype("f4") for n in SM3().takes()}).stages
    with pytest.raises(ArgumentError, match=r"has no CUDA kernel, because there are no elements, of which it sets \w+"):
        check(case(SM3(), "float32", 3, (0, 3)), emulated)
    check(case(LAMB(), "float32", 3, (0, 3)), emulated)
