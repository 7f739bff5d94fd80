"""`sets`: the numbers that a right implementation may give for arrays of one's own, and the truth that they lie about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from refgrad.arguments import by_name, number
from refgrad.arithmetic import exact
from refgrad.arithmetic.arrays import plain_array
from refgrad.arithmetic.dtypes import whole_numbers
from refgrad.arithmetic.function_arguments import Entries, Of
from refgrad.candidates.eight_bit import flat
from refgrad.candidates.protocol import Observation
from refgrad.errors import ArgumentError, bad_argument, nearest
from refgrad.float_environment import in_standard
from refgrad.kinds.kind import Kind
from refgrad.kinds.record import Record, Wanted
from refgrad.kinds.table import kind_of, rule_of
from refgrad.legal import Whole
from refgrad.oracle.acceptance.explicit_sets import Ends, Way, on_grid
from refgrad.oracle.acceptance.findings import Output
from refgrad.oracle.acceptance.judgement import OUTSIDE, UNDECIDED
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.inputs.cases import Cases
from refgrad.quantizers import Quantized
from refgrad.rule import Rule

#: the step that is asked about
STEP = Whole(1, 1_000_000)
#: decimal digits in which the truth is computed
DIGITS = 60
#: codes to either side that are tried where a decision is open
NEIGHBOURS = 2


@dataclass(frozen=True, eq=False)
class OutputSet:
    """What is acceptable of one output; all arrays have its shape.

    Attributes:
        low, high: the ends of the acceptance set, float64, on the grid of the output's dtype: what lies between is right. Both
            are NaN where the result must be NaN, and infinite where it must be that infinity (or NaN).
        open: True where a decision (a rounding, a sign, a comparison) may go another way; `admissible` has the sets then.
        admissible: for each way through the decisions the ends of the set, as ``(low, high)``; more than one only where
            something is open. One way must explain all outputs of an element.
        truth: the exact result rounded to odd in float64, which rounds on to any narrower format as the exact result does.
        exact: the exact result, mpmath numbers; None where the rule has no exact path, and `truth` is the centre of the set.
        given: the outputs that this one is conditioned on: those before it, and whichever it is computed from; it is one of
            them where it is not unique (a basis of eigenvectors), so that the set is that of the one which was seen alone.
        wide: the ends where nothing is given, so that whatever is right before it is; None where they are not known.
        reference: what was conditioned on, or else what refgrad's own program gives.
    """

    low: np.ndarray
    high: np.ndarray
    open: np.ndarray
    admissible: tuple[Ends, ...]
    truth: np.ndarray
    exact: np.ndarray | None
    given: tuple[str, ...]
    wide: Ends | None
    reference: np.ndarray

    @in_standard
    def contains(self, values: Any) -> np.ndarray:
        """Which numbers are acceptable by themselves.

        Args:
            values: numbers shaped like the output.

        Returns:
            Booleans of that shape.

        Raises:
            ArgumentError: they are no numbers, or have another shape.
        """
        values = Entries().check("values", _array("values", values)).astype(np.float64)
        shape = np.shape(self.truth)
        if values.shape != shape and shape:  # one set for many numbers is asked of each
            raise bad_argument("values.shape", values.shape, f"{shape}, the output's")
        found = np.zeros(values.shape, bool)
        for low, high in self.admissible:
            special = ~np.isfinite(low) & ((low == high) | np.isnan(low))
            found |= np.where(special, (values == low) | np.isnan(values), (values >= low) & (values <= high))
        return found


@in_standard
def sets(
    rule: Rule | type[Rule],
    arrays: Mapping[str, Any],
    *,
    policy: Policy | Mapping[str, Any] | None = None,
    given: Mapping[str, Any] | None = None,
) -> dict[str, OutputSet]:
    """The acceptance set of every output of a rule on arrays of one's own, as `refgrad.verify` judges by.

    An output is conditioned on those that come before it: the parameter on the new state, and a parameter's gradient, which is
    a sum over elements, on the value and the gradient that show which way each element went. By default these are refgrad's
    own; ``given`` has those of an implementation, whose parameter is then judged given its own state.

    Args:
        rule: a rule, or its class.
        arrays: what the rule takes, by its names, as NumPy arrays of one float dtype. Of an optimizer ``p`` and ``g``; slots of
            the state before the step, by default those before the first step; extra inputs; and ``t``, the step counted from 1
            (by default 1). Of an optimizer with 8-bit state ``p`` and ``g`` of its first step.
        policy: what counts as correct: a `Policy`, a dict of its fields, or None for the usual one.
        given: outputs of an implementation, by name, to condition on.

    Returns:
        Output name -> `OutputSet`, in conditioning order. Of arrays without elements the sets have none either. Where the
        result is NaN, as of a state that no steps lead to (a negative second moment under a root), the ends are NaN.

    Raises:
        ArgumentError: an array is missing or unknown, or the rule does not take them.

    >>> import numpy as np
    >>> from refgrad.optimizers import AdamW
    >>> found = sets(AdamW(lr=0.1), {"p": np.float32([1.0]), "g": np.float32([0.5])})
    >>> list(found), [float(found["p"].low[0]).hex(), float(found["p"].high[0]).hex()], found["p"].given
    (['v', 'm', 'p'], ['0x1.cc49ae0000000p-1', '0x1.cc49c60000000p-1'], ('v', 'm'))
    >>> found["p"].contains(np.float32([0.899])), found["p"].contains(np.float32([0.9]))
    (array([ True]), array([False]))
    """
    rule = rule_of(rule)
    policy = Policy.of(policy).checked(rule)
    by_name("arrays", arrays, "{'p': parameter, 'g': gradient}")
    if given is not None:
        by_name("given", given, "{'v': what was seen}")
    kind = kind_of(rule)
    record = _record_under(policy, rule, arrays, given)
    last = record.steps if kind.stepped else 1
    outputs = [each for each in kind.outputs(record, [rule], Wanted(policy)) if each.step == last]
    seen = {each.tensor: each for each in outputs}
    ways, free = (kind.ways(rule, record, policy, given) for given in (seen, ()))
    truths, as_seen = kind.exactly(rule, record, DIGITS), kind.judged_as_seen(rule, record)
    others = kind.computed_from(rule, record)
    found: dict[str, OutputSet] = {}
    for output in outputs:
        name = output.tensor
        before = _before(kind, rule, name, tuple(found), ways, free)
        before += tuple(n for n in seen if n in others.get(name, ()) and n not in before)
        each = _set(kind, rule, record, output, ways, truths.get(name), before, policy)
        wide = _hull([way.sets[name] for way in free if name in way.sets])
        found[name] = _conditioned(each, wide) if name not in as_seen else replace(each, given=(name,))
    return found | {n: _empty(a) for n, a in _shown(kind, record).items() if n not in found and not np.size(a)}


def _record_under(policy: Policy, rule: Rule, arrays: Mapping[str, Any], given: Mapping[str, Any] | None) -> Record:
    """The record of `record_of`, with results in the dtype that a policy says, as they are of arrays of that dtype."""
    record = record_of(rule, arrays, given)
    if policy.result == "own":
        return record
    wide = {
        n: a if whole_numbers(a) else a.astype(policy.results_in(a.dtype)) for n, a in record.cases.arrays[0].items()
    }
    return replace(record, seen=record_of(rule, wide, given).seen)


def _shown(kind: Kind, record: Record) -> dict[str, Any]:
    """The outputs of the last step or case, those too of which nothing is judged."""
    last = record.seen[-1]
    return {**last.state[0], "p": last.params[0]} if kind.stepped else dict(last)


def _empty(array: Any) -> OutputSet:
    """The set of an output without elements, of which nothing is judged: of its shape, and given nothing."""
    none, no = np.zeros(np.shape(array)), np.zeros(np.shape(array), bool)
    return OutputSet(none, none, no, ((none, none),), none, none.astype(object), (), (none, none), none)


def _before(
    kind: Kind, rule: Rule, name: str, before: tuple[str, ...], ways: list[Way], free: list[Way]
) -> tuple[str, ...]:
    """The outputs that one is conditioned on: all before it; of a case of elements a sum is on what shows their decisions."""
    if _in_order(kind, rule):
        return before
    if not any(name in way.sets for way in free) or any(name in way.sets for way in ways):
        return ()
    return tuple(n for n in before if any(n in way.sets for way in ways))


def record_of(rule: Rule, arrays: Mapping[str, Any], given: Mapping[str, Any] | None = None) -> Record:
    """The record of one step or case, as the rule itself answers.

    Args:
        rule, arrays, given: as of `sets`.
    """
    kind = kind_of(rule)
    return _stepped(kind, rule, arrays, given) if kind.stepped else _single(kind, rule, arrays, given)


def own_results(rule: Rule, arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What refgrad's own program gives for arrays as `sets` takes them, each output as it is judged.

    Args:
        rule: the rule.
        arrays: what it takes.
    """
    kind = kind_of(rule)
    if not kind.stepped:
        record = _single(kind, rule, arrays, None)
        if not kind.results_hang_together:  # else they are judged in another shape than they are given in
            return dict(record.seen[-1])
        return {o.tensor: np.asarray(o.values) for o in kind.outputs(record, [rule], Wanted(Policy()))}
    last = _stepped(kind, rule, arrays, None).seen[-1]
    return {**last.state[0], "p": last.params[0]}


