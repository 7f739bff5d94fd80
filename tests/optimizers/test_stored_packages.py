"""Implementations of narrow parameters that we did not write: torchao, torch-optimi, pytorch-optimizer, heavyball."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import refgrad
from refgrad import optimizers as o

torch = pytest.importorskip("torch", reason="torch is not installed")

#: a norm of 4096 squares in bfloat16 has no bound in any order
STORAGE = {"precision": "storage", "sums": "pairwise"}
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def on_copies(cls: type) -> type:
    """The optimizer on copies of the gradients, which it uses as a buffer."""

    class Copying(cls):  # type: ignore[misc, valid-type]
        def step(self, closure: Any = None) -> Any:
            for group in self.param_groups:
                for p in group["params"]:
                    p.grad = p.grad.clone()
            return super().step(closure)

    Copying.__name__ = cls.__name__
    return Copying


def judged(subject: Any, rule: Any, **options: Any) -> refgrad.Verdict:
    policy = options.pop("policy", None)
    return refgrad.verify(subject, rule, policy=policy, options=options, steps=5, shrink=False, explain=False)


@pytest.fixture
def torchao() -> Any:
    module = pytest.importorskip("torchao.optim.adam", reason="torchao is not installed")
    torch.compiler.set_stance("force_eager")  # the rounding is the same, and nobody waits for a compiler
    yield module
    torch.compiler.set_stance("default")


ADAMW = o.Stored(inner=o.AdamW(), scalars="float32")


def test_torchao(torchao: Any) -> None:
    """Its states are rounded to nearest from what the step goes on with; the parameter to nearest, or by its own bits."""
    plain = judged(torchao._AdamW, ADAMW)
    assert plain.conforms, str(plain)
    chance = judged(torchao._AdamW, ADAMW.replace(rounding="stochastic"), bf16_stochastic_round=True)
    assert chance.conforms, str(chance)
    assert "draws its own" in chance.notes[0]
    assert judged(torchao._AdamW, ADAMW, bf16_stochastic_round=True).counts["p"].outside


def test_torchao_on_bits_that_are_known(torchao: Any, monkeypatch: Any) -> None:
    """With its generator replaced by the oracle's bits, every rounding is the rule's."""
    handed: list[Any] = []
    monkeypatch.setattr(torch, "randint", lambda *args, **kwargs: handed[0])

    def step(p: Any, g: Any, m: Any, v: Any, t: int, bits: Any) -> None:
        from refgrad.candidates.torch_optimizer import to_tensor

        handed[:] = [torch.from_numpy(np.asarray(bits, np.int32))]
        lr, now = torch.tensor(1e-3), torch.tensor(float(t))
        torchao.single_param_adam(
            to_tensor(p), to_tensor(g), now, to_tensor(m), to_tensor(v), None, lr, 0.9, 0.999, 1e-2, 1e-8, True, True
        )

    verdict = judged(step, ADAMW.replace(rounding="stochastic"))
    assert verdict.conforms, str(verdict)
    assert not verdict.notes


KAHAN = [
    ("optimi", "Lion", o.Lion(lr=1e-3, beta1=0.9, beta2=0.99, weight_decay=0.0), {"betas": (0.9, 0.99)}),
    ("optimi", "SGD", o.SGD(lr=1e-3, momentum=0.9), {"momentum": 0.9, "weight_decay": 0.0}),
    ("optimi", "StableAdamW", o.StableAdamW(lr=1e-3, weight_decay=0.0), {}),
    ("pytorch_optimizer", "StableAdamW", o.StableAdamW(lr=1e-3, weight_decay=0.0), {}),
]


@pytest.mark.parametrize("foreach", [False, True], ids=["loop", "foreach"])
@pytest.mark.parametrize(("package", "name", "inner", "options"), KAHAN, ids=lambda x: x if isinstance(x, str) else "")
def test_kahan(package: str, name: str, inner: Any, options: dict[str, Any], foreach: bool) -> None:
    module = pytest.importorskip(package, reason=f"{package} is not installed")
    cls, rule = getattr(module, name), o.Stored(inner=inner, compensation="kahan")
    more = {"kahan_sum": True, "foreach": foreach, **options}
    verdict = judged(on_copies(cls), rule, policy=STORAGE, **more)
    assert verdict.conforms, str(verdict)
    assert verdict.mode == "step-locked" or name == "SGD"  # whose momentum has another name there
    off = judged(on_copies(cls), rule.replace(inner_lr=1.5e-3), policy=STORAGE, **{"lr": 1e-3, **more})
    assert off.counts["lost"].outside  # the acceptance sets are not so wide as to take anything
    faults = judged(cls, rule, policy=STORAGE, **more).faults
    assert [f.kind for f in faults] == ["mutated"]  # the caller's gradient is its buffer


def test_optimi_rounds_its_decay_away() -> None:
    """The decay multiplies the bfloat16 parameter before the compensated sum: 1 - lr weight_decay rounds to nothing."""
    optimi = pytest.importorskip("optimi", reason="torch-optimi is not installed")
    p = torch.nn.Parameter(torch.ones(8, dtype=torch.bfloat16))
    optimizer = optimi.Lion([p], lr=1e-3, weight_decay=0.1, kahan_sum=True)
    for _ in range(100):
        p.grad = torch.zeros_like(p)
        optimizer.step()
    assert torch.all(p == 1.0)  # the rule has gone to 0.99
    rule = o.Stored(inner=o.Lion(lr=1e-3, weight_decay=0.1), compensation="kahan")
    theta, state = np.ones(8, BFLOAT16), rule.init(np.ones(8, BFLOAT16))
    for _ in range(100):
        theta, state = rule.step(theta, np.zeros(8, BFLOAT16), state)
    assert np.all(np.abs(theta.astype(float) + state["lost"].astype(float) - (1 - 1e-4) ** 100) < 2.0**-8 * 1e-2)
    verdict = judged(on_copies(optimi.Lion), rule, policy=STORAGE, betas=(0.9, 0.99), kahan_sum=True, foreach=False)
    assert verdict.counts["lost"].outside


def test_torch_rounds_the_rate_to_bfloat16() -> None:
    """`Tensor.add_` with alpha, on bfloat16 on the CPU: lr = 0.001 is 0.00099945, so that float32 inside is another rule."""
    x = torch.zeros(1, dtype=torch.bfloat16).add_(torch.full((1,), -1.9921875, dtype=torch.bfloat16), alpha=-1e-3)
    exactly = np.asarray([1e-3 * 1.9921875]).astype(BFLOAT16).astype(float)[0]
    assert float(x) != exactly
    assert float(x) == np.asarray([float(np.asarray(1e-3).astype(BFLOAT16)) * 1.9921875]).astype(BFLOAT16).astype(float)


def test_heavyball_rounds_as_the_rule_with_carry() -> None:
    """`stochastic_round_` adds the bits and cuts: with `dither_steps` of one it is the rule's rounding, bit for bit."""
    utils = pytest.importorskip("heavyball.utils", reason="heavyball is not installed")
    x = np.random.default_rng(2).standard_normal(4096).astype(np.float32)
    bits = np.random.default_rng(3).integers(0, 1 << 16, 4096)
    from refgrad.arithmetic.storage import Grid

    want = Grid("bfloat16", 16, "carry")(x, bits)
    source = torch.from_numpy(x)
    drawn = torch.from_numpy(bits.astype(np.int32))
    function = getattr(utils.stochastic_round_, "__wrapped__", utils.stochastic_round_)
    original, steps = torch.randint_like, getattr(utils, "dither_steps", 1)
    try:
        torch.randint_like, utils.dither_steps = (lambda *a, **k: drawn), 1
        torch.compiler.set_stance("force_eager")
        got = function(torch.zeros(4096, dtype=torch.bfloat16), source)
    finally:
        torch.randint_like, utils.dither_steps = original, steps
        torch.compiler.set_stance("default")
    assert np.array_equal(got.float().numpy(), want)
