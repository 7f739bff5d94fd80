"""Large arrays judged by a kernel: the same counts, distances and findings as without it, on right programs and on wrong ones."""

from __future__ import annotations

import dataclasses
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import refgrad
from refgrad.arithmetic import enclosure_graph
from refgrad.arithmetic.graph import walk
from refgrad.backends import kernels, screen_source
from refgrad.backends.narrow_source import on_grid
from refgrad.optimizers import SGD
from refgrad.oracle.acceptance import judge as careful
from refgrad.oracle.acceptance import judgement, screening
from refgrad.oracle.acceptance.chunks import CHUNK
from refgrad.oracle.acceptance.findings import count, tightness
from refgrad.oracle.acceptance.judge import Large, Step
from refgrad.oracle.acceptance.judgement import OUTSIDE
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.screened_outputs import Screened, summary
from refgrad.oracle.acceptance.screening import screened, why_not
from refgrad.oracle.acceptance.ulp_errors import measure
from tests.arithmetic.test_enclosure_graph import PLANTED as GRAPH_FAULTS
from tests.arithmetic.test_enclosure_graph import ordinary, outputs_of, with_other

#: one kernel for all of these tests: compilers take seconds
RULE = SGD(lr=0.1, momentum=0.9, weight_decay=0.1)
SIZE = 3 * CHUNK + 100


USUAL = Policy()


def step_of(t: int = 3) -> Step:
    """One step, whose arrays are as they are stored."""
    step = ordinary(RULE, SIZE, t)
    return dataclasses.replace(step, before=Large({n: b.value.astype(np.float32) for n, b in step.before.items()}))


def changed(step: Step, name: str, places: Any, value: Any) -> Step:
    """The step with some of what was seen changed."""
    array = step.after[name].copy()
    array[places] = value
    return dataclasses.replace(step, after={**step.after, name: array})


def agrees(step: Step, policy: Policy = USUAL) -> dict[str, Screened]:
    """What the kernel says, which must be what judging without it says."""
    assert why_not(step, policy) is None
    want, _ = careful.judge(step, policy)
    found = screened(step, policy, threads=2)
    assert set(found) == set(want)
    for name, judged in found.items():
        values, known = step.after[name], want[name]
        errors = measure(known, values, values.dtype)
        wanted = (count(known), _undecided_nan(known, values), tightness(known, values), errors)
        assert summary(judged, values, values.dtype) == wanted
        for attribute in ("status", "truth", "low", "high"):
            np.testing.assert_array_equal(getattr(judged, attribute), getattr(known, attribute))
        for index in np.argwhere(known.status == OUTSIDE)[:1]:
            np.testing.assert_array_equal(judged.at(tuple(index)), known.at(tuple(index)))
    return found  # type: ignore[return-value]


def _undecided_nan(known: judgement.Judged, values: np.ndarray) -> int:
    return int(np.count_nonzero((known.status == judgement.UNDECIDED) & np.isnan(values)))


@pytest.mark.slow
@pytest.mark.parametrize("t", [1, 3])
def test_a_right_program_is_clear(t: int) -> None:
    found = agrees(step_of(t))
    assert all(judged.screen.clear.all() for judged in found.values())


def test_wrong_elements_are_found_where_they_are() -> None:
    step = changed(step_of(), "p", slice(CHUNK + 7, CHUNK + 9), 1e3)
    found = agrees(step)
    assert found["p"].screen.unclear == (1,)
    assert summary(found["p"], step.after["p"]).counted.outside == 2


@pytest.mark.sample(quick=1, suite=8)
@pytest.mark.parametrize("special", [np.nan, -np.inf, 1e-42, 3e38, -0.0])
@pytest.mark.parametrize("name", ["g", "buffer", "p"])
def test_special_numbers_are_judged_without_it(name: str, special: float) -> None:
    step = step_of()
    arrays = {n: np.array(step.before[n].value, np.float32) for n in step.before}
    assert name in arrays
    arrays[name][5], arrays[name][CHUNK + 3 : CHUNK + 60] = special, special
    agrees(dataclasses.replace(step, before=Large(arrays)))
    agrees(changed(step, "p" if name == "g" else name, [3, 2 * CHUNK + 4], special))


