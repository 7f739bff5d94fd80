"""Whether a fault is one: the program beside the right one, on far more than the default run has."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from refgrad.arithmetic.dtypes import as_dtype
from refgrad.errors import ArgumentError
from refgrad.kinds.table import kind_of
from refgrad.optimizers.transform import axes_named
from refgrad.oracle.acceptance.quantized_parts import has_graph
from refgrad.oracle.inputs import estimators, mask_updates, masks, quantizers, scalings, steps, transforms
from refgrad.oracle.inputs.calls import grouped
from refgrad.oracle.inputs.cases import Arrays, Cases
from refgrad.oracle.inputs.lengths import moderate
from refgrad.oracle.inputs.settings import other_setting, other_settings
from refgrad.oracle.inputs.sizes import normal
from refgrad.oracle.inputs.written import of_steps
from refgrad.rule import Rule
from refgrad.strength.situations.fault import Fault
from refgrad.strength.situations.planting import STEPPED
from refgrad.strength.situations.stateless_program import Program
from refgrad.strength.situations.stepped_program import SteppedProgram

#: shapes beside those of the default run
SHAPES = ((70001,), (2053,), (1031, 3), (3, 1031), (67, 131), (5, 7, 67), (2, 3, 5, 7), (1,), (8, 2048))
SMALL = ((37,), (19, 5), (5, 19), (11, 13), (3, 5, 7), (1,))
#: of a rule that takes lengths of axes
LENGTHS = (5, 130, 1031)
#: steps of a long run, the steps before which state is saved, and numbers that are no ordinary ones
LONG, SAVED = 420, frozenset({2, 5})
#: a difference that is no rounding, as a share of the numbers
SHARE = 2.0**-18
SEED = 101

Change = Callable[[np.ndarray], np.ndarray]


def _sprinkled(value: float) -> Change:
    def change(a: np.ndarray) -> np.ndarray:
        return np.where(np.arange(a.size).reshape(a.shape) % 5 == 2, a.dtype.type(value), a)

    return change


def _symmetric(a: np.ndarray) -> np.ndarray:
    """With the largest magnitude of each row at both ends."""
    if not a.ndim or a.shape[-1] < 2:
        return a
    kept, most = a.copy(), np.abs(a).max(axis=-1)
    kept[..., 0], kept[..., -1] = most, -most
    return kept


def _zero_row(a: np.ndarray) -> np.ndarray:
    kept = a.copy()
    kept[:1] = 0
    return kept


VALUES: Mapping[str, Change] = {
    "": lambda a: a,
    "NaN": _sprinkled(np.nan),
    "infinities": _sprinkled(-np.inf),
    "zeros": np.zeros_like,
    "a zero row": lambda a: _zero_row(a) if a.ndim else a,
    "symmetric": _symmetric,
    "large": lambda a: (a * a.dtype.type(2.0**22)).astype(a.dtype),
    "halves": lambda a: (np.rint(a * 2) / 2).astype(a.dtype),
    "by columns": lambda a: np.asfortranarray(a),
}


class Probe:
    """What programs of a rule are run on side by side.

    Attributes:
        rule: the rule.
    """

    def __init__(self, rule: Any) -> None:
        self.rule = rule
        inner = rule.rule if rule.kind == "8-bit-optimizer" else rule
        own = [n for n in inner.reads() if n in inner.legal()]
        self.rules = [inner, *other_settings(inner, own)[:3]]
        self.rules += [r for n in own if (r := other_setting(inner, [n])) is not None]
        self.dtype = as_dtype(rule.kept_in)

    def shows(self, fault: Fault) -> str:
        """Where a fault gives what the right program does not; empty if nowhere.

        Args:
            fault: the fault.
        """
        return self._of_steps(fault) if self.rule.kind in STEPPED else self._of_calls(fault)

    def _rules(self, fault: Fault) -> list[Any]:
        """The settings that a fault is looked for at: others than the defaults where it is one of settings."""
        if fault.claim is not None:
            return [fault.claim]
        return self.rules if fault.situation in ("claim", "default") else self.rules[:1]

    def _of_calls(self, fault: Fault) -> str:
        kind = self.rule.kind
        for number, rule in enumerate(self._rules(fault)):
            wrong, right = Program(kind, fault), Program(kind)
            for name, given in self._cases(rule, VALUES if not number else {"": VALUES[""]}):
                try:
                    own = right(rule, given)
                except (ArgumentError, ArithmeticError, ValueError, IndexError):
                    continue
                if differ(wrong(rule, given), own):
                    return f"{rule}: {name}"
        return ""

    def _cases(self, rule: Any, values: Mapping[str, Change]) -> Iterator[tuple[str, Arrays]]:
        kind = kind_of(rule)
        handed = getattr(kind, "handed", lambda _, arrays: arrays)
        made = [kind.generate(rule, 12, self.dtype, SEED), *_sized(rule, self.dtype)]
        for (name, change), cases in itertools.product(values.items(), made):
            for i, arrays in enumerate(cases.arrays):
                first = arrays[rule.primary]
                if first.size and first.dtype.kind == "f":
                    changed = {**arrays, rule.primary: change(first)}
                    yield f"{cases.name(i)} {name}", handed(rule, changed)

    def _of_steps(self, fault: Fault) -> str:
        eight = self.rule if self.rule.kind == "8-bit-optimizer" else None
        wrong, right = SteppedProgram(fault, eight), SteppedProgram(None, eight)
        for number, rule in enumerate(self._rules(fault)):
            for name, cases in _runs(rule, self.dtype, all_of_them=not number, eight=eight is not None):
                for step, (a, b) in enumerate(
                    zip(_steps(wrong, rule, cases), _steps(right, rule, cases), strict=True), 1
                ):
                    if any(differ(x, y) for x, y in zip(a, b, strict=True)):
                        return f"{rule}: {name}, step {step}"
        return ""


def differ(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """True if results differ by more than rounding.

    Args:
        one, other: results by name.
    """
    return any(n not in one or _differ(np.asarray(one[n]), np.asarray(a)) for n, a in other.items())


def _differ(one: np.ndarray, other: np.ndarray) -> bool:
    if one.shape != other.shape:
        return True
    if other.dtype == bool or other.dtype.kind in "iu":
        return bool((one != other).any())
    a, b = one.astype(np.float64), other.astype(np.float64)
    with np.errstate(all="ignore"):
        far = np.abs(a - b) > SHARE * np.maximum(np.abs(a), np.abs(b))
    either = ~(np.isfinite(a) & np.isfinite(b))
    return bool((np.where(either, ~((a == b) | (np.isnan(a) & np.isnan(b))), far)).any())


def _sized(rule: Any, dtype: np.dtype) -> Iterator[Cases]:
    """Cases of other shapes."""
    if rule.kind == "scaling":
        yield scalings.generate(rule, SEED)
        return
    if rule.kind == "transform":
        for axis in sorted({axis for axes in rule.shapes.values() for axis in axes_named(axes)}):
            for n in LENGTHS:
                yield from _transform(rule, dtype, {axis: n})
        return
    make: Mapping[str, Callable[[Sequence[tuple[int, ...]]], Cases | None]] = {
        "estimator": lambda wanted: estimators.sizes(rule, dtype, SEED, wanted),
        "quantizer": lambda wanted: quantizers.sizes(rule, dtype, SEED, True, wanted),
        "mask": lambda wanted: masks.sizes(rule, dtype, SEED, wanted),
        "mask-update": lambda wanted: mask_updates.sizes(rule, dtype, SEED, wanted),
    }
    slow = rule.kind == "quantizer" and not has_graph(rule)
    for shapes in (SMALL, ()) if slow else (SMALL, SHAPES):
        found = make[rule.kind](shapes) if shapes else None
        yield from [] if found is None else [found]


def _transform(rule: Any, dtype: np.dtype, lengths: Mapping[str, int]) -> Iterator[Cases]:
    made = transforms.generate(rule, 1, dtype, SEED, lengths)
    try:
        rule.check(*made.arrays[0].values())
        if moderate(rule, lengths, made.arrays[0]):
            yield made
    except ArgumentError:
        return


def _runs(rule: Any, dtype: np.dtype, all_of_them: bool, eight: bool) -> Iterator[tuple[str, Cases]]:
    """Runs of an optimizer: shapes, a long one with what happens between steps, values, and groups."""
    wanted = SMALL if rule.plan((2, 2), 1).graph.matrix() else SHAPES
    sized = steps.sizes(rule, dtype, SEED, wanted)
    if sized is not None and all_of_them:
        yield "shapes", sized
        yield "by columns", _gradients(sized, VALUES["by columns"])
    long = _long(rule, dtype, LONG if all_of_them else 40)
    yield "a long run", long
    if not all_of_them:
        return
    alone = rule.scope != "tree" and not any(s.scalar for s in rule.slots().values()) and not rule.inner_rules()
    if alone and not eight:
        yield (
            "absent gradients",
            dataclasses.replace(long.at_steps(slice(0, 9)), absent=frozenset({(1, 0), (2, 1), (5, 2)})),
        )
        other = other_setting(rule, rule.reads())
        yield from [("groups", grouped(rule, dtype, SEED, other))] if other is not None else []
    few = long.at_steps(slice(0, 4))
    for name in ("NaN", "infinities", "zeros", "large"):
        yield name, _gradients(few, VALUES[name])
    yield "parameters of zeros", dataclasses.replace(few, arrays=[{"p": np.zeros_like(a["p"])} for a in few.arrays])


def _long(rule: Any, dtype: np.dtype, count: int) -> Cases:
    random, shapes = np.random.Generator(np.random.Philox(SEED)), ((3, 4), (3, 4), (5, 2))
    p = [normal(random, s, dtype) for s in shapes]
    made = of_steps(p, [[normal(random, s, dtype) for s in shapes] for _ in range(count)], seed=SEED)
    return dataclasses.replace(steps.completed(made, rule), saved=SAVED)


def _gradients(cases: Cases, change: Change) -> Cases:
    return dataclasses.replace(
        cases, steps=[[{**leaf, "g": change(leaf["g"])} for leaf in step] for step in cases.steps]
    )


def _steps(program: SteppedProgram, rule: Rule, cases: Cases) -> Iterator[list[dict[str, Any]]]:
    """What is seen after each step."""
    own = cases.settings or [{}] * len(cases.arrays)
    run = program.start_groups([rule.replace(**each) for each in own], cases.p)  # type: ignore[misc, list-item]
    for step in range(1, len(cases.steps) + 1):
        if step - 1 in cases.saved:
            run.save_and_load()
        extras = {n: v for n, v in cases.extras(step).items() if n in rule.inputs()}  # type: ignore[attr-defined]
        with np.errstate(all="ignore"):
            run.step(
                [cases.gradient(step, i) if cases.given(step, i) else None for i in range(len(cases.arrays))], extras
            )
        seen = run.observe()
        yield [{"p": p, **state} for p, state in zip(seen.params, seen.state, strict=True)]