def _hull(sets: Sequence[Ends]) -> Ends | None:
    """The least interval that holds every set; None of none."""
    if not sets:
        return None
    return np.minimum.reduce([low for low, _ in sets]), np.maximum.reduce([high for _, high in sets])


def _conditioned(found: OutputSet, wide: Ends | None) -> OutputSet:
    """The set with the ends where nothing is given; on nothing that comes before it where these are its own."""
    if wide is None:
        return found
    own = _hull([pair for pair in found.admissible if np.array_equal(np.isnan(pair[0]), np.isnan(found.low))])
    same = own is not None and all(np.array_equal(a, b, equal_nan=True) for a, b in zip(own, wide, strict=True))
    return replace(found, wide=wide, given=() if same else found.given)


def _set(
    kind: Kind,
    rule: Rule,
    record: Record,
    output: Output,
    ways: list[Way],
    truth: Any,
    before: tuple[str, ...],
    policy: Policy,
) -> OutputSet:
    """One output's set: the ends that it was judged by, and those on other ways."""
    name, judged, grid = output.tensor, output.judged, _grid(output)
    ends = on_grid(judged.low, grid), on_grid(judged.high, grid)
    others = [way.sets[name] for way in ways[1:] if name in way.sets]
    open_ = judged.status == UNDECIDED
    if ways and name in ways[0].sets:
        ends = ways[0].sets[name]
    elif open_.any():
        others = list(_neighbouring(kind, rule, record, output, policy))
    for low, high in others:
        open_ = open_ | (low != ends[0]) & ~np.isnan(low) | (high != ends[1]) & ~np.isnan(high)
    fits = truth is not None and np.shape(truth) == np.shape(judged.truth)
    nan = _nan_besides(output, ends) if policy.nan_open else None
    if nan is not None:
        open_, others = open_ | np.isnan(nan[0]), [*others, nan]
    return OutputSet(
        low=ends[0],
        high=ends[1],
        open=open_,
        admissible=(ends, *others),
        truth=exact.to_odd(truth) if fits else judged.truth.astype(np.float64),
        exact=np.asarray(truth, object) if fits else None,
        given=before,
        wide=None,
        reference=np.asarray(output.values),
    )


