"""Which arrays of files are which parameter's, and what they are of it: the parameter, its gradient, a slot of the state.

Names are read as rows of words, whatever stands between them: ``opt_state/0/mu/dense/kernel`` and ``[0].mu['dense']['kernel']``
are alike. A row that has a slot's name before or after a parameter's is that slot of it. What the optimizer's ``state_dict()`` of
torch numbers is told by the names that it has, by an order that is stated, or by that of the model in the same format.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from refgrad import whole_file
from refgrad.arguments import by_name
from refgrad.audits.record_files import GROUPS
from refgrad.audits.stored import Contents, RecordError, Stored
from refgrad.candidates.names import SLOTS
from refgrad.errors import ArgumentError, bad_argument, nearest
from refgrad.float_environment import in_standard
from refgrad.optimizers.base import Optimizer

Words = tuple[str, ...]
#: words before a parameter's name that are no part of it, and one after it
GRADS = ("grads", "grad", "gradients")
AROUND = frozenset(
    [
        "params",
        "param",
        "parameters",
        "model_params",
        "model",
        "module",
        "state_dict",
        "model_state_dict",
        "_orig_mod",
        *GRADS,
    ]
)
AFTER = frozenset(("grad",))
#: what the count of steps is called, and a copy in float32 that is stepped
STEPS = ("step", "count", "t", "steps", "state_step")
MASTER = ("fp32_params", "fp32_param", "master_params", "master_param", "master_weight", "master_weights", "fp32")
#: the word that stands before a parameter's name where a flattened state has its hyperparameters
FLAT_GROUPS = "param_groups"
#: bytes of a file of names
LARGEST = 1 << 26
#: where a state keeps hyperparameters that are injected
INJECTED = "hyperparams"


def words(name: str) -> Words:
    """The words of a name.

    >>> words("[0].mu['dense']['kernel']"), words("opt_state/0/mu/dense.kernel")
    (('0', 'mu', 'dense', 'kernel'), ('opt_state', '0', 'mu', 'dense', 'kernel'))
    """
    return tuple(re.findall(r"[^./\[\]'\"]+", name)) or (name,)


def bare(row: Words) -> Words:
    """A row without what stands around a parameter's name."""
    while len(row) > 1 and row[0] in AROUND:
        row = row[1:]
    return row[:-1] if len(row) > 1 and row[-1] in AFTER else row


@dataclass(frozen=True)
class Names:
    """What a file of names says (``--map``).

    Attributes:
        order: the parameters in the order in which the optimizer numbers them.
        names: a name in a file -> the parameter's.
        state: a slot of the rule -> what the state calls it.
        groups: what some parameters have otherwise: patterns of names, and hyperparameters.
    """

    order: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    state: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[tuple[tuple[str, ...], Mapping[str, Any]], ...] = ()

    @classmethod
    def of(cls, given: Any, rule: Optimizer) -> Names:
        """Names from a dict, the path of a TOML file of one, or None.

        Raises:
            ArgumentError: it is none, or says what is not legal.
        """
        if given is None:
            return cls()
        found = given if isinstance(given, Mapping) else _toml(given)
        by_name("map", found, "{'order': ['w', 'b']}")
        unknown = [name for name in found if name not in ("order", "names", "state", "groups")]
        if unknown:
            raise bad_argument(f"map[{unknown[0]!r}]", found[unknown[0]], "order, names, state or groups")
        order, names, state = found.get("order", []), found.get("names", {}), found.get("state", {})
        if isinstance(order, str) or not isinstance(order, Sequence) or not all(isinstance(n, str) for n in order):
            raise bad_argument("map['order']", order, "a list of parameters' names")
        for what, table in (("names", names), ("state", state)):
            if not isinstance(table, Mapping) or not all(isinstance(n, str) for n in table.values()):
                raise bad_argument(f"map[{what!r}]", table, "names by name")
        for slot in state:
            if slot not in slots_of(rule):
                raise ArgumentError(
                    f"map['state'] has {slot!r}{nearest(slot, slots_of(rule))}; legal: {', '.join(slots_of(rule))}"
                )
        return cls(tuple(order), dict(names), dict(state), tuple(map(_group, found.get("groups", []))))

    def told(self, name: str) -> Mapping[str, Any]:
        """What the file says of a parameter's hyperparameters."""
        found: dict[str, Any] = {}
        for patterns, values in self.groups:
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
                found |= values
        return found


