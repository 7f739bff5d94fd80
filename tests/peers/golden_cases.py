"""refgrad's golden files run through torch and optax: each case's state is put into the implementation, which takes one step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from refgrad.candidates.resolve import resolve
from refgrad.errors import CandidateError
from refgrad.golden import reading
from refgrad.golden.case import Case, case_of, judge
from refgrad.golden.inputs import Drawn
from refgrad.golden.making import built
from refgrad.optimizers.base import Optimizer
from refgrad.surveys.implementations import Implementation, known

FOLDER = Path(__file__).parents[2] / "golden" / "smoke"
#: of torch's forms the one that others are held against elsewhere
FORMS = ("", "for-loop")


class Unasked(Exception):
    """A case that an implementation cannot be put into."""


class Asked(NamedTuple):
    """Golden cases of one variant of a rule, and an implementation that they are run through."""

    row: Implementation
    variant: str
    numbers: tuple[int, ...]

    @property
    def name(self) -> str:
        """As the ledger calls it."""
        rule = type(self.row.claim).__name__
        return f"{self.row.called}: {rule}{f' {self.variant}' if self.variant else ''}"


def asked(package: str) -> Iterator[Asked]:
    """The cases of each rule as it is by default, and as an implementation of it is known to be otherwise.

    Args:
        package: "torch" or "optax".
    """
    seen = set()
    for row in known():
        own = row.package == package and row.claim.kind == "optimizer" and not row.through
        if not own or row.form not in FORMS or row.inputs:
            continue
        records = reading.read(FOLDER, type(row.claim).__name__).document["cases"]
        named = {n: v for n, v in row.variant.items() if not isinstance(v, float)}
        texts = ["", *(f"{n}={v}" for n, v in named.items() if len(named) == 1)]
        for text in texts:
            numbers = tuple(i for i, record in enumerate(records) if record["variant"] == text)
            found = Asked(row, text, numbers)
            if numbers and found.name not in seen:
                seen.add(found.name)
                yield found


def differing(one: Asked, **changes: Any) -> str:
    """The outputs that some case refuses, "" if none does.

    Args:
        one: the implementation and the cases.
        changes: fields of the rule, to judge by the sets of another rule on the same arrays.

    Raises:
        Unasked: none of the cases can be put into the implementation.
    """
    file, outside, ran = reading.read(FOLDER, type(one.row.claim).__name__), dict[str, int](), 0
    for number in one.numbers:
        record = file.document["cases"][number]
        rule: Any = built(type(one.row.claim).__name__, record["hyperparameters"])
        values = {n: float.fromhex(v) for n, v in record["numbers"].items()}
        arrays: dict[str, Any] = {n: file.array(number, "in", n) for n in record["inputs"]}
        arrays |= {n: int(v) if n == "t" else v for n, v in values.items()}
        case = case_of(rule.replace(**changes), Drawn(record["family"], arrays), record["dtype"])
        results = stepped(one.row, rule, arrays)
        assert case is not None
        ran += 1
        for name in _refused(case, results):
            outside[name] = outside.get(name, 0) + 1
    return f"{', '.join(sorted(outside))} outside" if outside else ""


def _refused(case: Case, results: Mapping[str, np.ndarray]) -> list[str]:
    return [name for name, each in judge(case, results).items() if each.outside.any()]


def stepped(row: Implementation, rule: Optimizer, arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What an implementation makes of a case.

    Args:
        row: the implementation.
        rule: with its hyperparameters.
        arrays: the parameter, the gradient, the state and the step.

    Raises:
        Unasked: it cannot be told all hyperparameters, or its state cannot be set.
    """
    if rule.inputs():
        raise Unasked("it takes more than a gradient")
    try:
        candidate = resolve(row.candidate(), row.options)
        _check_told(candidate, rule)
        run: Any = candidate.start(rule, [arrays["p"]])
    except CandidateError as error:
        raise Unasked(str(error)) from None
    t, g = int(arrays["t"]), arrays["g"]
    for _ in range(t - 1):
        run.step([g.copy()])
    if t > 1:
        put(run, {n: arrays[n] for n in ("p", *rule.slots())})
    run.step([g.copy()])
    seen = run.observe()
    state = {n: np.array(v) for n, v in seen.state[0].items() if n in rule.slots() and not rule.slots()[n].scalar}
    return {**{n: v.reshape(rule.slots()[n].shape(g.shape)) for n, v in state.items()}, "p": np.array(seen.params[0])}


def _check_told(candidate: Any, rule: Optimizer) -> None:
    """Whatever the case has otherwise than an implementation's default can be told."""
    told = candidate.takes(rule)
    missing = [n for n, v in rule.numbers().items() if n not in told and v != type(rule)().numbers()[n]]
    if missing:
        raise Unasked(f"it is not told {', '.join(missing)}")


def put(run: Any, values: Mapping[str, Any]) -> None:
    """Overwrite the parameter and the state of a run.

    Args:
        run: of torch, whose arrays are written, or of optax, whose trees are made anew.
        values: by slot, and ``p``.
    """
    seen = run.observe()
    found = {**seen.state[0], "p": seen.params[0]}
    missing = [n for n in values if n not in found]
    if missing:
        raise Unasked(f"its state has no {', '.join(missing)}")
    if type(run).__name__ == "TorchRun":
        for name, value in values.items():
            if isinstance(found[name], float):
                raise Unasked(f"its {name} is a number")
            found[name][...] = np.reshape(value, found[name].shape)
        return
    _put_trees(run, values, seen)


def _put_trees(run: Any, values: Mapping[str, Any], seen: Any) -> None:
    import jax
    import jax.numpy as jnp

    from refgrad.candidates.names import slot_names
    from refgrad.candidates.optax_transform import _fields, entries

    ((label, _),) = run._groups
    fields = _fields(run._state, label)
    slots = slot_names(run._scalar_names, run._stated, fields, run._name)
    new = {id(entries(fields[key])[0]): values[slot] for slot, key in slots.items() if slot in values}
    new |= {id(leaf): values["p"] for leaf in jax.tree.leaves(run._params)}

    def changed(leaf: Any) -> Any:
        return jnp.asarray(new[id(leaf)], leaf.dtype).reshape(leaf.shape) if id(leaf) in new else leaf

    run._params, run._state = jax.tree.map(changed, run._params), jax.tree.map(changed, run._state)