def _nan_besides(output: Output, ends: Ends) -> Ends | None:
    """The ends with NaN where the rule gives that and other programs a number, of which the ends tell alone; None if nowhere."""
    nan = np.isnan(np.asarray(output.values, np.float64)) & (output.judged.status != OUTSIDE) & ~np.isnan(ends[0])
    low, high = (np.where(nan, np.nan, end) for end in ends)
    return (low, high) if nan.any() else None


def _grid(output: Output) -> np.dtype:
    """The dtype on whose grid an output lies; float64 of numbers that are kept wider than others of the rule."""
    values = np.asarray(output.values, np.float64)
    on = np.array_equal(on_grid(values, output.unit), values, equal_nan=True)
    return output.unit if on else np.dtype(np.float64)


def _in_order(kind: Kind, rule: Rule) -> bool:
    """True if results are judged given those before them: not of an estimator that chooses nothing, nor of a transform."""
    given = kind.stepped or kind.results_hang_together or kind.name in ("mask", "mask-update")
    return given or bool(getattr(rule, "chosen", ()))


def _neighbouring(kind: Any, rule: Rule, record: Record, output: Output, policy: Policy) -> Iterator[Ends]:
    """Other codes and other choices of a mask that are admissible where a decision is open: tried one by one."""
    case, seen = record.cases.arrays[-1], record.seen[-1]
    stored = seen.get(output.tensor)
    if stored is None or np.asarray(stored).dtype.kind not in "bui":
        return
    for off in range(-NEIGHBOURS, NEIGHBOURS + 1):
        other = ~stored if stored.dtype == bool else (stored.astype(np.int64) + off).astype(stored.dtype)
        if off == 0 or (stored.dtype == bool and off > -NEIGHBOURS):
            continue
        try:
            judged, values = kind.judge(rule, case, {**seen, output.tensor: other}, policy)[output.tensor]
        except (ArgumentError, LookupError):
            continue  # no such code
        right = (judged.status != OUTSIDE) & (output.judged.status == UNDECIDED)
        if right.any():
            yield np.where(right, values, output.judged.low), np.where(right, values, output.judged.high)


