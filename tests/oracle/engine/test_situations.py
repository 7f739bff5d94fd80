"""What a candidate is driven through besides ordinary cases: each situation shows a fault that nothing else shows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.arithmetic.primitives import tree_sum
from refgrad.candidates.protocol import Observation
from refgrad.errors import ArgumentError
from refgrad.estimators import IdentitySTE
from refgrad.optimizers import LAMB, SGD, Adam, AdamW, ClipByGlobalNorm, Lion
from refgrad.oracle.engine.situations import OUT_OF_REACH, OWN_ALONE, hidden
from refgrad.oracle.engine.verdict import Verdict
from refgrad.oracle.inputs.settings import other_setting
from refgrad.quantizers import Affine, EightBit
from refgrad.strength.situations.fault import Fault
from refgrad.strength.situations.stepped_program import SteppedProgram

Array = np.ndarray
F = np.float32
HOW: dict[str, Any] = {"steps": 3, "shrink": False, "explain": False}


def judged(candidate: Any, rule: Any, **more: Any) -> Verdict:
    return refgrad.verify(candidate, rule, **(HOW | more))


def adam(p: Array, g: Array, m: Array, v: Array, t: int, lr: float = 1e-3, n: int | None = None) -> Any:
    m = F(0.9) * m + F(0.1) * g
    v = F(0.999) * v + F(0.001) * g * g
    with np.errstate(invalid="ignore"):
        step = F(lr / (1 - 0.9**t)) * m / (np.sqrt(v / F(1 - 0.999**t)) + F(1e-8))
        return p - step, m, v


@pytest.mark.slow
def test_what_is_right_goes_through_all_of_them() -> None:
    verdict = judged(adam, Adam())
    assert verdict.conforms, verdict
    before = ["shapes", "another setting", "zeros", "uniform gradients", "large gradients", "NaN", "infinities"]
    assert list(verdict.situations) == [*before, "repeated gradients", "late steps", "far steps"]
    assert verdict.situations["shapes"] > 20
    assert "situations  shapes (" in str(verdict)


@pytest.mark.slow
def test_a_tail_that_is_left_out_is_found_and_named() -> None:
    def tailless(p: Array, g: Array, m: Array, v: Array, t: int) -> None:
        whole = p.size // 128 * 128
        for array, new in zip((p, m, v), adam(p, g, m, v, t), strict=True):
            array.reshape(-1)[:whole] = new.reshape(-1)[:whole]

    verdict = judged(tailless, Adam(), explain=5.0)
    assert verdict.outcome == "does not conform"
    assert verdict.situation == "shapes"
    assert verdict.explanation is not None
    assert verdict.explanation.name == "tail of 128"
    assert "the last n % 128" in str(verdict)


@pytest.mark.slow
def test_what_is_wrong_from_a_place_on_is_named_by_it() -> None:
    def short(p: Array, g: Array, m: Array, v: Array, t: int) -> Any:
        new = adam(p, g, m, v, t)
        new[0].reshape(-1)[2**16 :] = 0
        return new

    verdict = judged(short, Adam(), explain=5.0)
    assert verdict.situation == "shapes"
    assert verdict.explanation is not None
    assert verdict.explanation.name == "from 65536 on"


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_decay_that_zero_hides_is_driven_where_it_is_taken(scale: float) -> None:
    def lion(p: Array, g: Array, m: Array, lr: float, beta1: float, beta2: float, weight_decay: float) -> Any:
        step = np.sign(F(beta1) * m + F(1 - beta1) * g) + F(weight_decay * scale) * p
        return p - F(lr) * step, F(beta2) * m + F(1 - beta2) * g

    verdict = judged(lion, Lion())
    assert verdict.conforms == (scale == 1.0)
    if not verdict.conforms:
        assert verdict.situation.startswith("another setting, as Lion(")
        assert verdict.rule == "Lion()"


@pytest.mark.slow
def test_what_cannot_be_set_is_said_first() -> None:
    def lion(p: Array, g: Array, m: Array) -> Any:
        step = np.sign(F(0.9) * m + F(0.1) * g)
        return p - F(1e-4) * step, F(0.99) * m + F(0.01) * g

    verdict = judged(lion, Lion())
    assert verdict.conforms, verdict
    assert verdict.unexercised == ("other settings of weight_decay=0: the candidate does not take them by name",)
    told = str(verdict).split("\n\n")[1]
    assert told.startswith("Not exercised")
    assert told.endswith(verdict.out_of_reach)
    assert verdict.to_dict()["out_of_reach"] == OUT_OF_REACH
    wrong = judged(lambda p, g, m: (p, m), Lion())
    assert wrong.out_of_reach == ""
    own = refgrad.Inputs.of([1.0, 2.0], [[0.5, -0.5]])
    assert refgrad.verify(lion, Lion(), inputs=own).out_of_reach == OWN_ALONE


@pytest.mark.slow
def test_a_rate_is_left_where_the_candidate_may_take_it_for_its_peak() -> None:
    """timm's corrected decay goes by the rate that it was made with, which a setting of the rate would move."""
    torch = pytest.importorskip("torch")

    class Corrected(torch.optim.AdamW):  # type: ignore[name-defined, misc]
        def step(self, closure: Any = None) -> None:
            groups = [(group, group["weight_decay"]) for group in self.param_groups]
            for group, decay in groups:
                group["weight_decay"] = decay * group["lr"] / self.defaults["lr"]
            super().step()
            for group, decay in groups:
                group["weight_decay"] = decay

    verdict = judged(Corrected, AdamW(weight_decay=0.1, decay="corrected"))
    assert verdict.conforms, verdict
    assert "other settings of lr: the candidate takes no peak_lr, which may follow it" in verdict.unexercised


