"""Verdicts on quantizers: right programs accepted whichever way they divide, wrong ones rejected in the part that is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import refgrad
from refgrad.cli import main
from refgrad.errors import ArgumentError, CandidateError
from refgrad.kinds.table import kind_of
from refgrad.oracle.acceptance.quantized_parts import has_graph
from refgrad.oracle.engine.outcomes import CONFORMS, DIFFERS
from refgrad.oracle.inputs.cases import Cases
from refgrad.quantizers import NF4, NVFP4, Q4_0, Q8_0, Affine, Blockwise, Cast, Quantized, Quantizer
from refgrad.rule import rules
from tests.oracle import quantizer_programs as programs
from tests.oracle import quantizer_rewrites as rewrites

DTYPES = ["float32", "bfloat16", "float16"]
SLOW = {"GPTQ", "OptimalCodebook", "KMeans"}


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=8)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", rules(Quantizer))
def test_a_rule_is_itself(name: str, dtype: str) -> None:
    if name in SLOW and dtype != "float32":
        return  # a second each
    rule = rules(Quantizer)[name]()
    verdict = refgrad.verify(rule, rule, dtype=dtype)
    assert verdict.outcome == CONFORMS, str(verdict)
    assert verdict.total.inside > 20 * verdict.total.undecided


@pytest.mark.parametrize("name", [n for n, cls in rules(Quantizer).items() if has_graph(cls())])
@pytest.mark.parametrize("special", [np.nan, np.inf])
def test_a_rule_is_itself_on_what_is_no_number(name: str, special: float) -> None:
    """Codes cannot say NaN: what the rule keeps in its place is right."""
    x = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)
    x[1, 3] = special
    rule = rules(Quantizer)[name]()
    verdict = refgrad.verify(rule, rule, inputs=Cases([{"x": x}], [""]), explain=False)
    assert verdict.first is None, str(verdict)


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=2)
@pytest.mark.parametrize("rule", [NF4(), Blockwise(), Affine(), NVFP4()], ids=str)
def test_either_way_to_divide_is_right(rule: Quantizer) -> None:
    """The rule with a reciprocal is no other quantizer than that without."""
    other = (
        rule.replace(normalize="divide" if getattr(rule, "normalize", "") == "reciprocal" else "reciprocal")
        if hasattr(rule, "normalize")
        else rule
    )
    assert refgrad.verify(other, rule).conforms


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=4)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("program", programs.LEGAL, ids=lambda p: p[0])
def test_right_programs_are_accepted(program: programs.Program, dtype: str) -> None:
    _, rule, candidate, options = program
    verdict = refgrad.verify(candidate, rule, dtype=dtype, options=options)
    assert verdict.outcome == CONFORMS, str(verdict)


@pytest.mark.parametrize(("program", "part"), programs.WRONG, ids=lambda p: p[0] if isinstance(p, tuple) else p)
def test_wrong_programs_are_rejected(program: programs.Program, part: str) -> None:
    _, rule, candidate, options = program
    verdict = refgrad.verify(candidate, rule, options=options, shrink=False, explain=False)
    assert verdict.outcome == DIFFERS
    if part:
        assert verdict.first is not None
        assert verdict.first.tensor == part


def _named(case: tuple) -> str:
    return f"{case[0]}, {', '.join(case[2])}"


@pytest.mark.sample(quick=2, suite=6)
@pytest.mark.parametrize("case", rewrites.REWRITES, ids=_named)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_other_rule_written_otherwise_is_accepted_and_with_a_fault_rejected(case: tuple) -> None:
    rule, program, fault = case
    right = refgrad.verify(program, rule)
    assert right.outcome == CONFORMS, str(right)
    assert right.total.inside > 10 * right.total.undecided
    wrong = refgrad.verify(program, rule, options=fault, shrink=False, explain=False)
    assert wrong.outcome == DIFFERS
    assert wrong.first is not None


@pytest.mark.parametrize("name", rules(Quantizer))
def test_one_element_off_in_any_part_is_rejected(name: str) -> None:
    """A code next to the right one, and a scale half again as large, among thousands that are right."""
    rule = rules(Quantizer)[name]()
    x = np.random.default_rng(5).standard_normal((16, 256)).astype(np.float32)
    cases = Cases([{"x": x}], [""])
    besides = {n: a for n, a in cases.arrays[0].items() if n != "x"}
    own = rule.quantize(x, **besides).arrays
    for part in (*rule.parts, "y"):

        def candidate(x: np.ndarray, part: str = part) -> dict[str, np.ndarray]:
            found = {n: a.copy() for n, a in own.items()}
            found["y"] = rule.dequantize(Quantized(own, x.shape, x.dtype)).copy()
            flat = found[part].reshape(-1)
            middle = int(np.argmax(np.abs(flat.astype(np.float64)))) if flat.dtype.kind == "f" else flat.size // 2
            flat[middle] = flat[middle] * 1.5 + (flat[middle] == 0) if flat.dtype.kind == "f" else flat[middle] ^ 1
            return found

        verdict = refgrad.verify(candidate, rule, inputs=cases, shrink=False, explain=False)
        assert verdict.outcome == DIFFERS, (part, str(verdict))


def test_bytes_of_a_packed_format_are_read() -> None:
    gguf = pytest.importorskip("gguf", reason="judges gguf's packing")

    def packed(x: np.ndarray) -> np.ndarray:
        return gguf.quants.quantize(x.astype(np.float32), gguf.GGMLQuantizationType.Q8_0)

    assert refgrad.verify(packed, Q8_0()).conforms
    assert not refgrad.verify(packed, Q4_0(), shrink=False, explain=False).conforms


def test_the_way_back_is_judged_given_the_codes() -> None:
    candidate = (programs.nf4, programs.wrong_back(programs.nf4_back))
    verdict = refgrad.verify(candidate, NF4(), shrink=False, explain=False)
    assert verdict.first is not None
    assert verdict.first.tensor == "y"
    assert verdict.counts["codes"].outside == 0


@pytest.mark.slow
def test_a_departure_is_named() -> None:
    pair = (programs.affine, programs.affine_back)
    verdict = refgrad.verify(pair, Affine(), options={"before": True}, shrink=False)
    assert "zero_point_added=before" in {d.name for d in verdict.departures if d.explains}
    away = refgrad.verify(pair, Affine(), options={"away": True}, shrink=False)
    assert "ties=away" in {d.name for d in away.departures if d.explains}


def test_the_counterexample_is_small_and_fails_again() -> None:
    verdict = refgrad.verify(programs.blockwise, programs._BLOCKWISE, options={"through_grid": True}, explain=False)
    assert verdict.counterexample is not None
    numbers = verdict.counterexample.arrays["x"]
    assert len(numbers) <= 8
    again = refgrad.Cases.of("float32", x=list(numbers))
    assert not refgrad.verify(
        programs.blockwise,
        programs._BLOCKWISE,
        options={"through_grid": True},
        inputs=again,
        explain=False,
        shrink=False,
    ).conforms
    assert "refgrad.quantizers.Blockwise(" in verdict.reproduce
    json.loads(verdict.to_json())


def test_ties_are_decided_where_the_quotient_is_exact() -> None:
    """Under a scale that is a power of two nothing is rounded, and the tie rule says which code it is."""
    x = np.full(64, 0.0, np.float32)
    middle = (np.asarray(NF4().table()[:-1]) + np.asarray(NF4().table()[1:])) / 2
    middle = middle[middle == middle.astype(np.float32)]
    x[: middle.size], x[-1] = middle, 1.0
    for power in (1.0, 8.0):
        cases = refgrad.Cases([{"x": x * np.float32(power)}], [""])
        assert refgrad.verify(NF4(), NF4(), inputs=cases).conforms
        assert not refgrad.verify(NF4(ties="upper"), NF4(), inputs=cases, explain=False, shrink=False).conforms
    cases = refgrad.Cases([{"x": x * np.float32(3.0)}], [""])  # here a program may round to either side
    assert refgrad.verify(NF4(ties="upper"), NF4(), inputs=cases).conforms


def test_stochastic_rounding_and_casts_are_judged_to_the_bit() -> None:
    rule = Cast(format="bfloat16", rounding="stochastic", seed=3)
    assert refgrad.verify(rule, rule).conforms
    assert not refgrad.verify(rule.replace(seed=4), rule, explain=False, shrink=False).conforms
    torch = pytest.importorskip("torch")

    def cast(x: np.ndarray) -> np.ndarray:
        return torch.from_numpy(x).to(torch.float8_e5m2).view(torch.uint8).numpy()

    assert refgrad.verify(cast, Cast(format="float8_e5m2")).conforms
    assert not refgrad.verify(
        cast, Cast(format="float8_e5m2", rounding="nearest_away"), explain=False, shrink=False
    ).conforms


@pytest.mark.parametrize(
    ("candidate", "kind"),
    [
        (lambda x: 1 / 0, "raised"),
        (lambda x: np.zeros(3), "structure"),
        (lambda x: (np.zeros(1),), "structure"),
        (lambda x: (np.zeros(7), np.zeros(x.shape, np.uint8)), "shape"),
        (lambda x: {"absmax": np.zeros(3)}, "structure"),
        (lambda x: (np.zeros(1), x.__setitem__(..., 0)), "mutated"),
    ],
)
def test_what_else_a_program_does_wrong_is_a_fault(candidate: object, kind: str) -> None:
    verdict = refgrad.verify(candidate, NF4(), explain=False, shrink=False)
    assert verdict.outcome == DIFFERS
    assert verdict.faults[0].kind == kind


@pytest.mark.slow
def test_a_symmetric_quantizer_may_leave_out_its_zero_point() -> None:
    """And halves that are rounded up, as floor(x + 1/2) does, are named."""

    def quantize(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scale = np.float32(np.max(np.abs(x), initial=0) / np.float32(127)) or np.float32(1)
        codes = np.clip(np.floor(x / scale + np.float32(0.5)), -128, 127)
        return np.asarray(scale), np.where(np.isnan(codes), -128, codes).astype(np.int8)

    verdict = refgrad.verify(quantize, Affine(symmetric=True), shrink=False)
    assert verdict.explanation is not None
    assert verdict.explanation.name == "ties=up"


def test_codes_outside_the_table_are_a_fault() -> None:
    def candidate(x: np.ndarray) -> dict[str, np.ndarray]:
        parts = programs.nf4(x)
        return {**parts, "codes": parts["codes"] + np.uint8(16)}

    verdict = refgrad.verify(candidate, NF4(), explain=False, shrink=False)
    assert verdict.faults[0].kind == "structure"
    assert "legal: whole numbers from 0 to 15" in verdict.faults[0].message


def test_arguments_are_checked() -> None:
    with pytest.raises(CandidateError, match="legal: a function f"):
        refgrad.verify(3, NF4())
    with pytest.raises(ArgumentError, match="inputs"):
        refgrad.verify(NF4(), NF4(), inputs=3)


@pytest.mark.thorough
@pytest.mark.slow
def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(
        "import numpy as np\n"
        "def quantize(x, bits):\n"
        "    scale = np.abs(x).max() / np.float32(2 ** (bits - 1) - 1)\n"
        "    scale = scale if scale else np.float32(1)\n"
        "    top = 2 ** (bits - 1)\n"
        "    return scale, np.int32(0), np.clip(np.rint(x / scale), -top, top - 1).astype(np.int8)\n"
    )
    run = CliRunner().invoke
    done = run(main, ["verify", "mine.py:quantize", "--as", "Affine", "symmetric=true", "bits=4"])
    assert (done.exit_code, done.output.split()[0]) == (0, "CONFORMS:"), done.output
    done = run(main, ["verify", "mine.py:quantize", "--as", "Affine", "symmetric=true", "bits=4", "divisor=half"])
    assert done.exit_code == 1
    assert "narrow=True" in done.output  # the half of 14 is 7, as the highest code is


@pytest.mark.slow
def test_a_kind_tries_what_may_leave_out_a_part_too() -> None:
    """A pair of scale and codes is no answer of `Affine()`, whose zero point differs, and one of its symmetric variant.

    Codes of other ranges are tried too: they are none of the rule's own.
    """
    rule = Affine(symmetric=True, granularity="tensor")
    shown = [str(v) for name in ("Affine", "NF4") for v in kind_of("quantizer").shown_otherwise(rules()[name]())]
    assert shown == ["Affine(signed=False)", "Affine(symmetric=True)", "Affine(narrow=True)"]

    def pair(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        made = rule.quantize(x).arrays
        return made["scale"], made["codes"]

    x = np.random.default_rng(1).standard_normal((4, 64)).astype(np.float32)
    found = refgrad.identify(pair, "quantizer", inputs=Cases.of(x=x))
    assert found.exit_code == 0, found
    assert "Affine(symmetric=True" in str(found).partition("\n")[0]
