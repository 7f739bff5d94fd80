"""Steps of optimizers with 8-bit state, written as a stranger would: the parameter given the codes, and the codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.errors import ArgumentError, CandidateError
from refgrad.optimizers import LAMB, LARS, SGD, Adagrad, Adam, AdamW, AdEMAMix, Lion, RMSprop
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance.judgement import OUTSIDE
from refgrad.oracle.acceptance.quantized_state import judge_step
from refgrad.oracle.engine.outcomes import CONFORMS, DIFFERS
from refgrad.oracle.inputs.steps import generate
from refgrad.quantizers import Quantized, ScaledFloat
from refgrad.quantizers.blockwise import Blockwise
from refgrad.quantizers.eight_bit import EightBit, PercentileClipping, stable_embedding, xavier_limit
from refgrad.quantizers.rows import RowQuantizer
from tests.oracle import eight_bit_programs as programs

F = np.float32
SIGNED, UNSIGNED = (np.asarray(Blockwise(map=n).table(), F) for n in ("dynamic", "dynamic_unsigned"))


def opened(kept: Quantized, table: np.ndarray, block: int) -> np.ndarray:
    """A slot as numbers."""
    return table[kept.codes] * np.repeat(kept["absmax"], block)[: kept.codes.size].reshape(kept.shape)


def closed(x: np.ndarray, table: np.ndarray, block: int) -> Quantized:
    """Numbers as a slot, by a reciprocal and distances in float32."""
    flat = np.pad(x.ravel(), (0, -x.size % block)).reshape(-1, block)
    absmax = np.abs(flat).max(1)
    with np.errstate(all="ignore"):
        scaled = np.nan_to_num(flat * (F(1) / absmax[:, None]), nan=0.0)
    codes = np.searchsorted((table[1:] + table[:-1]) * F(0.5), scaled).astype(np.uint8)
    return Quantized({"absmax": absmax, "codes": codes.ravel()[: x.size].reshape(x.shape)}, x.shape, x.dtype)


def adamw8(
    p: np.ndarray,
    g: np.ndarray,
    state: dict[str, Any],
    *,
    block: int = 256,
    stale: bool = False,
    eps: float = 1e-8,
    swap: bool = False,
) -> tuple[np.ndarray, dict[str, Any]]:
    """AdamW in another order of operations than the rule's."""
    t = state["t"] + 1
    m, v = opened(state["m"], SIGNED, block), opened(state["v"], UNSIGNED, block)
    m = m + F(0.1) * (g - m)
    v = F(0.999) * v + (g * g) * F(1 - 0.999)
    used_m, used_v = (opened(closed(m, SIGNED, block), SIGNED, block), v) if stale else (m, v)
    root = np.sqrt(used_v) * F(1 / np.sqrt(1 - 0.999**t)) + F(eps)
    p = p * F(1 - 1e-3 * 1e-2) - (used_m / root) * F(1e-3 / (1 - 0.9**t))
    tables = (UNSIGNED, SIGNED) if swap else (SIGNED, UNSIGNED)
    return p.astype(F), {"t": t, "m": closed(m, tables[0], block), "v": closed(v, tables[1], block)}


def run(step: Callable[..., Any], steps: int = 4, **options: Any) -> dict[str, int]:
    """How many elements of each tensor are outside over some steps, each from the candidate's own state."""
    block = 256
    rule = EightBit(AdamW(), Blockwise(block_size=block), Blockwise(map="dynamic_unsigned", block_size=block), 1)
    random = np.random.default_rng(0)
    p = random.standard_normal((30, 41)).astype(F)
    state, outside = rule.init(p), {}
    for _ in range(steps):
        g = (random.standard_normal(p.shape) * np.exp(random.standard_normal(p.shape))).astype(F)
        new_p, after = step(p, g, state, **options)
        for name, judged in judge_step(rule, p, g, state, new_p, after).items():
            outside[name] = outside.get(name, 0) + int((judged.status == OUTSIDE).sum())
        p, state = new_p, after
    return outside