def test_what_excludes_another_number_is_left_as_it_is() -> None:
    torch = pytest.importorskip("torch")
    verdict = judged(torch.optim.SGD, SGD(lr=0.1, momentum=0.9, nesterov=True))  # which takes no dampening beside it
    assert verdict.conforms, verdict
    assert "another setting" in verdict.situations


@pytest.mark.slow
@pytest.mark.parametrize("step", [11, 128, 256])
def test_a_fault_late_in_the_run_is_found(step: int) -> None:
    def late(p: Array, g: Array, m: Array, v: Array, t: int) -> Any:
        return adam(p, g, m, v, t % step if t % step else step)

    verdict = judged(late, Adam())
    assert not verdict.conforms
    assert verdict.situation == ("repeated gradients" if step == 11 else "late steps")


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize("fault", ["as it was built", "the default from the fourth step on", ""])
def test_a_rate_that_is_changed_in_the_run_is_read(fault: str) -> None:
    """As a scheduler changes it: in `param_groups`, between steps."""
    torch = pytest.importorskip("torch")

    class Descent(torch.optim.Optimizer):  # type: ignore[misc]
        def __init__(self, params: Any, lr: float = 1e-2) -> None:
            super().__init__(params, {"lr": lr})
            self.rates, self.steps = [group["lr"] for group in self.param_groups], 0

        @torch.no_grad()
        def step(self, closure: Any = None) -> None:
            self.steps += 1
            for group, first in zip(self.param_groups, self.rates, strict=True):
                late = fault.startswith("the default") and self.steps > 3
                lr = first if fault.startswith("as") else self.defaults["lr"] if late else group["lr"]
                for p in group["params"]:
                    if p.grad is not None:
                        p.sub_(lr * p.grad)

    verdict = judged(Descent, SGD())
    assert verdict.conforms == (not fault), verdict
    if fault:
        assert verdict.situation == ("changed rates" if fault.startswith("as") else "groups")
    else:
        assert verdict.situations["changed rates"] == 3


