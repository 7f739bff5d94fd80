"""Transforms judged: each accepts its own body and rewrites of it, and rejects mutants; functions that we did not write."""

from __future__ import annotations

import inspect
import sys
import textwrap
from fractions import Fraction
from typing import Any
from unittest import mock

import numpy as np
import pytest

import refgrad
from refgrad import gradients as gr
from refgrad import optimizers as o
from refgrad.arithmetic.array_error import product, solution
from refgrad.arithmetic.explorer import Explorer
from refgrad.arithmetic.ranged import Ranged
from refgrad.arithmetic.running_error import Bounded, exact
from refgrad.errors import ArgumentError
from refgrad.optimizers.transform import Transform
from refgrad.oracle.acceptance.comparing import model_for
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.inputs.transforms import generate
from refgrad.rule import rules
from tests.gradients import invariance_mutants

RULES = [cls() for cls in rules(Transform).values() if cls.kind == "transform"]
EVERY = [r for rule in RULES for r in (rule, *(variant for _, variant in rule.variants()))]
MODEL = model_for(Policy(), np.dtype(np.float32))


@pytest.mark.sample(suite=80)
@pytest.mark.parametrize("rule", EVERY, ids=str)
def test_its_own_body_is_accepted(rule: Transform) -> None:
    for dtype in ("float32", "bfloat16") if rule in RULES else ("float64",):
        ordinary = generate(rule, 6, dtype, 0)
        verdict = refgrad.verify(rule, rule, dtype=dtype, inputs=ordinary, explain=False)
        assert verdict.conforms, str(verdict)
        assert verdict.total.inside > verdict.total.undecided


def rewritten(rule: Transform, old: str, new: str, method: str = "apply") -> Transform:
    """The rule with a piece of the text of a method, or of a function of its module, replaced."""
    cls = type(rule)
    names = dict(vars(sys.modules[cls.__module__]))
    function = getattr(cls, method, None) or names[method]
    text = textwrap.dedent(inspect.getsource(function))
    assert old in text
    own = textwrap.dedent(inspect.getsource(cls.apply))
    for piece in (own, text.replace(old, new)):
        exec(piece.replace("super()", "super(type(self), self)"), names)
    methods = {name: names[name] for name in {"apply", method} if hasattr(cls, name)}
    return type(cls.__name__, (cls,), {**methods, "__module__": "tests"})(**rule.hyperparameters())


