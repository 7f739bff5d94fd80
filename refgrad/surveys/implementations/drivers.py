"""Ways to make a candidate of a target that is none by itself; each takes the target first and imports its package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from refgrad.candidates.resolve import load
from refgrad.surveys.implementations.matrix_drivers import iterating_in_float32, unpacked

__all__ = ["iterating_in_float32", "unpacked"]  # what is not defined here


def made(target: str, **arguments: Any) -> Any:
    """What the target returns when it is called, such as a surrogate gradient with its slope."""
    return load(target)(**arguments)


def on_copies(target: str) -> type:
    """A torch optimizer that steps on copies of the gradients, because it writes into them."""
    cls: Any = load(target)

    def step(self: Any, closure: Any = None) -> Any:
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = p.grad.clone()
        return cls.step(self)

    return type(cls.__name__, (cls,), {"step": step, "__module__": cls.__module__})


def with_whole_start(target: str) -> type:
    """The same with parameters that were zero at the start as arrays: prodigyopt keeps one zero for all of them."""
    cls: Any = on_copies(target)

    def step(self: Any, closure: Any = None) -> Any:
        result = cls.step(self)
        for p, state in self.state.items():
            if state["p0"].dim() == 0:
                state["p0"] = state["p0"].expand(p.numel()).clone()
        return result

    return type(cls.__name__, (cls,), {"step": step, "__module__": cls.__module__})


def by_parameters(target: str) -> type:
    """The same with its state under names that nobody knows: it is judged from the start by its parameters alone."""
    cls: Any = on_copies(target)
    mark = "own_"

    def step(self: Any, closure: Any = None) -> Any:
        for state in self.state.values():
            for name in [n for n in state if n.startswith(mark)]:
                state[name.removeprefix(mark)] = state.pop(name)
        result = cls.step(self)
        for state in self.state.values():
            for name in list(state):
                state[mark + name] = state.pop(name)
        return result

    return type(cls.__name__, (cls,), {"step": step, "__module__": cls.__module__})


def in_training(target: str) -> type:
    """An optimizer of schedulefree in its training mode, on copies of the gradients."""
    cls: Any = on_copies(target)

    def start(self: Any, *args: Any, **kwargs: Any) -> None:
        cls.__init__(self, *args, **kwargs)
        self.train()

    return type(cls.__name__, (cls,), {"__init__": start, "__module__": cls.__module__})


def with_float32_momentum(target: str) -> Callable[..., Any]:
    """An Adafactor that keeps its momentum in bfloat16 unless it is told not to."""
    import torch

    cls = on_copies(target)
    base: Any = cls

    def start(self: Any, *args: Any, **kwargs: Any) -> None:
        base.__init__(self, *args, momentum_dtype=torch.float32, **kwargs)

    return type(cls.__name__, (cls,), {"__init__": start, "__module__": cls.__module__})


def built(target: str, **fixed: Any) -> Callable[..., Any]:
    """A torch optimizer built with what is fixed here, and with the rule's learning rate and decay as they come."""
    cls = load(target)

    def build(params: Any, lr: float, weight_decay: float) -> Any:
        return cls(params, lr=lr, weight_decay=weight_decay, **fixed)

    return build


def from_parameters(target: str, **fixed: Any) -> Callable[..., Any]:
    """A torch optimizer with all that it is told fixed here; its hyperparameters are its own defaults otherwise."""
    cls = load(target)

    def build(params: Any) -> Any:
        return cls(params, **fixed)

    return build


def named_parameters(target: str, name: str, **fixed: Any) -> Callable[..., Any]:
    """Adam-mini, whose blocks follow from the names of the parameters."""
    cls = load(target)

    def build(params: Any, lr: float, weight_decay: float) -> Any:
        named = [(f"{name}.{i}", p) for i, p in enumerate(params)]
        return cls(named, lr=lr, weight_decay=weight_decay, **fixed)

    return build


def around_adamw(target: str, k: int, alpha: float) -> Callable[..., Any]:
    """A wrapper of torch optimizers around torch's AdamW, with its state where it is looked for."""
    import torch

    wrapper = load(target)

    class Wrapped(torch.optim.Optimizer):
        def __init__(self, params: Any) -> None:
            super().__init__(params, {})
            inner = torch.optim.AdamW(self.param_groups[0]["params"], lr=0.1, weight_decay=0.1)
            self._wrapper = wrapper(inner, k=k, alpha=alpha)

        def step(self, closure: Any = None) -> Any:
            return self._wrapper.step(closure)

        def state_dict(self) -> Any:
            return self._wrapper.state_dict()

        def load_state_dict(self, state_dict: Any) -> None:
            self._wrapper.load_state_dict(state_dict)

    return lambda params: Wrapped(params)


def scaled_lion(target: str) -> Any:
    """optax's refined Lion, an option of its direction alone, with the learning rate that scales it."""
    import optax

    return optax.chain(load(target)(mode="refined"), optax.scale_by_learning_rate(1e-4))


