from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad import CandidateError
from refgrad.candidates.protocol import CandidateFault
from refgrad.candidates.resolve import resolve
from refgrad.examples.numpy_adamw import adamw
from refgrad.optimizers import SGD, Adam, AdamW, ClipByValue, Lion, Lookahead, NAdam, RMSprop

ONE = [np.ones(3, np.float32)]
GRAD = [np.full(3, 0.5, np.float32)]


def adamw_in_place(param, grad, exp_avg, exp_avg_sq, step, *, learning_rate, b1, b2, eps, wd):  # type: ignore[no-untyped-def]
    param[...], exp_avg[...], exp_avg_sq[...] = adamw(
        param, grad, exp_avg, exp_avg_sq, step, learning_rate, b1, b2, eps, wd
    )


def adamw_dict(g, p, t, v, m, /, lr, beta1, beta2, eps, weight_decay=0.0):  # type: ignore[no-untyped-def]
    p, m, v = adamw(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay)
    return {"v": v, "m": m, "p": p}


def adamw_other_order(g, v, m, p, t, lr, beta1, beta2, eps, weight_decay):  # type: ignore[no-untyped-def]
    p, m, v = adamw(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay)
    return p, v, m


@pytest.mark.parametrize("function", [adamw, adamw_in_place, adamw_dict, adamw_other_order])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arguments_go_by_name_and_every_way_to_answer_gives_the_rules_bits(
    function: Any, dtype: Any, pair: Any
) -> None:
    both = pair(resolve(function), AdamW(lr=0.02, weight_decay=0.1), dtype)
    for _ in range(3):
        both.step()
    seen = both.run.observe()
    for leaf, params in enumerate(both.params):
        assert seen.params[leaf].tobytes() == params.tobytes()
        for slot in ("m", "v"):
            assert np.asarray(seen.state[leaf][slot]).tobytes() == both.state[slot][leaf].tobytes()


def test_options_win_over_the_rules_hyperparameters() -> None:
    run = resolve(lambda p, g, lr: p - np.float32(lr) * g, {"lr": 2.0}).start(AdamW(), ONE)
    run.step(GRAD)
    assert run.observe().params[0].tolist() == [0.0, 0.0, 0.0]


def test_an_argument_stands_for_the_first_hyperparameter_that_has_its_name() -> None:
    """The decay of RMSprop is its alpha, not the way that weights decay, and not its momentum either."""
    told = []

    def function(p, g, decay, **options):  # type: ignore[no-untyped-def]
        told.append(decay)
        return p

    resolve(function).start(RMSprop(alpha=0.25, momentum=0.5), ONE).step(GRAD)
    resolve(function, {"decay": 0.75}).start(RMSprop(alpha=0.25, momentum=0.5), ONE).step(GRAD)
    assert told == [0.25, 0.75]


def test_a_slot_that_is_not_taken_is_hidden() -> None:
    run = resolve(lambda p, g, m: (p, m)).start(AdamW(), ONE)
    assert set(run.observe().state[0]) == {"m"}
    assert run.observe().state[0]["m"].tolist() == [0.0, 0.0, 0.0]  # type: ignore[union-attr]


def test_a_function_without_state_returns_the_parameter_alone() -> None:
    run = resolve(lambda p, g: p - g).start(Lion(), ONE)
    run.step(GRAD)
    assert run.observe().state == [{}]
    assert run.observe().params[0].tolist() == [0.5, 0.5, 0.5]


def writes(name: str, answer: bool) -> Any:
    def function(p, g, m):  # type: ignore[no-untyped-def]
        {"p": p, "g": g, "m": m}[name][0] = 9.0
        return (p.copy(), m.copy()) if answer else None

    return function


@pytest.mark.parametrize(("name", "answer"), [("p", True), ("m", True), ("g", True), ("g", False)])
def test_writing_where_one_must_not_is_a_fault(name: str, answer: bool) -> None:
    run = resolve(writes(name, answer)).start(Lion(), ONE)
    with pytest.raises(CandidateFault, match=f"changed its argument '{name}'; legal: return new arrays") as fault:
        run.step([GRAD[0].copy()])
    assert fault.value.kind == "mutated"


@pytest.mark.parametrize(
    ("result", "kind", "message"),
    [
        (lambda p, m: p, "structure", r"returned an ndarray; legal: \(p, m\), a dict with these keys, or None"),
        (lambda p, m: (p, m, m), "structure", r"returned a tuple of 3; legal: \(p, m\)"),
        (lambda p, m: {"p": p, "q": m}, "structure", r"keys \['p', 'q'\]; legal"),
        (lambda p, m: (p, "m"), "structure", "returned a str for m; legal: a NumPy array"),
        (lambda p, m: (p[:2], m), "shape", r"p has shape \(2,\); legal: \(3,\)"),
        (lambda p, m: (p.astype(np.float64), m), "dtype", "p has dtype float64; legal: float32"),
        (lambda p, m: (p, m.astype(np.float16)), "dtype", "m has dtype float16; legal: float32"),
        (lambda p, m: 1 / 0, "raised", "raised ZeroDivisionError: division by zero"),
    ],
)
def test_what_comes_back_wrong_is_named_with_what_is_legal(result: Any, kind: str, message: str) -> None:
    run = resolve(lambda p, g, m: result(p, m)).start(Lion(), ONE)
    with pytest.raises(CandidateFault, match=message) as fault:
        run.step(GRAD)
    assert fault.value.kind == kind