def check_used(names: Names, contents: Sequence[Contents], params: Iterable[str]) -> None:
    """Refuse a map that says something of what is not there, which would else be ignored without a word.

    Args:
        names: what the map says.
        contents: of all files.
        params: the parameters that were found.

    Raises:
        ArgumentError: a name or a pattern of it fits nothing; it is named.
    """
    groups = [group for each in contents for optimizer in each.optimizers for group in optimizer["param_groups"]]
    called = {str(n) for group in groups for key in ("params", "param_names") for n in group.get(key, ())}
    kept = [state for each in contents for optimizer in each.optimizers for state in optimizer["state"].values()]
    keys = {key for each in contents for key in (*each.arrays, *each.numbers)} | called | {*names.order}
    params = set(params)
    short = {".".join(bare(words(name))) for name in params}
    spoken = {word for key in keys for word in words(key)} | {word for state in kept for word in state}
    for key in names.names:
        _there(f"map['names'] has {key!r}, which no file has", key in keys, key, keys)
    for slot, word in names.state.items():
        _there(f"map['state'] says {slot} = {word!r}, which no state has", word in spoken, word, spoken)
    for name in names.order:
        known = name in params or ".".join(bare(words(names.names.get(name, name)))) in short
        _there(f"map['order'] has {name!r}, which is no parameter", known, name, params)
    for pattern in (each for patterns, _ in names.groups for each in patterns):
        fits = any(fnmatch.fnmatchcase(name, pattern) for name in params)
        _there(f"map['groups'] has the pattern {pattern!r}, which fits no parameter", fits, pattern, params)


def _there(sentence: str, there: bool, word: str, known: Iterable[str]) -> None:
    if not there:
        some = sorted(known)
        legal = ", ".join(some[:8]) + (f" and {len(some) - 8} others" if len(some) > 8 else "")
        raise ArgumentError(f"{sentence}{nearest(word, some)}; legal: {legal}")


@in_standard  # Python reads decimals as the processor rounds
def _toml(path: Any) -> Mapping[str, Any]:
    try:
        return tomllib.loads(whole_file.read(os.fspath(path), LARGEST).decode())
    except FileNotFoundError:
        raise ArgumentError(
            f"map is {str(path)!r}, which is not there; legal: a file in TOML, as docs/audit.md has it"
        ) from None
    except (OSError, TypeError, ValueError, RecursionError) as error:
        raise ArgumentError(
            f"map is {str(path)!r}: {str(error)[:200]}; legal: a file in TOML, as docs/audit.md has it"
        ) from None


