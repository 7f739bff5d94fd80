"""A training that is stepped, stepped in place, saved, loaded, copied and refused, in any order.

The model is a training of the same rule by the literal body alone, on arrays of its own, which does none of these: after each
step both have the same bits. A call that is refused leaves the training where the model is.
"""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from refgrad.errors import ArgumentError
from refgrad.rule import rules
from refgrad.tracing import literal
from tests.bits.inputs import Source
from tests.fuzz.values import NUMBERS, REFUSED

#: rules whose slots are arrays like the parameter, scalars, or of other shapes
NAMES = ("AdamW", "SGD", "Adafactor", "Lion", "ASGD", "Rprop", "NAdam", "SM3")
SHAPES = ((4, 3), (5,), (), (0, 2))


class Training(RuleBasedStateMachine):
    """One parameter under one rule."""

    @initialize(
        name=st.sampled_from(NAMES),
        shape=st.sampled_from(SHAPES),
        dtype=st.sampled_from((np.float32, np.float64, np.float16)),
    )
    def begin(self, name: str, shape: tuple[int, ...], dtype: Any) -> None:
        """The first parameter and state."""
        self.rule: Any = rules()[name]()
        self.source = Source(name)
        self.p = self.source.signed(shape, dtype)
        self.state = self.rule.init(self.p)
        self.model = (self.p.copy(), copy.deepcopy(self.state))

    def _gradient(self) -> np.ndarray:
        return self.source.signed(self.p.shape, self.p.dtype)

    def _follow(self, g: np.ndarray) -> None:
        """The same step of the model."""
        p, state = self.model
        kind = np.float64 if p.dtype == np.float64 else np.float32
        slots = self.rule.slots()
        arrays = {"p": p, "g": g, **{n: state[n] for n, s in slots.items() if not s.scalar}}
        scalars = {"t": state["t"] + 1.0, **{n: state[n] for n, s in slots.items() if s.scalar}}
        found = literal(self.rule, {n: np.array(a, kind) for n, a in arrays.items()}, scalars)
        with np.errstate(all="ignore"):
            new = {n: found[n] if s.scalar else found[n].astype(state[n].dtype) for n, s in slots.items()}
            self.model = (found["p"].astype(p.dtype).reshape(p.shape), {"t": state["t"] + 1, **new})

    def _same(self) -> None:
        p, state = self.model
        assert self.p.tobytes() == p.tobytes()
        assert self.state.keys() == state.keys()
        for name, value in state.items():
            own = self.state[name]
            assert own.tobytes() == value.tobytes() if isinstance(value, np.ndarray) else own == value, name

    @rule(backend=st.sampled_from(("auto", "numpy")), threads=st.sampled_from((None, 1, 3)))
    def step(self, backend: str, threads: int | None) -> None:
        """A step that returns new arrays, and leaves the old ones as they were."""
        g, kept, before = self._gradient(), self.p, self.p.copy()
        self.p, self.state = self.rule.step(self.p, g, self.state, backend=backend, threads=threads)
        assert kept.tobytes() == before.tobytes()
        self._follow(g)
        self._same()

    @precondition(lambda self: self.p.flags.writeable)
    @rule()
    def step_in_place(self) -> None:
        """A step that overwrites parameter and state."""
        if isinstance(self.p, np.generic):
            self.p = np.asarray(self.p)
        g, where = self._gradient(), self.p
        self.rule.step_(self.p, g, self.state)
        assert self.p is where
        self._follow(g)
        self._same()

    @rule()
    def save_and_load(self) -> None:
        """By NumPy's files, as a checkpoint; a number comes back as an array without axes."""
        file = io.BytesIO()
        np.savez(file, p=self.p, **self.state)
        with np.load(io.BytesIO(file.getvalue()), allow_pickle=False) as found:
            read = {name: found[name] for name in found.files}
        self.p = read.pop("p")
        numbers = {n for n, value in self.model[1].items() if not isinstance(value, np.ndarray)}
        self.state = {n: value.item() if n in numbers else value for n, value in read.items()}
        self._same()

    @rule(how=st.sampled_from(("copy", "pickle")))
    def copy_all(self, how: str) -> None:
        """Rule, parameter and state by copies, or by pickles."""
        together = (self.rule, self.p, self.state)
        self.rule, self.p, self.state = (
            copy.deepcopy(together) if how == "copy" else pickle.loads(pickle.dumps(together))
        )
        self._same()

    @rule(what=st.sampled_from(sorted(REFUSED)), where=st.sampled_from(("p", "g", "slot")), in_place=st.booleans())
    def refused(self, what: str, where: str, in_place: bool) -> None:
        """A call with an argument of a wrong kind: an error, and nothing has been written."""
        arrays = [n for n, value in self.state.items() if isinstance(value, np.ndarray)]
        p, g, state = self.p, self._gradient(), dict(self.state)
        change = REFUSED[what]
        if where == "p":
            p = change(p)
        elif where == "g" or not arrays:
            g = change(g)
        else:
            state[arrays[0]] = change(state[arrays[0]])
        try:
            (self.rule.step_ if in_place else self.rule.step)(p, g, state)
        except ArgumentError:
            self._same()
        else:
            raise AssertionError(f"{what} was taken for {where}")

    @rule(what=st.sampled_from(["-5", "2.7", "true", "nan", "text 3", "10**400", "none", "list"]))
    def refused_count(self, what: str) -> None:
        """A count of steps that is none."""
        try:
            self.rule.step_(self.p, self._gradient(), {**self.state, "t": NUMBERS[what]()})
        except ArgumentError:
            self._same()
        else:
            raise AssertionError(f"t = {what} was taken")
