"""What is known of one implementation of a rule: where it is, what it says that it is, and how it is driven."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from refgrad.rule import Rule
from refgrad.rule_text import as_python
from refgrad.surveys.implementations import cards


@dataclass(frozen=True, kw_only=True, eq=False)
class Implementation:
    """One implementation of a rule, as data; nothing of its package is imported to describe it."""

    #: the distribution that it comes in, as package indexes call it
    package: str
    #: ``package.module:attribute``
    target: str
    #: the rule that its documentation says it is, with hyperparameters that show what it does
    claim: Rule
    #: what the claim's named behaviours are found to be instead, where that is known; its numbers too
    variant: Mapping[str, Any] = field(default_factory=dict)
    #: the precision of its scalars
    scalars: str = "float64"
    #: the fields of the policy that it needs besides
    policy: Mapping[str, Any] = field(default_factory=dict)
    #: arguments of its own constructor that are no hyperparameters of the rule
    options: Mapping[str, Any] = field(default_factory=dict)
    #: which of a package's several implementations it is, such as ``fused``
    form: str = ""
    #: the device that its arrays are to lie on, such as ``cuda``; empty for the CPU
    device: str = ""
    #: the function beside this module that makes a candidate of the target, as ``module.name``
    through: str = ""
    #: keyword arguments of that function
    arguments: Mapping[str, Any] = field(default_factory=dict)
    #: the function of `refgrad.surveys.implementations.inputs` that makes the inputs, where generated ones will not do
    inputs: str = ""
    #: how many steps it is driven
    steps: int = 10
    #: whether it is found to be its variant, or else something that no variant explains
    explained: bool = True
    #: what a search finds it to be where no variant of the rule has a name for that
    searched: str = ""
    #: whether a run reaches what its variant changes; where none does, it conforms as claimed
    reached: bool = True
    #: whether it writes into the gradients that it is handed, so that it is its variant on copies of them alone
    mutates: bool = False
    #: modules of other packages that it runs on and that its package does not bring along
    requires: tuple[str, ...] = ()
    #: environment variables that its process is started with
    environment: Mapping[str, str] = field(default_factory=dict)
    #: how it is called, where the target does not say that
    name: str = ""
    note: str = ""

    @property
    def column(self) -> str:
        """The package, and the form and the device if there are several."""
        told = ", ".join(filter(None, [self.form, self.device]))
        return f"{self.package} ({told})" if told else self.package

    @property
    def called(self) -> str:
        """The name and the options, as people read them."""
        if self.name.endswith(")"):
            return self.name
        shown = {**self.arguments, **self.options}
        told = ", ".join(f"{n}={v!r}" for n, v in shown.items())
        return (self.name or self.target.replace(":", ".")) + (f"({told})" if told else "")

    @property
    def key(self) -> str:
        """What tells it from all others, the same at every run."""
        return " | ".join(filter(None, [str(self.claim), self.column, self.called, self.inputs]))

    @property
    def rule(self) -> Rule:
        """What it computes, as far as is known."""
        scalars = {"scalars": self.scalars} if self.scalars != self.claim.scalars else {}
        return self.claim.replace(**self.variant, **scalars)

    def version(self) -> str | None:
        """The version that is installed; None if it is not. Nothing is imported to find out."""
        try:
            return importlib.metadata.version(self.package)
        except importlib.metadata.PackageNotFoundError:
            module = self.target.partition(":")[0].partition(".")[0]
            own = module == "refgrad" or importlib.util.find_spec(module) is None
            return None if own else "unknown"

    def missing(self) -> tuple[str, ...]:
        """What is not installed of what it needs: its package, and modules that it runs on. Nothing is imported to find out."""
        package = () if self.version() is not None else (self.package,)
        card = (cards.CARD,) if self.device and not cards.has_card() else ()
        return (*package, *(name for name in self.requires if importlib.util.find_spec(name) is None), *card)

    def candidate(self) -> Any:
        """What `refgrad.verify` takes as the candidate; imports its package where a driver is in the way."""
        if not self.through:
            return self.target
        made = self.driver()(self.target, **self.arguments)
        if inspect.isfunction(made):  # so that reports call it by its own name
            made.__module__, made.__qualname__ = "builtins", self.called
        return made

    def driver(self) -> Callable[..., Any]:
        """The function that `through` names."""
        module, _, name = self.through.partition(".")
        found: Callable[..., Any] = getattr(importlib.import_module(f"{__package__}.{module}"), name)
        return found

    def own_inputs(self) -> Any:
        """The inputs that it is driven with in place of generated ones; None for these."""
        if not self.inputs:
            return None
        return getattr(importlib.import_module(f"{__package__}.inputs"), self.inputs)()

    def candidate_text(self) -> str:
        """The same as a line of Python."""
        if not self.through:
            return repr(self.target)
        told = "".join(f", {n}={as_python(v)}" for n, v in self.arguments.items())
        return f"{self.through}({self.target!r}{told})"


def on_device(row: Implementation, device: str) -> Implementation | None:
    """The same implementation with its arrays on a device; None of one that cannot be handed any there.

    Args:
        row: any.
        device: such as "cuda".
    """
    places = row.package in ("torch", "optax") and row.claim.kind == "optimizer" and not row.through
    return replace(row, device=device) if places else None


def unreached(row: Implementation) -> Implementation:
    """A row whose variant is read in its source, and changes nothing that a run reaches: it conforms as claimed.

    Args:
        row: with a variant.
    """
    return replace(row, reached=False)
