"""Rules around another rule: ``Lookahead(inner=AdamW())``. The inner rule is a field, and its state stands beside the own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any

from refgrad.derived import derived, unchecked
from refgrad.errors import bad_argument
from refgrad.optimizers.adam import AdamW
from refgrad.optimizers.base import Optimizer
from refgrad.rule import Extra, Nested, Slot


class Wrapper(Optimizer):
    """A rule that steps by another, on another gradient or from another point.

    A subclass writes ``update(p, g, *own extra inputs, *own slots, step, t) -> (p, *own slots)``, where ``step(p, g)`` is the
    inner rule's step and gives its next point; ``step(p, g, lr=...)`` takes it with another learning rate.

    Args:
        inner: the rule that is wrapped; its hyperparameters are known as ``inner_lr`` and so on.
        scalars: the precision in which the scalars of both rules are computed.

    Raises:
        ArgumentError: ``inner`` is no optimizer; it asks for another precision of scalars than the wrapper; or all parameters
            become one vector here, but its elements see each other.

    >>> from refgrad.optimizers import SGD, Lookahead
    >>> list(Lookahead(inner=SGD(momentum=0.9)).slots())
    ['slow', 'buffer']
    """

    inner: Annotated[Optimizer, Nested("optimizer")] = AdamW()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inner.scalars not in ("float64", self.scalars):
            name = type(self).__name__
            legal = f"a rule without scalars={self.inner.scalars!r}: say so of {name}, whose scalars are both rules'"
            raise bad_argument(f"{type(self).__name__}.inner", str(self.inner), legal)
        if self.scope == "tree" and self.inner.scope == "leaf" and not elementwise(self.inner):
            legal = "a rule whose elements do not see each other, because all parameters become one vector"
            raise bad_argument(f"{type(self).__name__}.inner", str(self.inner), legal)

    @property
    def scope(self) -> str:
        """ "tree" where the wrapper's own part or the inner rule updates all parameters together, else "leaf"."""
        return "tree" if self.couples else self.inner.scope

    @derived
    def slots(self) -> dict[str, Slot]:
        """The wrapper's own slots, and the inner rule's; one of the same name is called ``inner_name``."""
        found = dict(super().slots())
        for name, slot in self.inner.slots().items():
            named = isinstance(slot.fill, str) and slot.fill != "p"
            fill = getattr(self.inner, str(slot.fill)) if named else slot.fill
            found[self._outer(name)] = dataclasses.replace(slot, fill=fill)
        return found

    @derived
    def inputs(self) -> dict[str, Extra]:
        """The wrapper's own extra inputs, and the inner rule's; one of the same name is called ``inner_name``."""
        own, inner = super().inputs(), self.inner.inputs()
        renamed = {n: dataclasses.replace(e, when=None, at=e.at and self._outer(e.at)) for n, e in inner.items()}
        return {**own, **{self._outer(n): extra for n, extra in renamed.items()}}

    def _outer(self, name: str) -> str:
        return f"inner_{name}" if name in self.state or name in self.extras else name

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """`update` on values by name, with the inner rule's step at hand.

        Args:
            given: ``p``, ``g``, ``t``, and the extra inputs and slots of both rules by their names here.

        Returns:
            ``p`` and the slots of both rules by name.
        """
        names = [*self.inner.inputs(), *(self.inner.slots() if isinstance(self.inner, Wrapper) else self.inner.state)]
        state = {n: given.get(self._outer(n)) for n in names}
        new: dict[str, Any] = {}

        def step(p: Any, g: Any, **changed: Any) -> Any:
            rule = unchecked(self.inner, changed) if changed else self.inner
            new.update(rule.body({**state, "p": p, "g": g, "t": given["t"]}))
            return new.pop("p")

        own = [given.get(name) for name in (*self.extras, *self.state)]
        outputs = self.update(given["p"], given["g"], *own, step, given["t"])
        results = dict(zip(("p", *self.state), outputs, strict=True)) | {self._outer(n): v for n, v in new.items()}
        return {name: results[name] for name in ("p", *self.slots())}


def elementwise(rule: Optimizer) -> bool:
    """True if no element of a rule's parameter sees another one.

    Args:
        rule: the rule, which is traced on a matrix.

    Returns:
        False where an operation on the first or the second step reduces elements, or is one on matrices.
    """
    return not any(rule.plan((2, 2), t).graph.couples() for t in (1, 2))
