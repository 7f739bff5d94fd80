"""Large arrays of quantizers' rows, judged by kernels: the same as without, on right programs, wrong ones and special numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from refgrad.arithmetic import enclosure_graph
from refgrad.arithmetic.enclosed import SPARE, Enclosed
from refgrad.arithmetic.operations import OPERATIONS
from refgrad.axes import ELEMENT
from refgrad.oracle.acceptance import quantized_parts, screened_rows, screening
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE, Judged
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.screened_outputs import Screened, summary
from refgrad.oracle.acceptance.screened_rows import Rows
from refgrad.quantizers import MX, NF4, NVFP4, TWN, Affine, Blockwise
from refgrad.rule import rules
from tests.arithmetic.test_enclosure_graph import POLICIES

WIDTH, ROWS = 256, 300
#: what has kernels of its own: tables of many values and of few, affine codes, formats, one long row, scales of powers of two
RULES: tuple[Any, ...] = (
    Blockwise(block_size=WIDTH),
    Affine(granularity="group", group_size=WIDTH),
    Affine(),
    Affine(symmetric=True, divisor="lowest", granularity="channel", zero_point_added="before", ties="up"),
    MX(),
    NF4(normalize="reciprocal"),
)


def array_of(dtype: Any = np.float32, rows: int = ROWS) -> np.ndarray:
    """Rows of every size, some with a largest magnitude that is a power of two, and some all of zeros or subnormal."""
    random = np.random.default_rng(0)
    x = random.standard_normal((rows, WIDTH)).astype(dtype)
    if rows > 40:
        x[20] = 0.0
        x[21] *= 2.0**-130
        x[22, 5] = -0.0
        x[24:32] = np.sign(x[24:32])
        x[32:40] = np.ldexp(np.rint(x[32:40] * 4), -3)
    return x


def parts_of(rule: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    """A right program's."""
    quantized = rule.quantize(x)
    return {**quantized.arrays, "y": rule.dequantize(quantized)}


class Sides:
    """Judges parts with kernels, and without."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.patch = monkeypatch

    def judged(self, kernel: bool, rule: Any, x: np.ndarray, seen: Mapping[str, np.ndarray], policy: Policy) -> Any:
        self.patch.setattr(Rows, "worth", lambda rows: kernel and rows.why_not() is None)
        return quantized_parts.judge_parts(rule, {"x": x}, dict(seen), policy)

    def handed(self, rule: Any, x: np.ndarray, seen: Mapping[str, np.ndarray], policy: Policy) -> Rows:
        """What a kernel is asked about."""
        kept: list[Rows] = []

        def worth(rows: Rows) -> bool:
            kept.append(rows)
            return False

        self.patch.setattr(Rows, "worth", worth)
        quantized_parts.judge_parts(rule, {"x": x}, dict(seen), policy)
        return kept[0]

    def agree(
        self, rule: Any, x: np.ndarray, seen: Mapping[str, np.ndarray], policy: Policy | None = None
    ) -> Mapping[str, Judged]:
        """What kernels say, which must be what judging without them says."""
        found, want = (self.judged(kernel, rule, x, seen, policy or Policy()) for kernel in (True, False))
        assert list(found) == list(want)
        for name, (judged, values) in found.items():
            known, shown = want[name]
            np.testing.assert_array_equal(values, shown)
            assert values.shape == shown.shape
            assert summary(judged, values, x.dtype) == summary(known, shown, x.dtype)
            for attribute in ("status", "truth", "low", "high"):
                np.testing.assert_array_equal(getattr(judged, attribute), getattr(known, attribute))
        return {name: judged for name, (judged, _) in found.items()}


@pytest.fixture
def sides(monkeypatch: pytest.MonkeyPatch) -> Sides:
    return Sides(monkeypatch)


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=6)
@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_right_programs(rule: Any, sides: Sides) -> None:
    x = array_of()
    for policy in POLICIES:
        sides.agree(rule, x, parts_of(rule, x), policy)
    sides.agree(rule, x, parts_of(rule, x), Policy(subnormals="either"))


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=6)
@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_wrong_programs(rule: Any, sides: Sides) -> None:
    """Codes that are off by one, values beside theirs, and scales that are not the row's."""
    x, random = array_of(), np.random.default_rng(1)
    for name in (*rule.parts, "y"):
        seen = parts_of(rule, x)
        part = seen[name] = seen[name].copy()
        places = random.integers(0, part.size, 3)
        if part.dtype.kind == "f":
            part.reshape(-1)[places] *= np.asarray([1 + 2.0**-20, 1 - 2.0**-22, np.nan], part.dtype)
        else:
            part.reshape(-1)[places] ^= 1
        sides.agree(rule, x, seen)


