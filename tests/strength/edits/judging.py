"""What is told of an edited program, and whether it is true.

A name is true if the program, judged as the rule changed as the name says, is right: in float64, whose sets are too narrow to
hide anything, on inputs of another seed, and in every situation. What is said of roundings alone is looked at in float32.
"""

from __future__ import annotations

import dataclasses
import math
import time
import warnings
from typing import Any

import numpy as np

from refgrad.oracle.engine.outcomes import FACT, MAY_BE
from refgrad.oracle.engine.request import Request
from refgrad.oracle.engine.run import Claim, examine, judge
from refgrad.oracle.engine.tally import Tally
from refgrad.oracle.hypotheses.changes import Change
from refgrad.oracle.hypotheses.departures import Meaning, meanings
from refgrad.oracle.hypotheses.examined import contradiction, examined
from tests.strength.edits.editing import Edit
from tests.strength.edits.text import JAX

RIGHT, WRONG, PLACE, DOUBTED, UNNAMED = "right", "wrong", "place", "may be", "unnamed"
ACCEPTED, EQUAL, FAULT, BROKEN = "accepted", "equal", "fault", "broken"
#: refused by its values, so that a name is wanted
WANTED = (RIGHT, WRONG, PLACE, DOUBTED, UNNAMED)
#: of the inputs on which a name is tried
SEED, STEPS = 20_011, 12


def outcome(edit: Edit, seconds: float) -> dict[str, Any]:
    """What becomes of an edited program, as plain data.

    Args:
        edit: the program.
        seconds: that the search for what it is may take.
    """
    started = time.process_time()
    told: list[Meaning] = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = _judged(edit, seconds, told)
    return {
        "id": edit.id,
        "text": edit.text.name,
        "language": edit.text.language,
        "kind": edit.kind,
        "old": edit.old,
        "new": edit.new,
        **found,
        "seconds": round(time.process_time() - started, 2),
    }


def _judged(edit: Edit, seconds: float, told: list[Meaning]) -> dict[str, Any]:
    try:
        candidate = edit.text.made(edit.source)
        request = _request(edit, candidate, seconds)
        verdict = judge(request, lambda *run: _kept(told, *run))
    except Exception as error:  # a text that no longer runs is no program
        return {"outcome": BROKEN, "names": [], "why": f"{type(error).__name__}: {error}"[:300]}
    if verdict.conforms:
        return {"outcome": EQUAL if _conforms(request) else ACCEPTED, "names": []}
    if verdict.first is None:
        return {"outcome": FAULT, "names": [], "why": "; ".join(map(str, verdict.faults))[:300]}
    names = [_name(each) for each in told]
    return {
        "outcome": _outcome(names),
        "names": names,
        "situation": verdict.situation,
        "first": verdict.first.tensor,
        "notes": list(verdict.notes),
    }


def _request(edit: Edit, candidate: Any, seconds: float) -> Request:
    policy = {"subnormals": "either"} if edit.text.language == JAX else None
    return Request.of(candidate, edit.text.rule, policy=policy, explain=seconds, time_limit=60.0)


def _kept(told: list[Meaning], claim: Claim, record: Any, tally: Tally) -> list[Any]:
    """The departures that are told; what they mean is kept, with the record they are told of."""
    told += meanings(claim, record, tally)
    return [each.departure for each in told]


def _name(meaning: Meaning) -> dict[str, Any]:
    departure, change = meaning.departure, meaning.change
    wanted = change is not None and departure.sure in (FACT, MAY_BE)
    why = refuted(meaning.claim, change) if wanted and change is not None else None
    found = {"name": departure.name, "sentence": departure.sentence, "sure": departure.sure}
    return {**found, "true": None if why is None else not why, **({"why": why} if why else {})}


def refuted(claim: Claim, change: Change) -> str | None:
    """Why a candidate is not what a change of its claim says; empty if it is that, None if it cannot be tried.

    It has all the time that it takes: one that was driven through the claim before ends, also on a machine that is busy.
    """
    wide = not (change.precision or claim.rule.kind in ("quantizer", "mask", "mask-update"))
    dtype = np.dtype(np.float64) if wide else claim.request.dtype
    asked = {"dtype": dtype, "seed": SEED, "steps": STEPS, "explain": 0.0, "time_limit": math.inf}
    there = dataclasses.replace(claim, request=dataclasses.replace(claim.request, **asked))
    try:
        run = examined(there, there.drive(there.cases()), change)
    except Exception:
        return None
    return None if run is None else contradiction(run)


def _conforms(request: Request) -> bool:
    """True if a program is right in float64 on other inputs too, so that its edit changed nothing."""
    run = examine(Claim.of(dataclasses.replace(request, seed=SEED, steps=STEPS, explain=0.0)))
    return not run.wrong


def _outcome(names: list[dict[str, Any]]) -> str:
    facts = [n for n in names if n["sure"] == FACT]
    if any(n["true"] is False for n in facts):
        return WRONG
    if any(n["true"] for n in facts):
        return RIGHT
    if facts:
        return PLACE
    return DOUBTED if any(n["sure"] == MAY_BE for n in names) else UNNAMED