MUTANTS: list[tuple[Any, ...]] = [
    (o.WinsorizedMean(), "100 - self.percent", "70 - self.percent"),
    (o.M3(), "np.minimum(np.maximum(a, b), c)", "np.minimum(np.maximum(a, b), a)", "median_of_three"),
    (o.Coherence(), "total * total", "np.abs(total)"),
    (o.NearestNeighborAverage(keep=2), "received[np.sort(nearest)]", "received[:2]"),
    (o.MoNNA(faults=1), "(1 - self.beta) * g", "g"),
    (o.NormTest(), "ddof=1", "ddof=0"),
    (o.InnerProductTest(), "square * square", "square"),
    (o.AugmentedInnerProductTest(), "np.maximum(", "np.minimum("),
    (o.CoordinateTest(), "mean * mean", "np.sum(mean * mean)"),
    (o.AdAdaGrad(), "np.mean(gradients, axis=0)", "np.sum(gradients, axis=0)"),
    (o.AdAdaGradNorm(), "threshold=self.threshold", "threshold=self.threshold / 2"),
    (o.TrActLinear(), "x.T @ x / b", "x.T @ x", "_ridge"),
    (o.TrActConvolution(), "damping * np.eye(n", "2 * damping * np.eye(n", "_ridge"),
    (o.LogisticDescent(), "sigmoid(-(z @ theta))", "sigmoid(z @ theta)"),
    (o.NormalizedLogisticDescent(), "/ np.sum(weights)", "/ len(z)"),
    (o.BatchPerceptron(), "<= 0", "< -0.5"),
    (o.NormalizedBatchPerceptron(), "float(np.sum(wrong))", "float(len(wrong))"),
    (o.Perceptron(), "wrong[0]", "wrong[-1]"),
    (o.Diff2Restart(), "norm + eps", "norm + 0.1", "clipped"),
    (o.Diff2Difference(), "gradients - previous", "gradients + previous"),
    (o.PixelwiseClip(), "axis=-3", "axis=-1", "_by_pixel"),
    (o.ZLoss(), "log_z * (shares / total)", "(shares / total)"),
    (o.QKLayerNorm(), "centred * centred", "np.abs(centred)", "_normalised"),
    (o.ParameterScaledRate(), "np.sum(p * p)", "np.sum(np.abs(p))"),
    (o.RateSensitivity(), "np.mean(kept)", "np.max(kept)"),
    (o.GhostBatchNorm(size=2), "n / (n - 1)", "1.0"),
    (o.GhostBatchNormGradient(size=2), "- x_hat * along", ""),
    (o.GradientBefore(of=o.Centralize()), "handed[0]", "handed[0] * 1.00001"),
    (o.ZeroNaNs(), "0.0, g", "1.0, g"),
    (o.GaussNewtonDiagonal(batch=8), "self.batch * g * g", "g * g"),
    (o.HutchinsonDiagonal(average=True), "axis=axes", "axis=axes[:1]"),
    (o.PrivateAggregate(l2_norm_clip=0.5), "np.maximum(1.0, norms", "np.maximum(0.5, norms"),
    (gr.MagnitudeInvariantEncoding(), "np.cos(turn), np.sin(turn)", "np.sin(turn), np.cos(turn)"),
    (gr.PriorBias(), "-np.log(", "np.log("),
    (gr.GuidedLossScaling(), "scale = of_boxes / of_classes", "scale = of_classes / of_boxes"),
    (gr.LossMagnitudeBalance(), "losses[:1] / losses[1:]", "losses[1:] / losses[:1]"),
    (gr.ScoreGatedSharing(), "shared - specific", "specific - shared"),
    (gr.GradNorm(), "ratio / np.mean(ratio)", "ratio / np.sum(ratio)", "relative_rates"),
    (gr.ImpartialGradient(), "found / np.sum(found)", "found"),
    (gr.BranchCalibration(), "np.mean(sizes)", "np.max(sizes)", "reference_norm"),
    (gr.TaskGradientNormalization(), "np.mean(norms(gradients))", "np.max(norms(gradients))"),
    (gr.GradCAM(), "np.mean(gradients, axis=(1, 2))", "np.sum(gradients, axis=(1, 2))"),
    (gr.GradCAMPlusPlus(), "2.0 * squares", "squares", "_shares"),
    (gr.SmoothGrad(), "np.mean(gradients, axis=0)", "np.sum(gradients, axis=0)"),
    (gr.SmoothGradInputs(), "np.max(x) - np.min(x)", "np.max(x)"),
    (gr.SmoothGradCAMPlusPlus(), "2.0 * second", "second"),
    (gr.MinMaxMap(), "np.max(above, axis=1, keepdims=True)", "np.max(maps, axis=1, keepdims=True)"),
    (gr.NormGrad(), "np.sum(kept * kept, axis=0)", "np.mean(kept * kept, axis=0)"),
    (gr.SaliencyProduct(), "found * scaled[layer]", "found + scaled[layer]"),
    (gr.RankedMask(), 'self.keep == "top"', 'self.keep == "bottom"'),
    (gr.DiffROAR(), "reshape(runs, 1, fractions) - bottom", "reshape(runs, 1, fractions) + bottom"),
    (gr.MapGradientLoss(), "1.0 - cosine", "1.0 + cosine"),
    (gr.WeightedLine(), "sigma * sigma", "sigma"),
    (gr.TremaineWeinberg(), "np.sum(flux * velocity, axis=1) / light", "np.mean(velocity, axis=1)"),
    (gr.HertzContact(), "depth * np.sqrt(depth)", "depth * depth"),
    (gr.NashSutcliffe(), "np.mean(observed)", "np.mean(predicted)"),
    *invariance_mutants.MUTANTS,
]
LEGAL: list[tuple[Any, ...]] = [
    (o.WinsorizedMean(), "np.mean(", "1.0 * np.mean("),
    (o.Coherence(), "np.sum(rows, axis=0)", "np.sum(rows[::-1], axis=0)"),
    (o.NormTest(), "_needed(np.sum(np.var(rows, axis=0, ddof=1))", "_needed(np.sum((rows - mean) ** 2) / (len(rows) - 1)"),
    (o.LogisticDescent(), "sigmoid(-(z @ theta)) @ z", "z.T @ sigmoid(-(z @ theta))"),
    (o.NearestNeighborAverage(keep=3), "difference * difference", "(difference / 3) * (difference / 3)"),
    (o.TrActLinear(), "np.linalg.solve(x.T @ x / b + damping * np.eye(n, dtype=x.dtype), x.T @ g).T",
     "(np.linalg.inv(x.T @ x / b + damping * np.eye(n, dtype=x.dtype)) @ (x.T @ g)).T", "_ridge"),
    (o.TrActLinear(), "form == \"inputs\"", "False", "_ridge"),
    (o.GhostBatchNorm(size=2), "(part - mean) / root", "(part - mean) * (1 / root)", "_normalised"),
    (o.QKLayerNorm(), "scale * (g @ k_hat)", "(scale * g) @ k_hat"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=3)
@pytest.mark.parametrize("case", MUTANTS, ids=lambda c: f"{type(c[0]).__name__}")
def test_a_mutant_is_rejected(case: tuple[Any, ...]) -> None:
    verdict = refgrad.verify(rewritten(*case), case[0], inputs=nans(case[0]), steps=12, explain=False)
    assert not verdict.conforms
    assert verdict.first is not None
    assert verdict.counterexample is not None
    assert not verdict.faults
    line = verdict.reproduce.replace(verdict.candidate, "mine")
    again = eval(line, {"refgrad": refgrad, "mine": rewritten(*case)})
    assert not again.conforms
    if "Cases" in line:  # from the smallest failing input
        assert again.counterexample == verdict.counterexample


def nans(rule: Transform) -> Any:
    """Inputs with NaN, for the rule that is about them."""
    return refgrad.Cases.of(g=[[1.0, np.nan], [np.inf, -2.0]]) if isinstance(rule, o.ZeroNaNs) else None


def test_every_transform_has_a_mutant() -> None:
    """Those of the room of gradients have theirs in `tests/gradients/test_every_rule.py`, and some here."""
    own = {type(rule).__name__ for rule in RULES if type(rule).__module__.startswith("refgrad.optimizers")}
    assert {type(case[0]).__name__ for case in MUTANTS} >= own


@pytest.mark.slow
@pytest.mark.sample(quick=2, suite=3)
@pytest.mark.parametrize("case", LEGAL, ids=lambda c: f"{type(c[0]).__name__}: {c[1][:20]}")
def test_what_means_the_same_is_accepted(case: tuple[Any, ...]) -> None:
    verdict = refgrad.verify(rewritten(*case), case[0], steps=12)
    assert verdict.conforms, str(verdict)


def test_a_tie_that_rounding_decides_is_explored() -> None:
    """Two rows as far from the pivot as each other, to within rounding: either may be taken, and nothing between."""
    received = np.asarray([[0.0, 0.0], [3.0, 4.0], [np.float32(5.0000005), 0.0]], np.float32)
    cases = refgrad.Cases([{"received": received, "pivot": np.zeros(2, np.float32)}])
    rule = o.NearestNeighborAverage(keep=2)
    for chosen in (1, 2):
        answer = (received[0] + received[chosen]) / np.float32(2)
        assert refgrad.verify(lambda received, pivot, a=answer: a, rule, inputs=cases).conforms
    between = received[0] / 2 + (received[1] + received[2]) / 4
    assert not refgrad.verify(lambda received, pivot: between, rule, inputs=cases, explain=False, shrink=False).conforms


def test_what_goes_wrong_besides_values() -> None:
    rule, name = o.Coherence(), "raised"
    for name, function in {
        "raised": lambda gradients: 1 / 0,
        "shape": lambda gradients: gradients[0],
        "mutated": lambda gradients: gradients.__imul__(0)[0, 0],
        "structure": lambda gradients: (1.0, 2.0),
    }.items():
        assert [f.kind for f in refgrad.verify(function, rule).faults] == [name]
    dtype = refgrad.verify(lambda gradients: np.mean(gradients, axis=0, dtype=np.float64), o.WinsorizedMean())
    assert [f.kind for f in dtype.faults] == ["dtype"]
    with pytest.raises(ArgumentError, match="the arrays gradients of Coherence"):
        refgrad.verify(rule, rule, inputs=refgrad.Cases.of(x=[1.0]))
    with pytest.raises(ArgumentError, match="keeps no state of its own"):
        o.GradientBefore(of=o.Lookahead())


@pytest.mark.slow
def test_a_variant_explains() -> None:
    verdict = refgrad.verify(o.PixelwiseClip(measure="largest"), o.PixelwiseClip(), steps=6)
    assert verdict.explanation is not None
    assert verdict.explanation.name == "measure=largest"


@pytest.mark.slow
def test_what_changes_nothing_is_no_clip_of_some_large_bound() -> None:
    """Any bound that is large enough fits, so that none of them is a fact."""
    found = refgrad.identify(lambda v: v.copy(), o.PixelwiseClip())
    assert found.outcome != "identified", found
    assert found.best is not None
    assert "may be anything from" in found.best.doubt


@pytest.mark.parametrize(
    ("rule", "candidate", "elements"),
    [
        (o.PixelwiseClip(), lambda v: v * v.dtype.type(0.5), 1),
        (o.WinsorizedMean(), lambda gradients: gradients.sum(axis=0), 6),
        (o.Coherence(), lambda gradients: 0.25, 4),
    ],
    ids=["clip", "mean", "coherence"],
)
def test_the_smallest_input_is_small(rule: Transform, candidate: Any, elements: int) -> None:
    verdict = refgrad.verify(candidate, rule, steps=3, explain=False)
    assert verdict.counterexample is not None
    assert max(len(values) for values in verdict.counterexample.arrays.values()) <= elements
    assert "inputs=refgrad.Cases.of(" in verdict.reproduce


def test_a_body_without_a_bound_is_not_judged() -> None:
    class Cubed(Transform):
        shapes = {"g": "n"}

        def apply(self, g: Any) -> Any:
            return np.cbrt(g)

    verdict = refgrad.verify(Cubed(), Cubed())
    assert verdict.outcome == "could not be judged"
    assert any("numpy.cbrt" in note for note in verdict.notes)


def fractions(a: np.ndarray) -> list[list[Fraction]]:
    return [[Fraction(float(x)) for x in row] for row in a]


def test_the_bounds_of_matrices_hold() -> None:
    """Products and solutions in float32, by three methods, against rationals and the float64 centre."""
    random = np.random.default_rng(6)
    for _ in range(20):
        a, b = random.standard_normal((5, 4)).astype(np.float32), random.standard_normal((4, 3)).astype(np.float32)
        known = product(exact(a.astype(float), MODEL), exact(b.astype(float), MODEL), MODEL)
        truth = [
            [sum(x * y for x, y in zip(r, c, strict=True)) for c in zip(*fractions(b), strict=True)]
            for r in fractions(a)
        ]
        for i, row in enumerate(truth):
            for k, true in enumerate(row):
                for got in (float((a @ b)[i, k]), float(sum(a[i, j] * b[j, k] for j in (3, 1, 2, 0))), true):
                    assert abs(Fraction(got) - Fraction(float(known.value[i, k]))) <= Fraction(
                        float(known.bound()[i, k])
                    )
        spd = (a.T @ a + np.float32(0.5) * np.eye(4, dtype=np.float32)).astype(np.float32)
        spd = (spd + spd.T) / 2
        solved = solution(exact(spd.astype(float), MODEL), exact(b.astype(float), MODEL), MODEL)
        lower = np.linalg.cholesky(spd)
        for got in (
            np.linalg.solve(spd, b),
            np.linalg.inv(spd) @ b,
            np.linalg.solve(lower.T, np.linalg.solve(lower, b)),
        ):
            assert np.all(np.abs(got - solved.value) <= solved.bound())


def test_where_takes_the_hull_where_rounding_decides() -> None:
    x = Ranged(Bounded(np.asarray([0.0, 2.0]), np.asarray([1e-9, 0.0])), MODEL, Explorer())
    chosen = np.where(x > 0.0, x * 0.0 + 1.0, -1.0).known
    low, high = chosen.value - chosen.bound(), chosen.value + chosen.bound()
    assert low[0] <= -1.0 < 1.0 <= high[0]
    assert low[1] <= 1.0 <= high[1] < 1.0 + 2.0**-20


# functions that we did not write ---------------------------------------------------------------------------------------

EITHER = {"subnormals": "either"}
TORCH = [
    ("torch.nn.utils:clip_grad_norm_", o.GradientBefore(of=o.ClipByGlobalNorm(max_norm=1e-3, division="padded"))),
    ("torch.nn.utils:clip_grad_value_", o.GradientBefore(of=o.ClipByValue(bound=0.5))),
]
OPTAX = [
    ("optax:clip", o.GradientBefore(of=o.ClipByValue(bound=0.5))),
    ("optax:clip_by_global_norm", o.GradientBefore(of=o.ClipByGlobalNorm(max_norm=1e-3))),
    ("optax:centralize", o.GradientBefore(of=o.Centralize())),
    ("optax:zero_nans", o.ZeroNaNs()),
    ("optax.contrib:normalize", o.GradientBefore(of=o.NormalizedGradient())),
]


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize(("target", "rule"), TORCH, ids=lambda x: x if isinstance(x, str) else "")
def test_torch(target: str, rule: Transform) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    verdict = refgrad.verify(target, rule, steps=12)
    assert verdict.conforms, str(verdict)


def test_torch_pads_the_norm() -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    claim = o.GradientBefore(of=o.ClipByGlobalNorm(max_norm=1e-3))
    assert not refgrad.verify("torch.nn.utils:clip_grad_norm_", claim, steps=12, explain=False, shrink=False).conforms


@pytest.mark.thorough
@pytest.mark.slow
def test_optax_clips_a_matrix_of_one_row_as_a_vector() -> None:
    pytest.importorskip("optax", reason="optax is not installed")
    claim = o.GradientBefore(of=o.AdaptiveClip(units="column"))
    verdict = refgrad.verify("optax:adaptive_grad_clip", claim, policy=EITHER, steps=3, explain=False, shrink=False)
    assert verdict.outcome == "does not conform"
    assert verdict.situation == "shapes"
    assert verdict.first is not None
    assert verdict.first.leaf == "n = 1"


@pytest.mark.sample(quick=1, suite=1)
@pytest.mark.parametrize(("target", "rule"), OPTAX, ids=lambda x: x if isinstance(x, str) else "")
def test_optax(target: str, rule: Transform) -> None:
    pytest.importorskip("optax", reason="optax is not installed")
    verdict = refgrad.verify(target, rule, policy=EITHER, steps=4)
    assert verdict.conforms, str(verdict)


def test_torch_batch_norm_is_a_ghost_of_one_part() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")

    def batch_norm(x: Any, gamma: Any, beta: Any, mean: Any, variance: Any) -> Any:
        mean, variance, *rest = (torch.from_numpy(a.copy()) for a in (mean, variance, x, gamma, beta))
        y = torch.nn.functional.batch_norm(
            rest[0], mean, variance, rest[1], rest[2], training=True, momentum=0.1, eps=1e-5
        )
        return y.numpy(), mean.numpy(), variance.numpy()

    verdict = refgrad.verify(batch_norm, o.GhostBatchNorm(size=4096), steps=6)
    assert verdict.conforms, str(verdict)
    parted = refgrad.verify(batch_norm, o.GhostBatchNorm(), steps=6, explain=False, shrink=False)
    assert (parted.conforms, parted.situation) == (False, "shapes")  # a batch of more than 128 is in parts
    assert not refgrad.verify(batch_norm, o.GhostBatchNorm(running="biased"), steps=6, explain=False).conforms


def test_byzfl_averages_the_nearest() -> None:
    byzfl = pytest.importorskip("byzfl", reason="byzfl is not installed", exc_type=ImportError)
    random = np.random.default_rng(4)
    rows = [random.standard_normal((9, 7)).astype(np.float32) for _ in range(4)]
    cases = refgrad.Cases([{"received": a, "pivot": a[0]} for a in rows])

    def nearest(received: Any, pivot: Any) -> Any:
        return byzfl.NNM(len(received) - 4)(received)[0]

    assert refgrad.verify(nearest, o.NearestNeighborAverage(keep=4), inputs=cases).conforms
    assert not refgrad.verify(nearest, o.NearestNeighborAverage(keep=5), inputs=cases, explain=False).conforms


def clipped(p: Any, g: Any, max_norm: float, padding: float = 0.0, spoilt: Any = lambda g: False) -> Any:
    norm = np.sqrt(np.sum(np.square(g, dtype=np.float64))) + padding
    factor = np.float32(max_norm / norm if norm > max_norm else 1.0)
    return (g * factor * np.float32(1.0001 if spoilt(g) else 1.0)).astype(g.dtype)


@pytest.mark.parametrize("of", [o.ClipByNorm, o.ClipByGlobalNorm])
@pytest.mark.parametrize(
    ("fault", "conforms"),
    [
        ({}, True),
        ({"padding": 1e-6}, False),
        *(({"spoilt": lambda g, axes=axes: g.ndim == axes and g.any()}, False) for axes in (0, 1, 3, 4, 5)),
    ],
    ids=["right", "padded", "no axes", "one axis", "three axes", "four axes", "five axes"],
)
def test_a_norm_near_its_bound_and_other_numbers_of_axes(of: Any, fault: dict[str, Any], conforms: bool) -> None:
    rule = o.GradientBefore(of=of(max_norm=0.5))
    verdict = refgrad.verify(lambda p, g, max_norm: clipped(p, g, max_norm, **fault), rule, explain=False, shrink=False)
    assert verdict.conforms == conforms, str(verdict)


def impartial(gradients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The weights and the direction, in this order, by NumPy's solver, which raises where a system is singular."""
    matrix = gradients.astype(np.float64) @ gradients.T.astype(np.float64)
    weights = np.linalg.solve(matrix, np.sqrt(np.diag(matrix)))
    weights = weights / weights.sum()
    return weights.astype(gradients.dtype), (weights @ gradients).astype(gradients.dtype)


def named_impartial(gradients: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(("weights", "direction"), impartial(gradients), strict=True))


@pytest.mark.parametrize("program", [impartial, named_impartial])
@pytest.mark.parametrize("isolate", [False, True])
def test_raising_where_the_rule_gives_no_number_is_a_restriction(program: Any, isolate: bool) -> None:
    verdict = refgrad.verify(program, gr.ImpartialGradient(), explain=False, isolate=isolate)
    assert verdict.conforms, str(verdict)
    said = "raises where ImpartialGradient gives no number: LinAlgError: Singular matrix"
    assert said in str(verdict).replace("\n    ", " ")


def test_raising_where_the_rule_gives_numbers_stays_a_fault_and_so_does_another_order() -> None:
    def raises(gradients: np.ndarray) -> Any:
        if gradients.any():
            raise np.linalg.LinAlgError("Singular matrix")
        return impartial(gradients)

    for program in (raises, lambda gradients: impartial(gradients)[::-1]):
        assert refgrad.verify(program, gr.ImpartialGradient(), explain=False).outcome == "does not conform"


def test_labels_may_be_floats_that_are_whole_numbers() -> None:
    patterns = gr.ActivationPatterns()(np.eye(2), np.eye(2))["patterns"]
    assert patterns.dtype == np.float64
    for one, other in zip(
        gr.ConvexReLUProgram()(np.eye(2), np.ones(2), patterns).values(),
        gr.ConvexReLUProgram()(np.eye(2), np.ones(2), patterns.astype(int)).values(),
        strict=True,
    ):
        assert one.tobytes() == other.tobytes()
    for wrong in (0.5, np.nan, np.inf):
        with pytest.raises(ArgumentError, match="or floats that are whole numbers"):
            gr.RepresenterWeights()(np.eye(2), np.array([1.0, wrong]))


def without_small_exponentials(rule: Transform, bound: float) -> Any:
    """A program whose exponential is zero below a number, as those are that leave out what hardly counts; right far below it."""
    exp = np.exp

    def short(x: Any) -> Any:
        return np.where((x < -bound) & (x > -60), 0, exp(x)).astype(x.dtype)

    def program(*arrays: np.ndarray) -> Any:
        with np.errstate(all="ignore"), mock.patch("numpy.exp", short):
            return rule.apply(*arrays)

    return program


@pytest.mark.parametrize("bound", [10.0, 12.0, 15.0])
@pytest.mark.parametrize("rule", [o.ZLoss(), gr.GumbelArchitectureWeights(), gr.SoftmaxHeadHessianDiagonal()], ids=str)
def test_what_is_left_out_of_a_tail_is_refused(rule: Transform, bound: float) -> None:
    assert refgrad.verify(rule, rule, explain=False, shrink=False).conforms
    assert not refgrad.verify(without_small_exponentials(rule, bound), rule, explain=False, shrink=False).conforms
