"""What every estimator can do: its forward value and its surrogate gradients, on arrays, by any backend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from refgrad import backends
from refgrad.arithmetic import dtypes
from refgrad.arithmetic.arrays import as_array
from refgrad.axes import ELEMENT, TENSOR, Axes, axes_shape, described, named, one_of
from refgrad.errors import ArgumentError, bad_argument, nearest
from refgrad.rule import Range, Rule
from refgrad.tracing import Plan, free_values, plan_for


@dataclass(frozen=True)
class Parameter:
    """An array that an estimator takes besides its input.

    ``axes`` are `TENSOR` (one number), `ROW` (one for each ``x[i, ...]``, a channel), `COLUMN` (one for each ``x[:,
    ...]``, a position) or `ELEMENT` (shaped like ``x``), of `refgrad.axes`, or the name of the hyperparameter that says
    "tensor", "row", "column" or "element". A learned one has a gradient with the same axes; one that is not, such as
    noise, has none. ``legal`` are the numbers that it may hold.
    """

    axes: Axes | str = TENSOR
    learned: bool = True
    legal: Range = field(default_factory=Range)


class Parameters(Mapping[str, Parameter]):
    """An estimator's parameters, in the order in which `forward` and `backward` take them."""

    def __init__(self, **parameters: Parameter) -> None:
        self._parameters = parameters

    def __getitem__(self, name: str) -> Parameter:
        return self._parameters[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)


