"""A plain function of one parameter: ``f(p, g, *slots, t, **hyperparameters) -> (p, *slots)``, arguments by name.

The extra inputs of a rule that has them are arguments too. It may be pure and return what is new, as a tuple in the order
of its own arguments or as a dict by name, or work in place and return None. A slot that it does not take is hidden from
the oracle.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from refgrad.candidates.arguments import check_options, packed_in, parameters_of, takes_anything
from refgrad.candidates.faults import building, check_like, same_bits, stepping
from refgrad.candidates.names import EXTRAS, GRADIENT, HYPERPARAMETERS, PACKED, PARAMETER, STEP, known_as, slot_names
from refgrad.candidates.protocol import COUNTED, TOLD, CandidateFault, Extras, Observation, Value
from refgrad.errors import CandidateError, nearest, with_article
from refgrad.rule import Extra, Slot


class Worded(Protocol):
    """What has hyperparameters that a function's arguments may be named for."""

    def hyperparameters(self) -> Mapping[str, Any]:
        """The hyperparameters, by name."""

    def numbers(self) -> Mapping[str, float]:
        """Those that are numbers, those of a rule within too."""

    def inner_rules(self) -> Mapping[str, Worded]:
        """Those that are rules."""


class Described(Worded, Protocol):
    """What a function's arguments are bound to by name: an optimizer, or what has slots and hyperparameters as one has."""

    def slots(self) -> Mapping[str, Slot]:
        """The state, by name."""

    def init(self, params: Any, /) -> Mapping[str, Any]:
        """The state before the first step: of each slot an array or a number a leaf."""

    def inputs(self) -> Mapping[str, Extra]:
        """The extra inputs of a step, by name."""

    def told(self) -> Described:
        """What the hyperparameters are asked of."""

    def legal(self) -> Mapping[str, Any]:
        """What is legal of each hyperparameter."""


@dataclass(frozen=True)
class NumpyFunction:
    """A function as a candidate; it is called once for each parameter and step."""

    name: str
    function: Callable[..., Any]
    options: Mapping[str, Any]
    #: slot -> the argument that takes it, where the user says so
    stated: Mapping[str, str] = field(default_factory=dict)

    @property
    def abilities(self) -> frozenset[str]:
        """It is one function of all that there is, so that nothing can be left out or set for some; it may be told the step."""
        return frozenset({COUNTED, TOLD} if any(name in parameters_of(self.function) for name in STEP) else ())

    def takes(self, rule: Described) -> frozenset[str]:
        """The hyperparameters that are arguments of the function."""
        binding = bind(self.function, rule, self.options, self.name, self.stated)
        words = rule.told().hyperparameters()
        given = binding.constants
        named = {word: known_as(word, HYPERPARAMETERS, given) or packed_in(word, given) for word in words}
        inside = {word: argument for word, argument in _inside(rule.told()).items() if argument in given}
        named |= {word: argument for word, argument in inside.items() if argument not in named.values()}
        return frozenset(
            word for word, argument in named.items() if argument is not None and argument not in self.options
        )

    def start(self, rule: Described, params: Sequence[np.ndarray]) -> FunctionRun:
        """The function with the rule's own state before the first step."""
        binding = bind(self.function, rule, self.options, self.name, self.stated)
        arrays = [np.array(p, order="C", copy=True) for p in params]
        with building(self.name):
            initial = rule.init(arrays)
        state = [{s: initial[s][i] for s in binding.slots.values()} for i in range(len(arrays))]
        return FunctionRun(self.name, self.function, binding, arrays, state)


@dataclass(frozen=True)
class Binding:
    """Which argument takes what: ``slots`` maps arguments to slots in the order of the signature, ``extras`` to inputs.

    ``hidden`` are the slots that no argument stands for.
    """

    p: str
    g: str
    t: str | None
    slots: Mapping[str, str]
    constants: Mapping[str, Any]
    positional: tuple[str, ...]
    scalar_values: frozenset[str]
    extras: Mapping[str, str]
    hidden: tuple[str, ...]


