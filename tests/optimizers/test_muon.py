"""Muon: the equations once more by singular values, laws of its iteration, and implementations that we did not write."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

import refgrad
from refgrad.arithmetic import exact, matrices, matrix_error, newton_schulz_error
from refgrad.arithmetic.running_error import Bounded
from refgrad.optimizers import Muon
from refgrad.oracle.acceptance.comparing import model_for
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.inputs.steps import generate
from refgrad.surveys.implementations.matrix_drivers import iterating_in_float32
from refgrad.tracing import free_values
from tests.optimizers.test_paper import DIGITS, Hyperparameters

RANDOM = np.random.default_rng(3)


# The equations: what an odd polynomial of a matrix is by its singular value decomposition, in scalars.


def sets(h: Any, step: int) -> list[Any]:
    """The coefficients of a step, as the sources print them (numbers of the claim itself are exact)."""
    express = [
        ("8.28721201814563", "-23.595886519098837", "17.300387312530933"),
        ("4.107059111542203", "-2.9478499167379106", "0.5448431082926601"),
        ("3.9486908534822946", "-2.908902115962949", "0.5518191394370137"),
        ("3.3184196573706015", "-2.488488024314874", "0.51004894012372"),
        ("2.300652019954817", "-1.6689039845747493", "0.4188073119525673"),
    ]
    if h.coefficients == "constant":
        return [h.a, h.b, h.c]
    if h.coefficients == "cubic":
        return [mpf(3) / 2, -mpf(1) / 2]
    if h.coefficients == "polar_express":
        return [mpf(x) / mpf("1.01") ** power for x, power in zip(express[step], (1, 3, 5), strict=True)]
    if h.coefficients == "stepwise":
        return [mpf(x) for x in STEPWISE[step]]
    return [mpf(repr(x)) for x in OTHERS[h.coefficients][step]]


STEPWISE = [
    ("4.0848", "-6.8946", "2.9270"),
    ("3.9505", "-6.3029", "2.6377"),
    ("3.7418", "-5.5913", "2.3037"),
    ("2.8769", "-3.1427", "1.2046"),
    ("2.8366", "-3.0525", "1.2012"),
]
OTHERS: dict[str, list[tuple[float, ...]]] = {
    "polar_express_1": [
        (8.237312490495555, -23.157747414558198, 16.680568411445915),
        (4.082441999064835, -2.893047735332586, 0.5252849256975648),
        (3.9263479922546582, -2.8547468034765298, 0.5318022422894988),
        (3.2982187133085143, -2.424541981026706, 0.48632008358844075),
        (2.2970369434552573, -1.63662558125903, 0.4002628455953627),
    ],
    "polar_express_2": [
        (8.156554524902461, -22.48329292557795, 15.878769915207462),
        (4.0429299351667245, -2.808917465908704, 0.5000178451051299),
        (3.8916678022926563, -2.7724841532176825, 0.5060648178503389),
        (3.285753657755658, -2.3681294933425394, 0.46449024233003117),
        (2.3005307116270983, -1.6111665557258408, 0.3833374427545273),
    ],
    "cans": [
        (5.182503604966906, -5.178098480082684),
        (2.586120737395915, -0.6479542005271643),
        (2.567364126726186, -0.6454968804392178),
        (2.520560084348265, -0.6393528082067044),
        (2.410759275435182, -0.6248683598710716),
    ],
}


def step(p: Any, g: Any, s: dict[str, Any], t: int, h: Any) -> Any:
    """One step on mpmath matrices."""
    beta = h.momentum
    new = (1 - beta) * g if h.buffer == "average" else g
    s["m"] = beta * s["m"] + new
    ahead = t + 1 if h.nesterov else t
    m_hat, g_hat = (s["m"] / (1 - beta**ahead), new / (1 - beta**t)) if h.correction else (s["m"], new)
    u = beta * m_hat + g_hat if h.nesterov else m_hat
    norm = h.safety * mpmath.sqrt(sum(x * x for x in u))
    left, sizes, right = mpmath.svd_r(u / (max(norm, h.eps) if h.eps_placement == "clamp" else norm + h.eps))
    for k in range(h.ns_steps):
        sizes = mpmath.matrix([sum(c * x ** (2 * i + 1) for i, c in enumerate(sets(h, k))) for x in sizes])
    o = left * mpmath.diag(list(sizes)) * right
    shape = mpf(p.rows) / p.cols
    factor = {
        "tall": mpmath.sqrt(max(1, shape)),
        "wide": mpmath.sqrt(max(1, 1 / shape)),
        "rms": mpf(0.2) * mpmath.sqrt(max(p.rows, p.cols)),
        "ratio": mpmath.sqrt(shape),
        "none": mpf(1),
    }[h.scale]
    return p - h.lr * h.weight_decay * p - h.lr * factor * o


BASE = Muon(weight_decay=0.1, safety=1.25)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3)], ids=str)
@pytest.mark.parametrize(
    "rule", [BASE, *(v for n, v in BASE.variants() if not n.startswith(("scalars", "internals")))], ids=str
)
def test_the_graph_is_the_papers_equations(rule: Muon, shape: tuple[int, int]) -> None:
    p = RANDOM.standard_normal(shape)
    state = rule.init(p)
    for t in (1, 2, 3):
        g = RANDOM.standard_normal(shape)
        plan, free = rule.plan(shape, t), free_values(shape, {"t": t})
        names = {**rule.numbers(), **dict(zip(plan.free, free, strict=True))}
        got = exact.evaluate(plan.graph, {"p": p, "g": g, "m": state["m"]}, names, DIGITS)
        with mpmath.workdps(DIGITS):
            said = {"m": mpmath.matrix(state["m"])}
            said["p"] = step(mpmath.matrix(p), mpmath.matrix(g), said, t, Hyperparameters(rule))
            # coefficients of tables are doubles in the rule; the sources print as many digits as a double has
            slack = mpf(10) ** -(DIGITS - 10) if rule.coefficients in ("constant", "cubic") else mpf(2) ** -44
            for name, want in said.items():
                worst = max(abs(a - b) for a, b in zip(np.ravel(got[name]), want, strict=True))
                assert worst <= slack, (name, worst)
        p, state = rule.step(p, g, state, backend="numpy")


# Laws of the iteration.


def plain(x: np.ndarray, rule: Muon) -> np.ndarray:
    return matrices.newton_schulz(x, rule._polynomials())


def enclosed(x: np.ndarray, error: np.ndarray, rule: Muon) -> Bounded:
    polynomials = rule._polynomials()
    numbers = [Bounded(np.asarray(c)) for polynomial in polynomials for c in polynomial]
    model = model_for(Policy(), np.dtype(np.float64))
    return newton_schulz_error.newton_schulz(
        Bounded(x, error), numbers, [len(p) for p in polynomials], "working", model, 0
    )


SETS = [Muon(coefficients=name) for name in Muon.legal()["coefficients"].sentences]  # type: ignore[union-attr]


#: exactly orthogonal in binary numbers: Hadamard's matrix over two
HADAMARD = np.asarray([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize("rule", SETS, ids=str)
def test_orthogonal_equivariance(rule: Muon) -> None:
    """O(U G V) is U O(G) V, each side as near to its truth as the derived bound says."""
    for _ in range(10):
        x = np.rint(RANDOM.standard_normal((4, 4)) * 64) / 512  # so few bits that a rotation is exact
        turned = HADAMARD @ x @ HADAMARD
        bounds = [enclosed(each, np.zeros(x.shape), rule).bound() for each in (x, turned)]
        off = np.abs(HADAMARD @ plain(x, rule) @ HADAMARD - plain(turned, rule))
        assert np.all(off <= np.linalg.norm(bounds[0]) * (1 + 2.0**-40) + bounds[1])


@pytest.mark.parametrize("rule", SETS, ids=str)
def test_transposed_to_the_bit(rule: Muon) -> None:
    x = (RANDOM.standard_normal((7, 5)) / 8).astype(np.float32)
    assert np.array_equal(plain(x, rule).T, plain(np.ascontiguousarray(x.T), rule))


def test_the_cubic_converges_to_a_polar_factor() -> None:
    x = RANDOM.standard_normal((4, 6))
    left, _, right = np.linalg.svd(x, full_matrices=False)
    rule = Muon(coefficients="cubic", ns_steps=40)
    x /= np.linalg.norm(x)
    bound = enclosed(x, np.zeros(x.shape), rule).bound()
    # the singular vectors are LAPACK's
    assert np.all(np.abs(plain(x, rule) - left @ right) <= bound + 2 * matrix_error.SINGULAR * 6 * 2.0**-52)


def test_stacked_matrices_are_judged_as_each_by_itself() -> None:
    x = RANDOM.standard_normal((3, 2, 4, 5)) / 8
    numbers = [Bounded(np.asarray(c)) for c in (3.4445, -4.775, 2.0315)] * 5
    model = model_for(Policy(), np.dtype(np.float32))
    found = newton_schulz_error.newton_schulz(Bounded(x), numbers, (3,) * 5, "working", model, 2)
    for at in np.ndindex(3, 2):
        alone = newton_schulz_error.newton_schulz(Bounded(x[at]), numbers, (3,) * 5, "working", model, 0)
        assert np.all(np.abs(found.value[at] - alone.value) <= 2.0**-20 * alone.bound())
        assert np.all(np.abs(found.bound()[at] - alone.bound()) <= 2.0**-20 * alone.bound())


def test_a_vector_is_one_column_and_more_axes_are_columns() -> None:
    g = RANDOM.standard_normal((4, 3, 2)).astype(np.float32)
    rule = Muon()
    flat, _ = rule.step(np.zeros((4, 6), np.float32), g.reshape(4, 6), rule.init(np.zeros((4, 6), np.float32)))
    deep, _ = rule.step(np.zeros(g.shape, np.float32), g, rule.init(np.zeros(g.shape, np.float32)))
    assert np.array_equal(flat, deep.reshape(4, 6))
    column, _ = rule.step(np.zeros((4, 1), np.float32), g[:, :1, 0], rule.init(np.zeros((4, 1), np.float32)))
    vector, _ = rule.step(np.zeros(4, np.float32), g[:, 0, 0].copy(), rule.init(np.zeros(4, np.float32)))
    assert np.array_equal(column[:, 0], vector)


# Implementations.


def matrices_only(dtype: str) -> refgrad.Inputs:
    """The generated inputs without the leaf of three axes, which torch and optax do not take."""
    made = generate(6, dtype, 0, Muon())
    keep = [i for i, p in enumerate(made.p) if p.ndim == 2]
    return refgrad.Inputs(
        [made.p[i] for i in keep], [[g[i] for i in keep] for g in made.g], [made.names[i] for i in keep]
    )


MUON = Muon(lr=1e-3, weight_decay=0.1, eps_placement="clamp")


@pytest.mark.parametrize("rule", [MUON, MUON.replace(a=3.0, b=-4.0, c=2.0, ns_steps=3, nesterov=False)], ids=str)
def test_torch_in_float64(rule: Muon) -> None:
    """With an iteration that stays in the parameter's precision it is Muon to twelve digits; in float32 see the table."""
    pytest.importorskip("torch")
    candidate = iterating_in_float32("torch.optim:Muon")
    verdict = refgrad.verify(candidate, rule, inputs=matrices_only("float64")).raise_if_wrong()
    assert verdict.mode == "step-locked"


