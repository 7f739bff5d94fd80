"""What a rule is: typed hyperparameters with legal ranges, a citation, a state, and a place in the registry.

A rule is a frozen dataclass. Its annotations are its hyperparameters; its body (`update` of an optimizer) is the
paper's algorithm in NumPy's vocabulary, and is run under several arithmetics by handing it other values than arrays.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import sys
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Annotated, Any, ClassVar, dataclass_transform

from refgrad.axes import Axes, named
from refgrad.citation import Alternative, Citation, by
from refgrad.derived import Frozen, derived
from refgrad.entry_points import entry_point
from refgrad.errors import ArgumentError, NoKernel, bad_argument, meant_by, nearest
from refgrad.layout import Section, Table, render_html
from refgrad.legal import (
    Choice,
    Decay,
    Flag,
    Fraction,
    NonNegative,
    Positive,
    Range,
    Real,
    ScalarPrecision,
    Whole,
)
from refgrad.rooms import load
from refgrad.state import KINDS, Extra, Extras, Kind, Slot, State, copy_of_param, scalar_slot, zeros_like_param

__all__ = [
    "KINDS",
    "REGISTRY",
    "ROOMS",
    "Alternative",
    "Choice",
    "Citation",
    "Decay",
    "Extra",
    "Extras",
    "Flag",
    "Fraction",
    "Kind",
    "Nested",
    "NonNegative",
    "Positive",
    "Range",
    "Real",
    "Rule",
    "ScalarPrecision",
    "Slot",
    "State",
    "Whole",
    "by",
    "copy_of_param",
    "find",
    "is_own",
    "qualified_name",
    "rules",
    "scalar_slot",
    "short_name",
    "stated",
    "zeros_like_param",
]


@dataclass(frozen=True)
class Nested:
    """Another rule, which the rule wraps.

    Args:
        kind: the kind that it must be of, such as ``"optimizer"``; empty for any.
    """

    kind: str = ""

    def __str__(self) -> str:
        return "a rule"

    def check(self, name: str, value: object) -> Rule:
        """A value that is such a rule.

        Args:
            name: what errors call the value.
            value: an instance of a rule.

        Returns:
            The value.

        Raises:
            ArgumentError: it is no rule, such as a rule's class, or one of another kind.
        """
        if not isinstance(value, Rule):
            raise bad_argument(name, value, "a rule such as AdamW(lr=1e-3)")
        if self.kind and value.kind != self.kind:
            raise bad_argument(name, str(value), f"a rule of the kind {self.kind}; this one's is {value.kind}")
        return value


#: every rule that was defined so far, refgrad's own and those of others, by `qualified_name`
REGISTRY: dict[str, type[Rule]] = {}

#: the packages that hold refgrad's own rules
ROOMS = ("optimizers", "quantizers", "estimators", "sparsity")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(dataclasses.field,))
@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Rule(Frozen):
    """Base of every rule: a frozen dataclass whose annotations are its hyperparameters.

    A subclass with a `citation` enters the registry under its qualified name (see `find`). A rule is a value: rules of one class
    with equal hyperparameters are equal, can be keys of dicts, and are copied and pickled by their hyperparameters alone.

    Args:
        scalars: the precision in which what depends on hyperparameters and the step alone is computed.

    Raises:
        ArgumentError: a hyperparameter has an illegal value, as for every subclass.

    >>> from refgrad.optimizers import AdamW
    >>> AdamW(lr=0.01) == AdamW(lr=0.01), str(AdamW(lr=0.01))
    (True, 'AdamW(lr=0.01)')
    >>> AdamW(lr=-1.0)
    Traceback (most recent call last):
        ...
    refgrad.errors.ArgumentError: AdamW.lr is -1.0; legal: a number in [0, inf)
    """

    __slots__ = ("_claimed",)

    if typing.TYPE_CHECKING:  # at run time it is a slot alone, and no field
        _claimed: ClassVar[frozenset[str]]

    scalars: ScalarPrecision = "float64"

    citation: ClassVar[Citation]
    #: raised when the rule's meaning changes, so that golden files of before and after are told apart
    revision: ClassVar[int] = 1
    #: what the source leaves open, and what is the default here; shown in docs/rules.md
    unspecified: ClassVar[str] = ""
    #: why a default is not what the publication has, by the hyperparameter's name; a row of docs/departures.md
    default_reasons: ClassVar[Mapping[str, str]] = {}
    #: what a named behaviour asks of other hyperparameters: (field, value) -> their values
    needs: ClassVar[Mapping[tuple[str, Any], Mapping[str, Any]]] = {}
    #: laws (`refgrad.testing`) that most rules of a kind obey but this one does not, each with the reason; None where
    #: nobody has said which, so that only those are asked that hold of every rule of the kind
    exempt_laws: ClassVar[Mapping[str, str] | None] = None
    #: attributes of the class that are rules too, such as a formula's backward
    derived_names: ClassVar[tuple[str, ...]] = ()
    #: what the rules of a room are called, such as "optimizer"
    kind: ClassVar[str] = "rule"
    #: the array that gives elementwise values their shape, and the working dtype
    primary: ClassVar[str] = "p"
    state: ClassVar[State] = State()
    #: what a step takes besides the primary array, its gradient and the state
    extras: ClassVar[Extras] = Extras()
    #: the methods that compute with numbers for a caller: they do not depend on the floating-point environment, and take arrays
    #: of other libraries too
    computing: ClassVar[frozenset[str]] = frozenset()
    #: of these methods, the arguments that they write into, by the method's name
    writes: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    #: why these methods run on the host if they are handed arrays of a device, in words
    on_host: ClassVar[str] = "no kernel for a device is written for it yet"
    #: the module that has them for arrays of a device, as functions of the rule and their arguments; loaded by this name
    device_module: ClassVar[str] = ""
    #: what happens to NaN: "propagate" means that an output that depends on a NaN is NaN, and no other is touched
    nan: ClassVar[str] = "propagate"

    def __new__(cls, *args: Any, **given: Any) -> typing.Self:
        """The object, which knows what it was given; what it is given in this way is claimed."""
        if args and isinstance(
            args[0], FunctionType
        ):  # `@pytest.mark.refgrad(AdamW)` marks the class, and calls it with the test
            name = cls.__name__
            raise TypeError(
                f"{name} takes hyperparameters by name, not {args[0]!r}; legal: {name}(), and so in a mark of pytest"
            )
        fields = dataclasses.fields(cls)
        if len(args) > sum(not each.kw_only for each in fields):
            raise ArgumentError(
                f"{cls.__name__} takes hyperparameters by name, not {args[0]!r}; legal: {', '.join(cls.legal())}"
            )
        cls._check_names(given, {each.name for each in fields})
        new = super().__new__(cls)
        object.__setattr__(new, "_claimed", frozenset(given))
        return new

    @classmethod
    def _check_names(cls, given: Collection[str], known: Collection[str]) -> None:
        for word in sorted(set(given) - set(known)):
            names = ", ".join(cls.legal())
            raise ArgumentError(f"{cls.__name__} has no {word!r}{nearest(word, cls.legal())}; legal: {names}")

    def __reduce__(self) -> tuple[typing.Callable[..., Any], tuple[Any, ...]]:
        make, arguments = super().__reduce__()
        return _claiming, (make, arguments, self._claimed)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in cls.computing & vars(cls).keys():
            setattr(cls, name, entry_point(cls.checked_method(vars(cls)[name]), cls.writes.get(name, ())))
        # what can be written once, below, is not compiled for every class: that is most of the time that importing takes
        dataclass(frozen=True, kw_only=True, repr=False, eq=False)(cls)
        if "citation" in vars(cls):
            _register(cls)

    @classmethod
    def checked_method(cls, function: typing.Callable[..., Any]) -> typing.Callable[..., Any]:
        """A method of `computing` as callers get it: a kind checks here, once for all of its rules, what their bodies are handed.

        Args:
            function: the method, as a rule's class has it.

        Returns:
            The same, or a function that checks its arguments and calls it.
        """
        return function

    def __post_init__(self) -> None:
        for name, legal in self.legal().items():
            object.__setattr__(self, name, legal.check(f"{type(self).__name__}.{name}", getattr(self, name)))

    @classmethod
    def legal(cls) -> dict[str, Range | Whole | Choice | Flag | Nested]:
        """What each hyperparameter may be.

        Returns:
            Name -> legal values, in order of declaration, ``scalars`` last.

        >>> from refgrad.optimizers import SGD
        >>> str(SGD.legal()["lr"])
        '[0, inf)'
        """
        return dict(_hints(cls))

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """The default of each hyperparameter, by name."""
        return {f.name: f.default for f in dataclasses.fields(cls)}

    def hyperparameters(self) -> dict[str, Any]:
        """The value of each hyperparameter, by name, in the order of `legal`."""
        return {name: getattr(self, name) for name in self.legal()}

    def numbers(self) -> dict[str, float]:
        """The hyperparameters that are numbers; the others choose what is done.

        Returns:
            Name -> number; those of a nested rule are called ``field_name``.

        >>> from refgrad.optimizers import SGD, Lookahead
        >>> Lookahead(inner=SGD(lr=0.1)).numbers()["inner_lr"]
        0.1
        """
        found = {n: getattr(self, n) for n, legal in self.legal().items() if isinstance(legal, Range)}
        for field, rule in self.inner_rules().items():
            found |= {f"{field}_{n}": value for n, value in rule.numbers().items()}
        return found

    def at_device(self, method: str, device: Any, *args: Any, **keywords: Any) -> Any:
        """One of the methods in `computing` on arrays of a device, by kernels.

        Args:
            method: its name.
            device: where the arrays lie (`refgrad.backends.cuda.device.Device`).
            args: what the method is called with.
            keywords: the same by name.

        Returns:
            What the method returns, with arrays of the device.

        Raises:
            NoKernel: it has none; nothing has been written.
        """
        if not self.device_module:
            raise NoKernel(self.on_host)
        found = getattr(importlib.import_module(self.device_module), method)
        return found(self, *args, device=device, **keywords)

    @property
    def claimed(self) -> frozenset[str]:
        """The hyperparameters that were named when the rule was made, at their defaults too, and what `replace` changed.

        Of an implementation that claims to be the rule, these are claims; the others it may have otherwise. They are no part of
        the rule's value: rules with equal hyperparameters are equal. Those of a nested rule are called as in `numbers`.

        >>> from refgrad.optimizers import AdamW
        >>> sorted(AdamW(lr=1e-3).replace(beta1=0.8).claimed), AdamW(lr=1e-3) == AdamW()
        (['beta1', 'lr'], True)
        """
        own: frozenset[str] = self._claimed
        inner = self.inner_rules().items()
        return own | {f"{field}_{name}" for field, rule in inner for name in rule.claimed}

    @property
    def kept_in(self) -> str:
        """The dtype that the primary array is kept in where nothing else is said."""
        return "float32"

    def reads(self) -> frozenset[str]:
        """The names of the numbers that the rule's algorithm reads under its named behaviours."""
        return frozenset(self.numbers())

    def inner_rules(self) -> dict[str, Rule]:
        """The hyperparameters that are rules, by name."""
        return {n: getattr(self, n) for n, legal in self.legal().items() if isinstance(legal, Nested)}

    def range_of(self, name: str) -> Range | Whole | Choice | Flag | Nested:
        """The legal values of a hyperparameter.

        Args:
            name: its name; that of a nested rule's as in `numbers`.

        Returns:
            What it may be, as in `legal`.

        Raises:
            KeyError: there is none of the name.
        """
        owner, own = self._owner(name)
        return owner.legal()[own]

    def _owner(self, name: str) -> tuple[Rule, str]:
        """The rule that has a hyperparameter, and what it calls it."""
        for field, rule in self.inner_rules().items():
            if name not in self.legal() and name.startswith(f"{field}_"):
                return rule._owner(name.removeprefix(f"{field}_"))
        return self, name

    def replace(self, **changes: Any) -> typing.Self:
        """The same rule with other hyperparameters.

        Args:
            changes: values by name; those of a nested rule as in `numbers`.

        Returns:
            A new rule of the same class, which claims what this one did and what was changed; this one stays as it is.

        Raises:
            ArgumentError: there is no such hyperparameter, or the value is illegal.

        >>> from refgrad.optimizers import SGD, Lookahead
        >>> print(Lookahead(inner=SGD()).replace(k=3, inner_lr=0.5))
        Lookahead(inner=SGD(lr=0.5), k=3.0)
        """
        for field, rule in self.inner_rules().items():
            inner = {n: changes.pop(n) for n in list(changes) if n not in self.legal() and n.startswith(f"{field}_")}
            if inner:
                changes[field] = rule.replace(**{n.removeprefix(f"{field}_"): v for n, v in inner.items()})
        self._check_names(changes, self.legal())
        new = dataclasses.replace(self, **changes)
        object.__setattr__(new, "_claimed", self._claimed | set(changes))
        return new

    def variants(self) -> list[tuple[str, typing.Self]]:
        """Every rule that differs from this one in one named behaviour, and in what that asks of others (`needs`).

        Returns:
            Pairs of ``"field=value"`` and the rule, in order of declaration. What the rule's other hyperparameters exclude is
            left out; from the defaults every named behaviour is reached.

        >>> from refgrad.optimizers import SGD
        >>> [name for name, _ in SGD().variants()][:1]
        ['nesterov=True']
        """
        found = []
        for name, legal in self.legal().items():
            values: list[Any] = list(legal.sentences) if isinstance(legal, Choice) else []
            if isinstance(legal, Flag):
                values = [True, False]
            for value in values:
                if value != getattr(self, name):
                    with contextlib.suppress(ArgumentError):  # other hyperparameters exclude it
                        found.append(
                            (f"{name}={value}", self.replace(**self.needs.get((name, value), {}), **{name: value}))
                        )
        return found

    def exempt(self) -> Mapping[str, str]:
        """The laws that the rule does not obey under its hyperparameters: name -> reason."""
        return self.exempt_laws or {}

    def takes(self) -> Mapping[str, Axes]:
        """The arrays that `body` is handed.

        Returns:
            Name -> axes: `ELEMENT` (shaped like the primary array), `ROW`, `COLUMN` or `TENSOR` (one number for each), or
            those of a matrix beside it, of `refgrad.axes`.
        """
        raise NotImplementedError

    def gives(self) -> Mapping[str, Axes]:
        """The results of `body` that are not shaped like the primary array: name -> axes, as in `takes`."""
        return {}

    def scalar_inputs(self) -> tuple[str, ...]:
        """The numbers besides hyperparameters that `body` is handed, such as ``t``."""
        return ()

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The rule's algorithm.

        Args:
            given: a value for each name of `takes` and `scalar_inputs`: arrays, or what another arithmetic has in their place
                (a tracer, an enclosure, exact numbers).

        Returns:
            The results by name, values of the same arithmetic.
        """
        raise NotImplementedError

    @derived
    def slots(self) -> dict[str, Slot]:
        """The state slots that exist under these hyperparameters, by name, in the order in which `update` takes them.

        >>> from refgrad.optimizers import SGD
        >>> list(SGD().slots()), list(SGD(momentum=0.9).slots())
        ([], ['buffer'])
        """
        present = {n: s for n, s in self.state.items() if s.when is None or bool(getattr(self, s.when))}
        return {n: self._settled(s) for n, s in present.items()}

    def _settled(self, slot: Slot) -> Slot:
        """A slot with what hyperparameters say of its shape."""
        axes = named(getattr(self, slot.axes)) if isinstance(slot.axes, str) else slot.axes
        side = getattr(self, slot.side, slot.side) if slot.side else ""
        rank = getattr(self, slot.rank) if isinstance(slot.rank, str) else slot.rank
        return dataclasses.replace(slot, axes=axes, rank=rank, side=side)

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, f.name) for f in dataclasses.fields(self))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._values() == self._values()  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        values = zip(dataclasses.fields(self), self._values(), strict=True)
        return f"{type(self).__qualname__}({', '.join(f'{f.name}={value!r}' for f, value in values)})"

    def __str__(self) -> str:
        return _text(self, frozenset())

    def formula_lines(self) -> list[str]:
        """What the rule computes, as formulas in plain text; none for a kind whose rules are not traced."""
        return []

    def _repr_html_(self) -> str:
        """What a notebook shows: where the rule comes from, its formulas, and its hyperparameters with what is legal of each."""
        return render_html(_sections(self))


def stated(rule: Rule) -> str:
    """A rule as a text, with what it claims at its default too.

    Args:
        rule: the rule.

    Returns:
        A call of the rule's class, which `refgrad.rule_text.rule_of` reads.

    >>> from refgrad.optimizers import AdamW
    >>> stated(AdamW(lr=1e-3)), str(AdamW(lr=1e-3))
    ('AdamW(lr=0.001)', 'AdamW()')
    """
    return _text(rule, rule.claimed)


def _text(rule: Rule, claimed: frozenset[str]) -> str:
    default = rule.defaults()
    shown = {n: v for n, v in rule.hyperparameters().items() if v != default[n] or n in claimed}
    one = lambda v: _text(v, v.claimed if claimed else claimed) if isinstance(v, Rule) else repr(v)  # noqa: E731
    return f"{short_name(type(rule))}({', '.join(f'{n}={one(v)}' for n, v in shown.items())})"


def _sections(rule: Rule) -> typing.Iterator[Section]:
    """What a notebook shows of a rule."""
    cited = getattr(type(rule), "citation", None)
    yield Section("", (str(rule),))
    if cited is not None:
        yield Section("Source", (str(cited), cited.provenance()))
    lines = rule.formula_lines()
    if lines:
        yield Section("Formula", tuple(lines))
    rows = []
    for name, legal in rule.legal().items():
        value = getattr(rule, name)
        meaning = legal.sentences[value] if isinstance(legal, Choice) else ""
        meaning = legal.said(value) if isinstance(legal, Flag) else meaning
        rows.append((name, str(value), str(legal), meaning))
    yield Section("Hyperparameters", table=Table(("name", "value", "legal", "meaning"), tuple(rows)))


def _claiming(make: typing.Callable[..., Rule], arguments: tuple[Any, ...], claimed: frozenset[str]) -> Rule:
    """A copy of a rule that claims what it did."""
    new = make(*arguments)
    object.__setattr__(new, "_claimed", claimed)
    return new


_HINTS: dict[type, dict[str, Any]] = {}


def _hints(cls: type[Rule]) -> dict[str, Any]:
    if cls not in _HINTS:
        hints = typing.get_type_hints(cls, include_extras=True)
        known = {n: h.__metadata__[0] for n, h in hints.items() if typing.get_origin(h) is Annotated}
        names = sorted((f.name for f in dataclasses.fields(cls)), key=lambda name: name == "scalars")
        for name in names:
            if name not in known:
                legal = "a type with its legal values, such as NonNegative, Positive, Decay, a Range or a Choice"
                raise bad_argument(f"the type of {cls.__name__}.{name}", hints.get(name), legal)
        _HINTS[cls] = {n: known[n] for n in names}
    return _HINTS[cls]


def is_own(cls: type[Rule]) -> bool:
    """True if a rule is one of refgrad's own."""
    package, _, module = cls.__module__.partition(".")
    return package == "refgrad" and module.partition(".")[0] in ROOMS


