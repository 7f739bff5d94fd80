"""What a rule is: typed hyperparameters with legal ranges, a citation, a state, and a place in the registry.

A rule is a frozen dataclass. Its annotations are its hyperparameters; its body (`update` of an optimizer) is the
paper's algorithm in NumPy's vocabulary, and is run under several arithmetics by handing it other values than arrays.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, dataclass_transform

from refgrad import registry
from refgrad.axes import Axes, named
from refgrad.citation import Alternative, Citation, by
from refgrad.derived import derived
from refgrad.entry_points import entry_point
from refgrad.errors import NoKernel
from refgrad.float_environment import in_standard
from refgrad.hyperparameters import Hyperparameters, Nested
from refgrad.layout import Section, Table, render_html
from refgrad.legal import (
    Choice,
    Code,
    Count,
    Decay,
    Flag,
    Fraction,
    Iterations,
    NonNegative,
    Positive,
    PositiveCode,
    PositiveCount,
    Range,
    Real,
    ScalarPrecision,
    Whole,
)
from refgrad.registry import REGISTRY, ROOMS, is_own, qualified_name, short_name
from refgrad.state import KINDS, Extra, Extras, Kind, Slot, State, copy_of_param, scalar_slot, zeros_like_param

__all__ = [
    "KINDS",
    "REGISTRY",
    "ROOMS",
    "Alternative",
    "Choice",
    "Citation",
    "Code",
    "Count",
    "Decay",
    "Extra",
    "Extras",
    "Flag",
    "Fraction",
    "Iterations",
    "Kind",
    "Nested",
    "NonNegative",
    "Positive",
    "PositiveCode",
    "PositiveCount",
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


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(dataclasses.field,))
@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Rule(Hyperparameters):
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

    __slots__ = ()

    scalars: ScalarPrecision = "float64"

    citation: ClassVar[Citation]
    #: raised when the rule's meaning changes, so that golden files of before and after are told apart
    revision: ClassVar[int] = 1
    #: what the source leaves open, and what is the default here; shown in docs/rules.md
    unspecified: ClassVar[str] = ""
    #: why a default is not what the publication has, by the hyperparameter's name; a row of docs/departures.md
    default_reasons: ClassVar[Mapping[str, str]] = {}
    #: laws (`refgrad.testing`) that most rules of a kind obey but this one does not, each with the reason; None where
    #: nobody has said which, so that only those are asked that hold of every rule of the kind
    exempt_laws: ClassVar[Mapping[str, str] | None] = None
    #: attributes of the class that are rules too, such as a formula's backward
    derived_names: ClassVar[tuple[str, ...]] = ()
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

    def __reduce__(self) -> tuple[typing.Callable[..., Any], tuple[Any, ...]]:
        make, arguments = super().__reduce__()
        return _claiming, (make, arguments, self._claimed)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in cls.computing & vars(cls).keys():
            setattr(cls, name, cls.door(vars(cls)[name]))
        # what can be written once, below, is not compiled for every class: that is most of the time that importing takes
        dataclass(frozen=True, kw_only=True, repr=False, eq=False)(cls)
        if "citation" in vars(cls):
            registry.register(cls)
            cls._guard_methods()

    @classmethod
    def _guard_methods(cls) -> None:
        """Let the methods that this rule alone has not depend on the floating-point environment either."""
        for name, value in list(vars(cls).items()):
            own = inspect.isfunction(value) and not name.startswith("_") and name not in cls.computing
            if own and not any(hasattr(base, name) for base in cls.__bases__):
                setattr(cls, name, in_standard(value))

    @classmethod
    def door(cls, function: typing.Callable[..., Any]) -> typing.Callable[..., Any]:
        """A method of `computing` behind its door (`refgrad.entry_points`); a kind may have a shorter way in for common calls.

        Args:
            function: the method, as a rule's class has it.

        Returns:
            The method, as callers get it.
        """
        return entry_point(cls.checked_method(function), cls.writes.get(function.__name__, ()))

    @classmethod
    def checked_method(cls, function: typing.Callable[..., Any]) -> typing.Callable[..., Any]:
        """A method of `computing` as callers get it: a kind checks here, once for all of its rules, what their bodies are handed.

        Args:
            function: the method, as a rule's class has it.

        Returns:
            The same, or a function that checks its arguments and calls it.
        """
        return function

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
    def kept_in(self) -> str:
        """The dtype that the primary array is kept in where nothing else is said."""
        return "float32"

    def reads(self) -> frozenset[str]:
        """The names of the numbers that the rule's algorithm reads under its named behaviours."""
        return frozenset(self.numbers())

    def uses(self) -> frozenset[str]:
        """The same, and the names of the numbers that the state starts from."""
        return self.reads()

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

    if typing.TYPE_CHECKING:

        def inner_rules(self) -> dict[str, Rule]:
            """The hyperparameters that are rules, by name."""

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


def find(name: str) -> type[Rule]:
    """The rule of a name.

    Args:
        name: the plain name of one of refgrad's own rules, such as ``"AdamW"``, which no other rule can take; a qualified
            name, such as ``"refgrad.optimizers:AdamW"`` or ``"package.module:MyRule"``, whose module is imported; the name
            of an entry point of the group ``refgrad.rules`` of an installed package; or the plain name of another rule that
            was defined in this process, if there is one alone.

    Returns:
        The rule's class.

    Raises:
        ArgumentError: there is no such rule; the error names the nearest one, or those among which the name does not choose.

    >>> find("AdamW") is find("refgrad.optimizers:AdamW")
    True
    """
    found: type[Rule] = registry.named(name, Rule)
    return found


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
    return {name: cls for name, cls in registry.own_rules().items() if base is None or issubclass(cls, base)}
