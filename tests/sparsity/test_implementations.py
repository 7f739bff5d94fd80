"""Masks of torch and jaxpruner judged as the rules that they claim to be; each disagreement is a row of the docs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.sparsity import SRSTE, Block, GraSP, L1Filters, L2Filters, Magnitude, NOfM, Wanda, WandaNOfM
from refgrad.sparsity.base import Mask
from tests.literal import literal_bodies as literal_bodies


def explained(candidate: Any, rule: Mask, **arguments: Any) -> str | None:
    """Nothing if the candidate conforms, else the departure that explains it."""
    verdict = refgrad.verify(candidate, rule, shrink=False, **arguments)
    if verdict.conforms:
        return None
    assert verdict.explanation is not None, str(verdict)
    return verdict.explanation.name


@pytest.mark.parametrize("sparsity", [0.0, 0.29, 0.5, 1.0])
def test_torch_prune_unstructured(sparsity: float) -> None:
    prune = pytest.importorskip("torch.nn.utils.prune", reason="torch is judged")
    rule = Magnitude(sparsity=sparsity)
    assert explained(prune.L1Unstructured, rule) is None
    assert explained(prune.l1_unstructured, rule) is None
    assert explained("torch.nn.utils.prune:L1Unstructured", rule, dtype="float64") is None


def test_torch_rounds_to_the_nearest() -> None:
    prune = pytest.importorskip("torch.nn.utils.prune", reason="torch is judged")
    assert explained(prune.L1Unstructured, Magnitude(sparsity=0.57, rounding="floor")) == "rounding=half_even"


def test_torch_prune_structured() -> None:
    prune = pytest.importorskip("torch.nn.utils.prune", reason="torch is judged")
    for axis in (0, 1):
        assert explained(prune.ln_structured, L1Filters(sparsity=0.3, axis=axis), options={"n": 1, "dim": axis}) is None
        assert explained(prune.ln_structured, L2Filters(sparsity=0.3, axis=axis), options={"n": 2, "dim": axis}) is None


def test_torch_prune_global_is_one_ranking() -> None:
    torch = pytest.importorskip("torch", reason="torch is judged")
    from torch.nn.utils import prune

    random = np.random.default_rng(0)
    ws = [random.standard_normal((6, 8)).astype(np.float32), 10 * random.standard_normal((4, 6)).astype(np.float32)]
    layers = [torch.nn.Linear(w.shape[1], w.shape[0]) for w in ws]
    for layer, w in zip(layers, ws, strict=True):
        layer.weight.data = torch.from_numpy(w)
    prune.global_unstructured([(layer, "weight") for layer in layers], prune.L1Unstructured, amount=0.4)
    ours = Magnitude(sparsity=0.4, granularity="together").masks(ws)
    assert all(np.array_equal(layer.weight_mask.numpy() != 0, mask) for layer, mask in zip(layers, ours, strict=True))
    assert ours[0].mean() < ours[1].mean()


@pytest.mark.sample(suite=1)
@pytest.mark.parametrize("kept", [1, 2, 3])
def test_torch_ao_groups(kept: int) -> None:
    pruning = pytest.importorskip("torch.ao.pruning", reason="torch is judged")
    options = {"sparsity_level": 1.0, "sparse_block_shape": (1, 4), "zeros_per_block": 4 - kept}
    assert explained(pruning.WeightNormSparsifier, NOfM(n=kept), options={**options, "norm": 1}) is None
    # by default it ranks squares, of which small ones are all zero
    assert explained(pruning.WeightNormSparsifier, NOfM(n=kept, measure="square"), options=options) is None
    squares = refgrad.verify(pruning.WeightNormSparsifier, NOfM(n=kept), options=options, shrink=False)
    assert "measure=square" in [d.name for d in squares.departures if d.explains]


def test_torch_ao_blocks() -> None:
    pruning = pytest.importorskip("torch.ao.pruning", reason="torch is judged")
    options = {"sparsity_level": 0.5, "sparse_block_shape": (2, 4), "zeros_per_block": 8, "norm": 1}
    even = refgrad.Cases([{"w": np.random.default_rng(0).standard_normal((8, 16)).astype(np.float32)}])
    assert explained(pruning.WeightNormSparsifier, Block(height=2, width=4), options=options, inputs=even) is None


def test_torch_stable_sort_as_a_function() -> None:
    torch = pytest.importorskip("torch", reason="torch is judged")

    def by_sort(w: torch.Tensor, n: int, m: int) -> torch.Tensor:
        groups = w.abs().reshape(-1, m)
        index = torch.sort(groups, dim=1, descending=True, stable=True).indices[:, :n]
        return torch.zeros_like(groups, dtype=torch.bool).scatter(1, index, True).reshape(w.shape)

    def by_argsort(w: torch.Tensor, n: int, m: int) -> torch.Tensor:
        groups = w.abs().reshape(-1, m)
        index = torch.argsort(groups, dim=1)[:, : m - n]
        return torch.ones_like(groups).scatter(1, index, 0).reshape(w.shape)

    for dtype in ("float16", "bfloat16", "float32"):
        assert explained(by_sort, NOfM(n=3, m=8), dtype=dtype) is None
    assert explained(by_argsort, SRSTE(n=4, m=32)) is None
    w = np.random.default_rng(1).integers(0, 3, (8, 64)).astype(np.float32)
    assert np.array_equal(by_sort(torch.from_numpy(w), 3, 8).numpy(), NOfM(n=3, m=8, ties="low").mask(w))


def test_wanda_in_torch() -> None:
    torch = pytest.importorskip("torch", reason="torch is judged")

    def rows(w: torch.Tensor, scaler_row: torch.Tensor, sparsity: float) -> tuple[torch.Tensor, torch.Tensor]:
        metric = w.abs() * scaler_row.reshape(1, -1).sqrt()
        index = torch.sort(metric, dim=-1, stable=True).indices[:, : int(metric.shape[1] * sparsity)]
        return metric, torch.ones_like(metric, dtype=torch.bool).scatter(1, index, False)

    def groups(w: torch.Tensor, scaler_row: torch.Tensor, n: int, m: int) -> torch.Tensor:
        metric = (w.abs() * scaler_row.reshape(1, -1).sqrt()).reshape(-1, m)
        index = torch.topk(metric, n, dim=1, largest=False).indices
        return torch.ones_like(metric, dtype=torch.bool).scatter(1, index, False).reshape(w.shape)

    for dtype in ("float32", "float64", "bfloat16"):
        assert explained(rows, Wanda(sparsity=0.3), dtype=dtype, policy={"precision": "storage"}) is None
    assert explained(groups, WandaNOfM(n=2, m=8)) == "n_is=pruned"


def test_wanda_keeps_the_higher_index_of_equal_scores() -> None:
    """Its sort is stable and rises, so that the first of equal ones is pruned: what its authors' code does with ties."""
    torch = pytest.importorskip("torch", reason="torch is judged")
    w = np.random.default_rng(2).integers(-2, 3, (6, 20)).astype(np.float32)
    a = np.ones((1, 20), np.float32)
    for ratio in (0.3, 0.37, 0.5):
        pruned = torch.sort(torch.from_numpy(abs(w)), dim=-1, stable=True).indices[:, : int(20 * ratio)].numpy()
        kept = np.ones(w.shape, bool)
        np.put_along_axis(kept, pruned, False, axis=1)
        assert np.array_equal(Wanda(sparsity=ratio, ties="high").mask(w, a=a), kept)
        assert not np.array_equal(Wanda(sparsity=ratio, ties="low").mask(w, a=a), kept)


