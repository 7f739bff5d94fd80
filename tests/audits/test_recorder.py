"""What `record` writes of torch and optax is audited, also in narrow formats, with several groups and after a schedule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.audits import formats
from refgrad.audits.record_files import GROUPS
from refgrad.errors import ArgumentError
from refgrad.optimizers import SGD, Adam, AdamW

MOMENTS = ("before", "after", "grads")


def audited(folder: Path, step: int, rule: Any, **more: Any) -> Any:
    paths = {moment: folder / f"step-{step:06d}" / f"{moment}.safetensors" for moment in MOMENTS}
    return refgrad.audit(rule, **paths, **more)


def test_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.Linear(5, 3, dtype=torch.bfloat16))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator))
    groups = [{"params": list(model[0].parameters())}, {"params": list(model[1].parameters()), "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=0.1, betas=(0.8, 0.95))
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    refgrad.record(optimizer, tmp_path, 2, model)
    for _ in range(3):
        for p in model.parameters():
            p.grad = torch.randn(p.shape, generator=generator).to(p.dtype)
        optimizer.step()
        schedule.step()
    assert sorted(f.name for f in tmp_path.iterdir()) == ["step-000001", "step-000002"]
    for step, lr in ((1, "lr=0.1"), (2, "lr=0.05")):
        found = audited(tmp_path, step, AdamW, policy={"precision": "storage"})  # which torch's steps of bfloat16 have
        assert found.conforms, str(found)
        assert all(f"{lr}," in t.rule and "beta1=0.8" in t.rule for t in found.tensors)
        assert {t.name for t in found.tensors if "weight_decay=0" in t.rule} == {"1.weight", "1.bias"}
        assert {t.step for t in found.tensors} == {step}
    found = audited(tmp_path, 2, AdamW(lr=0.1), explain=False)
    assert found.exit_code == 1
    assert any("lr=0.1 is claimed; param_groups[0] has 0.05" in note for note in found.notes)


def test_files_of_torch_save(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for step in range(3):
        for number, p in enumerate(model.parameters()):
            p.grad = torch.full_like(p, 0.1 * (step + number + 1))
        if step == 2:
            torch.save({n: p.grad for n, p in model.named_parameters()}, tmp_path / "grads.pt")
            kept = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(kept, tmp_path / "before.pt")
        optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "after.pt")
    paths = {moment: tmp_path / f"{moment}.pt" for moment in MOMENTS}
    found = refgrad.audit(SGD, **paths)  # whose steps are all alike but the first
    assert found.conforms, str(found)
    assert [(t.name, sorted(t.counts)) for t in found.tensors] == [
        ("weight", ["buffer", "p"]),
        ("bias", ["buffer", "p"]),
    ]
    assert refgrad.audit(SGD(momentum=0.5), **paths, explain=False).exit_code == 1


def test_optax(tmp_path: Path) -> None:
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    params = {"dense": {"kernel": np.ones((3, 2), np.float32), "bias": np.zeros(2, np.float32)}}
    schedule = optax.linear_schedule(0.0625, 0.03125, 2)  # before a step stands the rate of the step before it
    transform = refgrad.record(optax.inject_hyperparams(optax.adam)(learning_rate=schedule), tmp_path, 2)
    state = transform.init(params)

    @jax.jit
    def step(params: Any, state: Any, grads: Any) -> Any:
        updates, state = transform.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    for t in range(3):
        grads = jax.tree.map(lambda p, t=t: np.float32(0.1) * (p + t + 1), params)
        params, state = step(params, state, grads)
    jax.effects_barrier()
    assert sorted(f.name for f in tmp_path.iterdir()) == ["step-000001", "step-000002"]
    for t, lr in ((1, "lr=0.0625,"), (2, "lr=0.046875,")):
        found = audited(tmp_path, t, Adam(scalars="float32"))
        assert found.conforms, str(found)
        assert {each.name for each in found.tensors} == {"dense.kernel", "dense.bias"}
        assert all(lr in each.rule and each.step == t for each in found.tensors)


@pytest.mark.parametrize(
    ("given", "words"),
    [((3, "x"), "optimizer is an int"), ((3, 4), "folder is 4"), ((3, "x", 0), "steps is 0")],
)
def test_arguments(given: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        refgrad.record(*given)


def test_what_torch_keeps_is_written_by_the_names_that_are_known(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    class Own(torch.optim.Optimizer):  # type: ignore[misc, name-defined]
        """Its state has numbers, and what is neither number nor tensor; and of its group's words some are no numbers."""

        def step(self, closure: Any = None) -> None:
            for p in self.param_groups[0]["params"]:
                p.data -= p.grad
                self.state[p] = {"count": 3, "kept": None}

    model = torch.nn.Linear(2, 2)
    group = {"lr": torch.tensor(0.5), "scale": torch.ones(2), "betas": (0.5, "x"), "kind": "plain", "flag": True}
    for names in (None, {"mine": model.weight}, [("mine", model.weight)]):
        optimizer = Own([{"params": [model.weight], **group}], {})
        refgrad.record(optimizer, tmp_path / str(names is None), 1, names)
        model.weight.grad = torch.ones(2, 2)
        optimizer.step()
        name = "group0.0" if names is None else "mine"
        found = formats.read(tmp_path / str(names is None) / "step-000001" / "after.safetensors", "after")
        assert set(found.arrays) == {name, f"state/{name}/count"}
        assert json.loads(found.metadata[GROUPS]) == [{"lr": 0.5, "flag": True, "parameters": [name]}]
    for names in (3, [1], ["ab", "c"]):
        with pytest.raises(ArgumentError, match=r"names is .*; legal: a module, or pairs of a name and a parameter"):
            refgrad.record(Own([{"params": [model.weight]}], {}), tmp_path / "none", 1, names)


def test_optax_is_recorded_with_its_parameters_alone(tmp_path: Path) -> None:
    optax = pytest.importorskip("optax")
    transform = refgrad.record(optax.sgd(0.1), tmp_path, 1)
    state = transform.init(np.ones(2))
    with pytest.raises(ArgumentError, match="params is None; legal: the parameters, in"):
        transform.update(np.ones(2), state)
