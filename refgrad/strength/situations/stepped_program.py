"""A rule with steps as a candidate with a planted fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from refgrad.candidates.eight_bit import flat
from refgrad.candidates.protocol import ABSENT, COUNTED, GROUPS, SAVED, STRIDED, TOLD, Extras, Observation
from refgrad.optimizers.base import Optimizer
from refgrad.quantizers.eight_bit import EightBit
from refgrad.strength.situations.fault import At, Fault


@dataclass(frozen=True, eq=False)
class SteppedProgram:
    """An optimizer's own program with a fault, or without one.

    Attributes:
        fault: what is wrong; None for the right program.
        eight: the way in which state is kept in 8 bits, of a rule that does.
    """

    fault: Fault | None = None
    eight: EightBit | None = None
    name: str = "planted"
    abilities: frozenset[str] = frozenset({ABSENT, COUNTED, SAVED, GROUPS, STRIDED, TOLD})
    takes_small: bool = True

    def takes(self, rule: Optimizer) -> frozenset[str]:
        """All that the rule has."""
        return frozenset(rule.legal())

    def start(self, rule: Optimizer, params: Sequence[np.ndarray]) -> SteppedRun:
        """The program with its parameters, copied."""
        return SteppedRun(self, [rule] * len(params), params)

    def start_groups(self, rules: Sequence[Optimizer], params: Sequence[np.ndarray]) -> SteppedRun:
        """The same with a rule for each parameter."""
        return SteppedRun(self, rules, params)


@dataclass
class _Leaf:
    rule: Any
    p: np.ndarray
    state: dict[str, Any]
    t: int = 0
    memory: dict[Any, Any] = field(default_factory=dict)


class SteppedRun:
    """The program in the middle of a run."""

    def __init__(self, program: SteppedProgram, rules: Sequence[Optimizer], params: Sequence[np.ndarray]) -> None:
        self._fault, self._eight, self._calls = program.fault, program.eight, 0
        told = [self._told(rules[0] if self._fault and self._fault.one_group else rule) for rule in rules]
        copied = [np.array(p, order="C", copy=True) for p in params]
        self._leaves = [_Leaf(rule, p, rule.init(p)) for rule, p in zip(told, copied, strict=True)]

    def _told(self, rule: Optimizer) -> Any:
        rule = rule if self._fault is None else self._fault.settings(rule)
        return rule if self._eight is None else self._eight.replace(rule=rule)

    def step(self, grads: Sequence[Any], extras: Extras = MappingProxyType({})) -> None:
        """One step of all parameters, together where the rule couples them."""
        self._calls += 1
        together = self._eight is None and self._leaves[0].rule.scope == "tree"
        groups = [list(range(len(self._leaves)))] if together else [[i] for i in range(len(self._leaves))]
        for group in groups:
            self._advance(group, grads, extras)

    def _advance(self, group: list[int], grads: Sequence[Any], extras: Extras) -> None:
        fault, leaves = self._fault, [self._leaves[i] for i in group]
        given = [grads[i] for i in group]
        if any(g is None for g in given):
            for leaf in leaves if fault is not None and fault.absent else ():
                leaf.t += fault is not None and fault.absent == "counts"
            if fault is None or fault.absent != "advances":
                return
            given = [np.zeros_like(leaf.p) if g is None else g for leaf, g in zip(leaves, given, strict=True)]
        for leaf in leaves:
            leaf.t += 1
        ats = [self._at(i, g) for i, g in zip(group, given, strict=True)]
        used = [self._used(at) for at in ats]
        new = self._stepped(leaves, used, self._count(ats[0]), self._extras(group, extras))
        for leaf, at, (p, state) in zip(leaves, ats, new, strict=True):
            if fault is None or fault.left_out is None or not fault.left_out(at):
                leaf.p, leaf.state = self._kept(leaf, at, p, state)

    def _at(self, i: int, g: np.ndarray) -> At:
        leaf = self._leaves[i]
        given = {"p": leaf.p, "g": g}
        return At(leaf.rule, given, leaf.t, self._calls, i, len(self._leaves), leaf.memory)

    def _used(self, at: At) -> dict[str, np.ndarray]:
        return dict(at.given if self._fault is None or self._fault.given is None else self._fault.given(at.given))

    def _count(self, at: At) -> int:
        return at.t if self._fault is None or self._fault.count is None else self._fault.count(at)

    def _extras(self, group: list[int], extras: Extras) -> dict[str, Any]:
        return {n: v if isinstance(v, float) else [v[i] for i in group] for n, v in extras.items()}

    def _stepped(
        self, leaves: list[_Leaf], used: list[dict[str, np.ndarray]], t: int, extras: Mapping[str, Any]
    ) -> list[tuple[np.ndarray, dict[str, Any]]]:
        rule = leaves[0].rule
        states = [self._state_of(leaf) for leaf in leaves]
        if len(leaves) == 1:
            alone = {n: v if isinstance(v, float) else v[0] for n, v in extras.items()}
            return [rule.step(used[0]["p"], used[0]["g"], {**states[0], "t": t - 1}, **alone)]
        joined: dict[str, Any] = {n: [s[n] for s in states] for n in states[0] if n != "t"}
        p, state = rule.step([u["p"] for u in used], [u["g"] for u in used], {**joined, "t": t - 1}, **extras)
        return [(p[i], {n: v if n == "t" else v[i] for n, v in state.items()}) for i in range(len(leaves))]

    def _state_of(self, leaf: _Leaf) -> dict[str, Any]:
        other = None if self._fault is None else self._fault.state_of
        if other is None:
            return leaf.state
        theirs = self._leaves[other]
        return theirs.state if theirs.p.shape == leaf.p.shape else leaf.state

    def _kept(self, leaf: _Leaf, at: At, p: np.ndarray, state: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
        if self._fault is None or self._fault.result is None:
            return p, state
        arrays = {n: v for n, v in state.items() if isinstance(v, np.ndarray)}
        old = {"p": leaf.p, **{n: v for n, v in leaf.state.items() if isinstance(v, np.ndarray)}}
        with np.errstate(all="ignore"):
            changed = self._fault.result({"p": p, **arrays}, old, at)
        return changed.pop("p"), {**state, **changed}

    def set_count(self, count: int) -> None:
        """Go on as after so many steps."""
        for leaf in self._leaves:
            leaf.t = count

    def observe(self) -> Observation:
        """The parameters and the state."""
        if self._eight is not None:
            return Observation([x.p for x in self._leaves], [flat(x.rule, x.state) for x in self._leaves])
        state = [{n: leaf.state[n] for n in leaf.rule.slots()} for leaf in self._leaves]
        return Observation([leaf.p for leaf in self._leaves], state)

    def save_and_load(self) -> list[str]:
        """The state, as it is saved and loaded; nothing is kept beside it."""
        for leaf in self._leaves:
            if self._fault is not None and self._fault.loaded is not None:
                loaded = self._fault.loaded({**leaf.state, "t": leaf.t})
                leaf.t, leaf.state = loaded.pop("t"), {**loaded, "t": 0}
        return []
