"""torch.optim: an optimizer class, an instance, or a function from parameters to an optimizer.

The parameters are tensors over copies of the given arrays, and ``p.grad`` shares memory with the caller's array, so
that a candidate that writes into its gradient, or keeps it as state, is seen. Torch's global settings are left alone.

A rule's extra inputs are keyword arguments of the optimizer's ``step`` where it has such; else a loss is what the closure
returns, and a second gradient is what the closure leaves in ``p.grad`` when the parameters have been moved.
"""

from __future__ import annotations

import copy
import functools
import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import ml_dtypes
import numpy as np
import torch

from refgrad.axes import TENSOR
from refgrad.candidates.arguments import (
    Arguments,
    for_rule,
    packed_in,
    parameters_of,
    takes_anything,
    takes_parameters,
    with_options,
)
from refgrad.candidates.faults import building, stepping
from refgrad.candidates.names import EXTRAS, HYPERPARAMETERS, PACKED, indexed, known_as, slot_names
from refgrad.candidates.on_device import OnDevice
from refgrad.candidates.protocol import ABSENT, COUNTED, GROUPS, RATES, SAVED, STRIDED, Extras, Observation, Value
from refgrad.candidates.step_counts import Place, places, set_counts
from refgrad.errors import CandidateError, with_article
from refgrad.optimizers.base import Optimizer
from refgrad.rule import Flag, Range
from refgrad.tensor_memory import resolved, unreadable

Tensors = list[torch.Tensor]
#: from the rule and the parameters: the optimizer, and what it was told
Build = Callable[[Optimizer, Any], tuple[torch.optim.Optimizer, Arguments]]


@dataclass(frozen=True)
class TorchOptimizer:
    """A torch optimizer as a candidate."""

    name: str
    build: Build
    #: slot -> its key in the optimizer's state, where the user says so
    stated: Mapping[str, str] = field(default_factory=dict)
    #: from a rule to what it is told of it
    tells: Callable[[Optimizer], Arguments] = lambda rule: Arguments()
    abilities: frozenset[str] = frozenset({ABSENT, SAVED, GROUPS, RATES, STRIDED, COUNTED})
    #: where its tensors lie, as torch says it; "" where they share memory with the caller's arrays
    device: str = ""

    def takes(self, rule: Optimizer) -> frozenset[str]:
        """The hyperparameters that its constructor is told."""
        return frozenset(self.tells(rule).given)

    def start(self, rule: Optimizer, params: Sequence[np.ndarray]) -> TorchRun:
        """The optimizer over tensors that hold copies of the parameters."""
        tensors = _tensors(params, self.device)
        return self._run(rule, tensors, tensors)

    def start_groups(self, rules: Sequence[Optimizer], params: Sequence[np.ndarray]) -> TorchRun:
        """The same with a group of parameters for each rule that differs; the first group has the optimizer's defaults.

        Where none differs each parameter is a group of its own.
        """
        tensors, first = _tensors(params, self.device), rules[0]
        if all(rule == first for rule in rules):
            return self._run(first, tensors, [{"params": [tensor]} for tensor in tensors])
        groups: list[dict[str, Any]] = [{"params": [t for t, r in zip(tensors, rules, strict=True) if r == first]}]
        known = self.tells(first).keywords
        for rule in dict.fromkeys(r for r in rules if r != first):
            own = {n: v for n, v in self.tells(rule).keywords.items() if v != known.get(n)}
            groups.append({"params": [t for t, r in zip(tensors, rules, strict=True) if r == rule], **own})
        return self._run(first, tensors, groups)

    def _run(self, rule: Optimizer, tensors: Tensors, given: Any) -> TorchRun:
        return TorchRun(self.name, self.made(rule, given), tensors, rule, self.stated, self.device)

    def made(self, rule: Optimizer, given: Any) -> Callable[[], tuple[torch.optim.Optimizer, Arguments]]:
        """A function that makes the optimizer anew, of tensors or of groups, and says what it was told."""

        def build() -> tuple[torch.optim.Optimizer, Arguments]:
            with building(self.name):
                optimizer, told = self.build(rule, given)
            if not isinstance(optimizer, torch.optim.Optimizer):
                found = type(optimizer).__name__
                raise CandidateError(f"{self.name} returned {with_article(found)}; legal: a torch.optim.Optimizer")
            for group in optimizer.param_groups:  # one tensor may be the rate of all groups, and of the next run's
                if isinstance(group.get("lr"), torch.Tensor):
                    group["lr"] = group["lr"].clone()
            return optimizer, told

        return build