def bind(
    function: Callable[..., Any], rule: Described, options: Mapping[str, Any], name: str, stated: Mapping[str, str]
) -> Binding:
    """Match a function's arguments with the rule by name; `CandidateError` for one that stands for nothing."""
    parameters = parameters_of(function)
    p, g, t = (next((n for n in names if n in parameters), None) for names in (PARAMETER, GRADIENT, STEP))
    if p is None or g is None:
        raise CandidateError(f"{name} takes ({', '.join(parameters)}); legal: f(p, g, *slots, t, **hyperparameters)")
    check_options(options, parameters, takes_anything(parameters), name)
    # each argument stands for one thing: options are named by the user, slots come before hyperparameters
    free = {n: q for n, q in parameters.items() if n not in (p, g, t, *options)}
    extras = {a: n for n in rule.inputs() if (a := known_as(n, EXTRAS, free)) is not None}
    free = {n: q for n, q in free.items() if n not in extras}
    by_argument = {argument: slot for slot, argument in slot_names(rule.slots(), stated, free, name).items()}
    slots = {n: by_argument[n] for n in parameters if n in by_argument}
    told = _by_word(rule.told())
    packs = {pack: tuple(told[f] for f in fields if f in told) for pack, fields in PACKED.items() if pack in free}
    constants: dict[str, Any] = {**options, **{pack: values for pack, values in packs.items() if values}}
    # ways that are told by words come last: neither a wrapper's alpha nor RMSprop's, which is its decay, is how weights decay
    for word, value in sorted(told.items(), key=lambda item: isinstance(item[1], str)):
        argument = known_as(word, HYPERPARAMETERS, free)
        if argument is not None and argument not in slots and argument not in constants:
            constants[argument] = value
    _check_complete(parameters, {p, g, t, *extras, *slots, *constants}, rule, name)
    positional = tuple(n for n, q in parameters.items() if q.kind is inspect.Parameter.POSITIONAL_ONLY)
    scalar_values = frozenset(s for s, kind in rule.slots().items() if kind.scalar)
    hidden = tuple(slot for slot in rule.slots() if slot not in slots.values())
    return Binding(p, g, t, slots, constants, positional, scalar_values, extras, hidden)


def _inside(rule: Worded) -> dict[str, str]:
    """The numbers of rules inside, ``inner_lr`` and so on, each with the argument that stands for it: of that name."""
    return {word: word for word in rule.numbers() if word not in rule.hyperparameters()}


def _by_word(rule: Worded) -> dict[str, Any]:
    """Hyperparameters by name; those of a rule inside are ``inner_lr`` and so on, and ``lr`` where the rule itself has none."""
    inside: dict[str, Any] = {}
    for inner in rule.inner_rules().values():
        inside |= _by_word(inner)
    return {**inside, **rule.numbers(), **rule.hyperparameters()}


def _check_complete(
    parameters: Mapping[str, inspect.Parameter], bound: set[str | None], rule: Described, name: str
) -> None:
    variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    legal = ["p", "g", *rule.inputs(), *rule.slots(), "t", *rule.legal()]
    for argument, parameter in parameters.items():
        if argument not in bound and parameter.kind not in variadic and parameter.default is inspect.Parameter.empty:
            hint = nearest(argument, legal)
            raise CandidateError(
                f"{name} has an argument {argument!r} that stands for nothing in {type(rule).__name__}{hint}; "
                f"legal: {', '.join(legal)}, or a name with a value of its own: a default, or --set {argument}=VALUE"
            )