def test_another_program_is_right_though_some_of_its_codes_are_not_the_same() -> None:
    assert run(adamw8) == {"p": 0, "m.absmax": 0, "m.codes": 0, "v.absmax": 0, "v.codes": 0}


@pytest.mark.parametrize(
    ("options", "wrong"),
    [({"stale": True}, "p"), ({"eps": 1e-6}, "p"), ({"swap": True}, "m.codes")],
    ids=str,
)
def test_wrong_programs_are_rejected(options: dict[str, Any], wrong: str) -> None:
    outside = run(adamw8, 1 if wrong == "m.codes" else 4, **options)
    assert outside[wrong] > 0
    assert next(name for name, count in outside.items() if count) == wrong


RULES = [rule for rule, *_ in programs.CASES]


def eight_of(rule: Optimizer) -> EightBit:
    """A rule with blocks of 256."""
    return EightBit(rule, Blockwise(block_size=256), Blockwise(map="dynamic_unsigned", block_size=256))


@pytest.fixture(scope="module")
def short_inputs() -> refgrad.Inputs:
    """One parameter with a short last block, of ordinary numbers and of numbers of many magnitudes, for three steps."""
    made = generate(3, "float32", 0)
    leaf = lambda arrays: np.concatenate([arrays[0].ravel()[:4096], arrays[1].ravel()[:100]])  # noqa: E731
    return refgrad.Inputs([leaf(made.p)], [[leaf(g)] for g in made.g], ["both"])


@pytest.mark.parametrize("case", programs.CASES, ids=lambda c: type(c[0]).__name__)
def test_a_right_program_conforms_though_some_of_its_codes_are_not_the_same(
    case: programs.Case, short_inputs: refgrad.Inputs
) -> None:
    rule, update, slots, _ = case
    eight = eight_of(rule)
    verdict = refgrad.verify(programs.on_codes(update, slots), eight, inputs=short_inputs)
    assert verdict.outcome == CONFORMS, str(verdict)
    assert {"p"} < set(verdict.counts)
    assert verdict.total.inside > 10 * verdict.total.undecided


@pytest.mark.sample(quick=1, suite=5)
@pytest.mark.parametrize("case", programs.CASES, ids=lambda c: type(c[0]).__name__)
def test_a_wrong_program_is_rejected_in_the_tensor_that_is_wrong(
    case: programs.Case, short_inputs: refgrad.Inputs
) -> None:
    rule, update, slots, faults = case
    first = next(iter(rule.slots()))
    state = [(options, part if part == "p" else f"{first}.{part}") for options, part in programs.STATE_FAULTS]
    for options, tensor in faults + state:
        if options == {"stale": True} and rule == Lion():
            continue  # it steps before its state is new
        candidate = programs.on_codes(update, slots, **options)
        verdict = refgrad.verify(candidate, eight_of(rule), inputs=short_inputs, shrink=False, explain=False)
        assert verdict.outcome == DIFFERS, options
        assert verdict.first is not None
        assert verdict.first.tensor == tensor, (options, str(verdict))


@pytest.mark.slow
def test_what_a_wrong_program_is_instead_is_found(short_inputs: refgrad.Inputs) -> None:
    rule, update, slots, _ = programs.CASES[0]
    found = {}
    for fault in ("stale", "root"):
        candidate = programs.on_codes(update, slots, **{fault: True})
        verdict = refgrad.verify(candidate, eight_of(rule), inputs=short_inputs, shrink=False)
        assert verdict.explanation is not None
        found[fault] = verdict.explanation.name
    assert found["stale"] == "state quantized first"
    assert "eps" in found["root"]