def _tensors(params: Sequence[np.ndarray], device: str) -> Tensors:
    """Tensors that hold copies of the parameters, as these lie in memory."""
    return [_placed(np.array(p, copy=True), device).requires_grad_() for p in params]


def _placed(array: np.ndarray, device: str) -> torch.Tensor:
    """A tensor of an array: of the same memory, or a copy on a device."""
    return to_tensor(array).to(device, copy=True) if device else to_tensor(array)


def candidate(thing: Any, name: str, options: Mapping[str, Any]) -> TorchOptimizer | None:
    """A candidate if the thing is an optimizer class, an optimizer, or a function that takes parameters."""
    if isinstance(thing, OnDevice):
        found = candidate(thing.thing, name, options)
        return None if found is None else replace(found, device=thing.device)
    if isinstance(thing, type):
        return from_class(thing, name, options) if issubclass(thing, torch.optim.Optimizer) else None
    if isinstance(thing, torch.optim.Optimizer):
        return from_instance(thing, name, options)
    return from_factory(thing, name, options) if takes_parameters(thing) else None


def from_class(cls: type, name: str, options: Mapping[str, Any]) -> TorchOptimizer:
    """A class, constructed with the rule's hyperparameters by the names that its constructor gives them."""

    def tells(rule: Optimizer) -> Arguments:
        return for_rule(_keywords(cls), rule, options, name, built_in=False)

    def build(rule: Optimizer, given: Any) -> tuple[torch.optim.Optimizer, Arguments]:
        told = tells(rule)
        return cls(given, **told.keywords), told

    return TorchOptimizer(with_options(name, options), build, tells=tells)


def from_factory(function: Callable[..., Any], name: str, options: Mapping[str, Any]) -> TorchOptimizer:
    """A function of the parameters, and of any hyperparameters by name, that returns an optimizer."""

    def tells(rule: Optimizer) -> Arguments:
        told = for_rule(_without_first(parameters_of(function)), rule, options, name, built_in=True)
        told.notes.clear()  # what it does not take it has built in, and the groups tell
        return told

    def build(rule: Optimizer, given: Any) -> tuple[torch.optim.Optimizer, Arguments]:
        told = tells(rule)
        return function(given, **told.keywords), told

    return TorchOptimizer(with_options(name, options), build, tells=tells)


def from_instance(instance: torch.optim.Optimizer, name: str, options: Mapping[str, Any]) -> TorchOptimizer:
    """An optimizer of the same class and hyperparameters; parameter i goes to its group i modulo their number."""
    cls = type(instance)
    if options:
        raise CandidateError(
            f"{name} is built already; legal options: none. Set {', '.join(options)} where it is built"
        )

    def build(rule: Optimizer, tensors: Tensors) -> tuple[torch.optim.Optimizer, Arguments]:
        count = len(instance.param_groups)
        groups = [
            {**{k: v for k, v in group.items() if k not in ("params", "param_names")}, "params": tensors[i::count]}
            for i, group in enumerate(instance.param_groups)
            if tensors[i::count]
        ]
        takes = _without_first(parameters_of(cls))
        return cls(groups, **{n: v for n, v in instance.defaults.items() if n in takes}), Arguments()

    return TorchOptimizer(name, build, abilities=frozenset({ABSENT, SAVED, RATES, STRIDED, COUNTED}))


