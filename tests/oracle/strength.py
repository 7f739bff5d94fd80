"""Legal programs accepted and mutants rejected, beside the usual comparisons: ``python -m tests.oracle.strength``.

``python -m tests.oracle.strength rules`` prints instead, for every rule, how far random programs go towards the edge of
its sets. The usual comparisons see what their users see: the candidate's p, m and v after each step, against a float32
reference run from the same state.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

import refgrad
from refgrad.optimizers import AdamW
from refgrad.oracle.inputs import generate
from tests.oracle.adam_cases import LEGAL, MUTANTS, Program
from tests.oracle.attack import STYLES, Attacker
from tests.oracle.cases import exercised, inputs, shipped
from tests.oracle.test_adam_cases import judged

Close = Callable[[np.ndarray, np.ndarray], bool]


def judges() -> dict[str, Close]:
    """Each comparison with its own defaults."""
    found: dict[str, Close] = {"numpy.allclose": lambda a, b: bool(np.allclose(a, b, equal_nan=True))}
    found["numpy.testing.assert_allclose"] = _raises(lambda a, b: np.testing.assert_allclose(a, b))
    try:
        import torch

        close = torch.testing.assert_close
        found["torch.testing.assert_close"] = _raises(
            lambda a, b: close(torch.tensor(a), torch.tensor(b), equal_nan=True)
        )
    except ImportError:
        pass
    try:
        import chex

        found["chex.assert_trees_all_close"] = _raises(chex.assert_trees_all_close)
    except ImportError:
        pass
    return found


def _raises(check: Callable[..., object]) -> Close:
    def close(a: np.ndarray, b: np.ndarray) -> bool:
        try:
            check(a, b)
        except AssertionError:
            return False
        return True

    return close


def accepted(program: Program, close: Close, families: slice) -> bool:
    """Whether a comparison finds no difference in ten steps, each from the candidate's own state."""
    taken, rule = generate(10, "float32", 0), AdamW()
    for leaf in range(len(taken.p))[families]:
        p = taken.p[leaf]
        m, v = np.zeros_like(p), np.zeros_like(p)
        for t, g in enumerate(taken.g, 1):
            want, state = rule.step(p, g[leaf], {"t": t - 1, "m": m, "v": v}, backend="numpy")
            with np.errstate(all="ignore"):
                p, m, v = program(p, g[leaf], m, v, t)
            if not (close(p, want) and close(m, state["m"]) and close(v, state["v"])):
                return False
    return True


def by_rule() -> None:
    """Print how far the programs of `tests.oracle.attack` go, in shares of the half-width of the sets."""
    print("| rule | p | its state | values judged | outside |\n|---|---|---|---|---|")
    for rule in map(exercised, shipped()):
        style = STYLES["thrice"]
        verdict = refgrad.verify(Attacker(style), rule, policy=style.policy, inputs=inputs(rule, 8), shrink=False)
        state = [share for name, share in verdict.tightest.items() if name != "p"]
        total = verdict.total
        cells = (
            rule,
            f"{verdict.tightest['p']:.2f}",
            f"{max(state):.2f}" if state else "-",
            total.total,
            total.outside,
        )
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


def main() -> None:
    """Print the table."""
    if sys.argv[1:] == ["rules"]:
        by_rule()
        return
    print(f"| judge | legal accepted, of {len(LEGAL)} | mutants rejected, of {len(MUTANTS)} |\n|---|---|---|")
    legal = sum(judged(p, shrink=False).conforms for p in LEGAL.values())
    wrong = sum(not judged(p, shrink=False).conforms for p in MUTANTS.values())
    print(f"| refgrad, all inputs | {legal} | {wrong} |")
    for name, close in judges().items():
        for label, families in (("ordinary inputs", slice(0, 1)), ("all inputs", slice(0, 3))):
            legal = sum(accepted(p, close, families) for p in LEGAL.values())
            wrong = sum(not accepted(p, close, families) for p in MUTANTS.values())
            print(f"| {name}, {label} | {legal} | {wrong} |", flush=True)


if __name__ == "__main__":
    main()