def test_an_optimizer_whose_groups_have_no_rate_is_restricted() -> None:
    torch = pytest.importorskip("torch")

    class Fixed(torch.optim.Optimizer):  # type: ignore[misc]
        def __init__(self, params: Any) -> None:
            super().__init__(params, {})

        @torch.no_grad()
        def step(self, closure: Any = None) -> None:
            for p in self.param_groups[0]["params"]:
                if p.grad is not None:
                    p.sub_(0.1 * p.grad)

    verdict = judged(lambda params: Fixed(params), SGD(lr=0.1))
    assert verdict.conforms, verdict
    assert any(said.startswith("changed rates: param_groups[0] of ") for said in verdict.unexercised)


@pytest.mark.slow
def test_what_is_admissible_beside_nan_is_told() -> None:
    def ignoring(x: Array) -> dict[str, Any]:
        largest = np.nanmax(np.abs(x), initial=0.0)
        scale = F(largest / 127) if largest else F(1)
        return {"scale": scale, "codes": Affine(symmetric=True).quantize(np.nan_to_num(x)).arrays["codes"]}

    with np.errstate(all="ignore"):
        verdict = judged(ignoring, Affine(symmetric=True))
    assert (verdict.outcome, verdict.situation) == ("does not conform", "NaN")
    assert verdict.first is not None
    assert math.isnan(verdict.first.truth)
    assert "  legal      NaN, or [1, 1] (" in str(verdict)


@pytest.mark.slow
def test_outputs_that_are_not_shown_are_named() -> None:
    def codes(x: Array) -> dict[str, Array]:
        return {"codes": Affine().quantize(x).arrays["codes"]}

    verdict = judged(codes, Affine())
    assert verdict.conforms, verdict
    assert verdict.unexercised[0] == "scale, zero_point, y: the candidate does not show them"


def test_a_part_of_an_unknown_name_is_refused() -> None:
    def misspelt(x: Array) -> dict[str, Array]:
        parts = Affine().quantize(x).arrays
        return {"codes": parts["codes"], "scales": parts["scale"] * 3}

    verdict = judged(misspelt, Affine())
    assert verdict.outcome == "does not conform"
    assert "'scales'; did you mean 'scale'" in verdict.faults[0].message


def test_gradients_of_ones_own_may_be_absent() -> None:
    torch = pytest.importorskip("torch")
    inputs = refgrad.Inputs.of([1.0, 2.0], [[0.5, 0.5], None, [0.25, -1.0]])
    assert inputs.absent == {(1, 0)}
    assert judged(torch.optim.Adam, Adam(), inputs=inputs).conforms
    with pytest.raises(ArgumentError):
        refgrad.Inputs([np.ones(2, F)], [])


def counting(shared: bool) -> Any:
    """Adam whose count is that of the calls, or of each parameter's gradients."""
    torch = pytest.importorskip("torch")

    class Optimizer(torch.optim.Optimizer):  # type: ignore[misc]
        def __init__(self, params: Any, lr: float = 1e-3) -> None:
            super().__init__(params, {"lr": lr, "calls": 0})

        @torch.no_grad()
        def step(self, closure: Any = None) -> None:
            for group in self.param_groups:
                group["calls"] += 1
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state = self.state[p]
                    state.setdefault("step", 0)
                    state.setdefault("exp_avg", torch.zeros_like(p))
                    state.setdefault("exp_avg_sq", torch.zeros_like(p))
                    state["step"] += 1
                    t = group["calls"] if shared else state["step"]
                    state["exp_avg"].mul_(0.9).add_(p.grad, alpha=0.1)
                    state["exp_avg_sq"].mul_(0.999).addcmul_(p.grad, p.grad, value=0.001)
                    down = (state["exp_avg_sq"] / (1 - 0.999**t)).sqrt_().add_(1e-8)
                    p.addcdiv_(state["exp_avg"], down, value=-group["lr"] / (1 - 0.9**t))

    return Optimizer


