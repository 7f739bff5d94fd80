"""Large arrays of rules with sums, judged by kernels: the same as without, on right programs, wrong ones and special numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from refgrad.arithmetic import summation
from refgrad.axes import ELEMENT
from refgrad.backends import screen_source
from refgrad.optimizers import LAMB, LARS, Adafactor, NovoGrad
from refgrad.oracle.acceptance import judge as careful
from refgrad.oracle.acceptance import judgement, screening
from refgrad.oracle.acceptance.chunks import together
from refgrad.oracle.acceptance.findings import count, tightness
from refgrad.oracle.acceptance.judge import Large, Step
from refgrad.oracle.acceptance.judgement import OUTSIDE, Judged
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.screened_folds import Shared
from refgrad.oracle.acceptance.screened_outputs import Screened, Summary, summary
from refgrad.oracle.acceptance.screening import screened, why_not
from refgrad.oracle.acceptance.ulp_errors import measure
from tests.arithmetic.test_enclosure_graph import POLICIES, ordinary

#: rows that are no divisor of a chunk, of which there are four and a part
SHAPE = (331, 411)
#: one kernel for what each folds and one for its outputs: the first is the one that most tests ask
RULES = {
    "Adafactor": Adafactor(),
    "LAMB": LAMB(weight_decay=0.1),
    "LARS": LARS(momentum=0.9),
    "NovoGrad": NovoGrad(weight_decay=0.1),
}
USUAL = Policy()


def step_of(name: str = "Adafactor", t: int = 3, dtype: Any = np.float32) -> Step:
    """One step, whose arrays are as they are stored."""
    step = ordinary(RULES[name], SHAPE, t, dtype)
    return dataclasses.replace(step, before=Large({n: b.value.astype(dtype) for n, b in step.before.items()}))


def agrees(step: Step, policy: Policy = USUAL) -> dict[str, Judged]:
    """What kernels say, which must be what judging without them says."""
    assert why_not(step, policy) is None
    want, _ = careful.judge(step, policy)
    found = screened(step, policy, threads=2)
    assert set(found) == set(want)
    for name, judged in found.items():
        values, known = step.after[name], want[name]
        assert summary(judged, values, values.dtype) == _summary(known, values)
        for attribute in ("status", "truth", "low", "high"):
            np.testing.assert_array_equal(getattr(judged, attribute), getattr(known, attribute))
        for index in np.argwhere(known.status == OUTSIDE)[:1]:
            np.testing.assert_array_equal(judged.at(tuple(index)), known.at(tuple(index)))
    return found


def _summary(known: Judged, values: np.ndarray) -> Summary:
    nan = int(np.count_nonzero((known.status == judgement.UNDECIDED) & np.isnan(values)))
    return Summary(count(known), nan, tightness(known, values), measure(known, values, values.dtype))


def unclear(found: Mapping[str, Judged]) -> int:
    """How many chunks were judged without kernels; all, where a kernel was not asked in the end."""
    judged = found["p"]
    return len(judged.screen.unclear) if isinstance(judged, Screened) else 1 << 30


def with_before(step: Step, name: str, places: Any, value: Any) -> Step:
    """The step with some of what was there before changed; what was seen is as it was."""
    arrays = {n: np.array(step.before[n].value, step.after["p"].dtype) for n in step.before}
    arrays[name][places] = value
    return dataclasses.replace(step, before=Large(arrays))


def with_after(step: Step, name: str, places: Any, value: Any) -> Step:
    """The step with some of what was seen changed."""
    array = step.after[name].copy()
    array[places] = value
    return dataclasses.replace(step, after={**step.after, name: array})


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", RULES)
@pytest.mark.sample(quick=1, suite=2)
def test_a_right_program_is_clear(name: str, dtype: Any) -> None:
    for policy in POLICIES:
        assert unclear(agrees(step_of(name, dtype=dtype), policy)) == 0
    agrees(step_of(name, 1, dtype))


@pytest.mark.slow
@pytest.mark.parametrize("name", RULES)
@pytest.mark.sample(quick=1, suite=2)
def test_results_near_the_edge_of_their_sets(name: str) -> None:
    step, random = step_of(name), np.random.default_rng(1)
    known, _ = careful.judge(step, USUAL)
    for share in (0.97, 1.03):
        after = {}
        for output, judged in known.items():
            near = judged.truth + share * (judged.high - judged.truth) * random.choice([-1, 1], judged.truth.shape)
            after[output] = near.astype(np.float32)
        agrees(dataclasses.replace(step, after=after))


@pytest.mark.slow
def test_wrong_elements_are_found_where_they_are() -> None:
    found = agrees(with_after(step_of(), "p", (100, slice(5, 7)), 1e3))
    assert unclear(found) == 1
    assert count(found["p"]).outside == 2


def test_wrong_rows_and_columns_are_found() -> None:
    found = agrees(with_after(step_of(), "v_row", (7, 0), 1e3))
    assert count(found["v_row"]).outside == 1
    assert count(agrees(with_after(step_of(), "v_column", (0, 9), 1e3))["v_column"]).outside == 1


@pytest.mark.sample(quick=2, suite=6)
@pytest.mark.parametrize("special", [np.nan, -np.inf, 1e-42, 3e38, -0.0, 1e-23])
@pytest.mark.parametrize("name", ["g", "p"])
def test_special_numbers_are_judged_without_them(name: str, special: float) -> None:
    step = step_of()
    agrees(with_before(step, name, (slice(100, 102), slice(3, 60)), special))
    agrees(with_after(step, "p", ([3, 200], [4, 5]), special))


@pytest.mark.slow
def test_chunks_whose_squares_underflow_are_folded_as_the_enclosure_has_them() -> None:
    step = with_before(step_of("LAMB"), "p", slice(80, 90), 1e-15)
    found = agrees(step)
    assert unclear(found) < 1 << 30


@pytest.mark.slow
def test_what_elements_share_must_be_known_to_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A norm that overflows, or one that may be zero: all is judged without kernels."""
    for number in (3e38, 1e-23):
        step = with_before(step_of("LAMB"), "p", slice(None), number)
        assert unclear(agrees(step)) == 1 << 30


