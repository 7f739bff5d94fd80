"""The public functions, each with arguments that are right, and what it must give for them: the literal body of the rule.

A subject is made anew for each call from names and seeds, so that a call that went wrong is made again from its record.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import ml_dtypes
import numpy as np

from refgrad.arithmetic.dtypes import working
from refgrad.errors import ArgumentError
from refgrad.legal import Choice, Flag, Range, Whole
from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.transform import axes_named, below, length_of
from refgrad.quantizers import Quantized
from refgrad.rule import Rule, rules
from refgrad.tracing import literal
from tests.bits import kinds
from tests.bits.inputs import Source
from tests.fuzz.values import Path

DTYPES: Mapping[str, Any] = {
    "float32": np.float32,
    "float64": np.float64,
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float8_e4m3fn": ml_dtypes.float8_e4m3fn,
}
SHAPES = ((), (0,), (1,), (7,), (0, 8), (3, 5), (2, 3, 4), (4, 8), (8, 16))
DRAWS = ("signed", "grid", "wide", "positive")
#: the shapes that numbers of `tests.fuzz.values.NUMBERS` are
SHAPED = {"list of one": (3,), "range": (0, 1, 2)}
#: seconds that no call takes on so few numbers
LONG = 20

COUNTS = frozenset({"0", "1", "3", "3.0", "10**9", "10**18", "int64", "array"})
SIZES = frozenset({"1", "3", "10**9", "10**18", "int64", "array"})
#: of hyperparameters of a kind, what is larger than any may be
ENDLESS: Mapping[type, set[str]] = {Whole: {"10**18", "10**400"}}
#: extra inputs that a rule draws itself where they are left out
DRAWN_BY_RULE = frozenset({"bits"})
THREADS = frozenset({"none", "1", "3", "int64", "array", "10**9", "10**18", "10**400"})
REALS = SIZES | {"-5", "-1", "0", "2.7", "3.0", "0.5", "nan", "inf", "-inf", "float32", "fraction"}


@dataclass(frozen=True)
class Subject:
    """One call of a public function that is right as it stands.

    Attributes:
        name: of the function, as errors are counted by it.
        arguments: what it is called with, by name; dicts hold arguments of their own.
        call: calls it with them.
        meaning: what the result must be, from the same arguments as plain arrays; None where only an error is wrong.
        arrays, numbers: where arrays are, and where all else is.
        written: where arrays are that the call writes.
        legal: for each of the numbers, the changes of `tests.fuzz.values.NUMBERS` that are legal there.
        optional: arguments that may be left out or be None.
        numbers_too: arrays for which a plain number is taken too.
        kinds_too: of `tests.fuzz.values.REFUSED`, what is an array there all the same.
        also: for each array, what of `tests.fuzz.values.REFUSED` is taken there, such as whole numbers for labels.
        required: arrays that Python itself asks for by name.
        trees: arguments that are trees of one structure, so that what all of them lack together is lacking in none.
    """

    name: str
    arguments: dict[str, Any]
    call: Callable[[dict[str, Any]], Any]
    meaning: Callable[[dict[str, Any]], Any] | None = None
    arrays: list[Path] = field(default_factory=list)
    numbers: list[Path] = field(default_factory=list)
    written: tuple[str, ...] = ()
    legal: Mapping[str, Collection[str]] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    numbers_too: frozenset[str] = frozenset()
    kinds_too: frozenset[str] = frozenset()
    also: Mapping[str, Collection[str]] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    trees: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drawn:
    """What the arrays of a subject are drawn by."""

    shape: tuple[int, ...]
    dtype: str
    draw: str
    seed: int

    def array(self, salt: str = "", shape: tuple[int, ...] | None = None) -> np.ndarray:
        """Numbers of these, others for each text."""
        source = Source(f"{self.seed} {salt}")
        return getattr(source, self.draw)(self.shape if shape is None else shape, DTYPES[self.dtype])

    def source(self, salt: str = "") -> Source:
        """Where the numbers come from that must be ordinary ones."""
        return Source(f"{self.seed} {salt}")


@cache
def variants(name: str) -> list[Rule]:
    """A rule at its defaults, and with each of its named behaviours alone."""
    base = rules()[name]()
    found = [base]
    for field_name, legal in base.legal().items():
        others = (
            list(legal.sentences) if isinstance(legal, Choice) else [True, False] if isinstance(legal, Flag) else []
        )
        for value in others:
            try:
                found.append(base.replace(**{field_name: value}))
            except ArgumentError:  # which needs another setting besides
                continue
    return found


def methods(rule: Rule) -> list[str]:
    """What is called of a rule of a kind."""
    more = {
        "quantizer": ["round_trip"],
        "mask": ["sparse"] if hasattr(rule, "sparse") else [],
    }
    constructed = ["constructor"] if rule.legal() else []
    return [*sorted(rule.computing), *more.get(rule.kind, []), *constructed]


def subject(rule: Rule, method: str, drawn: Drawn) -> Subject:
    """One right call of a rule's method.

    Args:
        rule: the rule.
        method: one of `methods`.
        drawn: what its arrays are drawn by.
    """
    if method == "constructor":
        return constructor(type(rule), drawn.seed)
    return KINDS[rule.kind](rule, method, drawn)


def constructor(cls: type[Rule], seed: int) -> Subject:
    """The rule itself, with one hyperparameter of the names that it has."""
    defaults = cls.defaults()
    fields = list(cls.legal())
    name = fields[seed % len(fields)]
    return Subject(
        f"{cls.__name__}(...)",
        {name: defaults[name]},
        lambda given: cls(**given),
        numbers=[(name,)],
        legal={name: _legal_of(cls.legal()[name], defaults[name]) - ENDLESS.get(type(cls.legal()[name]), set())},
        optional=frozenset({name}),
    )


def _legal_of(legal: Any, default: Any) -> set[str]:
    """The changes that are legal for a hyperparameter: those that say so of themselves, kinds of numbers apart."""
    if isinstance(legal, Range):
        values = {"-5": -5, "-1": -1, "0": 0, "1": 1, "3": 3, "2.7": 2.7, "3.0": 3.0, "0.5": 0.5, "10**9": 1e9}
        values |= {"10**18": 1e18, "int64": 3, "float32": 0.5, "array": 3, "fraction": 1 / 3}
        return {name for name, value in values.items() if value in legal}
    if isinstance(legal, Whole):
        values = {"-5": -5, "-1": -1, "0": 0, "1": 1, "3": 3, "10**9": 10**9, "10**18": 10**18, "int64": 3, "array": 3}
        values |= {"10**400": 10**400, "-10**400": -(10**400)}
        high = float("inf") if legal.high is None else legal.high
        return {name for name, value in values.items() if legal.low <= value <= high}
    return {"true"} if isinstance(legal, Flag) else set()


def optimizer(rule: Any, method: str, drawn: Drawn) -> Subject:
    """`init`, `step` and `step_` of one parameter, or of a tree of two."""
    tree = drawn.seed % 4 == 3
    p = {"a": drawn.array("a"), "b": drawn.array("b", (3, 2))} if tree else drawn.array("p")
    paths: list[Path] = [("p", "a"), ("p", "b")] if tree else [("p",)]
    if method == "init":
        return Subject(
            f"{rule.kind}.init",
            {"p": p, "state_dtype": None} if rule.kind == "optimizer" else {"p": p},
            lambda given: rule.init(given.pop("p"), **given),
            lambda given: rule.init(given.pop("p"), **given),
            paths,
            [("state_dtype",)] if rule.kind == "optimizer" else [],
            legal={"state_dtype": {"none"}},
            optional=frozenset({"state_dtype", "a", "b"}),  # a tree of one leaf fewer, or of none, is a tree
            kinds_too=frozenset({"empty dict"}),
        )
    g = {"a": drawn.array("g a"), "b": drawn.array("g b", (3, 2))} if tree else drawn.array("g")
    state = rule.init(p)
    state["t"] = (0, 1, 9)[drawn.seed % 3]
    paths += [("g", *path[1:]) for path in paths]
    numbers: list[Path] = [("state", "t"), ("state",)]
    legal: dict[str, Collection[str]] = {"t": COUNTS}
    more: dict[str, Any] = {}
    optional = frozenset({"backend", "threads"})
    if rule.kind == "optimizer":
        for name, slot in rule.slots().items():
            if slot.scalar:
                leaves = [("state", name, key) for key in p] if tree else [("state", name)]
                numbers += leaves
                legal |= {path[-1]: REALS for path in leaves}
            else:
                paths += [("state", name, key) for key in p] if tree else [("state", name)]
        drawn_by_rule = DRAWN_BY_RULE & rule.inputs().keys() if hasattr(rule, "random_bits") else set()
        for name, extra in rule.inputs().items():
            if name in drawn_by_rule and drawn.seed % 3 == 0:
                continue  # the rule draws them itself then
            more[name] = kinds._extra(extra, g, drawn.source(name))
            if extra.scalar:
                numbers.append((name,))
                legal[name] = REALS
            elif not tree:
                paths.append((name,))
        more |= {"backend": "numpy" if drawn.seed % 5 else "auto", "threads": None}
        numbers += [("backend",), ("threads",)]
        legal |= {"threads": THREADS}
        optional |= drawn_by_rule
    else:
        paths += [("state", name) for name, value in state.items() if isinstance(value, np.ndarray)]
    arguments = {"p": p, "g": g, "state": state, **more}
    whole = type(rule).step is Optimizer.step and not tree
    return Subject(
        f"{rule.kind}.{method}",
        arguments,
        lambda given: _stepped(rule, method, given),
        lambda given: (_step_of_leaf if whole and type(given["p"]) is not dict else _step_again)(rule, given),
        paths,
        numbers,
        ("p", "state") if method == "step_" else (),
        legal,
        optional,
        trees=("p", "g"),
    )


def _stepped(rule: Any, method: str, given: dict[str, Any]) -> Any:
    """A step as ``(p, state)``, in place or not."""
    rest = {n: v for n, v in given.items() if n not in ("p", "g", "state")}
    taken = [given[name] for name in ("p", "g", "state") if name in given]
    result = getattr(rule, method)(*taken, **rest)
    return (given["p"], given["state"]) if method == "step_" else result


def _step_again(rule: Any, given: dict[str, Any]) -> Any:
    """The same step by NumPy alone, not in place."""
    rest = {n: v for n, v in given.items() if n not in ("p", "g", "state", "backend", "threads")}
    if rule.kind == "optimizer":
        rest["backend"] = "numpy"
    return rule.step(given["p"], given["g"], given["state"], **rest)


def _step_of_leaf(rule: Any, given: dict[str, Any]) -> Any:
    """The body of the rule on arrays of the working dtype, each result rounded once to the dtype that came in."""
    p, state = given["p"], given["state"]
    dtype, slots = working(p.dtype), rule.slots()
    inputs = {name: given[name] for name in rule.inputs()}
    arrays = {"p": p, "g": given["g"]}
    arrays |= {n: state[n] for n, slot in slots.items() if not slot.scalar}
    arrays |= {n: inputs[n] for n, extra in rule.inputs().items() if not extra.scalar}
    scalars = {"t": float(state["t"]) + 1.0}
    scalars |= {n: float(state[n]) for n, slot in slots.items() if slot.scalar}
    scalars |= {n: float(inputs[n]) for n, extra in rule.inputs().items() if extra.scalar}
    found = literal(rule, {n: np.array(a, dtype) for n, a in arrays.items()}, scalars)
    with np.errstate(all="ignore"):
        new = {n: found[n] if s.scalar else np.asarray(found[n]).astype(state[n].dtype) for n, s in slots.items()}
        return np.asarray(found["p"]).astype(p.dtype).reshape(p.shape), {"t": int(state["t"]) + 1, **new}


def quantizer(rule: Any, method: str, drawn: Drawn) -> Subject:
    """`quantize` with all that it takes, `dequantize` of its result, and `round_trip`."""
    x = drawn.array("x")
    x = np.abs(x) if rule.nonnegative else x
    if method == "dequantize":
        kept = rule.quantize(x)  # what refuses such an array has nothing to give back
        parts = {name: np.array(value) for name, value in kept.arrays.items()}
        return Subject(
            "quantizer.dequantize",
            {"arrays": parts, "shape": kept.shape, "dtype": kept.dtype},
            lambda given: rule.dequantize(Quantized(**given)),
            lambda given: _restored(rule, **given),
            [("arrays", name) for name in parts],
            [("shape",), ("dtype",)],
            # no axes: right where the parts are those of one number, which may have any axes; and other shapes, where a rule
            # keeps parts of these shapes of them too, as those of one element that is chosen out of three
            legal={
                "shape": {"list", "generator", *(n for n, shape in SHAPED.items() if _kept_alike(rule, kept, shape))}
            },
            kinds_too=frozenset({"whole"}),  # codes are, and scales may be
        )
    taken = kinds.taken(rule) if method == "quantize" else ()
    besides = {n: make(rule, x, drawn.source(n)) for n, make in kinds.BESIDES.items() if n in taken}
    if method == "round_trip":
        call = lambda given: rule.round_trip(**given)  # noqa: E731
        meaning = lambda given: _decoded(rule, given["x"])  # noqa: E731
    else:
        call = lambda given: dict(rule.quantize(**given).arrays)  # noqa: E731
        meaning = lambda given: _encoded(rule, given)  # noqa: E731
    return Subject(
        f"quantizer.{method}",
        {"x": x, **besides},
        call,
        meaning,
        [("x",), *((name,) for name in besides)],
        optional=frozenset(besides),
    )


def _kept_alike(rule: Any, kept: Quantized, shape: tuple[int, ...]) -> bool:
    """True if a rule keeps parts of the same shapes of an array of another shape."""
    try:
        other = rule.quantize(np.ones(shape, kept.dtype))
    except ArgumentError:
        return False
    return {n: a.shape for n, a in other.arrays.items()} == {n: a.shape for n, a in kept.arrays.items()}


def _restored(rule: Any, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...], dtype: Any) -> Any:
    """The array that parts stand for; a part of one number may have any number of axes."""
    shape = tuple(shape)
    known = rule.kept_parts(shape)
    whole = {
        name: known[name].whole_shape() if array.size == 1 and name in known else None for name, array in arrays.items()
    }
    fitting = {name: array if whole[name] is None else array.reshape(whole[name]) for name, array in arrays.items()}
    for name, array in fitting.items():  # wider floats than the rule keeps are taken where it has them exactly
        kept = None if name not in known or known[name].whole else known[name].kept_in(np.dtype(dtype))
        fitting[name] = array if kept is None or array.dtype.itemsize <= kept.itemsize else array.astype(kept)
    return rule.decode(fitting, shape).reshape(shape).astype(dtype)


def _encoded(rule: Any, given: Mapping[str, Any]) -> Any:
    """The body of a quantizer on an array of the working dtype."""
    if len(given) > 1:
        return dict(rule.quantize(**given).arrays)
    with np.errstate(all="ignore"):
        return dict(rule.encode(np.array(given["x"], working(given["x"].dtype))))


def _decoded(rule: Any, x: np.ndarray) -> Any:
    with np.errstate(all="ignore"):
        parts = rule.encode(np.array(x, working(x.dtype)))
        return rule.decode(parts, x.shape).reshape(x.shape).astype(x.dtype)


def estimator(rule: Any, method: str, drawn: Drawn) -> Subject:
    """The value, the gradients, and both."""
    x = drawn.array("x")
    taken = kinds.parameters(rule, drawn.shape, DTYPES[drawn.dtype], drawn.source("parameters"))
    arrays = {"x": x, **({} if method == "evaluate" else {"cotangent": drawn.array("cotangent")}), **taken}
    return Subject(
        f"estimator.{method}",
        {**arrays, "backend": "numpy" if drawn.seed % 5 else "auto", "threads": None},
        lambda given: getattr(rule, method)(**given),
        lambda given: _estimated(rule, method, given),
        [(name,) for name in arrays],
        [("backend",), ("threads",)],
        legal={"threads": THREADS},
        optional=frozenset({"backend", "threads"}),
        numbers_too=frozenset({*taken, "cotangent"}),
    )


def _estimated(rule: Any, method: str, given: dict[str, Any]) -> Any:
    """The same by NumPy alone."""
    given = {n: v for n, v in given.items() if n != "threads"}
    return getattr(rule, method)(**{**given, "backend": "numpy"})


def transform(rule: Any, method: str, drawn: Drawn) -> Subject:
    """The rule called on arrays of the shapes that it names."""
    arrays = {}
    for name, axes in rule.shapes.items():
        shape, most = tuple(length_of(axis, rule.lengths) for axis in axes_named(axes)), below(axes)
        if most:
            arrays[name] = drawn.source(name).whole(shape, 0, length_of(most, rule.lengths) - 1)
            continue
        array = drawn.array(name, shape)
        arrays[name] = np.abs(array) if axes.endswith("+") else array
    return Subject(
        "transform()",
        arrays,
        lambda given: rule(*given.values()),
        lambda given: rule(*given.values()),
        [(name,) for name in arrays],
        also={name: {"whole"} for name, axes in rule.shapes.items() if below(axes)},
    )


def scaling(rule: Any, method: str, drawn: Drawn) -> Subject:
    """The learning rate at a batch size, and what else is scaled."""
    arguments = {"batch": 64} if method == "rate" else {"batch": 64, "epochs": 3}
    return Subject(
        f"scaling.{method}",
        arguments,
        lambda given: getattr(rule, method)(**given),
        lambda given: getattr(rule, method)(**{n: int(v) for n, v in given.items()}),
        numbers=[(name,) for name in arguments],
        legal=dict.fromkeys(arguments, SIZES),
        optional=frozenset({"epochs"}),
    )


def mask(rule: Any, method: str, drawn: Drawn) -> Subject:
    """Scores, masks, and masks of several arrays."""
    shape = drawn.shape if drawn.seed % 2 else rule.example_shape()
    w = drawn.array("w", shape)
    others = kinds.mask_inputs(rule, shape, DTYPES[drawn.dtype], drawn.source("others"))
    may_be_left_out = frozenset(name for name, what in rule.inputs.items() if what == "ones")
    if method == "masks":
        call = lambda given: rule.masks([given.pop("w")], **{n: [v] for n, v in given.items()})  # noqa: E731
        paths: list[Path] = [("w",), *((name,) for name in others)]
        return Subject("mask.masks", {"w": w, **others}, call, call, paths, optional=may_be_left_out)
    names = inspect.signature(getattr(rule, method)).parameters
    more = {"backend": "numpy", "threads": None} if "backend" in names else {}
    return Subject(
        f"mask.{method}",
        {"w": w, **others, **more},
        lambda given: _plain_sparse(getattr(rule, method)(**given)),
        lambda given: _scored(rule, method, given),
        [("w",), *((name,) for name in others)],
        [(name,) for name in more],
        legal={"threads": THREADS},
        optional=may_be_left_out | frozenset(more),
    )


def _plain_sparse(found: Any) -> Any:
    """The matrix that SciPy keeps in rows, put together by no arithmetic of SciPy's."""
    if not hasattr(found, "indptr"):
        return found
    whole = np.zeros(found.shape, found.dtype)
    whole[np.repeat(np.arange(len(whole)), np.diff(found.indptr)), found.indices] = found.data
    return whole


