"""What every optimizer can do: make its state, and step, pure or in place, on arrays and on pytrees of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, ClassVar

import numpy as np

from refgrad import backends, trees
from refgrad.arguments import number
from refgrad.arithmetic.arrays import as_array, as_given, as_it_is
from refgrad.arithmetic.dtypes import as_dtype
from refgrad.arithmetic.scalar_math import names_in
from refgrad.axes import ELEMENT, LEFT, RIGHT, Axes
from refgrad.backends.cuda.device import Device
from refgrad.derived import derived
from refgrad.errors import ArgumentError, TraceError, bad_argument
from refgrad.legal import as_number
from refgrad.optimizers import coupled, extra, on_device
from refgrad.optimizers.leaf import Leaf, check_fits, check_writeable, working_copies
from refgrad.optimizers.limits import Limit
from refgrad.optimizers.ready import ArraySlots, ready_leaf, ready_leaves
from refgrad.rule import Extra, Rule, Slot
from refgrad.tracing import Plan, Step, free_values, lengths, plan_for

OptimizerState = dict[str, Any]


def _tuple_of(names: Sequence[str]) -> str:
    """How a body returns results of these names."""
    return f"`return {', '.join(names)}`" if len(names) > 1 else f"`return ({names[0]},)`, with the comma"


class Optimizer(Rule):
    """An update rule: from a parameter, its gradient and the state, the next parameter and state.

    Args:
        scalars: the precision in which what depends on hyperparameters and the step alone is computed.
    """

    def update(self, p: Any, g: Any, *extras_state_and_t: Any) -> tuple[Any, ...]:
        """The paper's algorithm; a subclass writes it, with arguments of its own names.

        Args:
            p: the parameter.
            g: its gradient, shaped like it.
            extras_state_and_t: the extra inputs in the order of `extras`, the slots in that of `state` (None for one that does
                not exist under the hyperparameters), and ``t``, the step counted from 1, a scalar.

        Returns:
            The next parameter and the next value of each slot, in that order.

        Raises:
            ArgumentError: the subclass does not write it.
        """
        name, taken = type(self).__name__, ", ".join(["p", "g", *self.slots(), "t"])
        raise ArgumentError(
            f"{name} has no update; write `def update(self, {taken})`, which returns a tuple: p, then the state"
        )

    kind = "optimizer"
    #: whether all parameters of a step are updated together, as one vector
    couples: ClassVar[bool] = False
    computing: ClassVar[frozenset[str]] = frozenset({"init", "step", "step_"})
    writes: ClassVar[Mapping[str, tuple[str, ...]]] = {"step_": ("p", "state")}
    #: from the first step on, eps and decay being zero, a gradient scaled by a number moves the parameter alike
    #: ("invariant"), as many times as far ("linear"), or as neither says ("")
    scaling: ClassVar[str] = ""
    #: other rules that this one is at some hyperparameters
    limits: ClassVar[tuple[Limit, ...]] = ()
    #: where there are such: hyperparameters at which the step is orthogonal to the parameter, row by row, and those that
    #: are to be changed of these so that it is not
    orthogonal: ClassVar[tuple[Mapping[str, Any], Mapping[str, Any]] | None] = None

    @property
    def scope(self) -> str:
        """What is updated as one: "leaf", each parameter by itself, or "tree", all parameters of a step as one vector."""
        return "tree" if self.couples else "leaf"

    def told(self) -> Optimizer:
        """The rule whose hyperparameters a candidate's constructor is given: this one, or one that it wraps."""
        return self

    def largest_step(self, t: int) -> float:
        """How far a step moves an element at most, if nothing decays.

        Args:
            t: the step, counted from 1.

        Returns:
            The bound, in units of the parameter; infinity where there is none.
        """
        return math.inf

    def largest_norm(self, t: int, p: float) -> float:
        """How long a tensor's step is at most, if nothing decays.

        Args:
            t: the step, counted from 1.
            p: the tensor's Euclidean norm before it.

        Returns:
            The bound on the step's Euclidean norm; infinity where there is none.
        """
        return math.inf

    def takes(self) -> dict[str, Axes]:
        """``p``, ``g``, the extra inputs and the slots that are arrays: name -> axes (see `refgrad.axes`)."""
        arrays = {n: s.settled for n, s in self.slots().items() if not s.scalar}
        return dict.fromkeys(("p", *self.read_only()), ELEMENT) | arrays

    def gives(self) -> dict[str, Axes]:
        """The slots that are not shaped like the parameter: name -> axes."""
        return {n: axes for n, axes in self.takes().items() if axes != ELEMENT}

    @derived
    def scalar_inputs(self) -> tuple[str, ...]:
        """``t``, the step counted from 1, the slots that are numbers, and the extra inputs that are."""
        slots = [n for n, s in self.slots().items() if s.scalar]
        return ("t", *slots, *(n for n, extra in self.inputs().items() if extra.scalar))

    @derived
    def inputs(self) -> dict[str, Extra]:
        """The extra inputs of a step under these hyperparameters, by name, in the order in which `update` takes them."""
        return {n: e for n, e in self.extras.items() if e.when is None or bool(getattr(self, e.when))}

    def read_only(self) -> tuple[str, ...]:
        """The arrays that a step reads and does not write: ``g`` and the extra inputs."""
        return ("g", *(n for n, e in self.inputs().items() if not e.scalar))

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """`update` on values by name.

        Args:
            given: ``p``, ``g``, ``t``, the extra inputs and the slots that exist, values of one arithmetic.

        Returns:
            ``p`` and the slots that exist, by name.
        """
        others = [given.get(name) for name in (*self.extras, *self.state)]
        returned, names = self.update(given["p"], given["g"], *others, given["t"]), ("p", *self.state)
        if not isinstance(returned, tuple) or len(returned) != len(names):
            found = f"{len(returned)} results" if isinstance(returned, tuple) else "no tuple"
            raise TraceError(f"{type(self).__name__}.update returns {found}; legal: {_tuple_of(names)}")
        results = dict(zip(names, returned, strict=True))
        return {name: results[name] for name in ("p", *self.slots())}

    def init(self, p: Any, *, state_dtype: Any = None) -> OptimizerState:
        """The state before the first step.

        Args:
            p: an array of any float dtype and shape, or a pytree (dict, list, tuple) of arrays.
            state_dtype: the dtype of the state's arrays; by default that of each parameter.

        Returns:
            A dict with ``t`` (steps taken, 0) and one entry a slot, structured like ``p``.

        Raises:
            ArgumentError: a leaf is not an array of a float dtype, or the state's dtype is none.

        >>> import numpy as np
        >>> from refgrad.optimizers import SGD
        >>> SGD(momentum=0.9).init(np.ones(2, np.float32))
        {'t': 0, 'buffer': array([0., 0.], dtype=float32)}
        """
        dtype = None if state_dtype is None else as_dtype(state_dtype, "state_dtype")
        arrays = [as_array(leaf, f"p{path}") for path, leaf in trees.leaves(p)]
        state: OptimizerState = {"t": 0}
        for name, slot in self.slots().items():
            state[name] = trees.rebuild(p, [self._first(slot, a, dtype or a.dtype) for a in arrays])
        return state

    def _first(self, slot: Slot, p: np.ndarray, dtype: Any) -> Any:
        """A slot's value before the first step."""
        if slot.fill == "p":
            return np.array(p, dtype=dtype, order="C")
        fill = getattr(self, slot.fill) if isinstance(slot.fill, str) else slot.fill
        if slot.axes in (LEFT, RIGHT) and p.ndim:
            return np.asarray(fill * np.eye(slot.shape(p.shape)[0]), dtype)
        return float(fill) if slot.scalar else np.full(slot.shape(p.shape), fill, dtype)

    def step(
        self,
        p: Any,
        g: Any,
        state: Mapping[str, Any],
        *,
        backend: str = "auto",
        threads: int | None = None,
        **extras: Any,
    ) -> Any:
        """One step; nothing that is handed in is changed.

        Args:
            p: the parameters: arrays of a float dtype, NumPy's, CuPy's (docs/cuda.md) or others' (docs/arrays.md), or a pytree
                of them.
            g: the gradients, structured and shaped like ``p``; any float dtype no wider than the working precision.
            state: what `init` or the last step returned.
            backend: "auto", "numpy" or "numba"; the bits are the same (see docs/bits.md). CuPy's arrays have one of their own.
            threads: how many threads a kernel may use; by default all that the process may.
            extras: the rule's extra inputs (`inputs`) by name: arrays structured and shaped like ``p``, or numbers.

        Returns:
            ``(p, state)``, new arrays of the dtypes that came in.

        Raises:
            ArgumentError: structures, shapes or dtypes that do not fit, an extra input that is missing or unknown, or an
                unknown backend.

        >>> import numpy as np
        >>> from refgrad.optimizers import SGD
        >>> rule, p = SGD(lr=0.5), {"w": np.ones(2), "b": np.zeros(1)}
        >>> rule.step(p, {"w": np.ones(2), "b": np.ones(1)}, rule.init(p))
        ({'w': array([0.5, 0.5]), 'b': array([-0.5])}, {'t': 1})
        """
        ready = None if extras else self._ready_leaves(p, g, state)
        if ready is not None:
            return self._step_of_ready(p, ready, steps_taken(state) + 1, backend, threads)
        numbers, arrays = self._separated(extras, p)
        work = self._prepare(p, g, state, arrays, False)
        new, t = [item.copied() for item in work], steps_taken(state) + 1
        self._run(new, t, numbers, backend, threads)
        return trees.rebuild(p, [i.arrays["p"] for i in new]), self._collect(p, new, t)

    def step_(
        self, p: Any, g: Any, state: OptimizerState, *, backend: str = "auto", threads: int | None = None, **extras: Any
    ) -> None:
        """One step in place: the arrays of ``p`` and ``state`` are overwritten, and ``state["t"]`` is counted up.

        A step that is interrupted (Ctrl-C) ends before the interrupt is raised where a kernel runs alone; of several leaves, or
        several passes, some may have been written and some not, and ``state["t"]`` is as it was: such parameters and states
        are to be thrown away. `step` writes into nothing that it was handed, so that an interrupt leaves all as it was.

        Args:
            p: the parameters, as `step` takes them, and writeable.
            g: the gradients, as `step` takes them.
            state: what `init` or the last step made; its arrays are writeable.
            backend: "auto", "numpy" or "numba"; the bits are the same.
            threads: how many threads a kernel may use; by default all that the process may.
            extras: the rule's extra inputs by name.

        Raises:
            ArgumentError: what `step` says; an array is read-only; an array that is written has elements that
                share memory; or two arrays share memory of which one is written. Then
                nothing has been written.

        >>> import numpy as np
        >>> from refgrad.optimizers import SGD
        >>> rule, p = SGD(lr=0.5), np.ones(2)
        >>> state = rule.init(p)
        >>> rule.step_(p, np.ones(2), state)
        >>> p, state["t"]
        (array([0.5, 0.5]), 1)
        """
        slots = self._array_slots()
        arrays = None if extras or slots is None else ready_leaf(p, g, state, slots)
        if arrays is not None:
            t = steps_taken(state) + 1
            free = (float(t), *lengths(p.shape))
            backends.runner(backend)(plan_for(self, p.ndim, free), free, arrays, threads)
            state["t"] = t
            return
        leaves = None if extras else self._ready_leaves(p, g, state)
        if leaves is not None:
            t = steps_taken(state) + 1
            self._run_ready(leaves, t, backend, threads)
            state["t"] = t
            return
        numbers, read = self._separated(extras, p)
        work = self._prepare(p, g, state, read, True)
        t = steps_taken(state) + 1
        self._run(work, t, numbers, backend, threads)
        self._count(p, state, work, t)

    def _ready_leaves(self, p: Any, g: Any, state: Mapping[str, Any]) -> list[dict[str, np.ndarray]] | None:
        """The leaves of a tree, if kernels take all as they are, one after the other."""
        slots = self._array_slots()
        leaves = None if slots is None else ready_leaves(p, g, state, slots)
        return None if leaves is None or (len(leaves) > 1 and self.scope == "tree") else leaves

    def _step_of_ready(
        self, p: Any, leaves: list[dict[str, np.ndarray]], t: int, backend: str, threads: int | None
    ) -> tuple[Any, OptimizerState]:
        """What a step makes of such leaves, which stay as they are."""
        new = [{n: a if n == "g" else a.copy() for n, a in arrays.items()} for arrays in leaves]
        self._run_ready(new, t, backend, threads)
        made = {name: trees.rebuild(p, [arrays[name] for arrays in new]) for name in ("p", *self.slots())}
        return made.pop("p"), {"t": t, **made}

    def _run_ready(self, leaves: list[dict[str, np.ndarray]], t: int, backend: str, threads: int | None) -> None:
        """Overwrite such leaves. What may have no meaning in one of them is computed before the first is written."""
        step, last, todo = float(t), None, list[Step]()
        for arrays in leaves:
            p = arrays["p"]
            free = (step, *lengths(p.shape))
            plan = plan_for(self, p.ndim, free)
            if free != last and len(leaves) > 1:
                plan.scalars(*free)
                last = free
            todo.append((plan, free, arrays))
        backends.in_turn(backend, todo, threads)

    def _count(self, p: Any, state: OptimizerState, work: list[Leaf], t: int) -> None:
        """What a step in place changes of a state besides its arrays."""
        for name, slot in self.slots().items():
            if slot.scalar:
                state[name] = trees.rebuild(p, [item.scalar_values[name] for item in work])
        state["t"] = t

    def at_device(self, method: str, device: Device, p: Any, *args: Any, **keywords: Any) -> Any:
        """`init`, `step` and `step_` on arrays of a device.

        Args:
            method: its name.
            device: where the arrays lie.
            p: the parameters, as the method takes them.
            args: what it is called with besides.
            keywords: the same by name.

        Returns:
            What the method returns, with arrays of the device.
        """
        if method == "init":
            return on_device.init(self, p, device, *args, **keywords)
        return self._step_at(device, method == "step_", p, *args, **keywords)

    def _step_at(
        self,
        device: Device,
        in_place: bool,
        p: Any,
        g: Any,
        state: OptimizerState,
        backend: str = "auto",
        threads: int | None = None,
        **extras: Any,
    ) -> Any:
        backends.runner(backend)  # which refuses what is no backend
        check_state(state, in_place)
        t = steps_taken(state) + 1 if "t" in state else 0
        work = on_device.step(self, p, g, state, t, extras, in_place, device)
        if in_place:
            return self._count(p, state, work, t)
        return trees.rebuild(p, [i.arrays["p"] for i in work]), self._collect(p, work, t)

    @derived
    def _array_slots(self) -> ArraySlots | None:
        """The slots, if each is an array and a step takes nothing besides the gradient; else None.

        A slot that is shaped like the parameter has its name alone.
        """
        slots = self.slots()
        if self.inputs() or any(slot.scalar for slot in slots.values()):
            return None
        return tuple((name, None if slot.axes == ELEMENT else slot) for name, slot in slots.items())

    def _separated(self, extras: Mapping[str, Any], p: Any) -> tuple[dict[str, float], dict[str, Any]]:
        return extra.separated(self.inputs(), extras, p, type(self).__name__)

    def plan(self, shape: tuple[int, ...], t: int, scalar_values: Mapping[str, float] | None = None) -> Plan:
        """The traced update.

        Args:
            shape: the parameter's shape, of which the number of axes counts.
            t: the step, counted from 1.
            scalar_values: the values of the other `scalar_inputs`, by name and in their order; by default 1.

        Returns:
            The plan, which is kept with the rule.

        Raises:
            TraceError: `update` uses an operation that no arithmetic knows.
        """
        scalar_values = scalar_values or dict.fromkeys(self.scalar_inputs()[1:], 1.0)
        return plan_for(self, len(shape), free_values(shape, {"t": t, **scalar_values}))

    def formula_lines(self) -> list[str]:
        """The update as formulas in plain text, on a matrix at the tenth step.

        >>> from refgrad.optimizers import SGD
        >>> SGD().formula_lines()
        ["p' = p - lr g"]
        """
        from refgrad.arithmetic import formula

        return formula.guarded_lines(self.plan((4, 4), 10))

    def reads(self) -> frozenset[str]:
        """The names of the numbers that a later step on a matrix reads."""
        graph = self.plan((4, 4), 10).graph
        exprs = [*graph.scalars(), *graph.scalar_outputs.values(), *(expr for expr, _ in graph.guards)]
        return frozenset(self.numbers()) & frozenset().union(*map(names_in, exprs))

    def uses(self) -> frozenset[str]:
        """The same, and the names of the numbers that slots are filled with at first.

        >>> from refgrad.optimizers import Adagrad
        >>> sorted(Adagrad().uses() - Adagrad().reads())
        ['initial_accumulator_value']
        """
        fills = {slot.fill for slot in self.slots().values() if isinstance(slot.fill, str)}
        return self.reads() | (fills & self.numbers().keys())

    def _prepare(
        self, p: Any, g: Any, state: Mapping[str, Any], extras: Mapping[str, Any], in_place: bool
    ) -> list[Leaf]:
        """Every leaf with its arrays, checked; nothing has been written when this raises."""
        slots = self.slots()
        check_state(state, in_place)
        missing = [name for name in ("t", *slots) if name not in state]
        if missing:
            raise ArgumentError(f"state has no {missing[0]!r}; legal: what {type(self).__name__}.init returned")
        given = {"p": p, "g": g, **extras, **{n: state[n] for n in slots}}
        if isinstance(p, np.ndarray):
            columns = [[tree] for tree in given.values()]
            paths = [""]
        else:
            paths = [path for path, _ in trees.leaves(p)]
            columns = [trees.matching(p, tree, _label(name, "", slots)) for name, tree in given.items()]
        rows = [dict(zip(given, row, strict=True)) for row in zip(*columns, strict=True)]
        found = [self._leaf(path, row, slots) for path, row in zip(paths, rows, strict=True)]
        if in_place:
            for path, row, leaf in zip(paths, rows, found, strict=True):
                for name in leaf.arrays:
                    if isinstance(row[name], np.generic) and name not in leaf.read_only:
                        label = _label(name, path, slots)
                        raise ArgumentError(f"{label} is a NumPy scalar, which nobody can write; legal: an array")
            check_writeable(found, paths)
        return found

    def _leaf(self, path: str, given: Mapping[str, Any], slots: Mapping[str, Slot]) -> Leaf:
        p = as_given(given["p"], f"p{path}")
        arrays, scalar_values = {"p": p}, {}
        for name, value in given.items():
            slot = slots.get(name, _LIKE_P)
            if slot.scalar:
                scalar_values[name] = number(value, _label(name, path, slots))
            elif name != "p":
                shape = slot.shape(p.shape)
                if not as_it_is(value, p.dtype, shape):
                    label = _label(name, path, slots)
                    value = as_given(value, label)
                    check_fits(p, value, label, slot)
                arrays[name] = value
        return Leaf(arrays, scalar_values, self.read_only())

    def _run(self, work: list[Leaf], t: int, numbers: Mapping[str, float], backend: str, threads: int | None) -> None:
        """Overwrite every leaf with its next value."""
        run = backends.runner(backend)
        if len(work) > 1 and self.scope == "tree":
            coupled.step(self, work, {"t": t, **work[0].scalar_values, **numbers}, backend, threads)
            return
        if (
            len(work) > 1 and work[0].scalar_values
        ):  # a number of a later leaf may have no meaning: nothing is written then
            for leaf in work:
                free = free_values(leaf.arrays["p"].shape, {"t": t, **leaf.scalar_values, **numbers})
                plan = plan_for(self, leaf.arrays["p"].ndim, free)
                plan.scalars(*free), plan.scalar_outputs(*free)
        for leaf in work:
            free = free_values(leaf.arrays["p"].shape, {"t": t, **leaf.scalar_values, **numbers})
            plan = plan_for(self, leaf.arrays["p"].ndim, free)
            outputs = plan.scalar_outputs(*free)
            arrays, narrow = working_copies(leaf)
            run(plan, free, arrays, threads)
            leaf.write_back(arrays, narrow)
            leaf.set_scalars(outputs)

    def _collect(self, p: Any, work: list[Leaf], t: int) -> OptimizerState:
        new: OptimizerState = {"t": t}
        for name, slot in self.slots().items():
            new[name] = trees.rebuild(
                p, [leaf.scalar_values[name] if slot.scalar else leaf.arrays[name] for leaf in work]
            )
        return new