def _single(kind: Any, rule: Rule, arrays: Mapping[str, Any], given: Mapping[str, Any] | None) -> Record:
    """The record of one case of a rule without state, as the rule itself answers."""
    cases = kind.checked(rule, Cases([{n: _array(f"arrays[{n!r}]", a) for n, a in arrays.items()}], [""]))
    case = cases.arrays[0]
    subject = kind.resolve(rule, rule, {}, None)
    returned = kind.start(subject, rule, lambda action, what: action())(dict(kind.handed(rule, case)))
    results = dict(kind.results(rule, case, returned, "the rule"))
    seen = {n: np.asarray(value, results[n].dtype) for n, value in _in_place_of(results, given).items()}
    return Record(cases, [rule], [results | seen])


def _stepped(kind: Kind, rule: Any, arrays: Mapping[str, Any], given: Mapping[str, Any] | None) -> Record:
    """The record of one step: the same state before every step up to it, and what came of the last."""
    arrays = dict(arrays)
    t = STEP.check("arrays['t']", arrays.pop("t", 1))
    missing = [n for n in ("p", "g") if n not in arrays]
    if missing:
        raise bad_argument("arrays", sorted(arrays), "p and g, slots of the state, and t from 1")
    p, g = (_array(f"arrays[{name!r}]", arrays.pop(name)) for name in ("p", "g"))
    inner = kind.told(rule)
    plain = inner is rule  # else its state is codes, and no arrays of one's own
    extras = {n: arrays.pop(n) for n in inner.inputs() if n in arrays}
    state = {**rule.init(p), "t": t - 1}
    legal = inner.slots() if plain else {}
    for name, value in arrays.items():
        if name not in legal:
            raise ArgumentError(f"arrays have {name!r}{nearest(name, legal)}; legal: p, g, t, {', '.join(legal)}")
        label = f"arrays[{name!r}]"
        state[name] = number(value, label) if legal[name].scalar else _array(label, value)
    with np.errstate(all="ignore"):
        new, after = rule.step(p, g, state, **({"backend": "numpy", **extras} if plain else {}))
    own = {"p": new, **{n: value for n, value in after.items() if n != "t"}}
    seen = own | _in_place_of(own, given)
    numbers = {n: float(v) for n, v in extras.items() if inner.inputs()[n].scalar}
    step = {"g": g, **{n: np.asarray(v) for n, v in extras.items() if n not in numbers}}
    cases = Cases(
        *([{"p": p}], [""]), steps=[[step]] * t, numbers=[numbers] * t if numbers else (), judged=frozenset({t - 1})
    )
    looks = [Observation([a], [_state(rule, plain, s)]) for a, s in ((p, state), (seen["p"], seen))]
    return Record(cases, [rule], [*[looks[0]] * t, looks[1]])


def _array(name: str, value: Any) -> np.ndarray:
    """Numbers of one's own as NumPy's own array: an array, a number, or lists of numbers within one another."""
    if isinstance(value, bytes | bytearray | memoryview | range):  # which NumPy makes arrays of
        raise bad_argument(name, value, "a NumPy array")
    try:
        return plain_array(np.asanyarray(value), name)
    except ArgumentError:
        raise
    except Exception as error:  # that it is none, or whatever the code of others raises
        raise bad_argument(name, value, "a NumPy array") from error


def _in_place_of(own: Mapping[str, Any], given: Mapping[str, Any] | None) -> dict[str, Any]:
    """What an implementation gave, in the shapes of what refgrad's own program gives.

    Raises:
        ArgumentError: an output that there is none of, what is no numbers of its kind, or as many as it has.
    """
    found: dict[str, Any] = {}
    for name, value in (given or {}).items():
        if name not in own:
            raise ArgumentError(f"given has {name!r}{nearest(name, own)}; legal: {', '.join(own)}")
        mine, label = own[name], f"given[{name!r}]"
        if isinstance(mine, Quantized):
            found[name] = Of(Quantized).check(label, value)
        elif isinstance(mine, np.ndarray | np.generic):
            found[name] = _shaped_like(np.asarray(mine), label, _array(label, value))
        else:
            found[name] = number(value, label)
    return found


def _shaped_like(own: np.ndarray, name: str, array: np.ndarray) -> np.ndarray:
    array = Entries(kinds="iub" if own.dtype.kind in "iub" else "").check(name, array)
    if own.dtype.kind in "iub" and array.dtype.kind not in "iub":
        raise bad_argument(f"{name}.dtype", str(array.dtype), f"whole numbers, such as {own.dtype}")
    if array.size != own.size:
        raise bad_argument(f"{name}.shape", array.shape, f"{own.shape}")
    return array.reshape(own.shape)


def _state(rule: Any, plain: bool, state: Mapping[str, Any]) -> dict[str, Any]:
    """The slots of a state as candidates show them."""
    return {n: state[n] for n in rule.slots()} if plain else dict(flat(rule, state))
