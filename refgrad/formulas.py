"""The door for a formula of one's own: a function in NumPy's vocabulary becomes a rule that kernels are judged by."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from refgrad import formula_forms as forms
from refgrad import formula_kernels
from refgrad.arithmetic.explorer import OpenChoice
from refgrad.arithmetic.stored_places import places_met
from refgrad.citation import Citation
from refgrad.errors import ArgumentError, RefgradError, TraceError, bad_argument, shown, with_article
from refgrad.formula_gradients import Derived, gradient, gradient_lines
from refgrad.formula_signature import axes_of, differentiable, lengths_of, parameters, taken, types_of
from refgrad.optimizers.transform import Transform, axes_named


class Formula(Transform):
    """Base of the rules that `formula` makes of functions; such a rule is a class, whose instances have hyperparameters."""

    variant = "formula"
    derived_names: ClassVar[tuple[str, ...]] = ("backward", "with_backward")

    #: the function that was decorated
    function: ClassVar[Callable[..., Any]]
    #: the arrays with respect to which it has a gradient
    wrt: ClassVar[tuple[str, ...]] = ()
    #: whether a kernel may give several results by their order alone
    in_order: ClassVar[bool] = False
    #: of a gradient, what its results are called
    result_names: ClassVar[tuple[str, ...]] = ()
    #: the formula that this one is the gradient of
    gradient_of: ClassVar[Any] = None
    #: other ways in which programs compute it, by name
    forms: ClassVar[Mapping[str, Callable[..., Any]]] = {}
    #: whether this one gives that one's results too
    with_results: ClassVar[bool] = False
    #: the formula of the gradients: of the arrays, and of the gradient of each result, the gradients of ``wrt``
    backward = Derived(forward=False)
    #: the same, with the results before them
    with_backward = Derived(forward=True)

    def differentiated(self) -> Formula:
        """Of the gradient of a formula: that formula."""
        return type(self).gradient_of(**self.hyperparameters())  # type: ignore[no-any-return]

    def of(self, body: Callable[..., Any]) -> Callable[..., Any]:
        """Of the gradient of a formula: that of another body, for arrays in the gradient's order."""
        return lambda *arrays: gradient(self.differentiated(), arrays, self.with_results, body)

    @classmethod
    def form(cls, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorate a function that is the same in real arithmetic, and that programs may compute in place of the formula.

        A kernel is right if its results are in the sets of the formula, or in those of one of its forms.

        Args:
            name: what the form is called, such as "flash".

        Returns:
            A decorator; it gives the function back.

        Raises:
            ArgumentError: the function takes other arguments than the formula, or gives other numbers.
        """
        if not isinstance(name, str) or name in cls.forms:
            raise bad_argument(f"the form of {cls.__name__}", name, "a name that no form of it has yet")

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            taken = [*cls.shapes, *cls().hyperparameters()]
            if list(inspect.signature(function).parameters) != taken:
                found = ", ".join(inspect.signature(function).parameters)
                raise bad_argument(f"what the form {name!r} of {cls.__name__} takes", found, ", ".join(taken))
            forms.check(cls(), name, function)
            cls.forms = {**cls.forms, name: function}
            return function

        return decorate

    def stored_places(self) -> frozenset[str]:
        """The places at which programs may keep numbers in a narrower format (`refgrad.stored`)."""
        if self.gradient_of is not None:
            return self.differentiated().stored_places()
        arrays = self.drawn(self.lengths, np.random.Generator(np.random.Philox(0)))
        with places_met() as met:
            self(*arrays.values())
        return frozenset(met)

    def names(self) -> list[str]:
        """The arrays, in order."""
        return list(self.shapes)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """A rule of hyperparameters; arrays are handed to the rule."""
        if (args and not inspect.isfunction(args[0])) or any(name in kwargs for name in cls.shapes):
            name, arrays = cls.__name__, ", ".join(cls.shapes)
            raise ArgumentError(
                f"{name} was called with arrays; legal: hyperparameters by name, then arrays: {name}()({arrays})"
            )
        return super().__new__(cls, *args, **kwargs)

    def __call__(self, /, *arrays: Any, **named: Any) -> Any:
        """The function's value for arrays in order, or by their names, as `Transform.__call__` gives it."""
        names = self.names()
        for name in named:
            if name not in names[len(arrays) :]:
                twice = "handed in twice" if name in names else "no array of it"
                raise ArgumentError(f"{type(self).__name__} was called with {name}, {twice}; legal: {', '.join(names)}")
        rest = [named[name] for name in names[len(arrays) :] if name in named]
        if named and len(arrays) + len(rest) < len(names):
            missing = [name for name in names[len(arrays) :] if name not in named]
            raise ArgumentError(
                f"{type(self).__name__} was called without {', '.join(missing)}; legal: {', '.join(names)}"
            )
        return super().__call__(*arrays, *rest)

    def sketched(self, *arrays: Any) -> Any:
        """By NumPy's own functions."""
        return self.computed_by(self.apply, arrays)

    def computed(self, *arrays: np.ndarray) -> Any:
        """What the body makes of arrays, with the bits that its kernels have."""
        return formula_kernels.run(self, arrays)

    def apply(self, *arrays: Any) -> Any:
        """The function on arrays or what stands for them, with this rule's hyperparameters."""
        name, plain = type(self).__name__, all(isinstance(a, np.ndarray) for a in arrays)
        try:
            found = type(self).function(*arrays, **self.hyperparameters())
        except (RefgradError, OpenChoice):
            raise
        except np.linalg.LinAlgError:  # of a singular system some programs say so, and others make NaN
            if not plain:
                raise
            raise ArgumentError(f"{name}'s body raised LinAlgError, of a singular matrix") from None
        except (Exception, SystemExit) as error:  # whatever it is, it is the formula's and no kernel's
            if isinstance(error.__cause__ or error.__context__, TraceError):  # NumPy's own words for it say less
                raise (error.__cause__ or error.__context__) from None  # type: ignore[misc]
            shapes = ", ".join(str(getattr(a, "shape", ())) for a in arrays)
            raise ArgumentError(f"{name}'s body raised {type(error).__name__}: {error} (shapes {shapes})") from error
        unnamed = [key for key in found if not isinstance(key, str)] if isinstance(found, dict) else []
        if unnamed:
            raise ArgumentError(
                f"{name} returned a result by the name {shown(unnamed[0])}; legal: names that are texts"
            )
        several = list(_each(found)) if isinstance(found, tuple | list | dict) else [found]
        if any(each is None for each in several):
            raise ArgumentError(f"{name} returned None; legal: `return` an array, or a tuple or dict of arrays")
        for each in several if plain else ():
            if not _is_array(each) or each.dtype.kind not in "fbV":
                legal = "arrays of floats, made of the arrays that it takes"
                held = isinstance(each, tuple | list | dict) or (isinstance(each, np.ndarray) and not _is_array(each))
                what = with_article(type(each).__name__) if held else shown(each)
                raise ArgumentError(f"{name} returned {what} as a result; legal: {legal}")
        if not several:
            raise ArgumentError(f"{name} returned nothing, {found}; legal: an array, or a tuple or dict of arrays")
        return found

    def check(self, *arrays: np.ndarray) -> None:
        """Each axis has one length in all arrays that have it.

        Raises:
            ArgumentError: an array has more or fewer axes, or an axis another length than in an array before.
        """
        lengths: dict[str, tuple[int, str]] = {}
        for array, (name, text) in zip(arrays, self.shapes.items(), strict=True):
            axes = axes_named(text)
            if array.ndim != len(axes):
                raise bad_argument(f"{name}.shape", array.shape, f"{len(axes)} axes: {' '.join(axes) or 'one number'}")
            for axis, length in zip(axes, array.shape, strict=True):
                fixed = (int(axis), "the formula") if axis.isdigit() else (length, name)
                known, where = lengths.setdefault(axis, fixed)
                if known != length:
                    raise bad_argument(f"{name}.shape", array.shape, f"{axis} = {known}, as in {where}")

    def formula_lines(self) -> list[str]:
        """The function's text, from `def` on; none where it is not kept, as of one that was typed into an interpreter.

        Of a gradient, which nobody wrote, the assignments that its derivation comes to.
        """
        if self.gradient_of is not None:
            return gradient_lines(self)
        try:
            lines = textwrap.dedent(inspect.getsource(type(self).function)).splitlines()
        except (OSError, TypeError):
            return []
        return lines[next(i for i, line in enumerate(lines) if line.startswith("def ")) :]


def _is_array(result: Any) -> bool:
    """True of NumPy's own arrays and numbers, and of those that bodies are handed; False of a matrix or a masked array."""
    kind = type(result)
    ours = kind is np.ndarray or kind.__module__.partition(".")[0] == "refgrad"
    return isinstance(result, np.generic) or (isinstance(result, np.ndarray) and ours)


def _each(found: Any) -> Iterator[Any]:
    return iter(found.values() if isinstance(found, dict) else found)


def formula(
    function: None = None,
    /,
    *,
    lengths: Mapping[str, int] | None = None,
    wrt: str | Sequence[str] = "",
    citation: Citation | None = None,
    **axes: str,
) -> Callable[[Callable[..., Any]], type[Formula]]:
    """Decorate a function of arrays, written as it would be for NumPy, so that it is a rule.

    The function says what is meant; a kernel, whatever its order of operations, is judged by the set of what correct
    programs of the function may return (`refgrad.verify`). Its hyperparameters are keyword-only, with a type that says which
    values are legal and a default; it calls NumPy's functions on the arrays, `refgrad.softmax` and `refgrad.logsumexp`.

    Args:
        function: nothing: the decorator is called with the axes of the function's arrays first.
        lengths: how long the axes are with which kernels are tried, by name; an axis that is not named has one of a few.
        wrt: the arrays with respect to which it has a gradient, such as ``"q k v"``, or a list of their names: with some,
            ``backward`` of the class is the formula of their gradients, in this order, and ``with_backward`` that of the results
            and of these.
        citation: where the formula comes from. With one the formula enters the registry, and its module finds it by name.
        axes: for each array that the function takes, by its name, the names of the array's axes, such as ``"batch feature"``;
            ``""`` for one number; a number for an axis of that length, as in ``"token 2"``; with a plus sign at the end for an
            array of numbers that are not negative; with ``below:`` and an axis for whole numbers from 0 on below its length, as
            in ``labels="batch below:class"``, or below a number.

    Returns:
        A decorator. What it returns is the formula's class: ``rmsnorm(eps=1e-5)`` is a rule, and ``rmsnorm()(x, weight)`` its
        value for arrays of one float dtype (float16 and bfloat16 are widened to float32, and rounded once at the end).

    Raises:
        ArgumentError: the function and what is said of it do not fit; the error says what to write.

    >>> import numpy as np
    >>> import refgrad
    >>> @refgrad.formula(x="batch feature", weight="feature")
    ... def rmsnorm(x, weight, *, eps: refgrad.Positive = 1e-6):
    ...     return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * weight
    >>> print(rmsnorm(eps=0.5))
    rmsnorm(eps=0.5)
    >>> rmsnorm(eps=0.5)(np.array([[1.0, 2.0]]), np.array([1.0, 3.0])).round(6).tolist()
    [[0.57735, 3.464102]]
    """

    if function is not None:
        legal = '@refgrad.formula(x="batch feature"), with the axes of each array'
        raise ArgumentError(f"refgrad.formula was called with {shown(function)}; legal: {legal}")
    for word, given in (("lengths", lengths), ("citation", citation)):
        if isinstance(given, str):
            raise ArgumentError(taken(f"an array of the name {word!r}", "refgrad.formula itself"))

    def decorate(function: Callable[..., Any]) -> type[Formula]:
        return _made(function, axes, dict(lengths or {}), wrt, citation)

    return decorate


def _made(
    function: Callable[..., Any],
    axes: Mapping[str, str],
    lengths: dict[str, int],
    wrt: str | Sequence[str],
    citation: Citation | None,
) -> type[Formula]:
    if not inspect.isfunction(function):
        raise bad_argument("what is decorated", function, "a function, defined by `def`")
    name = function.__name__
    arrays, numbers = parameters(function, Formula)
    shapes = axes_of(name, arrays, axes)
    body: dict[str, Any] = {
        "__module__": function.__module__ or "__main__",  # of a text that is run without a module's name
        "__qualname__": function.__qualname__,
        "__doc__": function.__doc__ or f"The formula {name}.",
        "__annotations__": types_of(function, numbers),
        **{number: parameter.default for number, parameter in numbers.items()},
        "function": staticmethod(function),
        "shapes": shapes,
        "lengths": lengths_of(name, shapes, lengths),
        "wrt": differentiable(name, shapes, wrt),
    }
    if citation is not None:
        body["citation"] = citation
    made = type(name, (Formula,), body)
    made()  # a default that is illegal is said here
    return made
