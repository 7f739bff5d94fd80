from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

torch = pytest.importorskip("torch")

import refgrad  # noqa: E402
from refgrad import CandidateError  # noqa: E402
from refgrad.candidates.protocol import CandidateFault  # noqa: E402
from refgrad.candidates.resolve import resolve  # noqa: E402
from refgrad.candidates.torch_optimizer import to_array, to_tensor  # noqa: E402
from refgrad.optimizers import LBFGS, SGD, Adam, AdamW, Lion  # noqa: E402
from refgrad.oracle.inputs.calls import small_run  # noqa: E402

FORMS: list[dict[str, Any]] = [{"foreach": False}, {"foreach": True}, {"fused": True}]


@pytest.mark.parametrize("options", FORMS, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parameters_and_state_are_read_by_name(options: dict[str, Any], dtype: Any, pair: Any, roundings: Any) -> None:
    both = pair(resolve("torch.optim:AdamW", options), AdamW(lr=0.02, beta1=0.8, eps=1e-6, weight_decay=0.1), dtype)
    assert all(not state for state in both.run.observe().state)
    for _ in range(3):
        both.step()
    seen = both.run.observe()
    assert roundings(seen.params, both.params) <= 4
    for slot in ("m", "v"):
        assert roundings([state[slot] for state in seen.state], both.state[slot]) <= 4


def test_narrow_dtypes_keep_their_bits(pair: Any, roundings: Any) -> None:
    both = pair(resolve("torch.optim:AdamW"), AdamW(lr=0.5), ml_dtypes.bfloat16)
    both.step()
    seen = both.run.observe()
    assert roundings(seen.params, both.params) <= 4
    assert seen.state[0]["m"].dtype == ml_dtypes.bfloat16


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3)])
def test_tensors_share_memory_with_arrays(dtype: Any, shape: tuple[int, ...]) -> None:
    array = np.ones(shape, dtype)
    tensor = to_tensor(array)
    back = to_array(tensor)
    assert back.dtype == array.dtype
    assert back.shape == shape
    array[...] = 2
    assert (back == 2).all()


def test_arrays_that_torch_cannot_view_are_copied() -> None:
    array = np.arange(3, dtype=np.float32)[::-1]
    assert to_array(to_tensor(array)).tolist() == [2.0, 1.0, 0.0]
    array = np.arange(3, dtype=np.float32)
    array.flags.writeable = False
    assert to_array(to_tensor(array)).tolist() == [0.0, 1.0, 2.0]


def groups() -> Any:
    leaves = [torch.zeros(2), torch.zeros(2)]
    return torch.optim.AdamW([{"params": leaves[:1], "lr": 0.1}, {"params": leaves[1:], "weight_decay": 0.5}])


def test_an_instance_is_rebuilt_with_its_groups_in_turn(pair: Any, roundings: Any) -> None:
    instance = groups()
    both = pair(resolve(instance), AdamW())
    rules = [both.run.rule_for(leaf, both.rule) for leaf in range(3)]
    assert rules == [AdamW(lr=0.1), AdamW(weight_decay=0.5), AdamW(lr=0.1)]
    assert "lr=0.1 is taken from param_groups[0]" in both.run.notes
    grads = both.step()
    for leaf, rule in enumerate(rules):
        wanted, _ = rule.step(both.before[leaf], grads[leaf], rule.init(both.before[leaf]), backend="numpy")
        assert roundings([both.run.observe().params[leaf]], [wanted]) <= 4
    assert not instance.state
    assert all(not p.any() for group in instance.param_groups for p in group["params"])


def test_what_the_rule_claims_stays_a_claim() -> None:
    run = resolve(groups()).start(AdamW(lr=0.3), [np.ones(2, np.float32)])
    assert run.rule_for(0, AdamW(lr=0.3)) == AdamW(lr=0.3)  # type: ignore[attr-defined]
    assert run.settings == ["lr=0.3 is claimed; param_groups[0] has 0.1"]  # type: ignore[attr-defined]


