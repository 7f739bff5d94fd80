from __future__ import annotations

from functools import partial
from typing import Any

import ml_dtypes
import numpy as np
import pytest

optax = pytest.importorskip("optax")
jax = pytest.importorskip("jax")

import refgrad  # noqa: E402
from refgrad import CandidateError  # noqa: E402
from refgrad.candidates.protocol import CandidateFault  # noqa: E402
from refgrad.candidates.resolve import resolve  # noqa: E402
from refgrad.optimizers import SGD, AdaBelief, Adafactor, AdamW, Lion  # noqa: E402
from refgrad.oracle.inputs.written import of_steps  # noqa: E402

RULE = AdamW(lr=0.02, beta1=0.8, eps=1e-6, weight_decay=0.1)
BUILT = optax.adamw(0.02, b1=0.8, eps=1e-6, weight_decay=0.1)


@pytest.mark.parametrize("thing", ["optax:adamw", optax.adamw, BUILT, partial(optax.adamw), lambda: BUILT])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parameters_and_state_are_read_by_name(thing: Any, dtype: Any, pair: Any, roundings: Any) -> None:
    both = pair(resolve(thing), RULE, dtype)
    for _ in range(3):
        both.step()
    seen = both.run.observe()
    # 1 - b2**t is computed in float32 whatever the dtype of the parameters: a bias correction of few digits
    assert roundings(seen.params, both.params) <= (64 if dtype == np.float32 else 2**33)
    for slot in ("m", "v"):
        assert roundings([state[slot] for state in seen.state], both.state[slot]) <= 4
    assert not jax.config.jax_enable_x64


def test_narrow_dtypes_keep_theirs(pair: Any) -> None:
    both = pair(resolve("optax:adamw"), AdamW(), ml_dtypes.bfloat16)
    both.step()
    assert both.run.observe().params[0].dtype == ml_dtypes.bfloat16
    assert both.run.observe().state[0]["m"].dtype == ml_dtypes.bfloat16


def test_another_rule_with_one_slot(pair: Any, roundings: Any) -> None:
    both = pair(resolve("optax:lion"), Lion(lr=0.1, weight_decay=0.1))
    both.step()
    seen = both.run.observe()
    assert roundings(seen.params, both.params) <= 4
    assert roundings([state["m"] for state in seen.state], both.state["m"]) <= 4


def test_a_name_that_occurs_twice_is_not_read() -> None:
    twice = optax.chain(optax.scale_by_adam(), optax.scale_by_adam())
    run = resolve(twice).start(AdamW(), [np.ones(2, np.float32)])
    assert run.observe().state == [{}]


def test_gradients_are_copied() -> None:
    keeps = optax.GradientTransformation(
        lambda params: optax.TraceState(params), lambda g, state, params=None: (g, optax.TraceState(g))
    )
    run = resolve(optax.chain(keeps, optax.scale(-1.0))).start(Lion(), [np.ones(2, np.float32)])
    grads = [np.full(2, 0.5, np.float32)]
    run.step(grads)
    grads[0][...] = 7.0
    assert run.observe().params[0].tolist() == [0.5, 0.5]
    # what is kept is a copy that nobody overwrites, so that there is nothing to be aliased with
    assert not refgrad.verify(
        optax.chain(keeps, optax.scale(-1.0)), Lion(), steps=3, shrink=False, explain=False
    ).faults


def test_faults_and_errors() -> None:
    def broken(g: Any, state: Any, params: Any = None) -> Any:
        raise ArithmeticError("no")

    one = [np.ones(2, np.float32)]
    run = resolve(optax.GradientTransformation(lambda params: None, broken)).start(Lion(), one)
    with pytest.raises(CandidateFault, match="raised ArithmeticError: no"):
        run.step(one)
    with pytest.raises(CandidateError, match="is built already"):
        resolve(BUILT, {"b1": 0.5})
    with pytest.raises(CandidateError, match="takes no option 'b3'; did you mean 'b"):
        resolve("optax:adamw", {"b3": 0.5}).start(AdamW(), one)
    with pytest.raises(CandidateError, match=r"returned a float; legal: an optax\.GradientTransformation"):
        resolve(lambda learning_rate=1.0: learning_rate).start(AdamW(), one)
    assert resolve("optax:adamw", {"nesterov": True}).name == "optax:adamw(nesterov=True)"


def test_a_hyperparameter_that_is_not_read_is_not_missed() -> None:
    notes = refgrad.verify(optax.adamw, AdamW(), steps=1, shrink=False).notes
    assert not any("peak_lr" in note for note in notes)


@pytest.mark.parametrize(("claimed", "rate"), [({}, 0.5), ({"lr": 0.5}, 0.5), ({"lr": 0.25}, 0.25)])
def test_injected_hyperparameters_are_read(claimed: dict[str, float], rate: float) -> None:
    candidate = resolve(optax.inject_hyperparams(optax.sgd)(learning_rate=0.5))
    run: Any = candidate.start(SGD(**claimed), [np.ones(2, np.float32)])
    assert run.rule_for(0, SGD(**claimed)).lr == rate
    assert run.read >= {"lr"}
    wrong = ["lr=0.25 is claimed; the injected hyperparameters have 0.5"]
    assert run.settings == (wrong if rate == 0.25 else [])


def test_an_eps_beside_another_of_the_functions_own_is_not_set_otherwise() -> None:
    """adabelief has an eps_root besides, which is no zero: its eps alone is half of what the rule's is."""
    assert "eps" in resolve(optax.adamw).takes(AdamW())
    taken = resolve(optax.adabelief).takes(AdaBelief())
    assert "beta1" in taken
    assert "eps" not in taken


def test_state_in_a_dict_is_read_by_its_keys() -> None:
    def update(g: Any, state: Any, params: Any = None) -> Any:
        m = jax.tree.map(lambda m, g: 0.5 * m + 0.5 * g, state["m"], g)
        return jax.tree.map(lambda m: -m, m), {"m": m, "count": state["count"] + 1}

    kept = optax.GradientTransformation(lambda p: {"m": jax.tree.map(jax.numpy.zeros_like, p), "count": 0}, update)
    run = resolve(kept).start(Lion(), [np.ones(2, np.float32), np.ones(3, np.float32)])
    run.step([np.ones(2, np.float32), np.full(3, 2.0, np.float32)])
    assert [state["m"].tolist() for state in run.observe().state] == [[0.5] * 2, [1.0] * 3]


def test_a_second_moment_that_is_kept_whole_is_not_read_as_rows_and_columns() -> None:
    """Of vectors and numbers optax keeps `v`, and zeros in place of what it keeps of a matrix."""
    rule = Adafactor(relative_step=False, decay="fixed", scalars="float32")
    p = [np.float32([[1.0, -2.0], [3.0, 0.5], [0.25, 4.0]]), np.float32([1.0, -2.0, 0.5]), np.float32(3.0)]
    g = [[0.1 * each * t for each in p] for t in (1, 2)]
    verdict = refgrad.verify(
        "optax:adafactor",
        rule,
        inputs=of_steps(p, g),
        options={"min_dim_size_to_factor": 1},
        explain=False,
        shrink=False,
    )
    assert verdict.first is None, str(verdict)
    assert {"v_row", "v_column"} <= set(verdict.counts)  # those of the matrix