class TorchRun:
    """A torch optimizer with its parameters."""

    def __init__(
        self,
        name: str,
        build: Callable[[], tuple[torch.optim.Optimizer, Arguments]],
        tensors: Tensors,
        rule: Optimizer,
        stated: Mapping[str, str],
        device: str = "",
    ) -> None:
        self._device, self._lent = device, list[tuple[np.ndarray, torch.Tensor]]()
        self._name, self._build, self._tensors, self._stated = name, build, tensors, stated
        self._optimizer, self._told = optimizer, told = build()
        self._scalar_names = {slot: kind.scalar for slot, kind in rule.slots().items()}
        self._shared = {slot for slot, kind in rule.slots().items() if kind.scalar or kind.axes == TENSOR}
        self._inputs, self._points = rule.inputs(), dict[str, Tensors]()
        self._takes = parameters_of(optimizer.step)
        self._groups, self._taken, self._counts = _groups(optimizer), 0, list[Place]()
        self.notes: list[str] = list(told.notes)
        self.settings: list[str] = []
        self.read: set[str] = set()
        for leaf in range(len(tensors)):
            self.rule_for(leaf, rule)

    def save_and_load(self) -> list[str]:
        """Another optimizer of the same parameters goes on from this one's saved state; what is not in it is taken along.

        Returns:
            The names of the optimizer's own attributes that changed in the steps so far, and are not part of its state.
        """
        with stepping(self._name):
            before, saved = self._optimizer, copy.deepcopy(self._optimizer.state_dict())
            self._optimizer, _ = self._build()
            self._optimizer.load_state_dict(saved)
        self._groups = _groups(self._optimizer)
        kept = {n: v for n, v in vars(before).items() if isinstance(v, (bool, int, float))}
        lost = [n for n, v in kept.items() if vars(self._optimizer).get(n) != v]
        for name in lost:
            setattr(self._optimizer, name, kept[name])
        return lost

    def scale_rates(self, factor: float) -> None:
        """Change the rate of every group as a scheduler does, which writes it into `param_groups`."""
        for index, group in enumerate(self._optimizer.param_groups):
            rate = group.get("lr")
            if not isinstance(rate, (int, float, torch.Tensor)):
                raise CandidateError(f"param_groups[{index}] of {self._name} has no 'lr' that a scheduler could change")
            if isinstance(rate, torch.Tensor):
                rate.mul_(factor)
            else:
                group["lr"] = rate * factor

    def set_count(self, count: int) -> None:
        """Put a count of steps wherever how many were taken is kept: for each parameter, with its group, or by the optimizer."""
        if not self._counts:  # those of the first steps, whatever becomes of them
            self._counts = places(self._optimizer, self._taken, self._name)
        set_counts(self._counts, count)

    def step(self, grads: Sequence[np.ndarray], extras: Extras = MappingProxyType({})) -> None:
        """One step of the optimizer; each gradient's memory is the caller's."""
        self._set_gradients(grads)
        keywords = {a: self._handed(extras[n]) for n in extras if (a := known_as(n, EXTRAS, self._takes)) is not None}
        with stepping(self._name):
            closure = self._takes.get("closure")
            if closure is not None and (self._of_closure(extras) or closure.default is inspect.Parameter.empty):
                keywords["closure"] = self._closure(grads, extras)
            self._optimizer.step(**keywords)
        self._give_back()
        self._taken += 1

    def again(self, grads: Sequence[np.ndarray]) -> Callable[[], object]:
        """A step as a function without arguments, with nothing around it, so that it can be timed."""
        self._set_gradients(grads)
        return self._optimizer.step

    @property
    def extras_taken(self) -> frozenset[str]:
        """The extra inputs that the optimizer's ``step`` is handed, or its closure gives."""
        by_closure = self._of_closure(self._inputs) if "closure" in self._takes else ()
        return frozenset(n for n in self._inputs if known_as(n, EXTRAS, self._takes) or n in by_closure)

    def _set_gradients(self, grads: Sequence[np.ndarray]) -> None:
        for tensor, grad in zip(self._tensors, grads, strict=True):
            tensor.grad = None if grad is None else self._lend(grad)

    def _lend(self, array: np.ndarray) -> torch.Tensor:
        """A tensor of the caller's memory, or a copy on the device, of which `_give_back` says whether it was written."""
        tensor = _placed(array, self._device)
        if self._device:
            self._lent.append((array, tensor))
        return tensor

    def _give_back(self) -> None:
        """What the step wrote into gradients on a device, written to the caller's."""
        lent, self._lent = self._lent, []
        for array, tensor in lent:
            if array.flags.writeable:
                array[...] = to_array(tensor).reshape(array.shape)

    def _handed(self, value: Sequence[np.ndarray] | float) -> Any:
        """An extra input as torch's optimizers take them: a list of tensors, or a tensor of one number."""
        if isinstance(value, float):
            return torch.tensor(value, device=self._device or None)
        return [self._lend(array) for array in value]

    def _of_closure(self, extras: Iterable[str]) -> list[str]:
        """The extra inputs that the closure gives: a loss, and other gradients."""
        return [n for n in extras if self._inputs[n].kind in ("loss", "gradient") and n not in self._takes]

    def _closure(self, grads: Sequence[np.ndarray], extras: Extras) -> Callable[[], torch.Tensor]:
        """The loss, and the gradient: at the point where the step began the first, at other points the others in turn."""
        others = [n for n in self._of_closure(extras) if not self._inputs[n].scalar]
        losses = [v for n, v in extras.items() if self._inputs[n].scalar]
        begun, turns = [t.detach().clone() for t in self._tensors], iter(others)

        def closure() -> torch.Tensor:
            name = None
            if others and not all(map(torch.equal, begun, self._tensors)):
                name = next(turns, others[-1])
                self._points[str(self._inputs[name].at)] = [t.detach().clone() for t in self._tensors]
            self._set_gradients(grads if name is None else extras[name])  # type: ignore[arg-type]
            like = self._tensors[0]
            loss = losses[0] if losses else 0.0
            return torch.tensor(loss, dtype=like.dtype, device=like.device, requires_grad=True)

        return closure

    def observe(self) -> Observation:
        """Views of the parameters and of the optimizer's state."""
        points = [{slot: to_array(at[i]) for slot, at in self._points.items()} for i in range(len(self._tensors))]
        state = [{**self._state(p), **own} for p, own in zip(self._tensors, points, strict=True)]
        return Observation([to_array(p) for p in self._tensors], state)

    def rule_for(self, leaf: int, rule: Optimizer) -> Optimizer:
        """The rule with the hyperparameters of the parameter's group, where they are told by neither side.

        A hyperparameter that the rule does not name, and that was not passed to the constructor, is taken from the group.
        One that it names is a claim, also at its default: it stays, and the candidate is judged by it.
        """
        index, group = self._groups.get(id(self._tensors[leaf]), (-1, {}))
        changes: dict[str, Any] = {}
        for word, legal in rule.legal().items():
            value = None if word in self._told.given else _of_group(word, legal, group)
            if value is None:
                continue
            self.read.add(word)
            if value == getattr(rule, word):
                continue
            if word not in rule.claimed:
                changes[word] = value
                self._note(f"{word}={value!r} is taken from param_groups[{index}]")
            else:
                text = f"{word}={getattr(rule, word)!r} is claimed; param_groups[{index}] has {value!r}"
                self.settings += [] if text in self.settings else [text]
        return rule.replace(**changes) if changes else rule

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _places(self, state: Mapping[str, Any], group: Mapping[str, Any]) -> dict[str, tuple[str, Mapping[str, Any]]]:
        """Slot -> its key, and where it is: one number of all parameters may be kept with their group."""
        stated = self._stated if state else {}  # torch makes the state in the first step
        elsewhere = {s: n for s, n in stated.items() if s in self._shared and n not in state}
        own = {s: n for s, n in stated.items() if s not in elsewhere}
        slots = [s for s in self._scalar_names if s not in elsewhere]
        found = {s: (n, state) for s, n in slot_names(slots, own, state, self._name).items()}
        rest = [s for s in self._shared if s not in found]
        return found | {s: (n, group) for s, n in slot_names(rest, elsewhere, group, self._name).items()}

    def _state(self, tensor: torch.Tensor) -> dict[str, Value]:
        _, group = self._groups.get(id(tensor), (-1, {}))
        state = _of_leaf(self._optimizer.state, tensor, group.get("params", ()))
        lists = {n: v for n, v in state.items() if isinstance(v, list) and all(isinstance(x, torch.Tensor) for x in v)}
        state |= {place: x for n, v in lists.items() for place, x in indexed(n, v).items()}
        found: dict[str, Value] = {}
        for slot, (key, where) in self._places(state, group).items():
            scalar, value = self._scalar_names[slot], where[key]
            if scalar and (isinstance(value, (int, float)) or (isinstance(value, torch.Tensor) and value.numel() == 1)):
                found[slot] = to_array(value).reshape(()) if isinstance(value, torch.Tensor) else float(value)
            elif not scalar and isinstance(value, torch.Tensor):
                found[slot] = to_array(value)
            elif slot in self._shared and isinstance(value, float):
                found[slot] = np.asarray(value)
        return found