#: of an array of how many elements what a sum may be off by is 0.6, 0.96 and 1.2 times itself
MANY = (10_000_000, 16_000_000, 20_000_000)


def as_of_many(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums are charged as if the array had so many elements."""
    steps, times = summation.steps, many / (SHAPE[0] * SHAPE[1])
    monkeypatch.setattr(summation, "steps", lambda terms, model: int(steps(terms, model) * times))


@pytest.mark.slow
@pytest.mark.parametrize("name", RULES)
@pytest.mark.sample(quick=1, suite=4)
def test_sums_of_many_terms_are_off_by_more_than_half_of_themselves(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What elements share has the enclosure's bits, and needs no room; only of a norm that may be zero nothing is said."""
    for many in MANY:
        as_of_many(many, monkeypatch)
        step = step_of(name)
        assert (unclear(agrees(step)) == 0) == (many < 1 << 24)
        monkeypatch.undo()


@pytest.mark.slow
def test_wrong_elements_of_many_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    as_of_many(MANY[0], monkeypatch)
    found = agrees(with_after(step_of("LAMB"), "p", (100, slice(5, 7)), 1e3))
    assert unclear(found) == 1
    assert count(found["p"]).outside == 2


def test_why_not() -> None:
    step = ordinary(RULES["Adafactor"], (4, 5))
    assert why_not(step, USUAL) is None
    assert why_not(ordinary(RULES["LAMB"], 8), USUAL) is None
    assert why_not(ordinary(RULES["Adafactor"], 8), USUAL) == "a row of it is an element"
    wide = ordinary(RULES["LAMB"], (2, 40000))
    assert why_not(wide, USUAL) == "a row of it has more elements than are judged together"


def _planted_in_source(old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel with other text."""
    for maker in ("screen_source", "operand_source"):
        right = getattr(screen_source, maker)

        def printed(*args: Any, right: Any = right, **more: Any) -> Any:
            source = right(*args, **more)
            return dataclasses.replace(source, text=source.text.replace(old, new))

        monkeypatch.setattr(screening, maker, printed)
    monkeypatch.setattr(screening, "_sources", lambda plan: {})  # those that were printed before are right


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rows_at[i] = row", "rows_at[i] = 0"),
        ("column = column + 1", "column = column"),
        ("bound[base + i] = x", "bound[base + i] = zero * x"),
        ("size[base + i] = abs", "size[base + i] = 2.0 * abs"),
    ],
    ids=["another row", "another column", "no bound", "larger magnitudes"],
)
def test_a_fault_of_a_kernel_is_seen(old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _planted_in_source(old, new, monkeypatch)
    with pytest.raises(AssertionError):
        assert unclear(agrees(step_of())) == 0


def folded(step: Step) -> list[bytes]:
    """What sums leave, their operands computed by kernels."""
    ready = screening._ready(step, USUAL)
    ready.shared.fold(ready.operands)
    return _bits(ready.shared)


def folded_without(step: Step) -> list[bytes]:
    """The same, the operands computed by the enclosure, chunk by chunk."""
    shared = screening._ready(step, USUAL).shared
    with np.errstate(all="ignore"):
        for node in shared.enclosure.folds():
            parts = []
            for chunk in shared.chunks:
                before, after, known = shared.of_chunk(chunk)
                numbers, _, observed = careful.read(shared.enclosure, before, after)
                parts.append(shared.enclosure.operand(node, numbers, shared.scalars, observed, known))
            shared.folded[node.index] = shared.enclosure.fold(node, together(parts, shared.cut, ELEMENT))
    return _bits(shared)


def _bits(shared: Shared) -> list[bytes]:
    return [array.tobytes() for known in shared.folded.values() for array in (known.value, known.bound())]


@pytest.mark.parametrize("scale", [1.0, 1e-14, 1e-15, 1e16])
def test_sums_have_the_bits_of_the_enclosure(scale: float) -> None:
    step = step_of("LAMB")
    step = with_before(step, "p", slice(None), step.before["p"].value * scale)
    assert folded(step) == folded_without(step)


def test_a_chunk_that_failed_is_not_taken_for_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    step, right = with_before(step_of("LAMB"), "p", slice(None), 1e-15), Shared.run

    def all_clear(self: Any, source: Any, loop: Any, written: Any, own: Any = None) -> None:
        right(self, source, loop, written, own)
        written[0][0][...] = 0

    monkeypatch.setattr(Shared, "run", all_clear)
    assert folded(step) != folded_without(step)
