"""What is timed of a candidate: a call of it on arrays of a size, and the bytes that such a call has to move."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.errors import CandidateError, bad_argument
from refgrad.kinds.table import kind_of
from refgrad.rule import Rule
from refgrad.surveys.implementations import Implementation, known

#: a number of elements, a shape, or arrays by the rule's names for them
Size = int | Sequence[int] | Mapping[str, Any]
LEGAL = "numbers of elements from 1, shapes such as (1024, 1024), or arrays by name such as {'x': x}"
#: axes that an array has at most, and elements: 32 GiB in float32 for each array
AXES, MOST = 64, 2**33
#: the packages whose own implementations are timed beside, with what is looked for first of several forms
BESIDE = {"torch": ("fused", "foreach", "for-loop"), "optax": ("",)}


@dataclass(frozen=True)
class TimedCall:
    """A call that can be timed.

    Attributes:
        who: whose it is: "candidate", "refgrad", or what it is called elsewhere.
        call: a function without arguments.
    """

    who: str
    call: Callable[[], object]


@dataclass(frozen=True)
class Workload:
    """Arrays on which calls are timed.

    Attributes:
        arrays: by the rule's names for them; of an optimizer ``p`` and ``g``.
        elements: how many numbers its largest array has.
        moved: bytes that any program has to read and write: what goes in, state included, and what comes out.
    """

    arrays: Mapping[str, np.ndarray]
    elements: int
    moved: int

    @property
    def label(self) -> str:
        """How tables call it."""
        shape = max((a.shape for a in self.arrays.values()), key=math.prod)
        return f"{self.elements:,}" if len(shape) == 1 else " x ".join(map(str, shape))


def workload(rule: Rule, size: Any, dtype: np.dtype) -> Workload:
    """The arrays of a size, and what a call on them moves.

    Args:
        rule: what is timed.
        size: see `Size`.
        dtype: of the arrays that are made.

    Raises:
        ArgumentError: it is no size, or the rule takes other arrays.
    """
    try:
        return _workload(rule, size, dtype)
    except MemoryError as error:
        raise bad_argument("sizes", size, f"what there is memory for ({str(error) or 'there is none'})") from None


def _workload(rule: Rule, size: Any, dtype: np.dtype) -> Workload:
    kind = kind_of(rule)
    taken = _taken(rule, dtype)
    if not isinstance(size, Mapping):
        arrays = _made(rule, taken, _shape(size), dtype)
    elif set(size) == set(taken):
        arrays = {name: np.asarray(size[name]) for name in taken}
    else:
        raise bad_argument("sizes", list(size), f"arrays by name: {', '.join(taken)}")
    moved = _moved_by_step(rule, arrays) if kind.stepped else _moved_by_question(rule, arrays)
    return Workload(arrays, max(a.size for a in arrays.values()), moved)


def _shape(size: Any) -> tuple[int, ...]:
    shape = tuple(size) if isinstance(size, Sequence) and not isinstance(size, str) and len(size) <= AXES else (size,)
    whole = [n for n in shape if isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n > 0]
    if len(whole) != len(shape) or not shape:
        raise bad_argument("sizes", size, LEGAL)
    if math.prod(int(n) for n in whole) > MOST:
        raise bad_argument("sizes", size, f"sizes of {MOST} elements at most, each of which is made several times")
    return tuple(int(n) for n in whole)


def _taken(rule: Any, dtype: np.dtype) -> list[str]:
    """The names of what a rule takes; `ArgumentError` for an optimizer that takes more than gradients."""
    kind: Any = kind_of(rule)
    if not kind.stepped:
        return list(kind.handed(rule, kind.generate(rule, 1, dtype, 0).arrays[0]))
    if rule.inputs():
        raise bad_argument("rule", str(rule), "a rule whose steps take gradients alone")
    return ["p", "g"]


def _made(rule: Any, taken: Sequence[str], shape: tuple[int, ...], dtype: np.dtype) -> dict[str, np.ndarray]:
    """Ordinary numbers in a shape, for a rule that takes nothing else."""
    if not kind_of(rule).stepped and list(taken) != [rule.primary]:
        raise bad_argument("sizes", shape, f"arrays by name: {', '.join(taken)}")
    random = np.random.default_rng(0)
    return {name: random.standard_normal(shape, np.float32).astype(dtype) for name in taken}


def _moved_by_step(rule: Any, arrays: Mapping[str, np.ndarray]) -> int:
    """A step reads parameter, gradient, state and what else it takes, and writes the parameter and the state."""
    state = rule.init([arrays["p"]])
    kept = sum(np.asarray(state[slot][0]).nbytes for slot, known in rule.slots().items() if not known.scalar)
    return sum(a.nbytes for a in arrays.values()) + kept + arrays["p"].nbytes + kept


def _moved_by_question(rule: Any, arrays: Mapping[str, np.ndarray]) -> int:
    """What goes in, and what the rule itself gives."""
    kind: Any = kind_of(rule)
    case = kind.handed(rule, arrays)
    returned = _started(kind, rule, rule, {})(dict(case))
    found = kind.results(rule, arrays, returned, "the rule")
    return sum(np.asarray(a).nbytes for a in (*case.values(), *found.values()))


def calls(
    candidate: Any, rule: Rule, work: Workload, options: Mapping[str, Any], state_names: Mapping[str, str] | None
) -> list[TimedCall]:
    """The candidate's call, the rule's own, and those of torch and optax where they are installed and have the rule.

    Args:
        candidate: whatever `refgrad.verify` takes.
        rule: what it is.
        work: what they are timed on.
        options, state_names: see `refgrad.verify`.

    Raises:
        CandidateError: the candidate cannot be timed.
    """
    found = [TimedCall("candidate", _call(candidate, rule, work, options, state_names))]
    found.append(TimedCall("refgrad", _call(rule, rule, work, {}, None)))
    for row in _beside(rule):
        found.append(TimedCall(row.called, _call(row.target, rule, work, row.options, None)))
    return found


def _call(
    candidate: Any, rule: Any, work: Workload, options: Mapping[str, Any], state_names: Mapping[str, str] | None
) -> Callable[[], object]:
    kind: Any = kind_of(rule)
    if not kind.stepped:
        asked, case = _started(kind, candidate, rule, options), dict(kind.handed(rule, work.arrays))
        return lambda: asked(case)
    subject = kind.resolve(candidate, rule, options, state_names)
    run = subject.start(rule, [work.arrays["p"]])
    if not hasattr(run, "again"):
        legal = "a function of arrays, an optimizer of torch, optax or Keras, or a refgrad rule"
        raise CandidateError(f"{subject.name} cannot be timed; legal: {legal}")
    run.step([work.arrays["g"]])  # what is made in the first step is made
    call: Callable[[], object] = run.again([work.arrays["g"]])
    return call


def _started(kind: Any, candidate: Any, rule: Any, options: Mapping[str, Any]) -> Callable[[Any], Any]:
    """A candidate without state, ready to be asked."""
    subject = kind.resolve(candidate, rule, options, None)
    started: Callable[[Any], Any] = kind.start(subject, rule, lambda action, what: action())
    return started


def _beside(rule: Rule) -> list[Implementation]:
    """Of torch and of optax one implementation each that is the rule, as the survey found, where the package is installed."""
    found = []
    for package, forms in BESIDE.items():
        rows = [r for r in known() if r.package == package and not r.through and _is(r, rule) and not r.missing()]
        rows.sort(key=lambda row: forms.index(row.form) if row.form in forms else len(forms))
        found += rows[:1]
    return found


def _is(row: Implementation, rule: Rule) -> bool:
    """True if a row of the survey is the rule but for its numbers, which it is told."""
    if type(row.claim) is not type(rule) or not row.explained:
        return False
    ours, theirs = rule.hyperparameters(), row.rule.hyperparameters()
    return all(ours[n] == v for n, v in theirs.items() if n not in rule.numbers() and n != "scalars")
