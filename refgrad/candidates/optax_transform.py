"""optax: a gradient transformation, or a function that returns one.

Gradients are copied into JAX; parameters and state are read back as views. ``update`` and ``apply_updates`` run in one
jitted function, as they do in training. Float64 is enabled around the calls that need it and nowhere else.

A rule's extra inputs reach ``update`` as the extra arguments that optax's transformations read (`EXTRA_ARGUMENTS`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax

from refgrad.axes import COLUMN, ROW, TENSOR
from refgrad.candidates.arguments import Arguments, for_rule, looks_like_update, parameters_of, with_options
from refgrad.candidates.faults import building, stepping
from refgrad.candidates.names import HYPERPARAMETERS, indexed, known_as, slot_names
from refgrad.candidates.on_device import OnDevice
from refgrad.candidates.optax_groups import NAMES, entries, groups_of, leaf_name, named, tree_of
from refgrad.candidates.protocol import COUNTED, SAVED, Extras, Observation, Value
from refgrad.candidates.resolve import describe
from refgrad.errors import CandidateError, with_article
from refgrad.optimizers.base import Optimizer
from refgrad.rule import Range

T = TypeVar("T")
#: from the rule: the transformation, and notes
Build = Callable[[Optimizer], tuple[optax.GradientTransformation, list[str]]]


#: extra input -> the keyword argument that transformations take it by, and what is made of it for that
EXTRA_ARGUMENTS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "loss": ("value", lambda value: value),
    "second": ("grad_fn", lambda grads: lambda params, step: grads),
    "h": ("obj_fn", lambda h: lambda params: _quadratic(h, params)),
}


def _quadratic(h: Any, params: Any) -> Any:
    """A function of the parameters whose Hessian is the diagonal matrix of ``h``, exactly."""
    pairs = zip(jax.tree.leaves(h), jax.tree.leaves(params), strict=True)
    return sum(jnp.sum(0.5 * a * jnp.square(p - jax.lax.stop_gradient(p))) for a, p in pairs)


#: the numbers of a vector that is no longer than this are read one by one too, as ``s[0]``
FEW = 16


class Built(NamedTuple):
    """A transformation with its jitted step ``(params, state, grads, extras) -> (params, state)``."""

    transform: optax.GradientTransformation
    advance: Callable[..., Any]
    notes: list[str]


@dataclass(frozen=True)
class OptaxTransform:
    """A gradient transformation as a candidate."""

    name: str
    build: Build
    #: transformations are pure, so runs of one rule share theirs, and what is compiled for a shape is compiled once
    built: dict[Optimizer, Built] = field(default_factory=dict)
    #: slot -> its field in the state, where the user says so
    stated: Mapping[str, str] = field(default_factory=dict)
    #: from a rule to the hyperparameters that it is told
    tells: Callable[[Optimizer], frozenset[str]] = lambda rule: frozenset()
    abilities: frozenset[str] = frozenset({SAVED, COUNTED})
    #: where its arrays lie, as JAX says it; "" for where JAX puts them
    device: str = ""
    #: what leaves are called in turn, and by such a name the hyperparameters of a group, where the user says so
    names: Sequence[str] = NAMES
    groups: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def takes(self, rule: Optimizer) -> frozenset[str]:
        """The hyperparameters that the function which makes the transformation is told."""
        return self.tells(rule)

    def start(self, rule: Optimizer, params: Sequence[np.ndarray]) -> OptaxRun:
        """The transformation's state for parameters in a dict of layers; in a list, if it is made for that."""
        with building(self.name):
            if rule not in self.built:
                self.built[rule] = self._compiled(rule)
            return OptaxRun(self, self.built[rule], params, rule)

    def _compiled(self, rule: Optimizer) -> Built:
        transform, notes = self.build(rule)
        if not isinstance(transform, optax.GradientTransformation):
            legal = "an optax.GradientTransformation"
            raise CandidateError(f"{self.name} returned {with_article(type(transform).__name__)}; legal: {legal}")

        takes_more = isinstance(transform, optax.GradientTransformationExtraArgs)

        def advance(params: Any, state: Any, grads: Any, extras: Any) -> tuple[Any, Any]:
            known = [n for n in extras if n in EXTRA_ARGUMENTS] if takes_more else []
            more = {word: make(extras[n]) for n in known for word, make in [EXTRA_ARGUMENTS[n]]}
            updates, state = transform.update(grads, state, params, **more)
            return optax.apply_updates(params, updates), state

        return Built(transform, jax.jit(advance), notes)