def test_a_claim_at_its_default_is_a_claim() -> None:
    run = resolve(groups()).start(AdamW(lr=0.001), [np.ones(2, np.float32)])
    assert run.rule_for(0, AdamW(lr=0.001)) == AdamW()  # type: ignore[attr-defined]
    assert run.settings == ["lr=0.001 is claimed; param_groups[0] has 0.1"]  # type: ignore[attr-defined]


def test_a_function_of_the_parameters_may_have_its_hyperparameters_built_in_or_take_them() -> None:
    run = resolve(lambda params: torch.optim.AdamW(params, lr=0.25)).start(AdamW(), [np.ones(2, np.float32)])
    assert run.rule_for(0, AdamW()) == AdamW(lr=0.25)  # type: ignore[attr-defined]

    def make(params: Any, lr: float, beta2: float) -> Any:
        return torch.optim.AdamW(params, lr=lr, betas=(0.9, beta2))

    rule = AdamW(lr=0.01, beta2=0.95)
    run = resolve(make).start(rule, [np.ones(2, np.float32)])
    assert run.rule_for(0, rule) == rule  # type: ignore[attr-defined]
    assert run.notes == []  # type: ignore[attr-defined]


class Inherits(torch.optim.AdamW):  # type: ignore[name-defined]
    def __init__(self, params: Any, scale: float = 1.0, **kwargs: Any) -> None:
        super().__init__(params, **kwargs)


def test_a_constructor_that_passes_keywords_on_takes_its_parents(pair: Any, roundings: Any) -> None:
    both = pair(resolve(Inherits, {"foreach": True, "scale": 2.0}), AdamW(lr=0.3, beta1=0.5))
    both.step()
    assert roundings(both.run.observe().params, both.params) <= 4


class Misbehaves(torch.optim.Optimizer):  # type: ignore[name-defined]
    """Keeps its gradient as its momentum, or writes into it, or raises."""

    def __init__(self, params: Any, lr: float = 1e-4, how: str = "keeps") -> None:
        super().__init__(params, {"lr": lr, "how": how})

    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if group["how"] == "raises":
                    raise ArithmeticError("no")
                if group["how"] == "writes":
                    p.grad.mul_(3.0)
                self.state[p]["exp_avg"] = p.grad


def misbehaving(how: str) -> Any:
    return resolve(Misbehaves, {"how": how}).start(Lion(), [np.ones(2, np.float32)])


def test_aliasing_and_mutation_of_the_gradient_can_be_seen() -> None:
    grads = [np.full(2, 0.5, np.float32)]
    run = misbehaving("keeps")
    run.step(grads)
    grads[0][...] = 7.0
    assert run.observe().state[0]["m"].tolist() == [7.0, 7.0]
    misbehaving("writes").step(grads)
    assert grads[0].tolist() == [21.0, 21.0]


@pytest.mark.parametrize(("how", "kind"), [("keeps", "aliased"), ("writes", "mutated"), ("raises", "raised")])
def test_what_misbehaves_gets_a_verdict(how: str, kind: str) -> None:
    verdict = refgrad.verify(Misbehaves, Lion(), options={"how": how}, steps=3, shrink=False, explain=how == "writes")
    assert verdict.faults[0].kind == kind
    assert not verdict.conforms


def test_an_alias_under_a_name_that_is_not_read_shows_in_the_values() -> None:
    class Hides(torch.optim.Optimizer):  # type: ignore[name-defined]
        """Adds the last gradient, which it keeps without a copy, and so adds what the caller put there since."""

        def __init__(self, params: Any, lr: float = 1e-3) -> None:
            super().__init__(params, {"lr": lr})
            self.last: dict[Any, Any] = {}

        @torch.no_grad()
        def step(self, closure: Any = None) -> None:
            for p in self.param_groups[0]["params"]:
                p -= self.param_groups[0]["lr"] * (p.grad + 0.5 * self.last.get(p, torch.zeros_like(p)))
                self.last[p] = p.grad

    verdict = refgrad.verify(Hides, SGD(), steps=3, shrink=False, explain=False)
    assert verdict.first is not None
    assert verdict.first.step == 2