class Estimator(Rule):
    """A function with a gradient that is declared rather than derived.

    ``x`` and the cotangent (the gradient of the loss with respect to ``y``) have one shape; rows are ``x[i, ...]``.
    """

    kind = "estimator"
    primary = "x"
    device_module = "refgrad.estimators.on_device"
    parameters: ClassVar[Parameters] = Parameters()
    computing: ClassVar[frozenset[str]] = frozenset({"evaluate", "differentiate", "both"})
    #: the parameters that hold choices (see `refgrad.estimators.choosing`)
    chosen: ClassVar[tuple[str, ...]] = ()
    #: the arrays of other shapes that only choices depend on
    tables: ClassVar[tuple[str, ...]] = ()

    def forward(self, x: Any, *parameters: Any) -> Any:
        """The forward value; a subclass writes it as the paper does.

        Args:
            x: the input, an array or a value of another arithmetic (a tracer, an enclosure, exact numbers).
            parameters: the values of `Estimator.parameters` in their order, of axes that broadcast against ``x``.

        Returns:
            ``y``, shaped like ``x``, a value of the same arithmetic.

        Raises:
            ArgumentError: the subclass does not write it.
        """
        name = type(self).__name__
        raise ArgumentError(f"{name} has no forward; write `def forward(self, x, ...): return y`, with its parameters")

    def backward(self, cotangent: Any, x: Any, *parameters: Any) -> Any:
        """The declared gradients; a subclass writes them as the paper does.

        Args:
            cotangent: the gradient of the loss with respect to ``y``, shaped like ``x``, a value as in `forward`.
            x: the input.
            parameters: as in `forward`.

        Returns:
            ``x_grad``, shaped like ``x``; with learned parameters a tuple that goes on with the gradient of each, of its axes.

        Raises:
            ArgumentError: the subclass does not write it.
        """
        legal = (
            "write `def backward(self, cotangent, x, ...): return x_grad`; what has no gradient is a refgrad.formula"
        )
        raise ArgumentError(f"{type(self).__name__} has no backward; {legal}")

    def parameter_axes(self) -> dict[str, Axes]:
        """The axes of each parameter under these hyperparameters."""
        given = {n: p.axes for n, p in self.parameters.items()}
        return {n: named(getattr(self, axes)) if isinstance(axes, str) else axes for n, axes in given.items()}

    def learned(self) -> list[str]:
        """The parameters that have a gradient."""
        return [n for n, p in self.parameters.items() if p.learned]

    def handed(self) -> list[str]:
        """The arrays besides ``x`` and the cotangent that a caller hands over."""
        return list(self.parameters)

    def takes(self) -> dict[str, Axes]:
        """``x``, ``cotangent`` and the parameters."""
        return {"x": ELEMENT, "cotangent": ELEMENT, **self.parameter_axes()}

    def gives(self) -> dict[str, Axes]:
        """The gradients of parameters that are one number a row or a tensor."""
        axes = self.parameter_axes()
        return {f"{n}_grad": axes[n] for n in self.learned() if axes[n] != ELEMENT}

    def results(self) -> tuple[str, ...]:
        """The names of all results of `body`."""
        return ("y", "x_grad", *(f"{n}_grad" for n in self.learned()))

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """`forward` and `backward` on values by name.

        Args:
            given: a value for ``x``, ``cotangent`` and each of the parameters, of one arithmetic.

        Returns:
            A value for each of `results`.
        """
        parameters = [given[n] for n in self.parameters]
        grads = self.backward(given["cotangent"], given["x"], *parameters)
        grads = grads if isinstance(grads, tuple) else (grads,)
        return dict(zip(self.results(), (self.forward(given["x"], *parameters), *grads), strict=True))

    def evaluate(self, x: Any, *, backend: str = "auto", threads: int | None = None, **parameters: Any) -> np.ndarray:
        """The forward value of an array.

        Args:
            x: an array of any float dtype and shape.
            backend: "auto", "numpy" or "numba"; the bits are the same.
            threads: how many threads a kernel may use; by default all that the process may.
            parameters: by name, numbers or arrays of a float dtype: one number for the axes `TENSOR`; for `ROW` one a
                row, as a vector or as an array that broadcasts against ``x``; shaped like ``x`` for `ELEMENT`.

        Returns:
            ``y``, of the shape and dtype of ``x``.

        Raises:
            ArgumentError: a shape, dtype, number or name that is not legal.
        """
        return self._run(("y",), {"x": x, **parameters}, backend, threads)["y"]

    def differentiate(
        self, cotangent: Any, x: Any, *, backend: str = "auto", threads: int | None = None, **parameters: Any
    ) -> dict[str, np.ndarray]:
        """The surrogate gradients: the product of a cotangent with the declared Jacobian.

        Args:
            cotangent: the gradient of the loss with respect to ``y``, an array shaped like ``x``.
            x: an array of any float dtype and shape.
            backend: "auto", "numpy" or "numba"; the bits are the same.
            threads: how many threads a kernel may use; by default all that the process may.
            parameters: by name, as in `evaluate`.

        Returns:
            ``x_grad``, and ``<name>_grad`` for each learned parameter, shaped so that it broadcasts against ``x``.

        Raises:
            ArgumentError: a shape, dtype, number or name that is not legal.
        """
        return self._run(self.results()[1:], {"x": x, "cotangent": cotangent, **parameters}, backend, threads)

    def both(
        self, cotangent: Any, x: Any, *, backend: str = "auto", threads: int | None = None, **parameters: Any
    ) -> dict[str, np.ndarray]:
        """``y`` and all gradients by one kernel; the bits are those of `evaluate` and `differentiate`.

        Args:
            cotangent: the gradient of the loss with respect to ``y``, an array shaped like ``x``.
            x: an array of any float dtype and shape.
            backend: "auto", "numpy" or "numba"; the bits are the same.
            threads: how many threads a kernel may use; by default all that the process may.
            parameters: by name, as in `evaluate`.

        Returns:
            ``y`` and ``x_grad``, of the shape and dtype of ``x``, and ``<name>_grad`` for each learned parameter, shaped so
            that it broadcasts against ``x``.

        Raises:
            ArgumentError: a shape, dtype, number or name that is not legal.
        """
        return self._run(self.results(), {"x": x, "cotangent": cotangent, **parameters}, backend, threads)

    def plan(self, shape: tuple[int, ...], t: int = 1, wanted: tuple[str, ...] | None = None) -> Plan:
        """The traced body for arrays of a shape.

        Args:
            shape: the shape of ``x``.
            t: changes nothing, since an estimator has no steps.
            wanted: the names of the results that are asked for; by default all.

        Returns:
            The plan, which is kept with the rule.
        """
        return plan_for(self, len(shape), free_values(shape, {}), wanted)

    def formula_lines(self) -> list[str]:
        """The forward value and the gradients as formulas in plain text, on a matrix.

        >>> from refgrad.estimators import ClippedSTE
        >>> ClippedSTE().formula_lines()[0]
        'x_grad = cotangent if abs(x) <= clip else 0'
        """
        from refgrad.arithmetic import formula

        return formula.guarded_lines(self.plan((4, 4), 10))

    def prepared(self, given: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Arguments by name as arrays, checked.

        Args:
            given: ``x`` and what else is handed over, by name.

        Returns:
            Name -> array; those of a row or a tensor broadcast against ``x``.

        Raises:
            ArgumentError: a shape, dtype, number or name that is not legal.
        """
        x = as_array(given["x"], "x")
        self.check_names(given)
        axes = self.takes()
        others = {n: self._fitted(n, axes[n], given[n], x) for n in axes if n in given and n != "x"}
        return {"x": x, **others}

    def check_names(self, given: Mapping[str, Any]) -> None:
        """Check that all arguments are there, and none besides.

        Args:
            given: them, by name; the cotangent may be missing.

        Raises:
            ArgumentError: one is missing or unknown.
        """
        legal = [n for n in self.takes() if n in given or n != "cotangent"]
        for name in given:
            if name not in legal:
                raise ArgumentError(
                    f"{type(self).__name__} takes no {name!r}{nearest(name, legal)}; legal: {', '.join(legal)}"
                )
        for name in legal:
            if name not in given:
                what = described(self.takes()[name])
                raise ArgumentError(f"{type(self).__name__} needs {name!r}; legal: an array of {what}")

    def _fitted(self, name: str, axes: Axes, value: Any, x: np.ndarray) -> np.ndarray:
        array = np.asarray(_number(value, name), x.dtype) if type(value) in (int, float) else as_array(value, name)
        shape = axes_shape(axes, x.shape)
        if array.shape != shape:
            vector = array.ndim <= 1 and array.size == int(np.prod(shape))
            if axes == ELEMENT or not vector:
                raise bad_argument(f"{name}.shape", array.shape, f"{shape}, one number for each {one_of(axes)} of x")
            array = array.reshape(shape)
        if array.dtype == np.float64 and x.dtype != np.float64:
            raise bad_argument(f"{name}.dtype", "float64", f"float32 or narrower, because x is {x.dtype}")
        if name in self.parameters:
            check_legal(name, self.parameters[name].legal, array)
        return array

    def _run(
        self, wanted: tuple[str, ...], given: Mapping[str, Any], backend: str, threads: int | None
    ) -> dict[str, np.ndarray]:
        arrays = self.prepared(given)
        if arrays["x"].ndim == 0:  # a row of one
            rows = self._run(wanted, {n: a.reshape(1) for n, a in arrays.items()}, backend, threads)
            return {n: a.reshape(()) for n, a in rows.items()}
        x, axes = arrays["x"], self.gives()
        if not x.size:  # a sum over nothing is zero
            return {n: np.zeros(axes_shape(axes.get(n, ELEMENT), x.shape), x.dtype) for n in wanted}
        dtype = dtypes.working(x.dtype)
        ready = {n: np.ascontiguousarray(a, dtype).reshape(a.shape) for n, a in arrays.items() if n in self.takes()}
        ready.setdefault("cotangent", ready["x"])  # which is not looked at
        results = {n: np.empty(axes_shape(axes.get(n, ELEMENT), x.shape), dtype) for n in wanted}
        free = free_values(x.shape, {})
        run = backends.runner(backend)
        run(plan_for(self, x.ndim, free, wanted), free, {**ready, **results}, threads)
        with np.errstate(over="ignore", under="ignore"):
            return {n: r.astype(x.dtype, copy=False) for n, r in results.items()}


def _number(value: float, name: str) -> float:
    """A number of Python's as a float; `ArgumentError` for one that no float holds."""
    try:
        return float(value)
    except OverflowError:
        raise bad_argument(name, value, "a number that a float holds") from None


def check_legal(name: str, legal: Range, array: np.ndarray) -> None:
    """Check the numbers of an array.

    Args:
        name: what errors call the array.
        legal: what they may be.
        array: the array, of any float dtype and shape.

    Raises:
        ArgumentError: one is not legal; the first is named.
    """
    values = array.astype(np.float64).ravel()
    above = values > legal.low if legal.open_low else values >= legal.low
    below = values < legal.high if legal.open_high else values <= legal.high
    wrong = ~(above & below)
    if wrong.any():
        raise bad_argument(name, float(values[wrong][0]), f"numbers in {legal}")
