"""Driving a candidate: every question asked under one guard, and whatever goes wrong recorded as a fault."""

from __future__ import annotations

import math
import re
import sys
from typing import Any

from refgrad.candidates.faults import check_fit
from refgrad.candidates.protocol import REFUSALS, CandidateFault
from refgrad.errors import ArgumentError, CandidateError
from refgrad.kinds.kind import Kind
from refgrad.kinds.record import Question, Record
from refgrad.oracle.acceptance.findings import FAULTS, Fault
from refgrad.oracle.engine.time_limit import watched
from refgrad.oracle.inputs.cases import Cases
from refgrad.rule import Rule
from refgrad.signals import from_handler

#: what frameworks say where they need a device, or gradients of a form, that they are not given here
NOT_HERE = re.compile(
    r"capturable|not compiled with (CUDA|ROCm|HIP)|No CUDA GPUs|Found no NVIDIA driver|does not support dense gradients|"
    r"[Nn]o GPU|requires? (a |an )?(CUDA|GPU|TPU|XLA)"
)


def drive(kind: Kind, subject: Any, rule: Rule, cases: Cases, time_limit: float = math.inf) -> Record:
    """Drive a candidate through cases.

    What a candidate raises, and a call that takes too long, become faults. A kind with state is driven no further after
    one; of another kind the next case is tried, unless the candidate hung.

    Args:
        kind: the rule's kind.
        subject: the candidate, resolved by the kind.
        rule: what it claims to be; tells it its hyperparameters.
        cases: what it is driven with.
        time_limit: seconds that one question may take.

    Returns:
        The record, with one entry of ``seen`` a question.

    Raises:
        ArgumentError, CandidateError: it cannot be driven with these cases at all, or not on this machine.
    """
    record = kind.record(rule, cases)
    with watched(time_limit) as call:
        for number, question in enumerate(kind.questions(subject, record, call), 0 if kind.stepped else 1):
            known = len(record.faults)
            fault = _asked(question, record, number, subject)
            if fault is not None:
                _add(record, fault, "" if kind.stepped else cases.name(number - 1))
            # what it was handed is a copy: a gradient that it writes into is a fault, and no reason to stop
            broken = fault is not None or any(f.kind != "mutated" for f in record.faults[known:])
            if (kind.stepped and broken) or (fault is not None and fault.kind == "hung"):
                break
    return kind.whole(rule, record)


def _asked(question: Question, record: Record, number: int, subject: Any) -> Fault | None:
    """Ask a question: what was seen is added to the record, None for what went wrong, of which the fault is returned."""
    try:
        record.seen.append(question())
        return None
    except CandidateFault as error:
        known = isinstance(error.kind, str) and (error.kind in FAULTS or error.kind in REFUSALS)
        kind = error.kind if known else "raised"  # it may be a stranger's
        fault = Fault(kind, number, str(error))
    except CandidateError:
        raise
    except Exception as error:  # whatever a stranger's code raises is a finding, not our traceback
        if from_handler(error) or (isinstance(error, ArgumentError) and not from_outside(error)):
            raise
        check_fit(error, str(subject.name))
        fault = Fault("raised", number, f"{type(error).__name__}: {error}")
    if fault.kind == "raised" and NOT_HERE.search(fault.message):
        raise CandidateError(f"the candidate cannot run here, and cannot be judged: {fault.message}")
    if number:
        record.seen.append(None)
    return fault


def from_outside(error: BaseException) -> bool:
    """True if code that is neither refgrad's nor Python's own took part: it uses refgrad, and was wrong in how it did."""
    frames, step = set(), error.__traceback__
    while step is not None:
        frames.add(step.tb_frame.f_globals.get("__name__", "").partition(".")[0])
        step = step.tb_next
    return bool(frames - {"refgrad"} - sys.stdlib_module_names)


def _add(record: Record, fault: Fault, case: str) -> None:
    """Add a fault, unless an earlier case had the same."""
    if all((f.kind, f.message.partition(" (on ")[0]) != (fault.kind, fault.message) for f in record.faults):
        on = f" (on {case!r})" if case else ""
        record.faults.append(Fault(fault.kind, fault.step, f"{fault.message}{on}"))