def _groups(optimizer: torch.optim.Optimizer) -> dict[int, tuple[int, dict[str, Any]]]:
    """The group of each parameter, and its number, by the parameter's identity."""
    return {id(p): (i, g) for i, g in enumerate(optimizer.param_groups) for p in g["params"]}


def _of_leaf(
    states: Mapping[torch.Tensor, Any], tensor: torch.Tensor, leaves: Sequence[torch.Tensor]
) -> dict[str, Any]:
    """The state of a parameter: its own, and its part of what the first has as one vector of all, as of LBFGS."""
    own = dict(states.get(tensor, {}))
    if not leaves or tensor.shape == (sum(leaf.numel() for leaf in leaves),):
        return own
    start = sum(leaf.numel() for leaf in itertools.takewhile(lambda leaf: leaf is not tensor, leaves))
    whole = (sum(leaf.numel() for leaf in leaves),)

    def part(value: Any) -> Any:
        if isinstance(value, list):
            return [part(each) for each in value]
        if not isinstance(value, torch.Tensor) or value.shape != whole:
            return value
        return value[start : start + tensor.numel()].view(tensor.shape)

    first = dict(states.get(leaves[0], {}))
    parts = {name: part(value) for name, value in first.items()}
    return {**{n: v for n, v in parts.items() if v is not first[n]}, **own} if tensor is not leaves[0] else parts