def candidate(thing: Any, name: str, options: Mapping[str, Any]) -> OptaxTransform | None:
    """A candidate if the thing is a transformation, or may be a function that makes one: one that is no update itself."""
    if isinstance(thing, OnDevice):
        found = candidate(thing.thing, name, options)
        return None if found is None else dataclasses.replace(found, device=thing.device)
    if isinstance(thing, optax.GradientTransformation):
        return from_transform(thing, name, options)
    if isinstance(thing, type) or not callable(thing) or looks_like_update(thing):
        return None
    return from_factory(thing, name, options)


def from_transform(transform: Any, name: str, options: Mapping[str, Any]) -> OptaxTransform:
    """A transformation as it is; it has its hyperparameters built in, and the rule states them."""
    if options:
        raise CandidateError(
            f"{name} is built already; legal options: none. Set {', '.join(options)} where it is built"
        )
    return OptaxTransform(name, lambda rule: (transform, []))


def in_groups(
    thing: Any, settings: Mapping[str, Mapping[str, Any]] = MappingProxyType({}), names: Sequence[str] = NAMES
) -> OptaxTransform:
    """A transformation that treats parameters by their names, as a candidate that says how.

    Args:
        thing: a transformation, or a function that makes one.
        settings: by the name of a parameter, the hyperparameters in which the rule of such parameters is another.
        names: of the parameters, in turn, each in a layer of its own; ``"attention/kernel"`` is a dict in a dict.

    Raises:
        CandidateError: the thing is no transformation, or settings are of a name that no parameter has.

    >>> mask = lambda params: jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)
    >>> in_groups(optax.adamw(0.01, mask=mask), {"bias": {"weight_decay": 0.0}}, names=("kernel", "bias")).names
    ('kernel', 'bias')
    """
    found = candidate(thing, describe(thing), {})
    if found is None:
        legal = "an optax.GradientTransformation or a function that returns one"
        raise CandidateError(f"{describe(thing)} has no groups; legal: {legal}")
    for name in settings:
        if name not in names:
            raise CandidateError(f"settings are of {name!r}; legal: {', '.join(names)}, the names of parameters")
    return dataclasses.replace(found, names=NAMES if tuple(names) == NAMES else tuple(names), groups=dict(settings))


def from_factory(function: Callable[..., Any], name: str, options: Mapping[str, Any]) -> OptaxTransform:
    """A function that is called with the rule's hyperparameters by the names that it gives them."""

    def told(rule: Optimizer) -> Arguments:
        return for_rule(parameters_of(function), rule, options, name, built_in=True)

    def build(rule: Optimizer) -> tuple[Any, list[str]]:
        return function(**told(rule).keywords), told(rule).notes

    def tells(rule: Optimizer) -> frozenset[str]:
        given, keywords = told(rule).given, told(rule).keywords
        # where an eps of the function's own stands beside the rule's, the rule's alone sets no more than half of what it is
        others = [p.default for n, p in parameters_of(function).items() if n.startswith("eps") and n not in keywords]
        apart = any(isinstance(value, float) and value for value in others)
        return frozenset(n for n in given if not (apart and n.startswith("eps")))

    return OptaxTransform(with_options(name, options), build, tells=tells)