def qualified_name(cls: type[Rule]) -> str:
    """The name that no other rule has: ``refgrad.optimizers:SGD``, or ``module:Class`` of a rule that is not refgrad's."""
    place = ".".join(cls.__module__.split(".")[:2]) if is_own(cls) else cls.__module__
    return f"{place}:{cls.__qualname__}"


def short_name(cls: type[Rule]) -> str:
    """The shortest name that no other rule has: the class's own, or the qualified one where another rule is called so too."""
    if is_own(cls):
        return cls.__name__
    alike = any(other.__name__ == cls.__name__ and other is not cls for other in REGISTRY.values())
    return qualified_name(cls) if alike else cls.__name__


def _register(cls: type[Rule]) -> None:
    """Enter a rule; one of the same module and name, such as that of a notebook's cell that is run again, takes its place."""
    name = qualified_name(cls)
    if is_own(cls):
        for other in map(REGISTRY.get, (f"refgrad.{room}:{cls.__name__}" for room in ROOMS)):
            if other is not None and other.__module__ != cls.__module__:
                places = f"in {other.__module__} and in {cls.__module__}"
                raise TypeError(f"two rules of refgrad are called {cls.__name__!r}, {places}; legal: one of a name")
    REGISTRY[name] = cls


def find(name: str) -> type[Rule]:
    """The rule of a name.

    Args:
        name: the plain name of one of refgrad's own rules, such as ``"AdamW"``, which no other rule can take; a qualified
            name, such as ``"refgrad.optimizers:AdamW"`` or ``"package.module:MyRule"``, whose module is imported; or the
            plain name of another rule that was defined in this process, if there is one alone.

    Returns:
        The rule's class.

    Raises:
        ArgumentError: there is no such rule; the error names the nearest one, or those among which the name does not choose.

    >>> find("AdamW") is find("refgrad.optimizers:AdamW")
    True
    """
    if not isinstance(name, str):
        raise bad_argument("the name of a rule", name, "a text such as 'AdamW'")
    if ":" in name:
        return _qualified(name)
    for room in ROOMS:
        if _own(f"refgrad.{room}", name) and f"refgrad.{room}:{name}" in REGISTRY:
            return REGISTRY[f"refgrad.{room}:{name}"]
    others = [qualified for qualified, cls in REGISTRY.items() if cls.__name__ == name]
    if len(others) == 1:
        return REGISTRY[others[0]]
    if others:
        raise ArgumentError(f"{len(others)} rules are called {name!r}; legal: {', '.join(sorted(others))}")
    raise ArgumentError(f"no rule is called {name!r}{nearest(name, rules())}; `refgrad list` shows all")