def _group(given: Any) -> tuple[tuple[str, ...], Mapping[str, Any]]:
    patterns = given.get("parameters") if isinstance(given, Mapping) else None
    if not isinstance(patterns, list) or not all(isinstance(each, str) for each in patterns):
        raise bad_argument(
            "map['groups']", given, "tables of parameters, a list of patterns such as '*.bias', and hyperparameters"
        )
    return tuple(patterns), {n: v for n, v in given.items() if n != "parameters"}


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What stands at one moment, by the names of parameters.

    Attributes:
        params: the parameters.
        state: of each what is kept of it: arrays, and numbers.
        steps: how many steps each has taken, where that is kept.
        groups: the hyperparameters of each that are kept beside the state, by the optimizer's own names.
        injected: those that optax' `inject_hyperparams` keeps, of all parameters.
        unread: names of arrays that are no parameter's.
    """

    params: Mapping[str, Stored]
    state: Mapping[str, Mapping[str, Any]]
    steps: Mapping[str, int]
    groups: Mapping[str, Mapping[str, Any]]
    unread: tuple[str, ...] = ()
    injected: Mapping[str, float] = field(default_factory=dict)


def group_of(name: str, before: Checkpoint, after: Checkpoint) -> dict[str, Any]:
    """The hyperparameters that a parameter's step was taken with, by the optimizer's own names.

    torch steps with what its groups say before the step, and a schedule changes them after it. `optax.inject_hyperparams`
    works out the rate of a schedule within the step, and keeps it after: before the step stands the rate of the step before.
    """
    groups = {**after.groups.get(name, {}), **before.groups.get(name, {})}
    return {**before.injected, **after.injected, **groups}


def arrays_by_name(contents: Contents, names: Names) -> dict[str, Stored]:
    """Arrays of a file that has one for each parameter and nothing else, such as one of gradients."""
    return {name: contents.arrays[key] for name, key in _bare_names(contents.arrays, names).items()}


def checkpoint(contents: Contents, rule: Optimizer, names: Names, known: Iterable[str] = ()) -> Checkpoint:
    """What files hold, by the names of parameters.

    Args:
        contents: of all files of the moment.
        rule: whose slots they have.
        names: what is stated of names.
        known: parameters that there are, such as those that have a gradient.

    Raises:
        RecordError: it cannot be told which array is what.
    """
    spoken = _bare_names([key for key in contents.arrays if FLAT_GROUPS not in words(key)], names)
    slots = _words_of_slots(rule, names)
    rows = {**{words(name): name for name in spoken}, **{words(name): name for name in known}}
    params, state, unread = dict[str, Stored](), dict[str, dict[str, Any]](), list[str]()
    for name, key in spoken.items():
        place = None if name in set(known) else _slot_of(words(names.names.get(key, key)), slots, rows)
        if place is None:
            params[name] = contents.arrays[key]
        elif place[0] is not None:
            _put(state.setdefault(place[0], {}), place[1], contents.arrays[key], place[0])
        else:
            unread.append(key)
    found_groups = {**_of_metadata(contents.metadata), **_of_flat_groups(contents, rows)}
    kept = {name for name in params if name in state or name in set(known)}
    found = Checkpoint(params, state, {}, found_groups, tuple(unread))
    for optimizer in contents.optimizers:
        found = _with_optimizer(found, optimizer, contents.ordered, names, slots, tuple(kept or known))
    return _with_counts(found, contents, rule, slots, rows)


def _put(state: dict[str, Any], slot: str, value: Any, name: str) -> None:
    """Add a slot to the state of a parameter, which has it once; counts of steps may be there twice where they are one number."""
    if slot in state and not (slot == "step" and _count(state[slot]) == _count(value)):
        raise RecordError(f"the state of {name!r} has its {slot} twice, under two names; legal: once, or --map")
    state[slot] = value


def _of_metadata(metadata: Mapping[str, str]) -> dict[str, Mapping[str, Any]]:
    """The hyperparameters of each parameter, as `refgrad.record` writes those of groups."""
    try:
        groups = json.loads(metadata.get(GROUPS, "[]"))
        return {
            ".".join(bare(words(name))): {**{n: v for n, v in group.items() if n != "parameters"}, "group": number}
            for number, group in enumerate(groups)
            for name in group["parameters"]
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise RecordError(f"{GROUPS} in the metadata of a file is not what refgrad.record writes") from None


def _of_flat_groups(contents: Contents, rows: Mapping[Words, str]) -> dict[str, Mapping[str, Any]]:
    """The hyperparameters of each parameter as a flattened state has them, ``param_groups.<parameter>.lr``."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in {**contents.arrays, **contents.numbers}.items():
        row = words(key)
        rest = row[row.index(FLAT_GROUPS) + 1 :] if FLAT_GROUPS in row else ()
        ends = [i for i in range(1, len(rest)) if bare(rest[:i]) in rows]
        number = _number(value) if isinstance(value, Stored) else value
        if not ends or number is None:
            continue
        group, word = found.setdefault(rows[bare(rest[: ends[-1]])], {}), rest[ends[-1] :]
        if len(word) == 1:
            group[word[0]] = number
        elif len(word) == 2 and word[1].isdecimal():  # one of several, such as betas
            group[word[0]] = [*group.get(word[0], ()), number]
    different: list[dict[str, Any]] = []
    for group in found.values():
        if group not in different:
            different.append(dict(group))
    return {name: {**group, "group": different.index(group)} for name, group in found.items()}