@pytest.mark.parametrize("ratio", [0.29, 0.5, 0.9])
def test_grasp_prunes_one_fewer_than_its_count(ratio: float) -> None:
    """As its code: the least of the int(n ratio) largest scores is the threshold, and what equals it is kept."""
    torch = pytest.importorskip("torch", reason="torch is judged")
    random = np.random.default_rng(3)
    w, hg = random.standard_normal((2, 7, 9)).astype(np.float32)
    scores = torch.from_numpy(-w * hg).flatten()
    count = int(len(scores) * ratio)
    kept = (scores <= torch.topk(scores, count, sorted=True).values[-1]).numpy().reshape(w.shape)
    assert kept.sum() == w.size - count + 1
    assert np.array_equal(GraSP(sparsity=ratio, rounding="floor_minus_one").mask(w, hg=hg), kept)


def jaxpruner(name: str) -> Any:
    return pytest.importorskip(f"jaxpruner.{name}", reason="jaxpruner is judged")


def mask_of(sparsity_type: Any, jax: Any) -> Callable[..., Any]:
    calculator = jaxpruner("mask_calculator")

    def mask(w: jax.Array, sparsity: float = 0.5) -> jax.Array:
        return calculator.get_topk_fn(sparsity_type)(abs(w), sparsity)

    return mask


FLUSHED = {"subnormals": "either"}  # what JAX does on a CPU