def to_tensor(array: np.ndarray) -> torch.Tensor:
    """A tensor that shares memory with an array (of a copy, if torch cannot view it)."""
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
    if array.dtype in (np.float16, np.float32, np.float64) or array.dtype.kind == "u":
        return torch.from_numpy(array)
    torch_dtype = getattr(torch, array.dtype.name, None)
    if torch_dtype is None:
        raise CandidateError(f"torch has no dtype {array.dtype.name}; legal: float16, bfloat16, float32, float64")
    return torch.from_numpy(array.view(f"i{array.dtype.itemsize}")).view(torch_dtype)


def to_array(tensor: torch.Tensor) -> np.ndarray:
    """An array that shares memory with a tensor on the CPU (a copy of one elsewhere, or not negated yet)."""
    why = unreadable(tensor)
    if why:
        what = with_article(type(tensor).__name__)
        raise CandidateError(f"{what} of the candidate cannot be read ({why}); legal: a tensor in memory")
    tensor = resolved(tensor.detach()).cpu()
    if tensor.dtype in (torch.float16, torch.float32, torch.float64):
        return tensor.numpy()
    if not tensor.dtype.is_floating_point:
        return tensor.numpy()
    integer = {1: torch.int8, 2: torch.int16}[tensor.element_size()]
    name = str(tensor.dtype).removeprefix("torch.")
    return tensor.view(integer).numpy().view(getattr(ml_dtypes, name))


def _of_group(word: str, legal: Any, group: Mapping[str, Any]) -> Any:
    """A hyperparameter's value in a parameter group, or None if it is not there."""
    key, pack = known_as(word, HYPERPARAMETERS, group), packed_in(word, group)
    value = group[key] if key is not None else None
    if key is None and pack is not None:
        index = PACKED[pack].index(word)
        value = group[pack][index] if index < len(group[pack]) else None
    if isinstance(legal, Flag):
        return value if isinstance(value, bool) else None
    if not isinstance(legal, Range) or isinstance(value, bool) or not isinstance(value, (int, float, torch.Tensor)):
        return None
    return float(value)


def _without_first(parameters: Mapping[str, inspect.Parameter]) -> dict[str, inspect.Parameter]:
    """All but the first parameter, which takes the tensors."""
    return dict(list(parameters.items())[1:])


@functools.cache
def _keywords(cls: type) -> dict[str, inspect.Parameter]:
    """What a class's constructor takes besides the tensors: of one that takes ``**kwargs`` its defaults by name, too."""
    named = _without_first(parameters_of(cls))
    if not takes_anything(named):
        return named
    try:
        defaults = cls([torch.zeros(1, requires_grad=True)]).defaults
    except Exception:  # whatever a user's class raises: it says no more of what it takes
        return named
    kind = inspect.Parameter.KEYWORD_ONLY
    more = {n: inspect.Parameter(n, kind, default=v) for n, v in defaults.items() if n.isidentifier()}
    return {**more, **named}
