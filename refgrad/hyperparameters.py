"""Hyperparameters: a frozen record whose annotations say what each may be, which is a value.

Records of one class with equal hyperparameters are equal. One knows besides which of them were named when it was made.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Annotated, Any, ClassVar

from refgrad.derived import Frozen
from refgrad.errors import ArgumentError, bad_argument, nearest
from refgrad.legal import (
    Choice,
    Flag,
    Range,
    Whole,
)

#: the largest of whole numbers: all up to it are numbers of float64
MOST = 2**53


@dataclass(frozen=True)
class Nested:
    """Another rule, which the rule wraps.

    Args:
        kind: the kind that it must be of, such as ``"optimizer"``; empty for any.
    """

    kind: str = ""

    def __str__(self) -> str:
        return "a rule"

    def check(self, name: str, value: object) -> Any:
        """A value that is such a rule.

        Args:
            name: what errors call the value.
            value: an instance of a rule.

        Returns:
            The value.

        Raises:
            ArgumentError: it is no rule, such as a rule's class, or one of another kind.
        """
        if not isinstance(value, Hyperparameters):
            raise bad_argument(name, value, "a rule such as AdamW(lr=1e-3)")
        if self.kind and value.kind != self.kind:
            raise bad_argument(name, str(value), f"a rule of the kind {self.kind}; this one's is {value.kind}")
        return value


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Hyperparameters(Frozen):
    """What a rule is as a value: its typed fields, what is legal of them, and which of them it claims."""

    __slots__ = ("_claimed",)

    if typing.TYPE_CHECKING:  # at run time it is a slot alone, and no field
        _claimed: ClassVar[frozenset[str]]

    #: what a named behaviour asks of other hyperparameters: (field, value) -> their values
    needs: ClassVar[Mapping[tuple[str, Any], Mapping[str, Any]]] = {}
    #: what the rules of a room are called, such as "optimizer"
    kind: ClassVar[str] = "rule"

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

    def __post_init__(self) -> None:
        for name, legal in self.legal().items():
            value: Any = legal.check(f"{type(self).__name__}.{name}", getattr(self, name))
            if isinstance(legal, Whole) and legal.high is None and value > MOST:  # bodies compute with it in float64
                raise bad_argument(f"{type(self).__name__}.{name}", value, f"{legal} to 2**53")
            object.__setattr__(self, name, value)

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

    def inner_rules(self) -> dict[str, Any]:
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

    def _owner(self, name: str) -> tuple[Hyperparameters, str]:
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

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, f.name) for f in dataclasses.fields(self))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._values() == self._values()  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        values = zip(dataclasses.fields(self), self._values(), strict=True)
        return f"{type(self).__qualname__}({', '.join(f'{f.name}={value!r}' for f, value in values)})"


_HINTS: dict[type, dict[str, Any]] = {}


def _hints(cls: type[Hyperparameters]) -> dict[str, Any]:
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