@pytest.mark.slow
def test_values_within_units_of_theirs(sides: Sides) -> None:
    """Near the edges of what is acceptable, on rows whose scale is a power of two too, where nothing may be off."""
    for rule in (RULES[0], RULES[3]):
        x = array_of()
        seen, random = parts_of(rule, x), np.random.default_rng(2)
        units = random.integers(-8, 9, x.shape) * 2.0**-24
        seen["y"] = (seen["y"] * (1 + units)).astype(np.float32)
        found = sides.agree(rule, x, seen)
        assert 0 < (found["y"].status == OUTSIDE).sum() < x.size


@pytest.mark.slow
@pytest.mark.parametrize("special", [np.nan, np.inf, 1e-42, 3e38])
def test_special_numbers(special: float, sides: Sides) -> None:
    for rule in (RULES[0], RULES[1], RULES[2]):
        x = array_of()
        x[7, 3], x[200:203, 9] = special, special
        sides.agree(rule, x, parts_of(rule, x))


@pytest.mark.slow
@pytest.mark.parametrize("rows", [41, 64, 129, 300])
def test_a_row_that_is_filled_up(rows: int, sides: Sides) -> None:
    x = array_of(rows=rows).reshape(-1)[:-7]
    found = sides.agree(RULES[0], x, parts_of(RULES[0], x))
    assert isinstance(found["codes"], Screened)
    assert found["codes"].status.shape == x.shape


@pytest.mark.slow
def test_in_float64(sides: Sides) -> None:
    x = array_of(np.float64)
    for rule in (RULES[0], RULES[1]):
        sides.agree(rule, x, parts_of(rule, x))


@pytest.mark.slow
def test_a_right_program_is_clear(sides: Sides) -> None:
    """But where a code is open: no more than a chunk in ten."""
    x = array_of()[40:]
    for rule in RULES[:3]:
        judged = sides.agree(rule, x, parts_of(rule, x))["codes"]
        assert isinstance(judged, Screened)
        assert len(judged.screen.unclear) <= len(judged.screen.clear) / 10