def test_jaxpruner_groups() -> None:
    jax, types = pytest.importorskip("jax", reason="JAX is judged"), jaxpruner("sparsity_types")
    assert explained(mask_of(types.NByM(2, 4), jax), NOfM(), policy=FLUSHED) is None
    assert explained(mask_of(types.NByM(1, 8), jax), NOfM(n=1, m=8), policy=FLUSHED) is None


def test_jaxpruner_unstructured_prunes_nan() -> None:
    jax, types = pytest.importorskip("jax", reason="JAX is judged"), jaxpruner("sparsity_types")
    mask = mask_of(types.Unstructured(), jax)
    assert explained(mask, Magnitude(sparsity=0.3), policy=FLUSHED) == "nan_rank=smallest"
    named = Magnitude(sparsity=0.29, nan_rank="smallest", counted="kept_float32", at_least=1)
    assert explained(mask, named, policy=FLUSHED) is None


def test_jaxpruner_pads_ragged_blocks_by_too_little() -> None:
    jax, types = pytest.importorskip("jax", reason="JAX is judged"), jaxpruner("sparsity_types")
    mask = mask_of(types.Block((4, 4)), jax)
    inputs = refgrad.Cases.of(w=np.random.default_rng(0).standard_normal((5, 8)), entries=np.ones((5, 8)))
    verdict = refgrad.verify(mask, Block(), inputs=inputs)
    assert [fault.message.partition(" (on")[0] for fault in verdict.faults] == [
        "the mask has shape (4, 8); legal: (5, 8), that of w"
    ]
    even = refgrad.Cases.of(w=np.random.default_rng(0).standard_normal((8, 8)))
    refgrad.verify(mask, Block(nan_rank="smallest"), inputs=even).raise_if_wrong()


def test_functions_of_jax_arrays() -> None:
    jax = pytest.importorskip("jax", reason="JAX is judged")
    jnp = jax.numpy

    def by_rank(w: jax.Array, n: int, m: int) -> jax.Array:
        ranks = jnp.argsort(jnp.argsort(jnp.abs(w).reshape(-1, m), axis=1), axis=1)
        return (ranks >= m - n).reshape(w.shape)

    assert explained(by_rank, NOfM(n=3, m=8), policy=FLUSHED) is None


def test_jaxpruner_moves_connections() -> None:
    """Its counts are rounded as what stays, an empty mask gets a connection, and what was just dropped may grow again."""
    trainers = pytest.importorskip("jaxpruner.algorithms.sparse_trainers", reason="compares with jaxpruner")
    import functools

    import jax
    import jax.numpy as jnp

    from refgrad.oracle.inputs.mask_updates import generate
    from refgrad.sparsity import SET, RigL

    def made(cls: Any) -> Any:
        share = functools.partial(jaxpruner_uniform(), sparsity=0.5)
        return cls(sparsity_distribution_fn=share, rng_seed=jax.random.PRNGKey(0), drop_fraction_fn=lambda t: 0.3)

    rigl, evolutionary = made(trainers.RigL), made(trainers.SET)

    @jax.jit
    def by_gradient(w: Any, g: Any, mask: Any) -> Any:
        return rigl._update_masks(mask.astype(jnp.uint8), jnp.abs(w), jnp.abs(g), drop_fraction=0.3)

    @jax.jit
    def by_chance(w: Any, mask: Any, u: Any) -> Any:
        return evolutionary._update_masks(mask.astype(jnp.uint8), jnp.abs(w), u, drop_fraction=0.3)

    counted = {"rounding": "half_even", "counted": "kept"}
    for function, rule in (
        (by_gradient, RigL(anneal="constant", **counted)),
        (by_chance, SET(tails="together", candidates="dropped_too", **counted)),
    ):
        cases = generate(rule, np.dtype(np.float32), 0)
        whole = [i for i, a in enumerate(cases.arrays) if a["mask"].any() and "subnormals" not in cases.name(i)]
        moving = [i for i in whole if not rule.timed or rule.is_update(int(cases.arrays[i]["t"][0]))]
        given = refgrad.Cases([cases.arrays[i] for i in moving], [cases.name(i) for i in moving])
        verdict = refgrad.verify(function, rule, inputs=given)
        assert verdict.conforms, str(verdict)
        empty = refgrad.Cases([a for a in cases.arrays if not a["mask"].any()][:1])
        assert refgrad.verify(function, rule, inputs=empty, shrink=False, explain=False).counts["mask"].outside > 0


def jaxpruner_uniform() -> Any:
    return pytest.importorskip("jaxpruner.sparsity_distributions", reason="compares with jaxpruner").uniform