def test_nothing_is_written_beside_what_is_counted_into(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the numbers are: kernels do not look whether a place is within its array."""
    room, kept, mark = screening._room, [], 77

    def guarded(outputs: int, rooms: int) -> list[np.ndarray]:
        found = []
        for array in room(outputs, rooms):
            whole = np.full(17 * array.size, mark, array.dtype)
            found.append(whole[8 * array.size : 9 * array.size].reshape(array.shape))
            found[-1][...] = 0
            kept.append((whole, array.size))
        return found

    monkeypatch.setattr(screening, "_room", guarded)
    step = step_of()
    for special in (np.nan, np.inf, -np.inf, 3e38, 1e-45):
        arrays = {n: np.array(step.before[n].value, np.float32) for n in step.before}
        for array in arrays.values():
            array[:: CHUNK // 4] = special
        screened(dataclasses.replace(step, before=Large(arrays)), USUAL, threads=2)
        screened(changed(step, "p", slice(None, None, CHUNK // 4), special), USUAL, threads=2)
    assert len(kept) >= 40
    for whole, size in kept:
        assert (whole[: 8 * size] == mark).all()
        assert (whole[9 * size :] == mark).all()


@pytest.mark.parametrize("policy", [Policy(roundings=1, scalar_roundings=1), Policy(roundings=8)], ids=str)
def test_other_roundings(policy: Policy) -> None:
    agrees(step_of(), policy)


def test_small_numbers_whose_underflow_counts() -> None:
    step = step_of()
    scaled = {n: (step.before[n].value * 1e-30).astype(np.float32) for n in step.before}
    after = {n: (a * np.float32(1e-30)) for n, a in step.after.items()}
    agrees(dataclasses.replace(step, before=Large(scaled), after=after))


def test_results_near_the_edge_of_their_sets() -> None:
    step, random = step_of(), np.random.default_rng(1)
    known, _ = careful.judge(step, Policy())
    for share in (0.97, 1.03):
        after = {}
        for name, judged in known.items():
            near = judged.truth + share * (judged.high - judged.truth) * random.choice([-1, 1], judged.truth.shape)
            after[name] = near.astype(np.float32)
        agrees(dataclasses.replace(step, after=after))


NARROW = ("bfloat16", "float16", "float8_e4m3fn")


def narrow_step(name: str, storage: bool = False, t: int = 3) -> Step:
    """A step of which the parameter and the gradient are narrow; the state too, if everything is computed so."""
    dtype, step = np.dtype(getattr(ml_dtypes, name, name)), ordinary(RULE, SIZE, t)
    before = {n: b.value.astype(np.float32) for n, b in step.before.items()}
    kept = {n: dtype if storage or n in ("p", "g") else np.dtype(np.float32) for n in (*before, *step.after)}
    if storage:  # of numbers of either sign some sums are zero, which are judged without it
        before = {n: np.abs(a) for n, a in before.items()}
    before = {n: a.astype(kept[n]) for n, a in before.items()}
    wide = {n: a.astype(np.float32) for n, a in before.items()}
    new, state = RULE.step(wide["p"], wide["g"], {"buffer": wide["buffer"], "t": t - 1}, backend="numpy")
    after = {"p": new.astype(kept["p"]), "buffer": state["buffer"].astype(kept["buffer"])}
    return dataclasses.replace(step, before=Large(before), after=after)


def beside(step: Step, places: Any) -> Step:
    """The step with numbers of the parameter that are the next on its grid, up or down."""
    array, random = step.after["p"].copy(), np.random.default_rng(3)
    codes = array.view(f"u{array.itemsize}")
    codes[places] += random.choice(np.asarray([-1, 1]), codes[places].shape).astype(codes.dtype)
    return dataclasses.replace(step, after={**step.after, "p": array})


@pytest.mark.slow
@pytest.mark.parametrize("name", NARROW)
def test_a_narrow_parameter_beside_a_wide_state(name: str) -> None:
    step = narrow_step(name)
    found = agrees(step)
    assert found["p"].screen.clear[:3].all()
    assert summary(found["p"], step.after["p"]).counted.outside == 0
    wrong = agrees(beside(step, slice(CHUNK + 5, CHUNK + 400)))
    assert wrong["p"].screen.unclear[0] == 1
    assert summary(wrong["p"], step.after["p"]).counted.outside > 300


@pytest.mark.slow
def test_a_narrow_step_that_is_computed_in_its_storage() -> None:
    policy, step = Policy(precision="storage"), narrow_step("bfloat16", storage=True)
    found = agrees(step, policy)
    assert found["p"].screen.clear.all()
    agrees(beside(step, slice(7, None, 11)), policy)


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=4)
@pytest.mark.parametrize("special", [np.nan, -np.inf, 1e-40, 3e38, -0.0, 0.0, 2.0**-126])
def test_special_numbers_of_a_narrow_parameter(special: float) -> None:
    step = narrow_step("bfloat16")
    for name in ("p", "g", "buffer"):
        arrays = {n: np.array(array) for n, array in step.before.arrays.items()}
        arrays[name][5], arrays[name][CHUNK + 3 : CHUNK + 60] = special, special
        agrees(dataclasses.replace(step, before=Large(arrays)))
    agrees(changed(step, "p", [3, 2 * CHUNK + 4], special))


@pytest.mark.slow
def test_a_parameter_that_nothing_rounds_has_ends_beside_its_grid() -> None:
    """Of a chunk where all is within bounds, ends are not on the grid; so it is judged without the kernel."""
    step = narrow_step("bfloat16")
    arrays = {n: np.array(array) for n, array in step.before.arrays.items()}
    still = slice(CHUNK, 2 * CHUNK)
    for name in ("p", "g", "buffer"):
        arrays[name][still] = 0
    after = {n: np.array(a) for n, a in step.after.items()}
    for array in after.values():
        array[still] = 0
    found = agrees(dataclasses.replace(step, before=Large(arrays), after=after))
    assert 1 in found["p"].screen.unclear


#: what is done to how ends are rounded, each of which must be seen
GRID_FAULTS = {
    "not rounded": lambda w, name, value, dtype: w.set(name, value),
    "to the next binade": lambda w, name, value, dtype: on_grid(w, name, value, np.dtype(ml_dtypes.float8_e5m2)),
}


@pytest.mark.slow
@pytest.mark.parametrize("planted", [*GRID_FAULTS, "a margin below zero"])
def test_a_fault_of_the_grid_is_seen(planted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if planted in GRID_FAULTS:
        monkeypatch.setattr(screen_source, "on_grid", GRID_FAULTS[planted])
    else:
        monkeypatch.setattr(screen_source, "SPARE", -(2.0**17))
    monkeypatch.setattr(screening, "_sources", lambda plan: {})
    with pytest.raises(AssertionError):
        test_a_narrow_parameter_beside_a_wide_state("bfloat16")


def test_the_same_verdict_of_large_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(2)
    p, *gradients = (random.standard_normal(SIZE).astype(np.float32) for _ in range(3))

    def wrong(p: Any, g: Any, buffer: Any, t: Any) -> Any:
        new = RULE.step(p, g, {"buffer": buffer, "t": int(t) - 1}, backend="numpy")
        out = new[0].copy()
        out[CHUNK + 5] += 1.0
        return out, new[1]["buffer"]

    inputs = refgrad.Inputs([p], [[g] for g in gradients])
    for candidate in (RULE, wrong):
        monkeypatch.setattr(screening, "WORTH", 1 << 40)
        want = refgrad.verify(candidate, RULE, inputs=inputs, explain=False, shrink=False)
        monkeypatch.setattr(screening, "WORTH", CHUNK)
        monkeypatch.setattr(screening, "WORTH_COMPILING", 0)
        found = refgrad.verify(candidate, RULE, inputs=inputs, explain=False, shrink=False)
        for name in ("outcome", "counts", "first", "tightest", "errors", "by_step", "faults", "notes"):
            assert getattr(found, name) == getattr(want, name)


def test_a_kernel_is_used_where_it_is_worth_its_while(monkeypatch: pytest.MonkeyPatch) -> None:
    step = step_of()
    monkeypatch.setattr(screening, "WORTH", CHUNK)
    monkeypatch.setattr(kernels, "at_hand", lambda source: False)
    assert not isinstance(screening.judge(step, Policy())[0]["p"], Screened)
    monkeypatch.setattr(kernels, "at_hand", lambda source: True)
    assert isinstance(screening.judge(step, Policy())[0]["p"], Screened)
    assert not isinstance(screening.judge(step, Policy(subnormals="flush"))[0]["p"], Screened)


def test_why_not() -> None:
    step = ordinary(RULE, 8)
    narrow = dataclasses.replace(step, after={n: a.astype(ml_dtypes.bfloat16) for n, a in step.after.items()})
    scales = dataclasses.replace(step, after={n: a.astype(ml_dtypes.float8_e8m0fnu) for n, a in step.after.items()})
    vague = {**step.before, "g": step.before["g"]._replace(error=np.full(8, 1e-3))}
    hidden = dataclasses.replace(step, after={"p": step.after["p"]})
    assert why_not(step, Policy()) is None
    assert why_not(step, Policy(subnormals="either")) == "subnormal numbers may be flushed"
    assert why_not(scales, Policy()) == "p is float8_e8m0fnu"
    assert why_not(narrow, Policy()) == (
        "what is computed from buffer may go on from it before it is rounded to bfloat16"
    )
    assert why_not(narrow, Policy(precision="storage")) is None
    assert why_not(narrow, Policy(precision="sums")) is not None
    assert why_not(dataclasses.replace(step, before=vague), Policy()) == "g is known to within a bound alone"
    assert why_not(hidden, Policy()) == "buffer cannot be read"


#: what is done to the text of the kernel, each of which must be seen
PLANTED = {
    "a margin below zero": ("SPARE", -4.0),
}


def _right_and_near() -> None:
    test_a_right_program_is_clear(3)
    _near_and_special()


def _near_and_special() -> None:
    test_results_near_the_edge_of_their_sets()
    test_special_numbers_are_judged_without_it("g", np.nan)
    test_special_numbers_are_judged_without_it("buffer", 1e-42)


@pytest.mark.slow
@pytest.mark.parametrize("planted", PLANTED)
def test_a_fault_of_the_kernel_is_seen(planted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, other = PLANTED[planted]
    monkeypatch.setattr(screen_source, name, other)
    monkeypatch.setattr(screening, "_sources", lambda plan: {})  # those that were printed before are right
    with pytest.raises(AssertionError):
        _near_and_special()


@pytest.mark.sample(suite=1)
@pytest.mark.slow
@pytest.mark.parametrize("planted", ["a sum of bounds", "a product"])
def test_a_fault_of_the_graph_is_seen_in_its_kernel(planted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another operation in the graph that is printed, at a node that alters what it gives."""
    step, (old, new), right = ordinary(RULE), GRAPH_FAULTS[planted], enclosure_graph.enclosed

    def faulty(*args: Any) -> Any:
        found = right(*args)
        needed = {n.index for root in (*found.truths.values(), *found.errors.values()) for n in walk(root)}
        others = (with_other(found, n.index, new) for n in found.of_elements if n.op == old and n.index in needed)
        return next(other for other in others if outputs_of(other, step) != outputs_of(found, step))

    monkeypatch.setattr(enclosure_graph, "enclosed", faulty)
    monkeypatch.setattr(screening, "enclosed", faulty)
    monkeypatch.setattr(screening, "_graphs", lambda plan: {})
    monkeypatch.setattr(screening, "_sources", lambda plan: {})
    with pytest.raises(AssertionError):
        _right_and_near()


def test_large_arrays_are_widened_when_they_are_asked_for() -> None:
    known = ordinary(RULE, 4).before["p"]
    held = Large({"p": np.ones(3, np.float32), "g": known})
    assert list(held) == ["p", "g"]
    assert len(held) == 2
    assert held["p"].value.dtype == np.float64
    assert held["g"] is known


def test_the_margin_follows_from_the_graph() -> None:
    found = enclosure_graph.enclosed(ordinary().plan.graph, {})
    assert 0.0 < found.losses["p"] < 1e-6