def test_state_that_is_the_gradients_memory_can_be_seen() -> None:
    run = resolve(lambda p, g, m: (p - g, g)).start(Lion(), ONE)
    grads = [GRAD[0].copy()]
    run.step(grads)
    grads[0][...] = 77.0
    assert run.observe().state[0]["m"].tolist() == [77.0, 77.0, 77.0]  # type: ignore[union-attr]


def test_an_argument_that_stands_for_nothing_is_named() -> None:
    with pytest.raises(
        CandidateError, match=r"an argument 'beta_' that stands for nothing in Lion; did you mean 'beta"
    ):
        resolve(lambda p, g, beta_: p).start(Lion(), ONE)
    with pytest.raises(CandidateError, match="takes no option 'lrr'; did you mean 'lr'"):
        resolve(lambda p, g, lr: p, {"lrr": 1}).start(Lion(), ONE)


def test_the_parameters_that_are_handed_over_stay_as_they_are() -> None:
    before = ONE[0].copy()
    run = resolve(adamw_in_place).start(AdamW(), ONE)
    run.step(GRAD)
    assert ONE[0].tobytes() == before.tobytes()
    assert run.observe().params[0].tobytes() != before.tobytes()


@pytest.mark.slow
def test_a_function_may_take_torchs_names_and_its_pair_of_betas() -> None:
    def step(param: Any, grad: Any, exp_avg: Any, exp_avg_sq: Any, step: int, lr: float, betas: Any, eps: float) -> Any:
        seen.append(betas)
        p, g = np.float64(param), np.float64(grad)
        m = betas[0] * exp_avg + (1 - betas[0]) * g
        v = betas[1] * exp_avg_sq + (1 - betas[1]) * g * g
        p = p - lr * (m / (1 - betas[0] ** step)) / (np.sqrt(v / (1 - betas[1] ** step)) + eps)
        return tuple(a.astype(param.dtype) for a in (p, m, v))

    seen: list[tuple[float, float]] = []
    assert refgrad.verify(step, Adam(beta1=0.8, beta2=0.99), steps=3).conforms
    assert (0.8, 0.99) in seen
    assert len(set(seen)) > 1  # both are set otherwise too: they count as taken by name


@pytest.mark.slow
def test_a_function_may_take_the_numbers_of_a_rule_inside() -> None:
    def step(p: Any, g: Any, bound: float, inner_lr: float) -> Any:
        return p - np.float32(inner_lr) * np.clip(g, -np.float32(bound), np.float32(bound))

    claim = ClipByValue(inner=SGD(lr=0.25), bound=0.5)
    assert refgrad.verify(step, claim, steps=3).conforms
    assert not refgrad.verify(step, claim, steps=3, options={"inner_lr": 0.5}, shrink=False, explain=False).conforms


def test_a_function_of_a_wrapper_is_told_the_numbers_of_the_rule_inside_by_their_names() -> None:
    def clipped(p, g, lr, min_value=-1.0, max_value=1.0):  # type: ignore[no-untyped-def]
        return p - np.float32(lr) * np.clip(g, -1, 1)

    assert refgrad.verify(clipped, ClipByValue(inner=SGD(lr=0.25)), steps=1, explain=False).conforms


def test_of_state_that_no_argument_stands_for_the_name_is_said() -> None:
    run = resolve(lambda p, g, momentum: (p, momentum)).start(SGD(momentum=0.9), ONE)
    with pytest.raises(CandidateFault, match=r"legal: p or None; the rule's buffer would be an argument of that name"):
        run.step(ONE)


@pytest.mark.parametrize(("built_in", "outcome"), [(None, "conforms"), (0.1, "does not conform")])
def test_an_argument_of_a_hyperparameters_own_name_stands_for_it_alone(built_in: float | None, outcome: str) -> None:
    """Alpha of a wrapper is not the decay of the rule inside, which frameworks call so; and the inner rate is driven too."""
    alphas = set()

    def step(p, g, slow, buffer, t, k, alpha, inner_lr, inner_momentum):  # type: ignore[no-untyped-def]
        alphas.add(alpha)
        buffer = np.float32(inner_momentum) * buffer + g
        fast = p - np.float32(built_in or inner_lr) * buffer
        if t % int(k):
            return fast, slow, buffer
        slow = slow + np.float32(alpha) * (fast - slow)
        return slow.copy(), slow, buffer

    claim = Lookahead(inner=SGD(lr=0.1, momentum=0.9), k=5)
    assert refgrad.verify(step, claim, explain=False, shrink=False).outcome == outcome
    assert 0.5 in alphas
    assert all(isinstance(alpha, float) for alpha in alphas)


def mu_product_of(p, g, m, v, mu_product, t):  # type: ignore[no-untyped-def]
    return p, m, v, MU_PRODUCT[0]


MU_PRODUCT: list[Any] = [None]


@pytest.mark.parametrize("value", [2.5, np.float32(2.5), np.array(2.5), True])
def test_a_number_of_the_state_may_be_any_number(value: Any) -> None:
    MU_PRODUCT[0] = value
    run = resolve(mu_product_of).start(NAdam(), ONE)
    run.step(GRAD)
    assert run.observe().state[0]["mu_product"] == float(value)


@pytest.mark.parametrize("value", [None, "two", [1.0], np.zeros(2)], ids=str)
def test_what_is_no_number_where_the_state_has_one_is_named(value: Any) -> None:
    MU_PRODUCT[0] = value
    run = resolve(mu_product_of).start(NAdam(), ONE)
    with pytest.raises(CandidateFault, match=r"mu_product_of returned .* for mu_product; legal: a number"):
        run.step(GRAD)