def test_an_exception_in_a_step_is_a_fault() -> None:
    with pytest.raises(CandidateFault, match="raised ArithmeticError: no") as fault:
        misbehaving("raises").step([np.ones(2, np.float32)])
    assert fault.value.kind == "raised"


@pytest.mark.parametrize(
    ("thing", "options", "rule", "message"),
    [
        ("torch.optim:AdamW", {"fusd": True}, AdamW(), "takes no option 'fusd'; did you mean 'fused'"),
        ("torch.optim:AdamW", {"lr": -1.0}, AdamW(), r"building torch.optim:AdamW\(lr=-1.0\) raised ValueError"),
        (
            "torch.optim:SparseAdam",
            {},
            AdamW(weight_decay=0.1),
            "takes no weight_decay, but the rule has weight_decay=0.1",
        ),
        (lambda params: None, {}, AdamW(), "returned a NoneType; legal: a torch.optim.Optimizer"),
    ],
)
def test_what_cannot_be_built_says_why(thing: Any, options: dict[str, Any], rule: Any, message: str) -> None:
    with pytest.raises(CandidateError, match=message):
        resolve(thing, options).start(rule, [np.ones(2, np.float32)])


def test_options_for_an_instance_are_refused() -> None:
    with pytest.raises(CandidateError, match="is built already"):
        resolve(groups(), {"foreach": True})


def test_a_default_that_cannot_be_told_is_noted() -> None:
    run = resolve("torch.optim:SparseAdam").start(AdamW(), [np.ones(2, np.float32)])
    assert any("takes no weight_decay" in note for note in run.notes)  # type: ignore[attr-defined]
    run = resolve("torch.optim:SparseAdam").start(Adam(), [np.ones(2, np.float32)])
    assert run.notes == []  # type: ignore[attr-defined]


def test_torchs_own_names() -> None:
    assert resolve(torch.optim.AdamW).name == "torch.optim.AdamW"
    assert resolve(torch.optim.AdamW, {"fused": True}).name == "torch.optim.AdamW(fused=True)"
    assert resolve(groups()).name == "torch.optim.AdamW instance"


def test_groups_are_judged_by_their_own_hyperparameters() -> None:
    """Three groups that differ in lr, betas, eps and decay; parameter i goes to group i."""
    leaves = [torch.zeros(2) for _ in range(3)]
    differ = [
        {"lr": 0.1, "weight_decay": 0.0},
        {"betas": (0.5, 0.9), "eps": 1e-3},
        {"lr": 1e-5, "weight_decay": 0.5},
    ]
    mine = torch.optim.AdamW([{"params": [p], **fields} for p, fields in zip(leaves, differ, strict=True)])
    verdict = refgrad.verify(mine, AdamW(), steps=5)
    assert verdict.conforms, str(verdict)
    assert "beta1=0.5 is taken from param_groups[1]" in verdict.notes
    assert "weight_decay=0.5 is taken from param_groups[2]" in verdict.notes
    # one rule for all three would not do
    for fields in ({"lr": 0.1}, {"beta1": 0.5, "beta2": 0.9}, {"weight_decay": 0.5}):
        assert not refgrad.verify(mine, AdamW(**fields), steps=2, shrink=False, explain=False).conforms


def test_a_group_that_ignores_its_own_lr_is_found_out() -> None:
    class FirstLr(torch.optim.AdamW):  # type: ignore[name-defined, misc]
        """Steps every group with the first one's lr."""

        def step(self, closure: Any = None) -> Any:
            kept = [group["lr"] for group in self.param_groups]
            for group in self.param_groups:
                group["lr"] = kept[0]
            super().step(closure)
            for group, lr in zip(self.param_groups, kept, strict=True):
                group["lr"] = lr

    leaves = [torch.zeros(2), torch.zeros(2)]
    mine = FirstLr([{"params": leaves[:1], "lr": 0.1}, {"params": leaves[1:], "lr": 0.2}])
    verdict = refgrad.verify(mine, AdamW(), steps=2, shrink=False, explain=False)
    assert verdict.first is not None
    assert (verdict.first.step, verdict.first.tensor, verdict.first.leaf) == (1, "p", "scaled")


