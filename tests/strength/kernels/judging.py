"""What refgrad and three other gates say of a program."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import refgrad
from refgrad.arithmetic import dtypes
from refgrad.arithmetic.dtypes import whole_numbers
from refgrad.kinds.formula import ORDINARY
from refgrad.kinds.table import kind_of
from refgrad.optimizers.transform import axes_named
from refgrad.oracle.acceptance.bodies import named
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.unlike import distances
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.transforms import generate
from tests.strength.kernels.program import EVERYWHERE, SHAPES, Program, called, candidate

ASSERT_CLOSE, ONE_PERCENT, NORM_WISE = "torch.testing.assert_close", "1e-2", "twice the reference's error"
GATES = (ASSERT_CLOSE, ONE_PERCENT, NORM_WISE)
#: torch's own tolerances by dtype: relative, absolute
CLOSE: Mapping[str, tuple[float, float]] = {
    "float32": (1.3e-6, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float16": (1e-3, 1e-5),
}
#: of all axes together, where a program is tried in a few shapes
LENGTHS = (3, 17, 33)
#: cases of all families of numbers, as `refgrad.verify` has them
CASES = 10


def outcome(program: Program) -> dict[str, Any]:
    """What becomes of a program, as plain data.

    Args:
        program: the program.
    """
    kind: Any = kind_of(program.rule)
    dtype = dtypes.as_dtype(program.dtype, "dtype")
    cases = kind.generate(program.rule, CASES, dtype, 0)
    inputs = None if program.tried == EVERYWHERE else _more(program, cases, dtype)
    asked: dict[str, Any] = {"dtype": dtype, "policy": dict(program.policy) or None, "inputs": inputs}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        started = time.process_time()
        verdict = refgrad.verify(candidate(program), program.rule, explain=False, shrink=False, **asked)
        seconds = time.process_time() - started
        ordinary = [a for a, name in zip(cases.arrays, cases.names, strict=True) if name == ORDINARY]
        line = {
            "id": program.id,
            "of": program.of,
            "language": program.language,
            "dtype": program.dtype,
            "name": program.name,
            "wrong": program.wrong,
            "tried": program.tried,
            "outcome": verdict.outcome,
            "why": "; ".join(map(str, verdict.faults))[:300],
            "undecided": round(verdict.total.undecided / max(sum(vars(verdict.total).values()), 1), 4),
            "share": max(verdict.tightest.values(), default=0.0),
            "unlike": [note for note in verdict.notes if note.startswith("conforms, but unlike")],
            "seconds": round(seconds, 3),
        }
        try:
            results = [called(program, arrays) for arrays in ordinary]
        except Exception as error:  # it raises where it is told of nothing else: every gate notices
            return {**line, "gates": list(GATES), "raised": f"{type(error).__name__}: {error}"[:200]}
        return {**line, **_measured(program, kind, ordinary, results)}


def _more(program: Program, cases: Cases, dtype: np.dtype) -> Cases:
    """Cases, and where a program is tried in several shapes, one of each of `LENGTHS` that the formula takes."""
    arrays, names = list(cases.arrays), list(cases.names)
    axes = {axis for text in program.rule.shapes.values() for axis in axes_named(text) if not axis.isdigit()}
    for length in LENGTHS if program.tried == SHAPES else ():
        made = generate(program.rule, 1, dtype, 0, dict.fromkeys(axes, length)).arrays[0]
        if all(
            np.isfinite(np.asarray(each, np.float64)).all() for each in named(program.rule(*made.values())).values()
        ):
            arrays.append(made)
            names.append(f"all axes of {length}")
    return Cases(arrays, names)


def _measured(
    program: Program, kind: Any, ordinary: Sequence[Mapping[str, np.ndarray]], results: list[list[np.ndarray]]
) -> dict[str, Any]:
    """On ordinary numbers: the gates that refuse, ulps that are allowed and seen, and how far errors are from the usual."""
    rule, policy = program.rule, Policy.of(dict(program.policy))
    refused: set[str] = set()
    allowed, seen, shaped = [], [], []
    for arrays, result in zip(ordinary, results, strict=True):
        wanted = _by_numpy(rule, arrays, dtypes.as_dtype(program.dtype, "dtype"))
        wide = named(rule(*(a if a.dtype.kind in "iu" else a.astype(np.float64) for a in arrays.values())))
        if len(result) != len(wanted) or any(
            np.size(a) != np.size(b) for a, b in zip(result, wanted.values(), strict=True)
        ):
            return {"gates": list(GATES)}
        got = {n: np.reshape(a, np.shape(b)) for a, (n, b) in zip(result, wanted.items(), strict=True)}
        shaped.append(got)
        for name, each in got.items():
            refused |= _refusing(each, np.asarray(wanted[name]), np.asarray(wide[name]), program.dtype)
        for name, (judged, values) in kind.judge(rule, arrays, got, policy).items():
            truth, unit = judged.truth, _ulps(judged.truth, values.dtype)
            known = np.isfinite(truth) & np.isfinite(judged.high) & (truth != 0)
            allowed += list(((judged.high - judged.low) / 2 / unit)[known].ravel())
            seen += list((np.abs(np.asarray(got[name], np.float64) - truth) / unit)[known].ravel())
    found = {} if program.wrong else distances(rule, ordinary, shaped, policy)
    return {
        "gates": sorted(refused),
        "allowed": round(float(np.median(allowed)), 2) if allowed else None,
        "seen": round(float(np.percentile(seen, 99)), 2) if seen else None,
        "farther": round(max((each.farther for each in found.values()), default=0.0), 3),
    }


def _by_numpy(rule: Any, arrays: Mapping[str, np.ndarray], dtype: np.dtype) -> dict[str, np.ndarray]:
    """The formula as NumPy computes it, by its own functions; in float32 where arrays are narrower, and rounded once."""
    wide = [a.copy() if whole_numbers(a) else a.astype(dtypes.working(dtype)) for a in arrays.values()]
    return {name: np.asarray(found).astype(dtype) for name, found in named(rule.apply(*wide)).items()}


def _ulps(truth: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The unit in the last place of numbers."""
    facts = dtypes.format_of(dtype)
    size = np.where(np.isfinite(truth) & (np.abs(truth) > facts.smallest_normal), np.abs(truth), facts.smallest_normal)
    return np.asarray(2 * facts.unit_roundoff * np.exp2(np.floor(np.log2(size))))


def _refusing(got: np.ndarray, wanted: np.ndarray, wide: np.ndarray, dtype: str) -> set[str]:
    """The gates that refuse a result, each with the defaults that it is used with.

    Args:
        got: what a program gave.
        wanted: what the formula gives in that dtype, as NumPy computes it.
        wide: what it gives in float64.
        dtype: that of the arrays.
    """
    a, b, true = (np.asarray(each, np.float64) for each in (got, wanted, wide))
    relative, absolute = CLOSE[dtype]
    gates = {
        ASSERT_CLOSE: np.allclose(a, b, rtol=relative, atol=absolute, equal_nan=False),
        ONE_PERCENT: np.allclose(a, b, rtol=1e-2, atol=1e-2),
        NORM_WISE: bool(np.max(np.abs(a - true), initial=0.0) <= 2 * np.max(np.abs(b - true), initial=0.0)),
    }
    return {gate for gate, passes in gates.items() if not passes}
