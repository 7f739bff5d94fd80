"""The cost of judging a step: the rule in float64 NumPy, the oracle's judgement, and the same by a kernel.

python -m tests.benchmarks.judging [elements [rules]]    # ratios of processor time in one run, and the memory that each takes
"""

from __future__ import annotations

import math
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from unittest import mock

import numpy as np

from refgrad.kinds.estimator import PRODUCTS
from refgrad.optimizers import AdamW
from refgrad.oracle.acceptance import screened_cases, stateless
from refgrad.oracle.acceptance.judge import Large, Step, judge
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.quantized_parts import judge_parts
from refgrad.oracle.acceptance.screened_cases import Case
from refgrad.oracle.acceptance.screened_outputs import summary
from refgrad.oracle.acceptance.screened_rows import Rows
from refgrad.oracle.acceptance.screening import screened
from refgrad.rule import find
from refgrad.tracing import free_names, free_values, literal, plan_for

#: optimizers of elements alone and with sums, an estimator, and quantizers
RULES = ("AdamW", "LAMB", "Adafactor", "LARS", "NovoGrad", "ClippedSTE", "Blockwise", "Affine", "NF4", "MX")
TURNS = 5


def _arrays(size: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    arrays = {name: random.standard_normal(size, dtype=np.float32) for name in ("p", "g", "m", "v")}
    arrays["v"] = np.square(arrays["v"])
    return arrays


def evaluate(size: int) -> Callable[[], Any]:
    """The body of AdamW on float64 arrays."""
    arrays = {name: array.astype(np.float64) for name, array in _arrays(size).items()}
    return lambda: literal(AdamW(), arrays, {"t": 3})


def _step(size: int) -> Step:
    rule, arrays = AdamW(), _arrays(size)
    free = free_values((size,), {"t": 3})
    plan = rule.plan((size,), 3)
    after = {n: np.asarray(a) for n, a in literal(rule, arrays, {"t": 3}).items()}
    return Step(plan, dict(zip(plan.free, free, strict=True)), Large(arrays), after)


def judge_step(size: int) -> Callable[[], Any]:
    """All outputs of one step of AdamW, judged as small arrays are."""
    step = _step(size)
    return lambda: _added_up(judge(step, Policy())[0], step.after)


def screen_step(size: int, threads: int = 2) -> Callable[[], Any]:
    """The same by a kernel."""
    step = _step(size)
    return lambda: _added_up(screened(step, Policy(), threads), step.after)


def _added_up(judged: Any, seen: Any) -> Any:
    """What a verdict takes of it: counts, distances over what is allowed and in units in the last place."""
    return {n: summary(j, seen[n], seen[n].dtype) for n, j in judged.items()}


def _shape(size: int) -> tuple[int, int]:
    """A matrix of about as many elements, with as many rows as it has columns."""
    side = math.isqrt(size)
    return side, side


def sides(name: str, size: int, threads: int) -> dict[str, Callable[[], Any]]:
    """A right result of a rule judged as small arrays are, and by a kernel.

    Args:
        name: that of the rule.
        size: of how many elements, about.
        threads: how many the kernel has.
    """
    rule: Any = find(name)()
    if rule.kind == "quantizer":
        return _of_rows(rule, _shape(size))
    return (_of_case if rule.kind == "estimator" else _of_step)(rule, _shape(size), threads)


def _of_step(rule: Any, shape: tuple[int, int], threads: int) -> dict[str, Callable[[], Any]]:
    random = np.random.default_rng(0)
    p, before, t = random.standard_normal(shape, np.float32), {}, 3
    state = rule.init(p)
    for _ in range(t):
        g = random.standard_normal(shape, np.float32)
        before = {"p": p, "g": g, **{n: state[n] for n in rule.slots()}}
        p, state = rule.step(p, g, state)
    plan = rule.plan(shape, t)
    after = {"p": p, **{n: state[n] for n in rule.slots()}}
    step = Step(plan, dict(zip(plan.free, free_values(shape, {"t": t}), strict=True)), Large(before), after)
    return {
        "as small arrays": lambda: _added_up(judge(step, Policy())[0], after),
        "by a kernel": lambda: _added_up(screened(step, Policy(), threads), after),
    }


def _of_case(rule: Any, shape: tuple[int, int], threads: int) -> dict[str, Callable[[], Any]]:
    random, values = np.random.default_rng(0), free_values(shape, {})
    plan = plan_for(rule, len(shape), values)
    arrays = {n: 2.0 * random.standard_normal(shape, np.float32) for n in ("x", *plan.graph.inputs())}
    seen = {n: np.asarray(a) for n, a in literal(rule, arrays, {}).items() if n in plan.graph.outputs}
    case = Case(plan, dict(zip(free_names(rule, 2), values, strict=True)), arrays, seen, Policy(), PRODUCTS)
    own = partial(stateless._judge_at_once, plan, case.free, policy=case.policy, products=PRODUCTS)
    return {
        "as small arrays": lambda: _added_up(
            stateless._judge_case(plan, case.free, arrays, seen, case.policy, PRODUCTS), seen
        ),
        "by a kernel": lambda: _added_up(screened_cases.screened(case, own, threads), seen),
    }


def _of_rows(rule: Any, shape: tuple[int, int]) -> dict[str, Callable[[], Any]]:
    """Parts of a quantizer, and what they stand for; the kernel has as many threads as are worth it."""
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    quantized = rule.quantize(x)
    seen = {**quantized.arrays, "y": rule.dequantize(quantized)}

    def judged(kernel: bool) -> Any:
        with mock.patch.object(Rows, "worth", lambda rows: kernel and rows.why_not() is None):
            found = judge_parts(rule, {"x": x}, seen, Policy())
        return {n: summary(j, values, x.dtype) for n, (j, values) in found.items()}

    return {"as small arrays": partial(judged, False), "by a kernel": partial(judged, True)}


def measured(name: str, size: int, threads: int = 1) -> tuple[list[float], list[float]]:
    """Million elements a second of processor time of all threads, and bytes an element beside the arrays, of each side."""
    calls = list(sides(name, size, threads).values())
    many, memory = math.prod(_shape(size)), []
    results = [call() for call in calls]  # which also compiles
    if results[0] != results[1]:
        raise AssertionError(f"{name}: a kernel says something else: {results}")
    for call in calls:
        tracemalloc.start()
        call()
        memory.append(tracemalloc.get_traced_memory()[1] / many)
        tracemalloc.stop()
    spent: list[list[float]] = [[] for _ in calls]
    for _ in range(TURNS):
        for call, times in zip(calls, spent, strict=True):
            start = time.process_time()
            call()
            times.append(time.process_time() - start)
    return [many / statistics.median(times) / 1e6 for times in spent], memory


def main(arguments: Sequence[str]) -> None:
    """Print what each costs, one thread a kernel."""
    size = int(float(arguments[0])) if arguments else 4_000_000
    print(
        f"about {size:.0e} elements of float32, medians of {TURNS} turns: million elements a second of processor time of all"
    )
    print("threads, and bytes an element beside the arrays, as small arrays are judged -> by a kernel")
    for name in arguments[1:] or RULES:
        rates, memory = measured(name, size)
        print(
            f"{name}: {rates[0]:.2f} -> {rates[1]:.1f}, {rates[1] / rates[0]:.0f} times; {memory[0]:.1f} -> {memory[1]:.1f}"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