def test_torch_in_bfloat16() -> None:
    """As it is it is not Muon in float32; as Muon in bfloat16 its momentum is judged, and its step is undecided."""
    pytest.importorskip("torch")
    inputs = matrices_only("float32")
    assert refgrad.verify("torch.optim:Muon", MUON, inputs=inputs, shrink=False, explain=False).exit_code == 1
    rule = MUON.replace(internals="bfloat16")
    verdict = refgrad.verify("torch.optim:Muon", rule, inputs=inputs)
    assert verdict.outcome == "could not be judged"  # so are wrong coefficients, of which it cannot be told
    counts = verdict.counts
    assert counts["p"].inside == 6 * 6  # the leaf of six elements whose gradient is zero, at six steps
    assert counts["m"].inside == counts["m"].total


def test_how_sharp_the_bound_is() -> None:
    """The figures of docs/enclosure.md: the norm that is allowed over the norm of the step; rounding in float32 stays inside."""
    random = np.random.default_rng(0)
    allowed: dict[str, list[float]] = {"float32": [], "float64": []}
    for shape in [(3, 5), (8, 8), (8, 12), (16, 16), (32, 32), (64, 64)]:
        k = min(shape)
        u, v = (np.linalg.qr(random.standard_normal((n, n)))[0] for n in shape)
        x = (u[:, :k] * random.uniform(0.4, 1.0, k)) @ v[:k]
        x /= np.linalg.norm(x)
        numbers = [Bounded(np.asarray(c)) for c in (3.4445, -4.775, 2.0315)] * 5
        for dtype, known in allowed.items():
            model = model_for(Policy(), np.dtype(dtype))
            with np.errstate(all="ignore"):
                found = newton_schulz_error.newton_schulz(
                    Bounded(x, 8 * np.abs(x) * model.unit_roundoff), numbers, (3,) * 5, "working", model, 0
                )
            assert found.norm is not None
            known.append(float(found.norm.max() / np.linalg.norm(found.value)))
            met = np.linalg.norm(plain(x.astype(dtype), Muon()).astype(np.float64) - found.value)
            assert met <= np.linalg.norm(found.bound())
    assert allowed["float32"][0] < 2e-3
    assert allowed["float32"][3] < 2e-2
    assert allowed["float32"][5] > 1.0
    assert allowed["float64"][5] < 1e-9