@pytest.mark.slow
def test_the_smallest_failing_input_fails_again() -> None:
    eight = eight_of(Adam()).replace(min_8bit_size=1)
    candidate = programs.on_codes(programs.adam, programs.TWO, eps=1e-5)
    verdict = refgrad.verify(candidate, eight, steps=2, explain=False)
    assert verdict.counterexample is not None
    assert np.prod(verdict.counterexample.shape) == 1
    eight = eight.replace(rule=Adam(lr=0.01))
    verdict = refgrad.verify(candidate, eight, steps=2, explain=False)
    assert "refgrad.quantizers.EightBit(rule=refgrad.optimizers.Adam(lr=0.01), " in verdict.reproduce
    line = verdict.reproduce.replace(verdict.candidate, "mine").removesuffix(")") + ", explain=False)"
    assert eval(line, {"refgrad": refgrad, "mine": candidate}).counterexample == verdict.counterexample
    json.loads(verdict.to_json())


@pytest.mark.slow
def test_what_else_is_wrong_is_a_fault(short_inputs: refgrad.Inputs) -> None:
    eight = eight_of(Adam())
    kept = refgrad.verify(eight.replace(min_8bit_size=5000), eight, inputs=short_inputs, shrink=False)
    assert kept.faults[0].kind == "structure"
    assert "m is kept as it is" in kept.faults[0].message
    blocks = EightBit(Adam(), Blockwise(block_size=128))
    other = refgrad.verify(blocks, eight, inputs=short_inputs, shrink=False)
    assert other.faults[0].kind == "shape"
    four = refgrad.verify(
        eight, EightBit(Adam(), Blockwise(map="dynamic_4bit", block_size=256), eight.unsigned), inputs=short_inputs
    )
    assert "legal: whole numbers from 0 to 15" in four.faults[0].message
    with pytest.raises(CandidateError, match="no argument takes the absmax of m"):
        refgrad.verify(lambda p, g, m, v, t: (p, m, v), eight)
    small = refgrad.Inputs([np.zeros(4, F)], [[np.zeros(4, F)]])
    with pytest.raises(CandidateError, match="takes codes alone"):
        refgrad.verify(programs.on_codes(programs.adam, programs.TWO), eight, inputs=small)


@pytest.mark.slow
def test_narrow_parameters_have_state_in_the_working_precision() -> None:
    import ml_dtypes

    eight = eight_of(AdamW())
    p = np.ones(5000, ml_dtypes.bfloat16)
    state = eight.init(p)
    assert state["m"].dtype == np.float32
    assert refgrad.verify(eight, eight, dtype="bfloat16", steps=3).conforms


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_wrapped_rule_is_itself(rule: Any, dtype: type) -> None:
    eight = EightBit(rule, min_8bit_size=1)
    random = np.random.default_rng(1)
    p = random.standard_normal(5000).astype(dtype)
    state = eight.init(p)
    for _ in range(3):
        g = random.standard_normal(5000).astype(dtype)
        new_p, after = eight.step(p, g, state)
        judged = judge_step(eight, p, g, state, new_p, after)
        assert {"p"} < set(judged)
        assert not any((j.status == OUTSIDE).any() for j in judged.values())
        float_p, _ = rule.step(p, g, eight.opened(state))
        assert np.array_equal(new_p, float_p)
        p, state = new_p, after


def test_small_parameters_keep_their_state() -> None:
    eight = EightBit(Adam(), min_8bit_size=4096)
    small, large = np.zeros(4095, F), np.zeros(4096, F)
    assert isinstance(eight.init(small)["m"], np.ndarray)
    assert isinstance(eight.init(large)["m"], Quantized)
    p, state = eight.step(small, np.ones_like(small), eight.init(small))
    again, plain = Adam().step(small, np.ones_like(small), Adam().init(small))
    assert np.array_equal(p, again)
    assert np.array_equal(state["v"], plain["v"])
    with pytest.raises(ArgumentError, match="min_8bit_size"):
        EightBit(Adam(), min_8bit_size=-1)


def test_percentile_clipping() -> None:
    clip = PercentileClipping(percentile=50.0, length=4)
    history: tuple[float, ...] = ()
    for norm, expected in ((1.0, 1.0), (3.0, 3.0), (2.0, 2.0), (8.0, 3.0), (4.0, 4.0), (1.0, 1.0)):
        g, history = clip(np.asarray([norm, 0.0]), history)
        assert g[0] == expected
    assert history == (2.0, 8.0, 4.0, 1.0)
    with pytest.raises(ArgumentError, match="percentile"):
        PercentileClipping(percentile=101)


