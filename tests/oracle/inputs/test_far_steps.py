"""Counts far along, set in the state: a correction that stops, a count of few bits, what is read of a late state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.errors import CandidateError
from refgrad.kinds.record import Wanted
from refgrad.kinds.table import kind_of
from refgrad.optimizers import LAMB, SGD, Adam, AdamW, ClipByValue, RMSprop, ScheduleFreeAdamW
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.engine.drive import drive
from refgrad.oracle.engine.run import tally_of
from refgrad.oracle.inputs.far_steps import COUNTS, FIRST, counts, far_steps
from refgrad.quantizers import EightBit
from refgrad.rule import rules
from refgrad.strength.situations.fault import Fault
from refgrad.strength.situations.stepped_program import SteppedProgram

F, F32 = np.float32, np.dtype(np.float32)
HOW: dict[str, Any] = {"steps": 2, "shrink": False, "explain": False}
Array = np.ndarray


def adam(count: Callable[[int], float]) -> Any:
    def adam(p: Array, g: Array, m: Array, v: Array, t: int, lr: float = 1e-3) -> Any:
        t = count(t)  # type: ignore[assignment]
        m = F(0.9) * m + F(0.1) * g
        v = F(0.999) * v + F(0.001) * g * g
        with np.errstate(invalid="ignore"):
            return p - F(lr / (1 - 0.9**t)) * m / (np.sqrt(v / F(1 - 0.999**t)) + F(1e-8)), m, v

    return adam


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize(
    ("count", "right"),
    [
        (lambda t: t, True),
        (lambda t: min(t, 1000), False),
        (lambda t: min(t, 4096), False),
        (lambda t: t if t <= 1000 else 10**9, False),
        (lambda t: t % 32768 or 1, False),
        (lambda t: t % 65536 or 1, False),
        (lambda t: float(np.float16(t)), False),
    ],
    ids=["right", "stops at 1000", "stops at 4096", "no correction after 1000", "int16", "uint16", "float16"],
)
def test_a_count_that_is_wrong_far_along_is_found(count: Callable[[int], float], right: bool) -> None:
    verdict = refgrad.verify(adam(count), Adam(), **HOW)
    assert verdict.conforms == right, verdict
    assert verdict.situation == ("" if right else "far steps")


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize("kept", ["in the state", "in the group", "by the optimizer", "out of sight"])
def test_the_count_of_a_torch_optimizer_is_set_wherever_it_is(kept: str) -> None:
    torch = pytest.importorskip("torch")

    class Optimizer(torch.optim.Optimizer):  # type: ignore[misc]
        def __init__(self, params: Any, lr: float = 1e-3) -> None:
            super().__init__(params, {"lr": lr, "step": 0})
            self.steps, self.hidden = 0, [0]

        @torch.no_grad()
        def step(self, closure: Any = None) -> None:
            self.steps += kept.startswith("by")
            self.hidden[0] += 1
            for group in self.param_groups:
                group["step"] += kept.endswith("group")
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    s = self.state[p]
                    if not s:
                        s["exp_avg"], s["exp_avg_sq"] = torch.zeros_like(p), torch.zeros_like(p)
                        s |= {"step": torch.zeros(())} if kept.endswith("state") else {}
                    if "step" in s:
                        s["step"] += 1
                    t = {"s": s.get("step", 0), "g": group["step"], "b": self.steps, "o": self.hidden[0]}
                    n = float(t["b" if kept.startswith("by") else "o" if kept.startswith("out") else kept[7]])
                    s["exp_avg"].mul_(0.9).add_(p.grad, alpha=0.1)
                    s["exp_avg_sq"].mul_(0.999).addcmul_(p.grad, p.grad, value=0.001)
                    down = (s["exp_avg_sq"] / (1 - 0.999 ** min(n, 1500))).sqrt_().add_(1e-8)
                    p.addcdiv_(s["exp_avg"], down, value=-group["lr"] / (1 - 0.9**n))

    inputs = far_steps(Adam(), F32, 0)
    if kept == "out of sight":
        with pytest.raises(CandidateError, match="has no count of steps that could be set"):
            refgrad.verify(Optimizer, Adam(), inputs=inputs, **HOW)
    else:
        verdict = refgrad.verify(Optimizer, Adam(), inputs=inputs, **HOW)
        assert not verdict.faults, verdict
        assert verdict.first is not None
        assert verdict.first.step == FIRST + list(COUNTS).index(2050) + 2  # the first beyond 1500


def test_that_no_count_can_be_set_is_said_first() -> None:
    def counting() -> Any:
        taken: dict[tuple[int, ...], int] = {}

        def step(p: Array, g: Array, m: Array, v: Array) -> Any:
            t = taken[p.shape] = 1 if not m.any() else taken.get(p.shape, 0) + 1
            return adam(lambda t: t)(p, g, m, v, t)

        return step

    kind: Any = kind_of(Adam())
    assert list(kind.unreached(Adam(), {"late steps", "far steps"})) == []
    assert list(kind.unreached(SGD(lr=0.1), {"late steps"})) == []
    cases = refgrad.Inputs.of([1.0, 2.0], [[0.5, 0.5], [0.25, -1.0]])
    assert refgrad.verify(counting(), Adam(), inputs=cases, **HOW).conforms
    (said,) = kind.unreached(Adam(), {"late steps"})
    assert said == "far steps: the count of steps cannot be set, so that none beyond 260 is driven"


@pytest.mark.parametrize("wrong", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_wrapper_that_is_told_its_count_is_driven_far_along(wrong: bool) -> None:
    inner = adam(lambda t: min(t, 1000) if wrong else t)

    def clipped(p: Array, g: Array, m: Array, v: Array, t: int) -> Any:
        return inner(p, np.clip(g, F(-1), F(1)), m, v, t)

    verdict = refgrad.verify(clipped, ClipByValue(inner=Adam()), **HOW)
    assert verdict.situation == ("far steps" if wrong else ""), verdict
    assert not any(said.startswith("far steps") for said in verdict.unexercised)


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (ClipByValue(inner=Adam()), "counts within counts are not set"),
        (ScheduleFreeAdamW(), "the state has numbers that follow from all steps before"),
        (Adam(), "the count of steps cannot be set"),
    ],
    ids=str,
)
def test_why_no_late_step_is_driven_is_said(rule: Optimizer, why: str) -> None:
    said = f"far steps: {why}, so that none beyond 260 is driven"
    for judged in (rule, EightBit(rule=rule)):
        kind: Any = kind_of(judged)
        assert list(kind.unreached(judged, {"late steps"})) == [said]
        assert list(kind.unreached(judged, {"late steps", "far steps"})) == []


@pytest.mark.parametrize("ends", [None, pytest.param(4096, marks=pytest.mark.slow)])
def test_an_optimizer_in_8_bits_is_driven_far_along(ends: int | None) -> None:
    rule = EightBit(rule=Adam(lr=0.1))
    program: Any = SteppedProgram(
        None if ends is None else Fault("call", "", "", count=lambda at: min(at.t, ends)), rule
    )
    cases = kind_of(rule).filled(rule, far_steps(rule.rule, F32, 0))  # type: ignore[arg-type]
    verdict = refgrad.verify(program, rule, inputs=cases, **HOW)
    assert verdict.conforms == (ends is None), verdict
    if ends is not None:
        assert verdict.first is not None
        assert verdict.first.step == FIRST + list(COUNTS).index(4096) + 2


@pytest.mark.slow
def test_a_state_of_another_form_is_not_taken_to_another_count() -> None:
    """A corrected average is kept as such: at a count that its steps did not lead to it would be another number."""
    torch = pytest.importorskip("torch")

    class Corrected(torch.optim.Optimizer):  # type: ignore[misc]
        def __init__(self, params: Any, lr: float = 1e-2) -> None:
            super().__init__(params, {"lr": lr})

        @torch.no_grad()  # type: ignore[untyped-decorator]
        def step(self, closure: Any = None) -> None:
            pairs = [(group["lr"], p) for group in self.param_groups for p in group["params"] if p.grad is not None]
            for rate, p in pairs:
                state = self.state[p]
                state["step"] = state.get("step", torch.tensor(0.0)) + 1
                new = (1 - 0.99) / (1 - 0.99 ** float(state["step"]))
                state["kept"] = state.get("kept", torch.zeros_like(p)) * (1 - new) + new * p.grad * p.grad
                p -= rate * p.grad / (state["kept"].sqrt() + 1e-8)

    verdict = refgrad.verify(Corrected, RMSprop(bias_correction=True), **HOW)
    assert verdict.conforms, verdict
    assert "far steps: its state cannot be read, and may be another at another count" in verdict.unexercised


def test_a_count_that_cannot_be_set_is_said_first() -> None:
    torch = pytest.importorskip("torch")

    class Hidden(torch.optim.Adam):  # type: ignore[misc]
        def step(self, closure: Any = None) -> None:
            super().step(closure)
            for state in self.state.values():
                state["taken"] = state.pop("step") if "step" in state else state["taken"]

        def __init__(self, params: Any, lr: float = 1e-3) -> None:
            super().__init__(params, lr=lr)
            self.register_step_pre_hook(lambda *_: self._back())

        def _back(self) -> None:
            for state in self.state.values():
                if "taken" in state:
                    state["step"] = state.pop("taken")

    verdict = refgrad.verify(lambda params: Hidden(params), Adam(), **HOW)
    assert verdict.conforms, verdict
    assert any(said.startswith("far steps: the state of ") for said in verdict.unexercised)


@pytest.mark.parametrize("stops", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_count_of_optax_is_set(stops: bool) -> None:
    optax = pytest.importorskip("optax")
    import jax.numpy as jnp

    def made(learning_rate: float = 1e-3) -> Any:
        inner = optax.adam(learning_rate)

        def update(grads: Any, state: Any, params: Any = None) -> Any:
            first, *rest = state
            count = jnp.minimum(first.count, 1000) if stops else first.count
            updates, new = inner.update(grads, (first._replace(count=count), *rest), params)
            return updates, (new[0]._replace(count=first.count + 1), *new[1:])

        return optax.GradientTransformation(inner.init, update)

    inputs, rule = far_steps(Adam(), F32, 0), Adam(scalars="float32")  # as optax has its corrections
    verdict = refgrad.verify(made, rule, policy={"subnormals": "flush"}, inputs=inputs, **HOW)
    assert verdict.conforms != stops, verdict


STEPPED: list[Any] = [rule() for rule in rules(Optimizer).values()]


@pytest.mark.sample(quick=4, suite=12)
@pytest.mark.parametrize(
    "rule",
    [r for r in STEPPED if not (r.inner_rules() or r.scope == "tree" or any(s.scalar for s in r.slots().values()))],
    ids=str,
)
def test_every_rule_is_itself_far_along(rule: Any) -> None:
    cases = far_steps(rule, F32, 0)
    assert (cases is not None) == counts(rule)
    if cases is not None:
        kind: Any = kind_of(rule)
        record = drive(kind, kind.resolve(rule, rule, {}, None), rule, cases)
        found = tally_of(kind, record, record.rules, Wanted())
        assert not record.faults
        assert found.outside == 0


def test_the_numbers_of_a_rule_are_passed() -> None:
    found = far_steps(AdamW(), F32, 0)
    assert found is not None
    assert [found.count(step + 1, 0) for step in sorted(found.counts)] == [count + 1 for count in COUNTS]
    assert far_steps(SGD(lr=0.1), F32, 0) is None
    assert far_steps(LAMB(), F32, 0) is not None


def test_fewer_steps_are_at_the_same_counts() -> None:
    cases = far_steps(Adam(), F32, 0)
    assert cases is not None
    for chosen in ([0, 3], [3], [4, 5], slice(0, 4), [0, 1]):
        fewer = cases.at_steps(chosen)
        at = range(len(cases.steps))[chosen] if isinstance(chosen, slice) else chosen
        assert [fewer.count(i + 1, 0) for i in range(len(fewer.steps))] == [cases.count(t + 1, 0) for t in at]