def fake_quantize(target: str, scale: float, zero_point: int) -> Callable[..., Any]:
    """torch's fake quantization of 8 bits by a given scale, as a function of the tensor."""
    function = load(target)
    return lambda x: function(x, scale, zero_point, -128, 127)


def top_of_groups(target: str, kind: str, arguments: tuple[Any, ...] = ()) -> Callable[..., Any]:
    """jaxpruner's choice of entries by a kind of sparsity, as a function of the weights."""
    import jax

    calculator = load(target)
    chosen = load(f"jaxpruner.sparsity_types:{kind}")(*arguments)

    def mask(w: jax.Array, sparsity: float = 0.5) -> jax.Array:
        return calculator(chosen)(abs(w), sparsity)

    mask.__annotations__ = {"w": jax.Array, "return": jax.Array}
    return mask


def before_adamw(target: str, **arguments: Any) -> Any:
    """A transformation of optax on the gradients of its AdamW."""
    import optax

    return optax.chain(load(target)(**arguments), optax.adamw(0.1, weight_decay=0.1))


def after_adamw(target: str, **arguments: Any) -> Any:
    """A transformation of optax on the updates of its AdamW."""
    import optax

    return optax.chain(optax.adamw(0.1, weight_decay=0.1), load(target)(**arguments))


def slow_weights_as_state(target: str, k: int, alpha: float) -> Any:
    """optax keeps fast and slow weights as one tree of parameters; here the slow ones are state, beside its AdamW's."""
    import jax
    import optax

    transform = load(target)(optax.adamw(0.1, weight_decay=0.1), sync_period=k, slow_step_size=alpha)

    def init(params: Any) -> Any:
        pair = optax.LookaheadParams.init_synced(params)
        return pair.slow, transform.init(pair)

    def update(grads: Any, state: Any, params: Any = None) -> Any:
        pair = optax.LookaheadParams(fast=params, slow=state[0])
        updates, inner_state = transform.update(grads, state[1], pair)
        new = optax.apply_updates(pair, updates)
        return jax.tree.map(lambda a, b: a - b, new.fast, params), (new.slow, inner_state)

    return optax.GradientTransformation(init, update)


def changed_gradients(target: str, each: bool, **arguments: Any) -> Callable[..., Any]:
    """torch's AdamW on copies of the gradients, which a function changes first: all at once, or one by one."""
    import torch

    function = load(target)

    class Wrapped(torch.optim.AdamW):
        def step(self, closure: Any = None) -> Any:
            params = [p for group in self.param_groups for p in group["params"]]
            for p in params:
                p.grad = p.grad.clone()  # type: ignore[union-attr]
            for some in [[p] for p in params] if each else [params]:
                function(some, **arguments)
            return super().step(closure)

    return lambda params: Wrapped(params, lr=0.1, weight_decay=0.1)


def averaging_adamw(target: str, decay: float) -> Callable[..., Any]:
    """torch's AdamW with a moving average of the parameters beside its state, by a function that torch makes for it."""
    import torch

    average = load(target)(decay)

    class Averaged(torch.optim.AdamW):
        def step(self, closure: Any = None) -> Any:
            params = [p for group in self.param_groups for p in group["params"]]
            kept = {p: self.state[p].pop("average", p.detach().clone()) for p in params}
            super().step(closure)
            for p, mean in kept.items():
                average([mean], [p.detach()], 1)
                self.state[p]["average"] = mean

    return lambda params: Averaged(params, lr=0.1, weight_decay=0.1)


def around_momentum(target: str, **fixed: Any) -> Callable[..., Any]:
    """A wrapper of torch optimizers by their class, around SGD with momentum."""
    import torch

    wrapper = load(target)
    return lambda params: wrapper(params, torch.optim.SGD, lr=0.1, momentum=0.9, **fixed)


def mechanized(target: str, store_delta: bool) -> Callable[..., Any]:
    """The authors' Mechanic around torch's SGD with steps of size one."""
    import torch

    make = load(target)
    return lambda params: make(torch.optim.SGD, store_delta=store_delta)(params, lr=1.0)


def opaque_sam(target: str) -> Any:
    """optax's SAM around Adam, which takes both of its steps in one."""
    import optax

    ascent = optax.chain(load("optax.contrib:normalize")(), optax.sgd(0.05))
    return load(target)(optax.adam(1e-3), ascent, opaque_mode=True)


def around_sgd(target: str) -> Any:
    """A wrapper of optax's transformations around its SGD with steps of size one."""
    import optax

    return load(target)(optax.sgd(1.0))


def keyed_noise(target: str) -> Any:
    """optax's SGD with noise that it draws from key 0."""
    return load(target)(0.1, 0.01, 0.55, key=0)


def without_line_search(target: str) -> Any:
    """optax's L-BFGS with a memory of three, and steps of size 0.1."""
    return load(target)(0.1, memory_size=3, linesearch=None)
