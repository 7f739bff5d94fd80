"""Training through masks, as candidates come: autograd functions, modules, JAX functions, pairs; right and wrong ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad import sparsity as s
from refgrad.errors import ArgumentError

torch = pytest.importorskip("torch", reason="candidates are torch's functions")


def two_of_four(x: Any) -> Any:
    """The two largest of every four by a stable sort, higher indices first among equals."""
    groups = x.detach().abs().reshape(-1, 4)
    order = torch.argsort(groups, dim=1, stable=True)[:, 2:]
    return torch.zeros_like(groups).scatter_(1, order, 1.0).reshape(x.shape)


class Sparse(torch.autograd.Function):
    """SR-STE as its authors write it, the names of arguments theirs."""

    @staticmethod
    def forward(ctx: Any, weight: Any, N: int, M: int, decay: float = 0.0002) -> Any:
        mask = two_of_four(weight)
        ctx.save_for_backward(weight, mask)
        ctx.decay = decay
        return weight * mask

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        weight, mask = ctx.saved_tensors
        return grad + ctx.decay * (1 - mask) * weight, None, None, None


class Masked(Sparse):
    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        return grad * ctx.saved_tensors[1], None, None, None


class KeepsOne(Sparse):
    @staticmethod
    def forward(ctx: Any, weight: Any, N: int, M: int, decay: float = 0.0002) -> Any:
        mask = two_of_four(weight) * two_of_four(weight.flip(-1)).flip(-1)
        mask[0, 0] = 1 - mask[0, 0]
        ctx.save_for_backward(weight, mask)
        ctx.decay = decay
        return weight * mask


def test_sr_ste_by_an_autograd_function() -> None:
    verdict = refgrad.verify(Sparse, s.SRSTEGradient(), steps=6, explain=False, shrink=False)
    assert verdict.conforms, str(verdict)
    assert verdict.counts["mask"].undecided > 0
    wrong = refgrad.verify(Masked, s.SRSTEGradient(), steps=3, explain=False, shrink=False)
    assert wrong.counts["mask"].outside == wrong.counts["y"].outside == 0
    assert wrong.counts["x_grad"].outside > 0
    own = refgrad.verify(Masked, s.SRSTEGradient(pattern=s.SRSTE(decay=0.0)), steps=3)
    assert own.explanation is not None
    assert own.explanation.name == "pattern_gradient=masked"
    other = refgrad.verify(Sparse, s.SRSTEGradient(), steps=3, options={"decay": 0.0}, explain=False, shrink=False)
    assert not other.conforms
    one = refgrad.verify(KeepsOne, s.SRSTEGradient(), steps=3, shrink=False, explain=False)
    assert one.counts["mask"].outside > 0


@pytest.mark.thorough
@pytest.mark.slow
def test_sr_ste_by_a_pair_and_by_jax() -> None:
    mask = lambda w: np.asarray(two_of_four(torch.from_numpy(np.asarray(w))))  # noqa: E731

    def backward(g: np.ndarray, w: np.ndarray) -> np.ndarray:
        return g + np.float32(2e-4) * np.where(mask(w) > 0, np.float32(0), w)

    verdict = refgrad.verify((lambda w: w * mask(w), backward), s.SRSTEGradient())
    assert verdict.conforms, str(verdict)
    jax = pytest.importorskip("jax", reason="a custom_vjp is judged")
    jnp = jax.numpy

    def kept(w: Any) -> Any:
        ranks = jnp.argsort(jnp.argsort(-jnp.abs(w.reshape(-1, 4)), axis=1), axis=1)
        return (ranks < 2).reshape(w.shape)

    @jax.custom_vjp
    def sparse(w: Any) -> Any:
        return jnp.where(kept(w), w, 0.0)

    sparse.defvjp(lambda w: (sparse(w), w), lambda w, g: (g + jnp.float32(2e-4) * jnp.where(kept(w), 0.0, w),))
    policy = {"subnormals": "either"}  # JAX on a CPU
    verdict = refgrad.verify(sparse, s.SRSTEGradient(), policy=policy)
    assert verdict.conforms, str(verdict)


def test_mdgf_and_movement_by_autograd() -> None:
    def fading(x: Any, beta: Any) -> Any:
        mask = two_of_four(x)
        factor = mask + (1 - mask) * beta
        return x * factor

    scaled = s.MDGFGradient(pattern=s.MDGF(gradient="scaled"))
    verdict = refgrad.verify(fading, scaled, steps=6)
    assert verdict.conforms, str(verdict)
    assert refgrad.verify(fading, s.MDGFGradient(), steps=3, explain=False, shrink=False).counts["x_grad"].outside > 0

    class Binarized(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, scores: Any) -> Any:
            order = torch.argsort(scores.flatten(), stable=True)
            mask = torch.zeros_like(scores).flatten()
            mask[order[round(scores.numel() / 2) :]] = 1.0
            return mask.reshape(scores.shape)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return grad

    verdict = refgrad.verify(lambda x, s: x * Binarized.apply(s), s.MovementGradient(), steps=6)
    assert verdict.conforms, str(verdict)
    signed = refgrad.verify(
        lambda x, s: x * Binarized.apply(s.abs()), s.MovementGradient(), steps=3, explain=False, shrink=False
    )
    assert signed.counts["mask"].outside > 0


class TopKAST(torch.nn.Module):
    """A module whose forward keeps a tenth, and whose backward updates a fifth."""

    def __init__(self, forward_density: float, backward_density: float) -> None:
        super().__init__()
        self.densities = (forward_density, backward_density)

    def forward(self, x: Any) -> Any:
        size = x.detach().abs().flatten()
        masks = [torch.zeros_like(size) for _ in range(2)]
        for mask, density in zip(masks, self.densities, strict=True):
            mask[size.topk(round(density * size.numel())).indices] = 1.0
        used, updated = (m.reshape(x.shape) for m in masks)
        y = x * updated
        return y - (y * (1 - used)).detach()


def test_top_kast_by_a_module() -> None:
    verdict = refgrad.verify(TopKAST, s.TopKAST(), steps=6, explain=False, shrink=False)
    assert verdict.conforms, str(verdict)
    assert {"forward_mask", "backward_mask"} <= set(verdict.counts)
    wrong = refgrad.verify(
        TopKAST, s.TopKAST(), steps=3, options={"backward_density": 0.3}, explain=False, shrink=False
    )
    assert wrong.counts["forward_mask"].outside == 0
    assert wrong.counts["backward_mask"].outside > 0


def test_parametrizations_by_autograd() -> None:
    """The functions as their authors write them, differentiated by torch."""

    def soft_threshold(x: Any, s: Any) -> Any:
        return torch.sign(x) * torch.relu(torch.abs(x) - torch.sigmoid(s))

    def hard_concrete(x: Any, u: Any) -> Any:
        stretched = torch.sigmoid((torch.log(u) - torch.log(1 - u) + x) / (2 / 3)) * 1.2 - 0.1
        return torch.nn.functional.hardtanh(stretched, min_val=0, max_val=1)

    pairs = [
        (soft_threshold, s.STR()),
        (lambda x: torch.sign(x) * torch.abs(x) ** 2.0, s.Powerpropagation()),
        (lambda x: x * torch.abs(x), s.Powerpropagation()),
        (lambda x, s, beta: x * torch.sigmoid(beta * s) / torch.sigmoid(torch.zeros(())), s.ContinuousSparsification()),
        (hard_concrete, s.HardConcrete()),
    ]
    for candidate, rule in pairs:
        verdict = refgrad.verify(candidate, rule, steps=6)
        assert verdict.conforms, str(verdict)


def test_mask_updates_of_strangers() -> None:
    def rigl(w: Any, grad: Any, mask: Any, step: int) -> Any:
        if step % 100 or not 0 < step <= 25000:
            return mask
        active = int(mask.sum())
        k = int(0.15 * (1 + np.cos(np.pi * step / 25000)) * active)
        order = sorted(np.flatnonzero(mask), key=lambda i: -abs(w.flat[i]))
        kept = np.zeros(w.size, bool)
        kept[order[: active - k]] = True
        order = sorted(np.flatnonzero(~kept), key=lambda i: -abs(grad.flat[i]))
        kept[order[:k]] = True
        new = kept.reshape(mask.shape)
        return new, np.where(new & mask, w, 0)

    verdict = refgrad.verify(rigl, s.RigL())
    assert verdict.conforms, str(verdict)
    assert set(verdict.counts) == {"mask", "w"}

    def ticket(w: Any, mask: Any, early: Any) -> Any:
        w, mask = torch.as_tensor(w), torch.as_tensor(mask)
        left = int(mask.sum())
        size = torch.where(mask, w.abs(), torch.inf).flatten()
        gone = size.topk(round(0.2 * left), largest=False).indices
        new = mask.flatten().clone()
        new[gone] = False
        new = new.reshape(mask.shape)
        return {"mask": new, "w": torch.where(new, torch.as_tensor(early), 0.0)}

    verdict = refgrad.verify(ticket, s.LotteryTicket())
    assert verdict.conforms, str(verdict)
    more = refgrad.verify(ticket, s.LotteryTicket(rate=0.3), explain=False, shrink=False)
    assert not more.conforms


def test_what_cannot_be_judged_and_what_is_rude() -> None:
    with pytest.raises(refgrad.CandidateError, match="takes 'u', which RigL"):
        refgrad.verify(lambda w, mask, u: mask, s.RigL())
    with pytest.raises(refgrad.CandidateError, match="legal: a function"):
        refgrad.verify(3, s.SET())
    with pytest.raises(ArgumentError, match="legal: w, mask, u of one shape, and t"):
        refgrad.verify(s.SET(), s.SET(), inputs=refgrad.Cases.of(w=[1.0], mask=[1.0, 0.0]))
    with pytest.raises(ArgumentError, match=r"SRSTEGradient.pattern is 'NOfM\(\)'; legal: a rule SRSTE"):
        s.SRSTEGradient(pattern=s.NOfM())
    for action, kind in (
        (lambda w, mask: mask[:1], "shape"),
        (lambda w, mask: mask * 2, "structure"),
        (lambda w, mask: 1 / 0, "raised"),
        (lambda w, mask: np.add(w, 1, out=w) > 0, "mutated"),
    ):
        verdict = refgrad.verify(action, s.LotteryTicket(), shrink=False, explain=False)
        assert [fault.kind for fault in verdict.faults] == [kind]


def test_the_smallest_update_still_fails_and_can_be_run_again() -> None:
    rule = s.SET()
    verdict = refgrad.verify(s.SET(zeta=0.5), rule)
    assert verdict.counterexample is not None
    assert np.prod(verdict.counterexample.shape) <= 12
    assert "refgrad.Cases.of('float32', w=" in verdict.reproduce
    again = eval(verdict.reproduce.replace("SET(zeta=0.5), ", "mine, "), {"refgrad": refgrad, "mine": s.SET(zeta=0.5)})
    assert not again.conforms