class OptaxRun:
    """A transformation with its state and its parameters, a list of JAX arrays."""

    #: the extra inputs that it is handed
    extras_taken = frozenset(EXTRA_ARGUMENTS)

    def __init__(self, candidate: OptaxTransform, built: Built, params: Sequence[np.ndarray], rule: Optimizer) -> None:
        self._name, self._built, self.notes = candidate.name, built, list(built.notes)
        self._stated, self._device = candidate.stated, candidate.device
        names = [leaf_name(i, p.ndim, candidate.names) for i, p in enumerate(params)]
        self._own = [(name, candidate.groups.get(name, {})) for name in names]
        #: the hyperparameters that are stated of some group, which stand above what the rule claims
        self.of_groups = frozenset(word for _, own in self._own for word in own)
        self._scalar_names = {slot: kind.scalar for slot, kind in rule.slots().items()}
        self._sides = [next((n for n, k in rule.slots().items() if k.axes == axes), "") for axes in (ROW, COLUMN)]
        self._shared = {slot for slot, kind in rule.slots().items() if kind.axes == TENSOR}
        self._wide, self._begun = any(p.dtype == np.float64 for p in params), False
        self._taken, self._counts = 0, list[int]()
        with self._precision():
            self._params: Any = tree_of([_copied(p) for p in params], candidate.names)
            self._state, self._groups = None, groups_of(None, None, self._params)
            try:
                self._start(self._params)
            except Exception as error:  # whatever a user's function raises of a tree that it was not written for
                self._in_list(error, lambda: None)
        self.settings: list[str] = []
        self.read: set[str] = set()
        for leaf in range(len(params)):
            self.rule_for(leaf, rule)

    def _start(self, params: Any) -> None:
        """The state for a tree of parameters."""
        transform = self._built.transform
        self._params, self._state = params, transform.init(params)
        self._groups = groups_of(transform, self._state, params)

    def rule_for(self, leaf: int, rule: Optimizer) -> Optimizer:
        """The rule with what is stated of the leaf's group, and the numbers that `optax.inject_hyperparams` keeps in its state.

        What the rule claims stays a claim, unless the group's settings are stated.
        """
        name, own = self._own[leaf]
        if own:
            self._say(self.notes, f"of {name} is stated {', '.join(f'{n}={v!r}' for n, v in own.items())}")
            rule = rule.replace(**own)
        injected = self._injected(leaf)
        changes: dict[str, float] = {}
        for word, legal in rule.legal().items():
            key = known_as(word, HYPERPARAMETERS, injected)
            if key is None or not isinstance(legal, Range):
                continue
            value, ours = float(injected[key]), getattr(rule, word)
            self.read.add(word)
            if value == ours or value == float(np.float32(ours)):
                continue
            if word in rule.claimed:
                self._say(self.settings, f"{word}={ours!r} is claimed; the injected hyperparameters have {value!r}")
            else:
                changes[word] = value
        return rule.replace(**changes) if changes else rule

    def _injected(self, leaf: int) -> Mapping[str, Any]:
        """The injected hyperparameters of the leaf's group."""
        label = next(label for label, leaves in self._groups if leaf in leaves)
        kept = (v for n, v in named(self._state, label) if n == "hyperparams" and isinstance(v, dict))
        return next(kept, {})

    @staticmethod
    def _say(said: list[str], text: str) -> None:
        said += [] if text in said else [text]

    def step(self, grads: Sequence[np.ndarray], extras: Extras = MappingProxyType({})) -> None:
        """One jitted update, waited for: the gradients are copied before this returns."""
        with self._precision(), stepping(self._name):
            try:
                new = self._advanced(grads, extras)
            except Exception as error:  # whatever a user's function raises of a tree that it was not written for
                if self._begun:
                    raise
                new = self._in_list(error, lambda: self._advanced(grads, extras))
            self._params, self._state = new
            self._begun = True
            self._taken += 1

    def again(self, grads: Sequence[np.ndarray]) -> Callable[[], object]:
        """A step, waited for, as a function without arguments, with nothing around it, so that it can be timed."""
        with self._precision():
            tree = jax.tree.unflatten(jax.tree.structure(self._params), [_copied(g) for g in grads])
        advance, params, state, precision = self._built.advance, self._params, self._state, self._precision

        def call() -> object:
            with precision():
                return jax.block_until_ready(advance(params, state, tree, {}))

        return call

    def _advanced(self, grads: Sequence[np.ndarray], extras: Extras) -> Any:
        """Parameters and state after a step."""
        dtype, structure = np.float64 if self._wide else np.float32, jax.tree.structure(self._params)
        tree = lambda arrays: jax.tree.unflatten(structure, [_copied(a) for a in arrays])  # noqa: E731
        given = {n: jnp.asarray(v, dtype) if isinstance(v, float) else tree(v) for n, v in extras.items()}
        return jax.block_until_ready(self._built.advance(self._params, self._state, tree(grads), given))

    def _in_list(self, error: Exception, action: Callable[[], T]) -> T:
        """The same with the parameters in a list; where that raises too, it is the dict's error that counts."""
        before = self._params, self._state, self._groups
        try:
            self._start(jax.tree.leaves(self._params))
            return action()
        except Exception:
            self._params, self._state, self._groups = before
            raise error from None

    def save_and_load(self) -> list[str]:
        """The state's numbers, taken out of its tree and put into one that is made anew; the tree has all that there is."""
        with self._precision(), stepping(self._name):
            numbers = [np.array(leaf) for leaf in jax.tree.leaves(self._state)]
            structure = jax.tree.structure(self._built.transform.init(self._params))
            self._state = jax.tree.unflatten(structure, [jnp.asarray(each) for each in numbers])
        return []

    def set_count(self, count: int) -> None:
        """Put a count of steps into the state: in place of every whole number that is how many were taken."""
        leaves, structure = jax.tree.flatten(self._state)
        if not self._counts:  # those of the first steps, whatever becomes of them
            self._counts = [i for i, x in enumerate(leaves) if _whole(x) and int(x) == self._taken]
        if not self._counts:
            raise CandidateError(f"the state of {self._name} has no count of steps that could be set")
        for place in self._counts:
            leaves[place] = jnp.asarray(count, np.asarray(leaves[place]).dtype)
        self._state = jax.tree.unflatten(structure, leaves)

    def observe(self) -> Observation:
        """Views of the parameters, and of the named fields of the state that are known as slots."""
        leaves = jax.tree.leaves(self._params)
        found: list[dict[str, Value]] = [{} for _ in leaves]
        for label, places in self._groups:
            self._read_group(found, places, _fields(self._state, label))
        params = [np.asarray(p) for p in leaves]
        for leaf, p in zip(found, params, strict=True):
            _exchange(leaf, self._sides, p.shape)
        return Observation(params, found)

    def _read_group(self, found: Sequence[dict[str, Value]], places: Sequence[int], fields: Mapping[str, Any]) -> None:
        """Read the slots of some leaves from the fields of a state by name.

        Of a leaf whose second moment optax keeps whole, in `v`, its row and column statistics are zeros that stand for nothing.
        """
        whole = self._kept_whole(fields, len(found))
        for slot, name in slot_names(self._scalar_names, self._stated, fields, self._name).items():
            scalar, values = self._scalar_names[slot], entries(fields[name])
            if len(values) == 1 and (scalar or slot in self._shared):
                values = values * len(found)
            for i in places if len(values) == len(found) else ():
                if isinstance(values[i], jax.Array) and not (slot in self._sides and i in whole):
                    found[i][slot] = float(values[i]) if scalar else np.asarray(values[i])

    def _kept_whole(self, fields: Mapping[str, Any], count: int) -> frozenset[int]:
        """The leaves that have a second moment of their own shape beside fields for its row and column statistics."""
        values = entries(fields["v"]) if {"v", "v_row", "v_col"} <= fields.keys() else []
        shapes = [np.shape(p) for p in jax.tree.leaves(self._params)]
        pairs = enumerate(zip(values, shapes, strict=True)) if len(values) == count else ()
        return frozenset(i for i, (value, shape) in pairs if np.shape(value) == shape)

    @contextmanager
    def _precision(self) -> Iterator[None]:
        """What a step runs in: with float64 if a parameter has it, and on its device."""
        place = jax.default_device(jax.devices(self._device)[0]) if self._device else nullcontext()
        with _enable_x64() if self._wide else nullcontext(), place:
            yield