@pytest.mark.parametrize("shared", [False, True])
def test_a_count_that_goes_on_without_gradients(shared: bool) -> None:
    verdict = judged(counting(shared), Adam())
    assert verdict.conforms == (not shared), verdict
    assert verdict.situation == ("absent gradients" if shared else "")


@pytest.mark.parametrize("lossy", [False, True])
def test_a_state_that_is_saved_in_fewer_bits(lossy: bool) -> None:
    torch = pytest.importorskip("torch")

    class Saved(torch.optim.AdamW):  # type: ignore[misc]
        def state_dict(self) -> Any:
            kept = super().state_dict()
            narrow = lambda v: v.to(torch.bfloat16).to(v.dtype) if lossy else v  # noqa: E731
            kept["state"] = {i: {n: narrow(v) for n, v in s.items()} for i, s in kept["state"].items()}
            return kept

    verdict = judged(Saved, AdamW())
    assert verdict.conforms == (not lossy)
    assert {f.kind for f in verdict.faults} == ({"resumed"} if lossy else set())


@pytest.mark.parametrize("first", [False, True])
def test_groups_have_settings_of_their_own(first: bool) -> None:
    torch = pytest.importorskip("torch")

    class Grouped(torch.optim.SGD):  # type: ignore[misc]
        def step(self, closure: Any = None) -> Any:
            if first:
                for group in self.param_groups:
                    group["lr"] = self.param_groups[0]["lr"]
            return super().step(closure)

    verdict = judged(Grouped, SGD(lr=0.1))
    assert verdict.conforms == (not first)
    assert verdict.situation.startswith("groups" if first else "")


@pytest.mark.parametrize(("claimed", "conforms"), [({}, True), ({"lr": 1e-3}, False)])
def test_a_setting_at_its_default_is_a_claim_where_it_is_named(claimed: dict[str, float], conforms: bool) -> None:
    torch = pytest.importorskip("torch")
    verdict = judged(lambda params: torch.optim.AdamW(params, lr=0.1), AdamW(**claimed))
    assert verdict.conforms == conforms
    if conforms:
        assert "is AdamW(lr=0.1)" in str(verdict).splitlines()[0]
    else:
        assert verdict.settings == ("lr=0.001 is claimed; param_groups[0] has 0.1",)
        assert "is not AdamW(lr=0.001)" in str(verdict).splitlines()[0]


def test_a_claim_that_cannot_be_read_is_said() -> None:
    def fixed(p: Array, g: Array) -> Array:
        return p - F(0.5) * g

    verdict = judged(fixed, SGD(lr=0.5))
    assert verdict.conforms, verdict
    assert "lr=0.5 is claimed and cannot be read of the candidate, which is judged at it" in verdict.settings
    assert not judged(fixed, SGD(lr=0.25)).conforms
    assert math.isfinite(verdict.tightest["p"])


@pytest.mark.slow
@pytest.mark.parametrize("guarded", [True, False])
def test_a_ratio_of_norms_that_are_zero_has_its_own_rule(guarded: bool) -> None:
    def lamb(p: Array, g: Array, m: Array, v: Array, t: int, lr: float, weight_decay: float) -> Any:
        _, m, v = adam(p, g, m, v, t)
        u = m / F(1 - 0.9**t) / (np.sqrt(v / F(1 - 0.999**t)) + F(1e-6)) + F(weight_decay) * p
        of_p, of_u = (np.sqrt(tree_sum(x * x)) for x in (p, u))
        ratio = np.where((of_u > 0) & ((of_p > 0) if guarded else True), of_p / of_u, F(1))
        return p - F(lr) * ratio * u, m, v

    with np.errstate(all="ignore"):
        verdict = judged(lamb, LAMB())
    assert verdict.conforms == guarded, verdict
    assert verdict.situation == ("" if guarded else "zeros")