_VALUES = Rows.values
#: by what is wrong with a kernel, what is put in place of what
FAULTS: Mapping[str, tuple[Any, str, Any]] = {
    "a code is its own step": (
        enclosure_graph._Transformation,
        "_stepped",
        lambda self, function, x: enclosure_graph.Part(self._input("new_codes")),
    ),
    "a scaling is charged": (
        enclosure_graph._Transformation,
        "_unless_scaled",
        lambda self, above, below, value, error: error,
    ),
    "chunks are mixed up": (
        screened_rows._ByChunk,
        "__call__",
        lambda self, number: next(iter([*self.alone.values(), *self.whole.values()])),
    ),
    "ends are told as if all were inside": (screened_rows._ByChunk, "_whole", lambda self, number: {}),
    "scales are another row's": (Rows, "values", lambda self, name: np.roll(_VALUES(self, name), 1)),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_kernel_that_is_wrong_is_seen(fault: str, sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes that are off by one; values beside those of a power of two."""
    rule, x = Blockwise(block_size=WIDTH), array_of()[:80]
    seen = parts_of(rule, x)
    seen["y"][26, np.flatnonzero(x[26] == 1)[:3]] *= np.float32(1 + 2.0**-23)
    seen["codes"][50, 7] ^= 1
    seen["y"][50, 7] = np.float32(rule.table()[seen["codes"][50, 7]]) * seen["absmax"][50]
    sides.agree(rule, x, seen)
    monkeypatch.setattr(*FAULTS[fault])
    monkeypatch.setattr(screened_rows, "_graphs", lambda plan: {})
    monkeypatch.setattr(screened_rows, "_sources", lambda plan: {})
    with pytest.raises((AssertionError, KeyError, ValueError)):
        sides.agree(rule, x, seen)


def known() -> Iterator[tuple[str, Any]]:
    """Every quantizer of rows, with its named variants."""
    for name, cls in rules().items():
        rule: Any = cls()
        if rule.kind == "quantizer":
            for label, variant in [("", rule), *rule.variants()]:
                if quantized_parts.has_graph(variant):
                    yield f"{name} {label}".strip(), variant


@pytest.mark.sample(quick=6, suite=40)
@pytest.mark.parametrize("rule", [pytest.param(rule, id=name) for name, rule in known()])
def test_centres_and_bounds_of_every_variant(rule: Any, sides: Sides) -> None:
    """The graph in NumPy: where its conditions hold, truths are the enclosure's, and bounds too but for their share."""
    x = array_of()[24:72].copy()
    kept = _rows(rule, x, sides)
    if kept is None or kept.why_not() is not None:
        pytest.skip("it is judged as small arrays are")
    found = kept.found
    assert isinstance(found, Enclosed)
    values, want = _evaluated(kept), sides.judged(False, rule, x, kept.seen, Policy())
    clear = np.ones(kept.layout.rows * kept.layout.width, bool)
    clear &= ~np.repeat(_failing(kept), kept.layout.width)
    for node in [node for node in found.conditions if node.axes == ELEMENT]:
        clear &= np.ravel(values[node.index]) != 0
    shape = kept.layout.rows, kept.layout.width
    both = {name: _numbers(found, values, name, shape) for name in found.names}
    for name, (centre, error) in both.items():
        clear &= np.abs(want[name][1].reshape(-1) - centre) <= error * (1 - found.losses[name] - SPARE)
    assert clear.mean() > 0.3
    for name, (centre, error) in both.items():
        judged = want[name][0]
        truth, low, high = (a.reshape(-1) for a in (judged.truth, judged.low, judged.high))
        np.testing.assert_array_equal(centre[clear], truth[clear])
        assert (judged.status.reshape(-1)[clear] == INSIDE).all()
        if clear.all():  # else ends may be those on the grid
            width, most = (high - low)[clear], ((centre + error) - (centre - error))[clear]
            assert (width <= most).all()
            assert (width >= most * (1 - found.losses[name] - SPARE - 2.0**-26)).all()


def _numbers(
    found: Enclosed, values: Mapping[int, Any], name: str, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The centre and the bound of an output."""
    bound = values[found.errors[name].index] if name in found.errors else 0.0
    return tuple(np.broadcast_to(a, shape).reshape(-1) for a in (values[found.truths[name].index], bound))  # type: ignore[return-value]


def _rows(rule: Any, x: np.ndarray, sides: Sides) -> Rows | None:
    """What is judged, as a kernel is handed it."""
    kept = sides.handed(rule, x, parts_of(rule, x), Policy())
    return None if kept.padded else kept


def _failing(kept: Rows) -> np.ndarray:
    shared = screened_rows._shared(kept, 1)
    return shared.few.failing(shared.found.loop, kept.layout.rows)


def _evaluated(kept: Rows) -> dict[int, Any]:
    """Every node of the graph, on rows."""
    shared, shape = screened_rows._shared(kept, 1), (kept.layout.rows, kept.layout.width)
    shared.few.hold(shared.found.loop)
    values = {i: np.asarray(v) for i, v in shared.few.values.items()}
    codes = kept.rule.values("codes", kept.seen["codes"], kept.layout)
    arrays = {"x": kept.x.reshape(shape), "new_codes": codes, "new_y": kept.seen["y"].reshape(shape)}
    with np.errstate(all="ignore"):
        for node in shared.found.loop.elements:
            args = [values[a.index] for a in node.args]
            own = arrays[node.attribute].astype(np.float64) if node.op == "input" else None
            values[node.index] = OPERATIONS[node.op].on(args, node.attribute) if own is None else own
    return values


def test_why_not(sides: Sides) -> None:
    x = array_of()[40:]

    def why(rule: Any, policy: Policy | None = None, x: np.ndarray = x, **seen: np.ndarray) -> str | None:
        return sides.handed(rule, x, {**parts_of(rule, x), **seen}, policy or Policy()).why_not()

    assert why(RULES[0]) is None
    assert why(RULES[0], Policy(subnormals="flush")) == "subnormal numbers may be flushed"
    assert why(RULES[0], x=x.astype(np.float16)) == "x is float16"
    assert why(RULES[0], y=np.zeros(x.shape)) == "y is float64"
    assert why(Affine(granularity="channel", axis=1)) == "its groups lie along another axis than the last"
    assert why(Affine(granularity="group", group_size=100)) == "rows are filled up within the array"
    assert why(Affine(range="percentile")) == "an interval is looked for"
    assert why(Blockwise(search="grid")) == "kernels do not know OnGrid"
    assert why(NVFP4()) == "rows see each other"
    assert why(TWN()) == "elements depend on what a row is folded to, besides its parts"


def test_a_kernel_is_used_where_it_is_worth_its_while(monkeypatch: pytest.MonkeyPatch) -> None:
    x = array_of()
    seen = parts_of(RULES[0], x)
    monkeypatch.setattr(screening, "WORTH", x.size)
    monkeypatch.setattr(screening, "WORTH_COMPILING", 0)
    judge = quantized_parts.judge_parts
    assert isinstance(judge(RULES[0], {"x": x}, seen, Policy())["codes"][0], Screened)
    monkeypatch.setattr(screening, "WORTH", x.size + 1)
    assert not isinstance(judge(RULES[0], {"x": x}, seen, Policy())["codes"][0], Screened)
