from __future__ import annotations

from typing import Any

import numpy as np
import pytest

optax = pytest.importorskip("optax")
jax = pytest.importorskip("jax")

from refgrad import CandidateError  # noqa: E402
from refgrad.candidates.optax_groups import leaf_name, tree_of  # noqa: E402
from refgrad.candidates.optax_transform import in_groups  # noqa: E402
from refgrad.candidates.resolve import resolve  # noqa: E402
from refgrad.optimizers import SGD, AdamW  # noqa: E402

PARAMS = [np.ones((2, 2), np.float32), np.ones((2, 2), np.float32), np.ones(2, np.float32)]  # kernel, bias, kernel
GRADS = [np.full_like(p, 0.5) for p in PARAMS]
INJECTED = optax.inject_hyperparams


def by_key(params: Any) -> Any:
    """A label function that looks at the last key of each path, as people write them."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key, params)


def test_names_are_those_of_layers_in_the_leaves_order() -> None:
    many = [np.full(2, i) for i in range(12)]
    assert [leaf[0] for leaf in jax.tree.leaves(tree_of(many))] == list(range(12))
    assert leaf_name(0, 2) == "kernel"
    assert leaf_name(0, 1) == "bias"
    assert tree_of(many[:1], ("attention/kernel",))["layer_0"]["attention"]["kernel"] is many[0]


@pytest.mark.parametrize("momentum", [0.9, None], ids=["by its state", "by its numbers"])
def test_each_group_has_its_own_numbers_and_state(momentum: float | None) -> None:
    made = {n: INJECTED(optax.sgd)(rate, momentum) for n, rate in [("kernel", 0.5), ("bias", 0.25), ("scale", 0.125)]}
    run: Any = resolve(optax.multi_transform(made, by_key)).start(SGD(momentum=momentum or 0), PARAMS[:2])
    assert [run.rule_for(leaf, SGD()).lr for leaf in range(2)] == [0.5, 0.25]
    run.step(GRADS[:2])
    seen = run.observe()
    assert [p.flat[0] for p in seen.params] == [0.75, 0.875]
    slots = [slot for slot in SGD(momentum=0.9).slots() if momentum]
    assert [state[slot].flat[0] for state in seen.state for slot in slots] == [0.5, 0.5][: 2 * len(slots)]


def test_settings_of_groups_are_stated() -> None:
    def mask(params: Any) -> Any:
        return jax.tree.map(lambda name: name == "kernel", by_key(params))

    decayed = optax.adamw(0.01, weight_decay=0.5, mask=mask)
    rule, names = AdamW(lr=0.01, weight_decay=0.5), ("kernel", "bias")
    run: Any = in_groups(decayed, {"bias": {"weight_decay": 0.0}}, names).start(rule, PARAMS)
    assert [run.rule_for(leaf, rule).weight_decay for leaf in range(3)] == [0.5, 0.0, 0.5]
    assert run.notes == ["of bias is stated weight_decay=0.0"]
    assert not hasattr(
        in_groups(decayed), "settings"
    )  # what a candidate says of itself there is text, also from another process
    with pytest.raises(CandidateError, match="settings are of 'biass'; legal: kernel, bias"):
        in_groups(decayed, {"biass": {"weight_decay": 0.0}}, names)
    with pytest.raises(CandidateError, match="\\[\\] has no groups; legal: an optax"):
        in_groups([])


def test_a_transformation_that_is_made_for_a_list_is_handed_one() -> None:
    def update(grads: Any, state: Any, params: Any = None) -> Any:
        return [-g * p for g, p in zip(grads, params, strict=True)], state

    def started(params: Any) -> Any:
        return [p * 0 for p in params]

    for init in (lambda params: None, started):
        run = resolve(optax.GradientTransformation(init, update)).start(SGD(), PARAMS)
        run.step(GRADS)
        assert [p.flat[0] for p in run.observe().params] == [0.5] * 3