class Clipping:
    """SGD on gradients that are clipped by their joint norm, in one of several ways."""

    name = "clipping"

    def __init__(self, norm: str) -> None:
        self.norm = norm

    def start(self, rule: Any, params: Any) -> Any:
        self.params = [np.array(p) for p in params]
        self.lr, self.bound = F(rule.inner.lr), rule.max_norm
        return self

    def step(self, grads: Any) -> None:
        squares = [float(np.sum(np.square(g, dtype=np.float64))) for g in grads]
        if self.norm == "all but the last":
            squares = squares[:-1]
        norm = sum(s**0.5 for s in squares) if self.norm == "sum of norms" else sum(squares) ** 0.5
        scale = 1.0 if norm <= self.bound and self.norm != "always" else self.bound / norm
        for p, g in zip(self.params, grads, strict=True):
            p -= self.lr * (g * F(scale))

    def observe(self) -> Observation:
        return Observation(self.params, [{} for _ in self.params])


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize("norm", ["right", "always", "all but the last", "sum of norms"])
def test_leaves_of_like_size_show_what_a_joint_norm_is_made_of(norm: str) -> None:
    rule = ClipByGlobalNorm(inner=SGD(lr=0.5), max_norm=1.0)
    verdict = judged(Clipping(norm), rule)
    assert verdict.conforms == (norm == "right"), verdict


@pytest.mark.slow
def test_identify_does_not_call_it_the_rule_either() -> None:
    def tailless(p: Array, g: Array, lr: float) -> None:
        whole = p.size // 128 * 128
        p.reshape(-1)[:whole] -= F(lr) * g.reshape(-1)[:whole]

    found = refgrad.identify(tailless, SGD(lr=0.1), steps=2)
    assert found.outcome == "misbehaves"
    assert [f.kind for f in found.faults] == ["situation"]


def sgd(change: Callable[[Array], Array]) -> Any:
    """A step whose gradient is changed before it is used."""
    return lambda p, g, lr: p - F(lr) * change(g)


@pytest.mark.parametrize(
    ("where", "change"),
    [
        ("large gradients", lambda g: np.clip(g, F(-(2.0**20)), F(2.0**20))),
        ("NaN", np.nan_to_num),
        ("uniform gradients", lambda g: g * F(2) if g.size > 1 and np.ptp(g) == 0 and g.any() else g),
        ("uniform gradients", lambda g: g * F(2) if g.size > 1 and np.count_nonzero(g) == 1 else g),
        ("uniform gradients", lambda g: np.where(np.abs(g).max(initial=0) < F(1e-8), F(0), g)),
    ],
)
def test_gradients_that_are_no_ordinary_numbers(where: str, change: Callable[[Array], Array]) -> None:
    verdict = judged(sgd(change), SGD(lr=0.5))
    assert not verdict.conforms
    assert verdict.situation == where


@pytest.mark.parametrize("strided", [True, False])
def test_a_gradient_that_is_not_contiguous(strided: bool) -> None:
    torch = pytest.importorskip("torch")

    class Step(torch.optim.SGD):  # type: ignore[misc]
        def step(self, closure: Any = None) -> Any:
            for p in self.param_groups[0]["params"]:
                if not strided and p.grad is not None:  # as a kernel that goes through the gradient's memory row by row
                    grad = torch.as_strided(p.grad, p.shape, torch.empty(p.shape).stride())
                    p.grad = torch.empty_like(p).copy_(grad)
            return super().step(closure)

    verdict = judged(Step, SGD(lr=0.5))
    assert verdict.conforms == strided, verdict
    assert verdict.situation == ("" if strided else "not contiguous")