def test_percentile_clipping_as_bitsandbytes_had_it() -> None:
    """A ring of 100 squared norms, which its kernel fills with the first; the limit is the root of that at index 5 in order."""
    clip, history, ring = PercentileClipping(percentile=5.0, start="filled"), (), np.zeros(100)
    random = np.random.default_rng(0)
    for step in range(1, 260):
        g = random.standard_normal(3) * np.exp(random.standard_normal())
        ring[slice(None) if step == 1 else step % 100] = np.sum(g * g)
        norm, limit = np.sqrt(ring[step % 100]), np.sqrt(np.sort(ring)[5])
        ours, history = clip(g, history)
        assert np.array_equal(ours, g * (limit / norm) if norm > limit else g), step
    history = ()
    for norm, kept in ((1.0, 1.0), (3.0, 1.0), (2.0, 1.0), (0.5, 0.5), (4.0, 1.0)):
        g, history = clip(np.asarray([norm, 0.0]), history)
        assert g.tolist() == [kept, 0.0]
    with pytest.raises(ArgumentError, match="start"):
        PercentileClipping(start="ring")


def test_stable_embedding_is_an_embedding_and_a_layer_norm() -> None:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(2)
    weight, gain, bias = random.standard_normal((11, 8)), random.standard_normal(8), random.standard_normal(8)
    indices = random.integers(0, 11, (3, 4))
    ours = stable_embedding(weight, indices, gain, bias)
    rows = torch.nn.functional.embedding(torch.from_numpy(indices), torch.from_numpy(weight))
    theirs = torch.nn.functional.layer_norm(rows, (8,), torch.from_numpy(gain), torch.from_numpy(bias), 1e-5).numpy()
    magnitude = np.abs(gain) * 3 + np.abs(bias)  # of eight numbers none lies more than sqrt(7) deviations away
    assert (np.abs(ours - theirs) <= 40 * 2.0**-53 * magnitude).all()
    with pytest.raises(ArgumentError, match="integers from 0 to 10"):
        stable_embedding(weight, np.asarray([11]), gain, bias)


def test_the_stable_embedding_of_bitsandbytes() -> None:
    bnb = pytest.importorskip("bitsandbytes", reason="compares with bitsandbytes' layer")
    torch = pytest.importorskip("torch")
    layer = bnb.nn.StableEmbedding(11, 16)
    indices = np.random.default_rng(3).integers(0, 11, (2, 5))
    weight = layer.weight.detach().numpy()
    assert np.abs(weight).max() <= xavier_limit(11, 16)
    gain, bias = layer.norm.weight.detach().numpy(), layer.norm.bias.detach().numpy()
    ours = stable_embedding(weight, indices, gain, bias, layer.norm.eps)
    theirs = layer(torch.from_numpy(indices)).detach().numpy()
    # mean, difference, square, mean, root, quotient and two of the affine map, of numbers below the root of the width
    assert (np.abs(ours - theirs) <= 4 * (2 * 16 + 8) * 2.0**-24).all()


BITSANDBYTES = {"block_size": 256, "normalize": "reciprocal"}
SIGNED_MAP = Blockwise(map="bitsandbytes", **BITSANDBYTES)
UNSIGNED_MAP = Blockwise(map="bitsandbytes_unsigned", **BITSANDBYTES)