def _scored(rule: Any, method: str, given: dict[str, Any]) -> Any:
    given = {n: v for n, v in given.items() if n != "threads"}
    if method != "score":
        return _plain_sparse(getattr(rule, method)(**given))
    return literal(rule, rule.prepare(given.pop("w"), given), {})["scores"]


def mask_update(rule: Any, method: str, drawn: Drawn) -> Subject:
    """The next mask, and the weights under it."""
    shape = drawn.shape
    given = {"w": drawn.array("w"), "mask": drawn.source("mask").whole(shape, 0, 1) > 0}
    given |= kinds.mask_inputs(rule, shape, DTYPES[drawn.dtype], drawn.source("others"))
    arguments: dict[str, Any] = {"given": given, "t": rule.steps()[0]}
    more = "prefer" if method == "after" else "mask"
    arguments[more] = drawn.source("more").whole(shape, 0, 1) > 0
    call = lambda given: getattr(rule, method)(**given)  # noqa: E731
    return Subject(
        f"mask-update.{method}",
        arguments,
        call,
        call,
        [("given", name) for name in given] + [(more,)],
        [("t",)],
        legal={"t": COUNTS | {"10**400"}},
        optional=frozenset({"prefer"}),
    )


KINDS: Mapping[str, Callable[[Any, str, Drawn], Subject]] = {
    "optimizer": optimizer,
    "8-bit-optimizer": optimizer,
    "quantizer": quantizer,
    "estimator": estimator,
    "transform": transform,
    "scaling": scaling,
    "mask": mask,
    "mask-update": mask_update,
}
