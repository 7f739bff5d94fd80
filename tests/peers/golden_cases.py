"""refgrad's golden files run through torch and optax: each case's state is put into the implementation, which takes one step."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import refgrad
from refgrad.candidates.resolve import load, resolve
from refgrad.errors import CandidateError
from refgrad.golden import reading
from refgrad.golden.case import Case, judge
from refgrad.golden.making import built
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.sets import OutputSet
from refgrad.surveys.implementations import Implementation, known

FOLDER = Path(__file__).parents[2] / "golden" / "smoke"
#: rules whose decay, which has no name, is decoupled
DECOUPLED = ("ADOPT", "SignDescent")
#: of torch's forms the one that others are held against elsewhere
FORMS = ("", "for-loop")


class Unasked(Exception):
    """A case that an implementation cannot be put into."""


class Untold(Unasked):
    """A case of a setting that an implementation is not told: others may be put into it."""


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
        texts = ["", *choices(row)] if len(choices(row)) == 1 else [""]
        for text in texts:
            numbers = tuple(
                i for i, each in enumerate(records) if each["variant"] == text and each["dtype"] == "float32"
            )
            found = Asked(row, text, numbers)
            if numbers and found.name not in seen:
                seen.add(found.name)
                yield found


def choices(row: Implementation) -> tuple[str, ...]:
    """The named behaviours in which an implementation is known to be otherwise than its rule by default, as ``field=value``."""
    usual = type(row.claim)().hyperparameters()
    found = {n: v for n, v in row.rule.hyperparameters().items() if isinstance(v, str | bool) and v != usual[n]}
    return tuple(f"{n}={v}" for n, v in found.items() if n != "scalars" and n not in row.options)


def differing(one: Asked, flags: tuple[str, ...] = ()) -> str:
    """The outputs that some case refuses, "" if none does.

    Args:
        one: the implementation and the cases.
        flags: what is otherwise, as ``field=value`` of the rule or of the policy: judged by the sets of that on the same
            arrays, and not by those of the file.

    Raises:
        Unasked: a case cannot be put into the implementation, or of all it is not told a setting.
    """
    file, outside, why = reading.read(FOLDER, type(one.row.claim).__name__), set[str](), list[str]()
    for number in one.numbers:
        record = file.document["cases"][number]
        rule: Any = built(type(one.row.claim).__name__, record["hyperparameters"])
        values = {n: float.fromhex(v) for n, v in record["numbers"].items()}
        arrays: dict[str, Any] = {n: file.array(number, "in", n) for n in record["inputs"]}
        arrays |= {n: int(v) if n == "t" else v for n, v in values.items()}
        case = _of_file(file, number, rule)
        try:
            results = stepped(one.row, rule, arrays)
        except Untold as error:
            why.append(str(error))
            continue
        if flags:
            other, words = _flagged(rule, flags)
            policy = Policy.of(words).opened() if case.nan_open else Policy.of(words)
            found = refgrad.sets(other, arrays, policy=policy)
            case = dataclasses.replace(case, sets={n: each for n, each in found.items() if n in case.sets})
        outside |= {n for n, each in judge(case, results).items() if each.outside.any()}
    if len(why) == len(one.numbers):
        raise Unasked(why[0])
    return f"{', '.join(sorted(outside))} outside" if outside else ""


def _flagged(rule: Optimizer, flags: tuple[str, ...]) -> tuple[Optimizer, dict[str, Any]]:
    """The rule with the named behaviours, and the policy with its fields."""
    words: dict[str, Any] = dict(text.split("=") for text in flags)
    own = {n: _value(getattr(rule, n), words.pop(n)) for n in list(words) if n in rule.hyperparameters()}
    return rule.replace(**own), words


def _value(like: Any, text: str) -> Any:
    return text == "True" if isinstance(like, bool) else type(like)(text)


def _of_file(file: reading.File, number: int, rule: Optimizer) -> Case:
    """A case as a reader has it: of the file alone."""
    record, found = file.document["cases"][number], {}
    for each in record["outputs"]:
        name = each["name"]
        ways = file.array(number, "set", name).astype(np.float64)
        wide = file.array(number, "wide", name).astype(np.float64) if each["wide"] else None
        given = any(name in other["given"] for other in record["outputs"])
        found[name] = OutputSet(
            low=ways[0, 0],
            high=ways[0, 1],
            open=np.zeros(ways.shape[2:], bool),
            admissible=tuple((low, high) for low, high in ways),
            truth=ways[0, 0],
            exact=None,
            given=tuple(each["given"]),
            wide=None if wide is None else (wide[0], wide[1]),
            reference=file.array(number, "reference", name) if given else ways[0, 0],
        )
    told = record["policy"]
    return Case(
        rule,
        record["family"],
        record["dtype"],
        {},
        {},
        found,
        record["whole"],
        "decisions_on_nan" in told,
        "nan" in told,
    )


def stepped(row: Implementation, rule: Optimizer, arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What an implementation makes of a case.

    Args:
        row: the implementation.
        rule: with its hyperparameters.
        arrays: the parameter, the gradient, the state and the step.

    Raises:
        Untold: it is not told a hyperparameter that is another than its default.
        Unasked: its state cannot be set, or it takes more than a gradient.
    """
    if rule.inputs():
        raise Unasked("it takes more than a gradient")
    try:
        candidate = candidate_of(row, rule)
        _check_told(candidate, rule)
        run: Any = candidate.start(rule, [arrays["p"]])
    except CandidateError as error:
        raise Unasked(str(error)) from None
    t, g = int(arrays["t"]), arrays["g"]
    for _ in range(t - 1):
        run.step([g.copy()])
    with (
        contextlib.nullcontext() if t > 1 else contextlib.suppress(Unasked)
    ):  # before the first step torch has no state
        put(run, {n: arrays[n] for n in ("p", *rule.slots())})
    run.step([g.copy()])
    seen = run.observe()
    state = {n: np.array(v) for n, v in seen.state[0].items() if n in rule.slots() and not rule.slots()[n].scalar}
    return {**{n: v.reshape(rule.slots()[n].shape(g.shape)) for n, v in state.items()}, "p": np.array(seen.params[0])}


def candidate_of(row: Implementation, rule: Optimizer) -> Any:
    """The implementation; a function of optax without a decay is given one as optax's users do, before it."""
    settings, without = rule.hyperparameters(), type(rule).__name__ in DECOUPLED
    coupled = not without and settings.get("weight_decay") and settings.get("decay", "coupled") == "coupled"
    found = resolve(row.candidate(), row.options)
    return found if row.package != "optax" or not coupled or found.takes(rule) & {"weight_decay"} else _decayed(row)


def _decayed(row: Implementation) -> Any:
    """A function of optax whose transformation follows `optax.add_decayed_weights`."""
    import optax

    function = load(row.target)

    def made(weight_decay: float, **told: Any) -> Any:
        return optax.chain(optax.add_decayed_weights(weight_decay), function(**told))

    own = inspect.signature(function)
    decay = inspect.Parameter("weight_decay", inspect.Parameter.KEYWORD_ONLY)
    made.__signature__ = own.replace(parameters=[*own.parameters.values(), decay])  # type: ignore[attr-defined]
    return resolve(made, row.options)


def _check_told(candidate: Any, rule: Optimizer) -> None:
    """Whatever the case has otherwise than an implementation's default can be told."""
    told = candidate.takes(rule)
    missing = [n for n, v in rule.numbers().items() if n not in told and v != type(rule)().numbers()[n]]
    if missing:
        raise Untold(f"it is not told {', '.join(missing)}")


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