def _own(room: str, name: str) -> bool:
    """True if a room has a name, whose module is imported then."""
    return hasattr(importlib.import_module(room), name)


def _attribute(module: Any, name: str) -> Any:
    """What a module has under a name such as ``attention.backward``; None if that is nothing."""
    first, *rest = name.split(".")
    found = vars(module).get(first)
    for word in rest:
        try:
            found = getattr(found, word)
        except ArgumentError:  # it says what is missing
            raise
        except AttributeError:
            return None
    return found


def _names(module: Any) -> list[str]:
    """The rules that a module has, and those that they bring along, such as ``attention.backward``."""
    found = {n: v for n, v in vars(module).items() if isinstance(v, type) and issubclass(v, Rule)}
    return [*found, *(f"{n}.{part}" for n, rule in found.items() for part in rule.derived_names)]


def _qualified(name: str) -> type[Rule]:
    if name not in REGISTRY:
        module, _, own = name.partition(":")
        try:
            _own(module, own)
        except (Exception, SystemExit) as error:
            raised = f"importing {module!r} raised {type(error).__name__}: {error}"
            raise ArgumentError(f"the rule is {name!r}, but {raised}") from error
    found = None if name in REGISTRY else _attribute(sys.modules[module], own)
    if isinstance(found, type) and issubclass(found, Rule) and found.kind != Rule.kind:  # one without a citation
        return found
    if name not in REGISTRY:
        rules()  # so that the nearest is found among all
        meant = meant_by(name.partition(":")[2], _names(sys.modules[module]), cutoff=0.7)
        hint = f"; did you mean {f'{module}:{meant}'!r}?" if meant else nearest(name, REGISTRY)
        if meant:
            _attribute(sys.modules[module], meant)  # what was meant may not be there either, and says why
        raise ArgumentError(
            f"{module!r} has no rule {name.partition(':')[2]!r}{hint}; legal: a subclass with a citation"
        )
    return REGISTRY[name]


def rules(base: type[Rule] | None = None) -> dict[str, type[Rule]]:
    """Refgrad's own rules.

    Args:
        base: a base class, such as `refgrad.optimizers.Optimizer`; by default rules of every kind.

    Returns:
        The classes by plain name, sorted. Rules that others define are not among them; `find` knows these.

    >>> from refgrad.estimators.base import Estimator
    >>> "ClippedSTE" in rules(Estimator), "AdamW" in rules(Estimator)
    (True, False)
    """
    for room in ROOMS:
        load(f"refgrad.{room}")
    own = {cls.__name__: cls for cls in REGISTRY.values() if is_own(cls)}
    return {name: own[name] for name in sorted(own) if base is None or issubclass(own[name], base)}