def _bare_names(keys: Iterable[str], names: Names) -> dict[str, str]:
    """By the name of what it is of, without what stands around it, each key of a file; a stated name is taken as it is."""
    keys = list(keys)
    short = [names.names.get(key) or ".".join(bare(words(key))) for key in keys]
    if len(set(short)) < len(short):
        short = [names.names.get(key, ".".join(words(key))) for key in keys]
    found = dict[str, str]()
    for name, key in zip(short, keys, strict=True):
        if found.setdefault(name, key) != key:
            raise RecordError(f"{found[name]!r} and {key!r} are both {name!r}; legal: names that differ, or --map")
    return found


def slots_of(rule: Optimizer) -> tuple[str, ...]:
    """The slots that a rule has, or may have at the hyperparameters of a group."""
    return tuple(dict.fromkeys([*rule.slots(), *rule.state, *rule.told().state]))


def _words_of_slots(rule: Optimizer, names: Names) -> dict[str, str]:
    """What a state may call a slot -> the slot; what is stated stands for no other."""
    found: dict[str, str] = {}
    for slot in slots_of(rule):
        more = (names.state[slot],) if slot in names.state else (slot, *SLOTS.get(slot, ()))
        for word in (*more, *(MASTER if slot == "master" and slot not in names.state else ())):
            if word == slot or word not in slots_of(rule):
                found.setdefault(word, slot)
    return found


def _slot_of(row: Words, slots: Mapping[str, str], rows: Mapping[Words, str]) -> tuple[str | None, str] | None:
    """The parameter and the slot that a row is of, or None if it is no slot's; without a parameter it is a count or the like."""
    for i, word in enumerate(row):
        if word not in slots and word not in STEPS:
            continue
        slot = slots.get(word, "step")
        before, after = row[:i], row[i + 1 :]
        if after:
            name = rows.get(bare(after))
            if name is not None and i + len(after) > 0 and row != words(name):
                return name, slot
        else:
            for j in range(len(before)):
                name = rows.get(bare(before[j:]))
                if name is not None:
                    return name, slot
            if slot == "step" or INJECTED in before:
                return None, slot
    return (None, row[-1]) if INJECTED in row else None


def _with_optimizer(
    found: Checkpoint,
    optimizer: Mapping[str, Any],
    ordered: bool,
    names: Names,
    slots: Mapping[str, str],
    kept: tuple[str, ...],
) -> Checkpoint:
    """A checkpoint with the state of a torch optimizer, which numbers its parameters or has their names."""
    numbered = _numbered(found, optimizer, ordered, names, kept)
    state, groups = {n: dict(each) for n, each in found.state.items()}, dict(found.groups)
    for number, group in enumerate(optimizer["param_groups"]):
        for key in group.get("params", ()):
            groups[numbered(key)] = {
                **{n: v for n, v in group.items() if n not in ("params", "param_names")},
                "group": number,
            }
    called = dict[str, Any]()
    for key, each in optimizer["state"].items():
        name = numbered(key)
        if called.setdefault(name, key) != key:
            raise RecordError(f"the optimizer has two states of {name!r}, as {called[name]!r} and {key!r}; legal: one")
        own = state.setdefault(name, {})
        for word, value in each.items():
            slot = "step" if word in STEPS and word not in slots else slots.get(word)
            if slot is not None:
                _put(own, slot, value, name)
    return replace(found, state=state, groups=groups)


