"""What `verify` says of estimators that are right, wrong, or rude."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import refgrad
from refgrad import ArgumentError, CandidateError, Cases
from refgrad import estimators as e
from refgrad.cli import main
from refgrad.oracle.inputs.estimators import generate

RULE = e.ClippedSTE()


def forward(x: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, 1, -1).astype(x.dtype)


def backward(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    return g * (np.abs(x) <= 1)


@pytest.mark.sample(suite=40)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("name", [name for name in e.__all__ if name != "Estimator"])
def test_every_rule_conforms_to_itself(name: str, dtype: str) -> None:
    """On generated cases; other shapes are in the tests of situations."""
    rule = getattr(e, name)()
    inputs = generate(rule, 3, dtype, 0)
    verdict = refgrad.verify(rule, rule, inputs=inputs, options={"backend": "numpy"})
    assert verdict.conforms, str(verdict)
    assert set(verdict.counts) == {*rule.results(), *rule.chosen}


@pytest.mark.slow
def test_a_pair_of_functions() -> None:
    verdict = refgrad.verify((forward, backward), RULE)
    assert verdict.conforms, str(verdict)
    assert verdict.mode == "case by case"
    assert verdict.to_dict() == refgrad.verify((forward, backward), RULE).to_dict()
    json.dumps(verdict.to_dict(), allow_nan=False)


#: what is wrong, and the named behaviour that explains it
WRONG = [
    ((forward, lambda g, x: g * (np.abs(x) < 1)), "edge=exclusive"),
    ((np.sign, backward), "sign_at_zero=zero"),
    (
        (lambda x: np.where(x > 0, 1, -1).astype(x.dtype), lambda g, x: g * (np.abs(x) < 1)),
        "sign_at_zero=minus, edge=exclusive",
    ),
    ((forward, lambda g, x: g), "IdentitySTE"),
    ((forward, lambda g, x: g * (np.abs(x) <= 1) * np.float32(1.00001)), None),
    ((forward, lambda g, x: -backward(g, x)), "minus x_grad"),
]


@pytest.mark.sample(quick=1, suite=3)
@pytest.mark.parametrize(("candidate", "name"), WRONG)
def test_wrong_ones_and_why(candidate: Any, name: str | None) -> None:
    verdict = refgrad.verify(candidate, RULE)
    assert not verdict.conforms
    assert (verdict.explanation.name if verdict.explanation else None) == name, str(verdict)
    assert verdict.counterexample is not None
    assert verdict.counterexample.shape == (1, 1)
    assert "refgrad.Cases.of('float32', x=[" in verdict.reproduce


def test_the_smallest_case_still_fails() -> None:
    candidate = (forward, lambda g, x: g * (np.abs(x) < 1))
    least = refgrad.verify(candidate, RULE).counterexample
    assert least is not None
    again = refgrad.verify(candidate, RULE, inputs=Cases.of(least.dtype, **least.arrays))
    assert not again.conforms
    assert abs(float.fromhex(least.arrays["x"][0])) == 1.0


def lsq(round_: Any, edge: Any) -> tuple[Any, Any]:
    def ahead(x: np.ndarray, scale: np.ndarray) -> np.ndarray:
        return round_(np.clip(x / scale, -8, 7)) * scale

    def back(g: np.ndarray, x: np.ndarray, scale: np.ndarray) -> dict[str, np.ndarray]:
        v = x / scale
        low, high = edge(-8 - v), edge(v - 7)
        c = np.where(low, np.float32(-8), np.where(high, np.float32(7), np.rint(v) - v))
        total = np.sum(g * c, dtype=np.float64) / np.sqrt(x.size * 7)
        return {"x": np.where(low | high, np.float32(0), g), "scale": np.full_like(scale, total)}

    return ahead, back


@pytest.mark.slow
def test_lsq_by_hand() -> None:
    assert refgrad.verify(lsq(np.rint, lambda d: d >= 0), e.LSQ()).conforms


@pytest.mark.slow
def test_where_lsq_is_cut_off_is_named() -> None:
    other = refgrad.verify(lsq(np.rint, lambda d: d > 0), e.LSQ(), shrink=False)
    assert other.explanation is not None
    assert other.explanation.name == "edge=inclusive"


def test_ties_are_decided_where_nothing_rounds_and_open_where_something_does() -> None:
    """x/scale is a tie exactly for a scale of a power of two, and a tie to within rounding for 0.1."""
    half_up = lsq(lambda v: np.floor(v + np.float32(0.5)), lambda d: d >= 0)
    x = np.asarray([[0.5, 2.5, -1.5, 4.5]], np.float32)
    exact = Cases.of(x=x, cotangent=np.ones_like(x), scale=[[1.0]])
    verdict = refgrad.verify(half_up, e.LSQ(), inputs=exact, explain=False, shrink=False)
    assert not verdict.conforms
    # at 0.5, 2.5 and 4.5 half up is not half to even; at -1.5 floor(-1) is not -2
    assert verdict.counts["y"].outside == 4
    rounded = Cases.of(x=x * np.float32(0.1), cotangent=np.ones_like(x), scale=[[0.1]])
    assert refgrad.verify(half_up, e.LSQ(), inputs=rounded, explain=False, shrink=False).counts["y"].outside == 0


def test_the_sign_of_a_sine_is_open_only_where_it_is_zero_to_within_rounding() -> None:
    rule = e.BiPer(frequency=20.0)
    period = np.float32(np.pi / 20)
    x = np.asarray([period * 3, 0.01, -0.01, 0.0], np.float32)
    given = Cases.of(x=x, cotangent=np.ones_like(x))
    slope = lambda g, x: g * (np.float32(20) * np.cos(np.float32(20) * x))  # noqa: E731
    for flip in (1, -1):
        signs = np.asarray([flip, 1, -1, 1], np.float32)
        verdict = refgrad.verify((lambda x, signs=signs: signs.copy(), slope), rule, inputs=given)
        assert verdict.conforms, str(verdict)
        assert verdict.counts["y"].undecided == 1
    for wrong in ([1, 1, -1, 0], [1, -1, -1, 1], [0.5, 1, -1, 1]):
        signs = np.asarray(wrong, np.float32)
        assert not refgrad.verify(
            (lambda x, signs=signs: signs.copy(), slope), rule, inputs=given, explain=False, shrink=False
        ).conforms


def raises(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    raise ZeroDivisionError("by zero")


def mutates(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    result = backward(g, x)
    g += 1
    return result


RUDE = [
    ((forward, raises), "raised"),
    ((forward, mutates), "mutated"),
    ((lambda x: forward(x).astype(np.float64), backward), "dtype"),
    ((lambda x: forward(x).ravel(), backward), "shape"),
    ((forward, lambda g, x: (g, g)), "structure"),
]


@pytest.mark.parametrize(("candidate", "kind"), RUDE)
def test_rude_candidates_get_a_verdict(candidate: Any, kind: str) -> None:
    verdict = refgrad.verify(candidate, RULE)
    assert not verdict.conforms
    assert kind in [fault.kind for fault in verdict.faults], str(verdict)


def test_an_estimator_whose_gradient_nobody_saw_is_not_judged() -> None:
    """Its values alone are those of any rounding or sign."""
    verdict = refgrad.verify((forward, lambda g, x: {}), RULE, shrink=False, explain=False)
    assert (verdict.outcome, verdict.exit_code) == ("could not be judged", 2), str(verdict)
    assert "nothing of x_grad was seen, without which it is no estimator" in verdict.notes[0]


def test_outputs_that_are_not_there_are_noted() -> None:
    def only_x(g: np.ndarray, x: np.ndarray, scale: np.ndarray) -> np.ndarray:
        return lsq(np.rint, lambda d: d >= 0)[1](g, x, scale)["x"]

    verdict = refgrad.verify((lsq(np.rint, None)[0], only_x), e.LSQ())
    assert verdict.conforms, str(verdict)
    assert any("scale_grad" in note for note in verdict.notes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inputs": 3}, "inputs is 3; legal: refgrad.Cases with x and cotangent, or None"),
        ({"inputs": Cases.of(x=[1.0])}, "ClippedSTE needs 'cotangent' and 'x'"),
        ({"inputs": Cases.of(x=[1.0], cotangent=[1.0, 2.0])}, "cotangent.shape is"),
        ({"inputs": Cases.of(x=[1.0], cotangent=[1.0], scale=[1.0])}, "ClippedSTE takes no 'scale'"),
        ({"steps": 0}, "steps is 0; legal: a whole number from 1"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        refgrad.verify((forward, backward), RULE, **arguments)


def test_what_cannot_be_checked() -> None:
    with pytest.raises(CandidateError, match=r"legal: a torch\.autograd\.Function class"):
        refgrad.verify(3, RULE)
    with pytest.raises(CandidateError, match="'what' that stands for nothing in ClippedSTE"):
        refgrad.verify((lambda x, what: x, backward), RULE)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: e.LSQ().evaluate(np.ones(3, np.float32)), "LSQ needs 'scale'"),
        (lambda: e.LSQ().evaluate(np.ones(3, np.float32), scale=0.0), r"scale is 0.0; legal: numbers in \(0, inf\)"),
        (lambda: e.LSQ().evaluate(np.ones(3, np.float32), scale=np.ones(3, np.float32)), "scale.shape is"),
        (lambda: e.LSQ().evaluate(np.ones(3, int), scale=1.0), "x.dtype is 'int64'"),
        (lambda: e.LSQ().evaluate([1.0], scale=1.0), "x is a list"),
        (lambda: e.LSQ(edge="inclusiv"), "did you mean 'inclusive'"),
        (lambda: RULE.differentiate(np.ones(2), np.ones(2, np.float32)), "cotangent.dtype is 'float64'"),
    ],
)
def test_bad_arguments_of_estimators(call: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        call()


def test_arrays_of_any_layout_are_read_and_left_alone() -> None:
    x = np.asfortranarray(np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32))[:, ::2]
    x.flags.writeable = False
    y = RULE.evaluate(x, backend="numba")
    np.testing.assert_array_equal(y, np.where(x >= 0, 1, -1))
    assert RULE.evaluate(np.float32(-2)).shape == ()
    empty = e.LSQ().both(np.ones((0, 3), np.float32), np.ones((0, 3), np.float32), scale=1.0)
    assert (empty["y"].shape, float(empty["scale_grad"].item())) == ((0, 3), 0.0)


@pytest.mark.slow
def test_command_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import numpy as np\n\n\nclass mine:\n"
        "    forward = staticmethod(lambda x: np.sign(x))\n"
        "    backward = staticmethod(lambda g, x: g * (np.abs(x) <= 1))\n"
    )
    run = CliRunner().invoke
    result = run(main, ["verify", f"{file}:mine", "--as", "ClippedSTE", "sign_at_zero=zero"])
    assert result.exit_code == 0, result.output
    assert "10 cases, float32, seed 0" in result.output
    result = run(main, ["verify", f"{file}:mine", "--as", "ClippedSTE", "--steps", "2"])
    assert result.exit_code == 1, result.output
    assert "sign_at_zero=zero" in result.output
    assert "ClippedSTE" in run(main, ["list"]).output
    shown = run(main, ["show", "LSQ"])
    assert shown.exit_code == 0, shown.output
    assert "scale" in shown.output
    assert "edge=inclusive" in shown.output
    assert run(main, ["show", "BiPer", "--source", "numba"]).exit_code == 0
    assert "cos" in run(main, ["show", "BiPer", "--latex"]).output


@pytest.mark.slow
def test_pact_may_be_written_with_absolute_values() -> None:
    """Its three roundings move codes at ties, where the clip has none; with both halves it is what they come from."""

    def forward(x: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        y = (np.abs(x) - np.abs(x - alpha) + alpha) / np.float32(2)
        return np.rint(y * (np.float32(15) / alpha)) * (alpha / np.float32(15))

    def backward(g: np.ndarray, x: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        half = np.float32(0.5)
        inside = half * (np.sign(x) - np.sign(x - alpha))
        return g * inside, np.sum(g * half * (np.sign(x - alpha) + 1)).reshape(alpha.shape)

    rule = e.PACT(at_zero="half", at_alpha="half")
    for candidate in ((forward, backward), rule):
        verdict = refgrad.verify(candidate, rule, steps=4, explain=False, shrink=False)
        assert verdict.conforms, str(verdict)
    assert not refgrad.verify((forward, backward), e.PACT(), steps=4, explain=False, shrink=False).conforms


@pytest.mark.slow
def test_a_gradient_of_what_was_chosen_alone_is_named() -> None:
    """A gathered multiplier: of the row that is all zeros but for the draw, the draw alone receives a gradient."""

    def soft(x: Any, e: Any) -> Any:
        z = np.exp(x - np.log(e) - (x - np.log(e)).max(-1, keepdims=True))
        return z / z.sum(-1, keepdims=True)

    def forward(x: Any, e: Any) -> Any:
        return np.eye(x.shape[-1], dtype=x.dtype)[soft(x, e).argmax(-1)]

    def backward(cotangent: Any, x: Any, e: Any) -> Any:
        p, g = soft(x, e), cotangent * forward(x, e)
        return p * g - p * (p * g).sum(-1, keepdims=True)

    verdict = refgrad.verify((forward, backward), e.StraightThroughGumbel(), shrink=False)
    assert verdict.explanation is not None
    assert verdict.explanation.name == "the cotangent of what was not chosen is left out"