@pytest.mark.parametrize(
    ("name", "rule", "unsigned"),
    [
        ("Adam8bit", Adam(), UNSIGNED_MAP),
        ("AdamW8bit", AdamW(), UNSIGNED_MAP),
        ("SGD8bit", SGD(momentum=0.9), UNSIGNED_MAP),
        ("RMSprop8bit", RMSprop(), SIGNED_MAP),
        ("Adagrad8bit", Adagrad(), SIGNED_MAP),
        ("Lion8bit", Lion(), UNSIGNED_MAP),
        ("AdEMAMix8bit", AdEMAMix(), UNSIGNED_MAP),
    ],
)
def test_the_optimizers_of_bitsandbytes_step_as_the_rules_and_look_codes_up_on_a_grid(
    name: str, rule: Optimizer, unsigned: Blockwise
) -> None:
    """On a CPU: parameters and absmax conform; codes are those of 65536 steps, which the rule's variant explains wholly."""
    pytest.importorskip("bitsandbytes", reason="judges bitsandbytes' optimizers")
    eight = EightBit(rule, SIGNED_MAP, unsigned)
    nearest = refgrad.verify(f"bitsandbytes.optim:{name}", eight, steps=3, shrink=False, explain=False)
    assert nearest.outcome == DIFFERS
    assert {n for n, c in nearest.counts.items() if c.outside} <= {n for n in nearest.counts if n.endswith(".codes")}
    grid = EightBit(rule, SIGNED_MAP.replace(search="grid"), unsigned.replace(search="grid"))
    assert refgrad.verify(f"bitsandbytes.optim:{name}", grid, steps=3).conforms


@pytest.mark.parametrize(("name", "rule"), [("LARS8bit", LARS()), ("LAMB8bit", LAMB())])
def test_bitsandbytes_lars_and_lamb_have_no_trust_ratio_in_8_bits(name: str, rule: Optimizer) -> None:
    pytest.importorskip("bitsandbytes", reason="judges bitsandbytes' optimizers")
    made = generate(2, "float32", 0)
    inputs = refgrad.Inputs(made.p, made.g, ["normal", "scaled", "edges"])
    grid = {"signed": SIGNED_MAP.replace(search="grid"), "unsigned": UNSIGNED_MAP.replace(search="grid")}
    options = {"inputs": inputs, "explain": False, "shrink": False}
    assert not refgrad.verify(f"bitsandbytes.optim:{name}", EightBit(rule, **grid), **options).conforms
    without = SGD(momentum=0.9) if name == "LARS8bit" else AdamW(weight_decay=0.0)
    assert refgrad.verify(f"bitsandbytes.optim:{name}", EightBit(without, **grid), **options).conforms


def torchao_state(bits: str) -> dict[str, RowQuantizer]:
    """How torchao keeps the state of its optimizers."""
    if bits == "Fp8":
        eight = ScaledFloat(granularity="block", block_size=256, least=1e-12)
        return {"signed": eight, "unsigned": eight}
    maps = {"8bit": ("bitsandbytes", "bitsandbytes_unsigned", 256), "4bit": ("dynamic_4bit", "linear_4bit", 128)}[bits]
    signed, unsigned = (Blockwise(map=m, block_size=maps[2], ties="upper", least=1e-12) for m in maps[:2])
    return {"signed": signed, "unsigned": unsigned}


@pytest.mark.parametrize("bits", ["8bit", "4bit", "Fp8"])
@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_the_optimizers_of_torchao_are_the_rules_with_float32_scalars(
    name: str, bits: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHDYNAMO_DISABLE", "1")
    pytest.importorskip("torchao.optim", reason="judges torchao's optimizers")
    import torch

    monkeypatch.setattr(torch, "compile", lambda function, **_: function)  # what it computes, without the compiler
    rule = {"Adam": Adam, "AdamW": AdamW}[name](scalars="float32")
    eight = EightBit(rule, tails="unquantized", **torchao_state(bits))
    verdict = refgrad.verify(f"torchao.optim:{name}{bits}", eight, steps=3)
    assert verdict.conforms, str(verdict)


def test_the_length_of_a_history_is_a_number_of_python() -> None:
    """That of NumPy in eight bits has no negative, by which the last norms are taken."""
    clip, history = PercentileClipping(length=np.uint8(3)), ()  # type: ignore[arg-type]
    for norm in range(1, 6):
        _, history = clip(np.float32([norm]), history)
    assert [round(each) for each in history] == [3, 4, 5]
    with pytest.raises(ArgumentError, match=r"PercentileClipping.length is 1000000000; legal: .* to 1000000"):
        PercentileClipping(length=10**9)
