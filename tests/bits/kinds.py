"""What is called of a rule, one function a kind: its results on fixed inputs. The only code here that knows the rules' API."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from refgrad.axes import axes_shape
from refgrad.optimizers.transform import axes_named, below, length_of
from tests.bits.inputs import SHAPES, Source, midpoints

STEPS = 7
#: longer than a block of a sum (1024 terms)
LONG = (1030,)
#: what blocks, groups and patterns of quantizers and estimators need
ROWS = ((2, 8), (4, 64), (3, 256))
BATCHES = (1, 32, 1000, 4096)
#: arrays that are large enough for kernels of quantizers; those that take minutes for one are left out
LARGE, SLOW = ((260, 300), (260, 256)), ("OptimalCodebook",)

Results = Iterator[Any]


def tried(call: Callable[[], Any]) -> Any:
    """What a call returns; "refused" if the rule does not take the input, whatever the error says."""
    try:
        return call()
    except (ValueError, TypeError):
        return "refused"


def optimizer(rule: Any, dtype: Any, backend: str) -> Results:
    """Steps on arrays of each shape, on a tree of them, on a long array, and on numbers of all magnitudes."""
    source = Source("optimizer")
    for shape in SHAPES:
        yield from steps(rule, lambda shape=shape: source.signed(shape, dtype), STEPS, source, backend)
    tree = lambda: {"a": source.signed((4, 3), dtype), "b": [source.signed((5,), dtype)]}  # noqa: E731
    yield from steps(rule, tree, 2, source, backend)
    if all(np.size(value) <= LONG[0] for value in rule.init(np.zeros(LONG, dtype)).values()):
        yield from steps(rule, lambda: source.signed(LONG, dtype), 2, source, backend)
    for draw in (source.wide, source.grid):
        yield from steps(rule, lambda draw=draw: draw((33,), dtype), STEPS, source, backend)


def steps(rule: Any, draw: Callable[[], Any], count: int, source: Source, backend: str) -> Results:
    """Some steps: parameters and states, after the first and the last."""
    p = draw()
    state = rule.init(p)
    for t in range(1, count + 1):
        g = draw()
        p, state = rule.step(p, g, state, backend=backend, **extra_inputs(rule, g, source))
        if t in (1, count):
            yield p
            yield state


def extra_inputs(rule: Any, g: Any, source: Source) -> dict[str, Any]:
    """What a step takes besides the gradient, by name."""
    return {name: _extra(extra, g, source) for name, extra in rule.inputs().items()}


def _extra(extra: Any, g: Any, source: Source) -> Any:
    if extra.kind == "loss":
        return float(source.positive((), np.float32))
    if isinstance(g, dict):
        return {key: _extra(extra, value, source) for key, value in g.items()}
    if isinstance(g, list):
        return [_extra(extra, value, source) for value in g]
    if extra.kind == "bits":
        return source.whole(g.shape, 0, 2**extra.bits - 1).astype(np.uint32)
    return source.positive(g.shape, g.dtype) if extra.kind == "curvature" else source.signed(g.shape, g.dtype)


def eight_bit(rule: Any, dtype: Any, backend: str) -> Results:
    """Steps of small parameters whose state is quantized all the same, and of ones that keep their state."""
    source = Source("8-bit optimizer")
    for small in (rule, rule.replace(min_8bit_size=1)):
        for shape in (*SHAPES, (3, 700)):
            p = source.signed(shape, dtype)
            state = small.init(p)
            for _ in range(3):
                p, state = small.step(p, source.signed(shape, dtype), state)
            yield p
            yield state


def quantizer(rule: Any, dtype: Any, backend: str) -> Results:
    """Parts and values of arrays of each shape that the rule takes, and of numbers of all magnitudes."""
    source = Source("quantizer")
    for shape in (*SHAPES, *ROWS):
        x = source.signed(shape, dtype)
        yield from round_trip(rule, np.abs(x) if rule.nonnegative else x, source)
    for draw in (source.grid, source.wide):
        yield from round_trip(rule, draw((2, 256), dtype), source)
    x = np.nan_to_num(source.grid((2, 256), dtype), nan=2.0)
    x = np.abs(x) if rule.nonnegative else x
    yield from round_trip(rule, x, source)
    values = tried(lambda: rule.round_trip(x))
    if not isinstance(values, str):
        yield from round_trip(rule, midpoints(values, (2, 256), dtype), source)


def large(rule: Any, dtype: Any, backend: str) -> Results:
    """Parts and values of arrays that are large enough for kernels."""
    source = Source("large")
    for shape in LARGE:
        x = source.signed(shape, dtype)
        quantized = tried(lambda x=x: rule.quantize(np.abs(x) if rule.nonnegative else x))
        yield quantized if isinstance(quantized, str) else [quantized, rule.dequantize(quantized)]


def round_trip(rule: Any, x: np.ndarray, source: Source) -> Results:
    """Parts and values of one array, alone and with each thing that `quantize` takes besides."""
    for given in ({}, *({name: make(rule, x, source)} for name, make in BESIDES.items() if name in taken(rule))):
        quantized = tried(lambda given=given: rule.quantize(x, **given))
        yield quantized if isinstance(quantized, str) else dict(quantized.arrays)
        if not isinstance(quantized, str):
            yield rule.dequantize(quantized)
            yield rule.pack(quantized) if hasattr(rule, "pack") else "no packed form"


def taken(rule: Any) -> tuple[str, ...]:
    """The names of what `quantize` takes."""
    return tuple(inspect.signature(type(rule).quantize).parameters)


def _hessian(rule: Any, x: np.ndarray, source: Source) -> np.ndarray:
    """A positive definite matrix of whole numbers over a power of two, exact in float64."""
    tokens = source.whole((8, last(x)), -4, 4)
    return (tokens.T @ tokens + 8 * np.eye(last(x), dtype=np.int64)).astype(np.float64) / 8.0


def last(x: np.ndarray) -> int:
    """The length of the last axis."""
    return x.shape[-1] if x.ndim else 1


BESIDES: Mapping[str, Callable[[Any, np.ndarray, Source], np.ndarray]] = {
    "uniform": lambda rule, x, source: source.between(x.shape, 0.0, 1.0, np.float64),
    "hessian": _hessian,
    "activations": lambda rule, x, source: source.whole((8, last(x)), -8, 8) / 4.0,
    "v": lambda rule, x, source: source.signed(x.shape, np.float64),
    "start": lambda rule, x, source: source.signed((int(np.prod(x.shape[1:])), rule.rank), x.dtype),
    "intervals": lambda rule, x, source: source.between((2**rule.bits - 1,), 0.25, 1.0, np.float64),
}


def estimator(rule: Any, dtype: Any, backend: str) -> Results:
    """Value and gradients on arrays of each shape that the rule takes, and on numbers of all magnitudes."""
    source = Source("estimator")
    for shape in (*SHAPES, *ROWS[:2]):
        given = parameters(rule, shape, dtype, source)
        x, cotangent = source.signed(shape, dtype) * dtype(1.5), source.signed(shape, dtype)
        yield tried(lambda x=x, c=cotangent, given=given: rule.both(c, x, backend=backend, **given))
    for draw in (source.wide, source.grid):
        x, given = draw((4, 16), dtype), parameters(rule, (4, 16), dtype, source)
        c = source.signed((4, 16), dtype)
        found = tried(lambda x=x, c=c, given=given: rule.both(c, x, backend=backend, **given))
        yield found
        if not isinstance(found, str):
            x = midpoints(next(iter(found.values())), (4, 16), dtype)
            yield tried(lambda x=x, c=c, given=given: rule.both(c, x, backend=backend, **given))


def parameters(rule: Any, shape: tuple[int, ...], dtype: Any, source: Source) -> dict[str, np.ndarray]:
    """What an estimator takes besides its input: legal numbers of its axes, and tables of three rows."""
    axes, found = rule.parameter_axes(), {}
    for name in rule.handed():
        if name in rule.tables:
            found[name] = source.signed((3, shape[-1] if shape else 1), dtype)
            continue
        legal = rule.parameters[name].legal
        found[name] = source.between(axes_shape(axes[name], shape), max(legal.low, -1.0), min(legal.high, 2.0), dtype)
    return found


def transform(rule: Any, dtype: Any, backend: str) -> Results:
    """The rule called on arrays of the shapes that it names: ordinary ones, and one set of all magnitudes."""
    source = Source("transform")
    for draw in (source.signed, source.signed, source.grid, source.wide):
        arrays = []
        for axes in rule.shapes.values():
            shape, most = tuple(length_of(axis, rule.lengths) for axis in axes_named(axes)), below(axes)
            if most:
                arrays.append(np.arange(math.prod(shape)).reshape(shape) % length_of(most, rule.lengths))
                continue
            array = draw(shape, dtype)
            arrays.append(np.abs(array) if axes.endswith("+") else array)
        yield tried(lambda arrays=arrays: rule(*arrays))


def scaling(rule: Any, dtype: Any, backend: str) -> Results:
    """Rates, and epochs where the rule has them, of some batch sizes."""
    for batch in BATCHES:
        yield rule.rate(batch)
        yield rule.epochs(7, batch) if hasattr(rule, "epochs") else "refused"


def mask(rule: Any, dtype: Any, backend: str) -> Results:
    """Scores and masks of single arrays, and masks of two together."""
    source = Source("mask")
    shape = rule.example_shape()
    for wanted in (shape, (7,), (5, 3), (), (0,)):
        w, others = source.signed(wanted, dtype), mask_inputs(rule, wanted, dtype, source)
        yield tried(lambda w=w, others=others: rule.score(w, **others))
        yield tried(lambda w=w, others=others: rule.mask(w, **others))
    for draw in (source.wide, source.grid, source.grid):
        w, others = draw(shape, dtype), mask_inputs(rule, shape, dtype, source, draw)
        yield tried(lambda w=w, others=others: rule.mask(w, **others))
    both = [source.signed(shape, dtype) for _ in range(2)]
    others = [mask_inputs(rule, shape, dtype, source) for _ in both]
    yield tried(lambda: rule.masks(both, **{name: [each[name] for each in others] for name in others[0]}))


def mask_inputs(
    rule: Any, shape: tuple[int, ...], dtype: Any, source: Source, draw: Callable[..., np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """What a mask or a mask update is made of besides weights."""
    found = {}
    for name in rule.takes():
        what = rule.inputs.get(name, "signed")
        if name in ("w", "mask"):
            continue
        if what == "uniform":
            found[name] = source.between(shape, 0.0, 1.0, dtype)
        elif what == "column":
            found[name] = source.positive(shape[-1:], dtype)
        else:
            found[name] = (draw or source.signed)(shape, dtype) if what == "signed" else source.positive(shape, dtype)
    return found


def mask_update(rule: Any, dtype: Any, backend: str) -> Results:
    """The next masks and weights at the steps that the rule names, without and with entries that go first."""
    source = Source("mask update")
    for shape in ((16, 24), (7, 5)):
        for t in (*rule.steps(), *(t + 1 for t in rule.steps())):
            w = source.signed(shape, dtype) if t % 2 else np.nan_to_num(source.grid(shape, dtype))
            given = {"w": w, "mask": source.whole(shape, 0, 2) > 0}
            given |= mask_inputs(rule, shape, dtype, source)
            for prefer in (None, source.whole(shape, 0, 1) == 1):
                after = rule.after(given, t, prefer)
                yield after
                yield rule.weights(given, after, t)


KINDS: Mapping[str, Callable[[Any, Any, str], Results]] = {
    "optimizer": optimizer,
    "8-bit-optimizer": eight_bit,
    "quantizer": quantizer,
    "estimator": estimator,
    "transform": transform,
    "scaling": scaling,
    "mask": mask,
    "mask-update": mask_update,
}