@pytest.mark.parametrize(
    "there",
    [
        lambda x: np.ptp(x) == 0,
        lambda x: x.ndim > 1 and x.shape[-1] > 1 and (np.ptp(x, axis=-1) == 0).any(),
        lambda x: (x < 0).all(),
        lambda x: (x > 0).all(),
        lambda x: np.count_nonzero(x) == 1,
        lambda x: np.abs(x).max() < 1e-8,
    ],
    ids=["one number", "one number in a row", "negative", "positive", "one alone", "small"],
)
def test_arrays_of_few_kinds_of_numbers_are_driven(there: Callable[[Array], bool]) -> None:
    def forward(x: Array) -> Array:
        return np.where(x >= 0, F(1), F(-1))

    def backward(g: Array, x: Array) -> Array:
        return g * F(2) if x.size > 8 and x.any() and there(x) else g

    verdict = judged((forward, backward), IdentitySTE())
    assert verdict.situation == "extremes"


def test_a_whole_array_of_zeros_is_driven_of_functions() -> None:
    def forward(x: Array) -> Array:
        return np.where(x >= 0, F(1), F(-1))

    def backward(g: Array, x: Array) -> Array:
        return g if x.any() or not x.size else g * F(2)

    verdict = judged((forward, backward), IdentitySTE())
    assert verdict.situation == "extremes"


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=1)
@pytest.mark.parametrize("wrapped", [False, True])
def test_the_count_of_an_optimizer_in_8_bits(wrapped: bool) -> None:
    rule = EightBit(Adam())

    fault = Fault("call", "uint8", "the count is of 8 bits", count=lambda at: at.t % 256 or 1) if wrapped else None
    verdict = judged(SteppedProgram(fault, rule), rule)
    assert verdict.conforms != wrapped
    assert verdict.situation == ("late steps" if wrapped else "")


def test_a_gradient_of_zeros_is_a_step_as_any_other() -> None:
    def lazy(p: Array, g: Array, m: Array, v: Array, t: int) -> Any:
        return adam(p, g, m, v, t) if g.any() or not g.size else (p, m, v)

    assert judged(lazy, Adam()).situation == "zeros"


@pytest.mark.slow
def test_a_bound_on_steps_shows_where_a_gradient_grows() -> None:
    """The ratio of both moments is near one for ordinary gradients, and 3.5 at most."""

    def bounded(p: Array, g: Array, m: Array, v: Array, t: int) -> Any:
        new, m, v = adam(p, g, m, v, t)
        return p - np.clip(p - new, F(-3e-3), F(3e-3)), m, v

    assert judged(bounded, Adam()).situation == "late steps"


@pytest.mark.slow
def test_who_takes_a_step_and_raises_at_another_is_wrong() -> None:
    def counting(p: Array, g: Array, m: Array, v: Array, t: int) -> Any:
        return adam(p, g, m, v, int(np.int8(t)))  # which raises at 128

    verdict = judged(counting, Adam())
    assert (verdict.outcome, verdict.situation) == ("does not conform", "late steps")
    assert verdict.faults[0].kind == "raised"


@pytest.mark.slow
def test_an_eps_that_is_built_in_is_found() -> None:
    def built_in(p: Array, g: Array, m: Array, v: Array, t: int, eps: float = 1e-8) -> Any:
        return adam(p, g, m, v, t)

    assert judged(built_in, Adam()).situation.startswith("another setting")


def test_a_small_rate_is_set_to_a_larger_one() -> None:
    assert [other_setting(Lion(lr=lr), ["lr"]).lr for lr in (1e-4, 0.1)] == pytest.approx([0.0037, 0.037])  # type: ignore[union-attr]


def test_a_rate_beside_a_peak_that_is_not_told_is_said_not_to_be_set() -> None:
    """A candidate may take the rate that it is made with for the peak: it is made with no other one, and the verdict says so."""
    said = "other settings of lr: the candidate takes no peak_lr, which may follow it"
    rule = AdamW(decay="corrected")
    assert said in hidden(rule, frozenset({"lr", "eps"}))
    assert said not in hidden(rule, frozenset({"lr", "peak_lr"}))
    assert said not in hidden(AdamW(), frozenset({"lr"}))
