"""Calls that do the same in refgrad and elsewhere, by group: optimizers, quantizers, masks, estimators, and judging a step."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import refgrad
from refgrad.oracle.acceptance.judge import Large, Step
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.screened_outputs import summary
from refgrad.oracle.acceptance.screening import screened
from refgrad.rule import find, rules
from refgrad.testing import timed_calls
from refgrad.tracing import free_values
from tests.benchmarks import estimators, gguf_blocks, masks, quantizers
from tests.benchmarks.side_by_side import triad

Call = Callable[[], Any]
#: what the rule's own kernel, and the triad that stands beside it, are called
OURS, TRIAD = "refgrad", "triad"
#: bytes that the triad moves an element: two arrays are read, and one that is written is read before
TRIAD_BYTES = 16
#: tensors of a tree, and elements of each
LEAVES, LEAF = 1000, 1000
#: block formats that stand for others of their kind
GGUF = ("Q4_0", "Q8_0", "Q4_K", "Q6_K", "IQ4_NL", "TQ1_0")
#: steps as numexpr takes them: what is written, by what expression
EXPRESSIONS = {
    "AdamW": {
        "m": "b1 * m + (one - b1) * g",
        "v": "b2 * v + (one - b2) * g * g",
        "p": "p * (one - lr * wd) - lr * m / (sqrt(v) + eps)",
    },
    "Adam": {
        "m": "b1 * m + (one - b1) * g",
        "v": "b2 * v + (one - b2) * g * g",
        "p": "p - lr * m / (sqrt(v) + eps)",
    },
    "Adagrad": {"v": "v + g * g", "p": "p - lr * g / (sqrt(v) + eps)"},
    "RMSprop": {"v": "b2 * v + (one - b2) * g * g", "p": "p - lr * g / (sqrt(v) + eps)"},
    "SGD": {"p": "p - lr * g"},
    "Lion": {
        "p": "p * (one - lr * wd) - where(b1 * m + (one - b1) * g > 0, lr, -lr)",
        "m": "b2 * m + (one - b2) * g",
    },
}
FORMS = {"torch for-loop": {"foreach": False}, "torch foreach": {"foreach": True}, "torch fused": {"fused": True}}
RATE = 1e-3


@dataclass(frozen=True)
class Group:
    """Calls that take turns.

    Attributes:
        name: what they do.
        size: of how many elements.
        moved: bytes that any program has to read and write.
        make: gives the calls, by who does it.
    """

    name: str
    size: int
    moved: int
    make: Callable[[], dict[str, Call]]

    @property
    def key(self) -> str:
        """What tells it from others."""
        return f"{self.name}, {self.size:.0e}"


def groups(
    sizes: Sequence[int], compiled: bool = False, wanted: Callable[[str], bool] = lambda name: True
) -> Iterator[Group]:
    """All groups.

    Args:
        sizes: of the arrays of optimizers, estimators and judging; quantizers and masks take the largest, up to 2^22.
        compiled: whether torch compiles steps too, and optax one of many tensors, which takes half a minute and more each.
        wanted: True of the name of an optimizer whose arrays are to be made; of other groups all are given.
    """
    for rule in optimizers():
        for size in sizes if wanted(type(rule).__name__) else ():
            moved = timed_calls.workload(rule, size, np.dtype(np.float32)).moved if size else 0
            yield Group(type(rule).__name__, size, moved, partial(steps, rule, size, compiled))
    few = min(max(sizes), 1 << 22) // 4096 * 4096
    if few:
        x = np.random.default_rng(0).standard_normal(few, np.float32)
        for name, calls in {**quantizers.blocks(x), **quantizers.casts(x)}.items():
            yield Group(name, few, 5 * few, partial(dict, calls))
        yield Group("mask, 2 of 4", few, 5 * few, partial(_masks, few))
    if few >= 1 << 20:
        yield from _gguf()
    if max(sizes) >= LEAVES * LEAF:
        yield Group(f"AdamW, {LEAVES} tensors of {LEAF}", LEAVES * LEAF, 28 * LEAVES * LEAF, partial(trees, compiled))
    for size in sizes:
        yield Group("estimator BiPer", size, 16 * size, partial(_estimators, size))
        yield Group("judging AdamW", size, 28 * size, partial(judges, size))


def _gguf() -> Iterator[Group]:
    """Block formats of GGUF, to stored bytes and back."""
    if not _there("gguf"):
        return
    size = gguf_blocks.SIZE[0] * gguf_blocks.SIZE[1]
    for name in GGUF:
        quantize, dequantize = gguf_blocks.package(name)
        if name in gguf_blocks.QUANTIZED_BY_BOTH:
            calls = {OURS: gguf_blocks.quantizing(name), "gguf": quantize}
            yield Group(f"quantize, GGUF {name}", size, 5 * size, partial(dict, calls))
        calls = {OURS: gguf_blocks.dequantizing(name), "gguf": dequantize}
        yield Group(f"dequantize, GGUF {name}", size, 5 * size, partial(dict, calls))


def _masks(size: int) -> dict[str, Call]:
    found: dict[str, Call] = {OURS: masks.ours(size)}
    if _there("torch"):
        found["torch"] = masks.torch_top_k(size)
    if _there("jax"):
        found["JAX jitted"] = masks.jax_top_k(size)
    return found


def trees(compiled: bool = False) -> dict[str, Call]:
    """One step of AdamW of many small tensors: refgrad's, torch's forms, and what takes a minute to compile of so many."""
    rule, random = refgrad.optimizers.AdamW(), np.random.default_rng(0)
    p, g = ([random.standard_normal(LEAF, dtype=np.float32) for _ in range(LEAVES)] for _ in range(2))
    own, state = [a.copy() for a in p], rule.init(p)
    found: dict[str, Call] = {OURS: lambda: rule.step_(own, g, state)}
    if _there("torch"):
        found |= _torch("AdamW", p, g, compiled)
    if compiled and _there("optax"):
        found |= _optax("adamw", p, g)
    return found


def optimizers() -> list[Any]:
    """The optimizers that torch or optax has too, of elements that see nothing of each other."""
    known = {n for module in ("torch.optim", "optax") if _there(module) for n in dir(importlib.import_module(module))}
    found = []
    for name, rule in rules().items():
        if rule.kind == "optimizer" and (name in known or name.lower() in known) and not rule().inputs():
            found.append(find(name)())
    first = [rule for rule in found if type(rule).__name__ in ("AdamW", "SGD", "Lion")]
    return first + [rule for rule in found if rule not in first]


def _there(module: str) -> bool:
    return importlib.util.find_spec(module.split(".")[0]) is not None


def steps(rule: Any, size: int, compiled: bool) -> dict[str, Call]:
    """One step in place: refgrad's kernel and its NumPy body, torch's forms, optax jitted with donation, numexpr."""
    random = np.random.default_rng(0)
    p, g = (random.standard_normal(size, dtype=np.float32) for _ in range(2))
    own, state, body = p.copy(), rule.init(p), rule.init(p)
    found: dict[str, Call] = {
        OURS: lambda: rule.step_(own, g, state),
        "NumPy": lambda: rule.step(p, g, body, backend="numpy"),
    }
    name = type(rule).__name__
    if _there("torch"):
        found |= _torch(name, p, g, compiled)
    if _there("optax"):
        found |= _optax(name.lower(), p, g)
    if _there("numexpr") and name in EXPRESSIONS:
        found["numexpr"] = _numexpr(name, p, g)
    return found


Tree = np.ndarray | list[np.ndarray]


def _torch(name: str, p: Tree, g: Tree, compiled: bool) -> dict[str, Call]:
    import torch

    torch.set_num_threads(2)
    factory, found = getattr(torch.optim, name, None), dict[str, Call]()
    if factory is None:
        return found
    for form, options in (*FORMS.items(), *([("torch compiled", {"foreach": True})] if compiled else [])):
        tensors = [torch.from_numpy(a.copy()).requires_grad_() for a in _leaves(p)]
        for tensor, own in zip(tensors, _leaves(g), strict=True):
            tensor.grad = torch.from_numpy(own)
        try:
            step = factory(tensors, lr=RATE, **options).step
            step = torch.compile(step) if form == "torch compiled" else step
            step()
        except (TypeError, RuntimeError):  # it has no such form
            continue
        found[form] = step
    return found


def _leaves(tree: Tree) -> list[np.ndarray]:
    return tree if isinstance(tree, list) else [tree]


def _optax(name: str, p: Tree, g: Tree) -> dict[str, Call]:
    import jax
    import optax

    factory = getattr(optax, name, None)
    if factory is None:
        return {}
    try:
        transform = factory(learning_rate=RATE)
    except TypeError:
        return {}

    @partial(jax.jit, donate_argnums=(0, 2))
    def step(p: Any, g: Any, state: Any) -> Any:
        updates, state = transform.update(g, state, p)
        return optax.apply_updates(p, updates), state

    held = [jax.tree.map(jax.numpy.array, p)]
    held.append(transform.init(held[0]))
    gradient = jax.tree.map(jax.numpy.array, g)

    def call() -> None:
        held[:] = step(held[0], gradient, held[1])
        jax.block_until_ready(held)

    try:
        call()
    except TypeError:  # it takes more than a gradient, such as a function of the loss
        return {}
    return {"optax jitted": call}


def _numexpr(name: str, p: np.ndarray, g: np.ndarray) -> Call:
    """A step as some expressions, each in place."""
    import numexpr

    numexpr.set_num_threads(2)
    numbers = {n: np.float32(x) for n, x in (("b1", 0.9), ("b2", 0.999), ("lr", RATE), ("eps", 1e-8), ("wd", 1e-2))}
    given = {"p": p.copy(), "g": g, "m": np.zeros_like(p), "v": np.zeros_like(p), "one": np.float32(1.0), **numbers}

    def call() -> None:
        for written, expression in EXPRESSIONS[name].items():
            numexpr.evaluate(expression, given, out=given[written])

    return call


def _estimators(size: int) -> dict[str, Call]:
    found: dict[str, Call] = {OURS: estimators.ours(size)}
    if _there("torch"):
        found["torch"] = estimators.torch_eager(size)
    if _there("jax"):
        found["JAX jitted"] = estimators.jax_jitted(size)
    return found


def judges(size: int) -> dict[str, Call]:
    """A right step of AdamW: judged by the kernel, and held against the same step in float64 within tolerances."""
    rule, random = refgrad.optimizers.AdamW(), np.random.default_rng(0)
    p, g, m, v = (random.standard_normal(size, dtype=np.float32) for _ in range(4))
    before = {"p": p, "g": g, "m": m, "v": v * v}
    new, state = rule.step(p, g, {"m": m, "v": v * v, "t": 2})
    after = {"p": np.asarray(new), "m": np.asarray(state["m"]), "v": np.asarray(state["v"])}
    plan = rule.plan((size,), 3)
    step = Step(plan, dict(zip(plan.free, free_values((size,), {"t": 3}), strict=True)), Large(before), after)

    def by_kernel() -> Any:
        found = screened(step, Policy(), 2)
        return {n: summary(j, after[n], after[n].dtype) for n, j in found.items()}

    def in_float64() -> dict[str, np.ndarray]:
        wide = {n: a.astype(np.float64) for n, a in before.items()}
        new, state = rule.step(wide["p"], wide["g"], {"m": wide["m"], "v": wide["v"], "t": 2})
        return {"p": np.asarray(new), "m": np.asarray(state["m"]), "v": np.asarray(state["v"])}

    def within_tolerances() -> None:
        for name, wanted in in_float64().items():
            np.testing.assert_allclose(after[name], wanted, rtol=1.3e-6, atol=1e-5)

    found: dict[str, Call] = {OURS: by_kernel, "NumPy assert_allclose": within_tolerances}
    if _there("torch"):
        import torch

        def close() -> None:
            for name, wanted in in_float64().items():
                torch.testing.assert_close(torch.from_numpy(after[name]), torch.from_numpy(wanted), check_dtype=False)

        found["torch assert_close"] = close
    return found


def beside_triad(group: Group) -> dict[str, Call]:
    """The calls of a group, and a triad of as many elements."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {**group.make(), TRIAD: triad(group.size)}