@pytest.mark.sample(quick=2, suite=3)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(("options", "precision"), [*zip(FORMS, ["storage", "storage", "wide"], strict=True)], ids=str)
def test_narrow_dtypes_and_how_torch_rounds_them(options: dict[str, Any], precision: str, dtype: str) -> None:
    """The for-loop and foreach forms round every operation to the dtype; the fused form computes in float32."""
    judged = {"options": options, "dtype": dtype, "steps": 4, "shrink": False}
    rule = AdamW(eps=1e-3)  # which float16 holds
    assert refgrad.verify(torch.optim.AdamW, rule, policy={"precision": precision}, **judged).conforms
    plain = refgrad.verify(torch.optim.AdamW, rule, **judged)
    if precision == "wide":
        assert plain.conforms
    else:
        assert not plain.conforms
        assert plain.explanation is not None
        assert plain.explanation.name == "policy precision=storage"


@pytest.mark.parametrize("options", FORMS, ids=str)
def test_float16_loses_the_default_eps_and_a_zero_gradient_makes_nan(options: dict[str, Any]) -> None:
    """But in the fused form; under no policy is that right."""
    inputs = refgrad.Inputs([np.float16([0.5, 1.0])], [[np.zeros(2, np.float16)]], ["x"])
    judged: dict[str, Any] = {"options": options, "inputs": inputs, "shrink": False, "explain": False}
    verdict = refgrad.verify(torch.optim.AdamW, AdamW(), policy={"precision": "storage"}, **judged)
    if options == FORMS[-1]:
        assert verdict.conforms
    else:
        assert verdict.first is not None
        assert np.isnan(verdict.first.value)


def test_what_is_kept_as_one_vector_of_all_parameters_is_read_leaf_by_leaf() -> None:
    """LBFGS keeps its state with the first parameter, each array as one vector of all parameters."""
    rule = LBFGS(lr=0.1, history=3, scale_first="sum", pairs="curved", difference="steps", least_curvature=1e-10)
    once = {"max_iter": 1, "tolerance_grad": -1.0, "tolerance_change": -float("inf")}
    cases = small_run(rule, np.dtype("f4"), 0, 4, ((3, 4), (5, 2), (7,)))
    verdict = refgrad.verify(
        lambda params: torch.optim.LBFGS(params, lr=0.1, history_size=3, **once), rule, inputs=cases, explain=False
    )
    assert verdict.conforms, verdict
    assert {"previous_g", "s1", "y1", "s3"} <= set(verdict.counts)
    assert verdict.counts["previous_g"].total == 4 * 29


class OfKeywords(torch.optim.Optimizer):
    """Gradient descent that says in its defaults alone what it takes, and forgets the rates of later groups."""

    def __init__(self, params: Any, **settings: Any) -> None:
        super().__init__(params, {"lr": 1e-3} | settings)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.add_(p.grad, alpha=-self.param_groups[0]["lr"])


def test_a_class_of_keywords_is_told_what_its_defaults_name() -> None:
    verdict = refgrad.verify(OfKeywords, SGD(), steps=1, explain=False, shrink=False)
    assert (verdict.outcome, verdict.situation) == ("does not conform", "groups")


def test_a_rate_that_is_a_tensor_is_changed_for_each_group_and_run_alone() -> None:
    """The tensor is one for all groups and runs; a scheduler would fill it, group by group."""
    rate = torch.tensor(0.0625)
    verdict = refgrad.verify(
        lambda groups: torch.optim.SGD(groups, lr=rate),
        SGD(lr=0.0625, first_step="undamped"),
        explain=False,
        shrink=False,
    )
    assert verdict.conforms, verdict
    assert {"changed rates", "late steps"} <= set(verdict.situations)
    assert rate == 0.0625
    run = resolve(lambda groups: torch.optim.SGD(groups, lr=rate)).start_groups([SGD()] * 2, [np.zeros(2, "f4")] * 2)
    run.scale_rates(0.5)  # type: ignore[attr-defined]
    assert [float(group["lr"]) for group in run._optimizer.param_groups] == [0.03125] * 2  # type: ignore[attr-defined]
    assert rate == 0.0625