def _numbered(
    found: Checkpoint, optimizer: Mapping[str, Any], ordered: bool, names: Names, kept: tuple[str, ...]
) -> Any:
    """From what an optimizer calls a parameter to the parameter's name."""
    keys = [key for group in optimizer["param_groups"] for key in group.get("params", ())]
    stated = [name for group in optimizer["param_groups"] for name in group.get("param_names", ())]
    if len(stated) != len(keys):
        stated = list(names.order)
    if all(isinstance(key, str) for key in keys):
        stated = [str(key) for key in keys]
    if not stated:
        stated = _by_order(found, keys, optimizer, ordered, kept)
    if len(stated) != len(keys):
        raise RecordError(
            f"the optimizer has {len(keys)} parameters, and {len(stated)} names are known; legal: --map with their order"
        )
    short = {".".join(bare(words(n))): n for n in found.params}
    called = dict(zip(keys, stated, strict=True))

    def name(key: Any) -> str:
        own = called.get(key, key if isinstance(key, str) else None)
        if own is None:
            raise RecordError(f"the optimizer has a state of {key!r}, which is in none of its groups")
        plain = names.names.get(own, own)
        return plain if plain in found.params else short.get(".".join(bare(words(plain))), plain)

    return name


def _by_order(
    found: Checkpoint, keys: Sequence[Any], optimizer: Mapping[str, Any], ordered: bool, kept: tuple[str, ...]
) -> list[str]:
    """The names of numbered parameters by the order of the model in the same file, if every shape fits."""
    several = sum(bool(group.get("params")) for group in optimizer["param_groups"]) > 1
    order = [n for n in found.params if n in kept] if kept else list(found.params)
    legal = "--map with order = [...], or a state that has param_names (torch from 2.6 on: named_parameters())"
    if not ordered or several:
        why = "several groups" if several else "files whose arrays are not in the model's order"
        raise RecordError(f"the optimizer numbers its parameters, and {why} do not tell which is which; legal: {legal}")
    if len(order) != len(keys):
        raise RecordError(f"the optimizer numbers {len(keys)} parameters, and there are {len(order)}; legal: {legal}")
    numbers = sorted(keys) if all(isinstance(k, int) for k in keys) else list(keys)
    by_key = dict(zip(numbers, order, strict=True))
    for key, name in by_key.items():
        for word, value in optimizer["state"].get(key, {}).items():
            shape = getattr(value, "shape", ())
            if word in ("exp_avg", "exp_avg_sq", "momentum_buffer") and shape and shape != found.params[name].shape:
                raise RecordError(
                    f"state {key} has {word} of shape {shape}, and {name} is {found.params[name].shape}; legal: {legal}"
                )
    return [by_key[key] for key in keys]


def _with_counts(
    found: Checkpoint, contents: Contents, rule: Optimizer, slots: Mapping[str, str], rows: Mapping[Words, str]
) -> Checkpoint:
    """A checkpoint with its counts of steps, of each parameter or of all, and with injected hyperparameters."""
    numbers = {**contents.numbers, **{k: contents.arrays[k] for k in found.unread}}
    counts = {
        c
        for k, v in numbers.items()
        if words(k)[-1] in STEPS and INJECTED not in words(k) and (c := _count(v)) is not None
    }
    injected = {words(k)[-1]: n for k, v in numbers.items() if INJECTED in words(k) and (n := _number(v)) is not None}
    common = counts.pop() if len(counts) == 1 else None
    steps, state = dict[str, int](), dict[str, dict[str, Any]]()
    for name in found.params:
        own = dict(found.state.get(name, {}))
        count = _count(own.pop("step", None)) if "step" not in slots else None
        count = common if count is None else count
        steps |= {} if count is None else {name: count}
        if own:
            state[name] = own
    return replace(found, steps=steps, state=state, injected=injected)


def _number(value: Any) -> float | None:
    if isinstance(value, Stored):
        return float(value.read()[0]) if value.size == 1 else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _count(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number == int(number) and number >= 0 else None