def _exchange(found: dict[str, Value], sides: Sequence[str], shape: tuple[int, ...]) -> None:
    """Swap row and column statistics where optax sorts the axes by length and the rule does not."""
    row, column = (found.get(side) for side in sides)
    if len(shape) != 2 or not isinstance(row, np.ndarray) or not isinstance(column, np.ndarray):
        return
    if (row.size, column.size) == shape[::-1] and shape[0] != shape[1]:
        found[sides[0]], found[sides[1]] = column, row


def _whole(value: Any) -> bool:
    """True if something is one whole number."""
    return np.ndim(value) == 0 and np.asarray(value).dtype.kind in "iu"


def _copied(array: np.ndarray) -> jax.Array:
    return jnp.asarray(np.array(array, order="C", copy=True))


def _enable_x64() -> AbstractContextManager[Any]:
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    return jax.experimental.enable_x64()  # type: ignore[attr-defined]  # pragma: no cover - before JAX 0.8


def _fields(state: Any, label: str | None) -> dict[str, Any]:
    """Every field of the named tuples in a state by name; a name that occurs twice says nothing, and is left out."""
    pairs = list(named(state, label))
    names = [name for name, _ in pairs]
    found = {name: value for name, value in pairs if names.count(name) == 1}
    vectors = {n: v for n, v in found.items() if isinstance(v, jax.Array) and v.ndim == 1 and len(v) <= FEW}
    return found | {place: x for n, v in vectors.items() for place, x in indexed(n, list(v)).items()}