class FunctionRun:
    """A function with the parameters and the state that it is handed."""

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        binding: Binding,
        params: list[np.ndarray],
        state: list[dict[str, Value]],
    ) -> None:
        self._name, self._function, self._binding = name, function, binding
        self._params, self._state, self._t = params, state, 0

    def step(self, grads: Sequence[np.ndarray], extras: Extras = MappingProxyType({})) -> None:
        """One call a parameter."""
        self._t += 1
        asked = {argument: extras[n] for argument, n in self._binding.extras.items()}
        for leaf, grad in enumerate(grads):
            own = {n: v if isinstance(v, float) else v[leaf] for n, v in asked.items()}
            self._call(leaf, {self._binding.g: grad, **own})

    def again(self, grads: Sequence[np.ndarray]) -> Callable[[], object]:
        """The calls of a step as a function without arguments, with nothing around them, so that it can be timed."""
        calls = [self._arguments(leaf, {self._binding.g: grad}) for leaf, grad in enumerate(grads)]
        function = self._function
        return lambda: [function(*first, **named) for first, named in calls]

    def set_count(self, count: int) -> None:
        """Go on as after so many steps."""
        self._t = count

    @property
    def extras_taken(self) -> frozenset[str]:
        """The extra inputs that the function is handed."""
        return frozenset(self._binding.extras.values())

    def observe(self) -> Observation:
        """The arrays themselves."""
        return Observation(self._params, self._state)

    def _call(self, leaf: int, inputs: Mapping[str, Value]) -> None:
        binding, state = self._binding, self._state[leaf]
        arrays = {n: a for n, a in {**self._handed(leaf), **inputs}.items() if isinstance(a, np.ndarray)}
        before = {n: a.copy() for n, a in arrays.items()}
        first, named = self._arguments(leaf, inputs)
        with stepping(self._name):
            result = self._function(*first, **named)
        changed = [n for n, a in arrays.items() if not same_bits(a, before[n])]
        if result is None:
            changed = [n for n in changed if n in inputs]
        if changed:
            raise CandidateFault("mutated", f"{self._name} changed its argument {changed[0]!r}; legal: {_WAYS}")
        if result is None:
            return
        new = self._named(result)
        self._params[leaf] = self._array(new[binding.p], before[binding.p], binding.p)
        for argument, slot in binding.slots.items():
            if slot in binding.scalar_values:
                state[slot] = self._number(new[argument], argument)
            else:
                state[slot] = self._array(new[argument], before[argument], argument)

    def _handed(self, leaf: int) -> dict[str, Value]:
        """A parameter and its state, by the names of the function's own arguments."""
        state = self._state[leaf]
        return {self._binding.p: self._params[leaf], **{n: state[s] for n, s in self._binding.slots.items()}}

    def _arguments(self, leaf: int, inputs: Mapping[str, Value]) -> tuple[list[Any], dict[str, Any]]:
        """What the function is called with: by place, and by name."""
        binding = self._binding
        named: dict[str, Any] = {**self._handed(leaf), **inputs, **binding.constants}
        if binding.t is not None:
            named[binding.t] = self._t
        return [named.pop(n) for n in binding.positional if n in named], named

    def _named(self, result: Any) -> Mapping[str, Any]:
        """What a pure function returned, by the names of its own arguments."""
        wanted = [self._binding.p, *self._binding.slots]
        legal = f"({', '.join(wanted)}), a dict with these keys, or None" if len(wanted) > 1 else f"{wanted[0]} or None"
        if isinstance(result, Mapping):
            if set(result) != set(wanted):
                raise CandidateFault(
                    "structure", f"{self._name} returned a dict with keys {list(result)}; legal: {legal}"
                )
            return result
        values = list(result) if isinstance(result, (tuple, list)) else [result]
        if len(values) != len(wanted):
            came = _kind(result) + (f" of {len(values)}" if isinstance(result, (tuple, list)) else "")
            if self._binding.hidden and len(values) > len(wanted):
                legal += f"; the rule's {', '.join(self._binding.hidden)} would be an argument of that name"
            raise CandidateFault("structure", f"{self._name} returned {came}; legal: {legal}")
        return dict(zip(wanted, values, strict=True))

    def _array(self, value: Any, reference: np.ndarray, argument: str) -> np.ndarray:
        if not isinstance(value, np.ndarray):
            # NumPy makes scalars of arrays without axes; JAX's arrays are read as they are
            if not isinstance(value, np.generic) and not type(value).__module__.startswith("jax"):
                message = f"{self._name} returned {_kind(value)} for {argument}; legal: a NumPy array"
                raise CandidateFault("structure", message)
            value = np.asarray(value)
        return check_like(value, reference, f"{self._name}'s {argument}")

    def _number(self, value: Any, argument: str) -> float:
        try:
            return float(value)
        except (TypeError, ValueError):
            message = f"{self._name} returned {_kind(value)} for {argument}; legal: a number"
            raise CandidateFault("structure", message) from None


_WAYS = "return new arrays and leave the arguments alone, or overwrite p and the state in place and return None"


def _kind(value: Any) -> str:
    return with_article(type(value).__name__)