_LIKE_P = Slot()
#: the largest number of steps: all whole numbers up to it are floats
MOST = 2**53


def _label(name: str, path: str, slots: Mapping[str, Slot]) -> str:
    """What messages call an argument of a step."""
    return f"state[{name!r}]{path}" if name in slots else f"{name}{path}"


def steps_taken(state: Mapping[str, Any]) -> int:
    """The number of steps that a state says were taken.

    Args:
        state: the state.

    Returns:
        The number, from 0.

    Raises:
        ArgumentError: there is none, it is no whole number, or a negative one.
    """
    try:
        t = state["t"]
    except KeyError:
        raise ArgumentError("state has no 't'; legal: what init or the last step returned") from None
    if type(t) is int and 0 <= t <= MOST:
        return t
    taken = as_number(t)
    if not 0 <= taken <= MOST or taken != int(taken):
        raise bad_argument("state['t']", t, "a whole number from 0, the steps that were taken")
    return int(taken)


def check_state(state: Any, in_place: bool = False) -> None:
    """Check that a state is one: a mapping from the names of slots.

    Args:
        state: what was handed in.
        in_place: whether it is written too.

    Raises:
        ArgumentError: it is something else, or raises where it is read or written.
    """
    if not isinstance(state, MutableMapping if in_place else Mapping):
        raise bad_argument("state", state, "the dict that init or the last step returned")
    trees.check_entries(state, "state", in_place)
