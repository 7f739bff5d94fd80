"""`verify`: is this implementation the rule that it says it is?"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from refgrad.backends.cuda.device import Device
from refgrad.float_environment import guarded
from refgrad.isolation import hosting
from refgrad.isolation.recipe import Recipe
from refgrad.kinds.record import Record
from refgrad.kinds.table import rule_of
from refgrad.oracle.acceptance import judging_place
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.outcomes import Departure
from refgrad.oracle.engine.request import Request
from refgrad.oracle.engine.run import Claim, judge
from refgrad.oracle.engine.tally import Tally
from refgrad.oracle.engine.time_limit import TIME_LIMIT, check_time_limit
from refgrad.oracle.engine.verdict import Verdict


@guarded
def verify(
    candidate: Any,
    rule: Any,
    *,
    steps: int = 10,
    dtype: Any = None,
    seed: int | None = 0,
    policy: Policy | Mapping[str, Any] | None = None,
    result: str | None = None,
    inputs: Any = None,
    options: Mapping[str, Any] | None = None,
    state_names: Mapping[str, str] | None = None,
    shrink: bool = True,
    explain: bool | float = True,
    time_limit: float = TIME_LIMIT,
    isolate: bool | str = False,
    device: str | None = None,
) -> Verdict:
    """Judge a candidate against a rule, step by step, from the candidate's own previous state.

    Args:
        candidate: a torch.optim.Optimizer class, instance or factory, an optax transform or factory, a function on NumPy
            arrays, a refgrad rule, or a string ``package.module:name`` (see docs/candidates.md).
        rule: the rule that it claims to be, such as ``refgrad.optimizers.AdamW(lr=1e-3)``, or its class.
        steps: how many steps are taken.
        dtype: the dtype of the parameters; by default the one that the rule keeps them in, for most float32.
        seed: of the generated inputs. None draws one when the candidate has been loaded, so that it cannot know them; the
            verdict has it.
        policy: what counts as correct; a `Policy`, or a dict of its fields.
        result: the dtype of a formula's results where that is not the arrays' own, "float32" or "float64"; the policy's
            `result`, said shortly.
        inputs: your own `Cases` in place of generated ones, or a function that makes them of the seed when the candidate has
            been loaded; `Inputs` writes those of an optimizer shortly.
        options: extra keyword arguments for the candidate's constructor.
        state_names: slot of the rule -> what the candidate's state calls it, such as ``{"m": "my_buffer"}``, where the
            names do not tell.
        shrink: look for the smallest failing input.
        explain: look for what a candidate that fails is instead; the costliest part of a failing verdict. A number is
            the seconds that the search may take, about; true is for a minute.
        time_limit: seconds that building the candidate, or one step of it, may take before it has the fault "hung".
            Infinity is no limit, and runs the candidate on the thread of the caller.
        isolate: make and run the candidate in a process of its own, so that there is a verdict whatever it does
            (docs/isolation.md). That needs a candidate that is named by a string, has a name in a module, or is a rule; of
            another the verdict says that it was not. A process is used for further candidates while they behave; with
            "fresh" for this one alone.
        device: "cuda" for a function of CuPy's arrays, or of what reads these, and for optimizers of torch's and optax's
            (docs/cuda.md): they are handed arrays on the card. Kernels judge large arrays there, and the CPU the others, to the
            same verdict.

    Returns:
        The verdict. Whatever the candidate does wrong is in it; only errors in the arguments raise.

    Raises:
        ArgumentError: an argument is not legal.
        CandidateError: the candidate cannot be found, or is nothing that can be checked.
        DeviceError: a device is asked for that cannot be used.
    """
    rule = rule_of(rule)
    if result is not None:
        policy = dataclasses.replace(Policy.of(policy), result=result)
    judge_on = None
    if device is not None:
        candidate, judge_on = _placed(candidate, device), _judging(device)

    def judged(thing: Any, resolve: Any) -> Verdict:
        request = Request.of(
            thing,
            rule,
            steps=steps,
            dtype=dtype,
            seed=0 if seed is None else seed,
            draws_seed=seed is None,
            policy=policy,
            inputs=inputs,
            options=options,
            state_names=state_names,
            shrink=shrink,
            explain=explain,
            time_limit=time_limit,
            resolve=resolve,
        )
        with judging_place.on(judge_on):
            return judge(request, explained)

    verdict, place = hosting.judged(candidate, isolate, check_time_limit(time_limit), judged)
    return at_place(verdict, place)


def at_place(verdict: Verdict, place: hosting.Place) -> Verdict:
    """A verdict with what is known of the place where its candidate ran.

    Args:
        verdict: on a candidate that ran there.
        place: this process, or one of the candidate's own.

    Returns:
        The verdict with the place's environment and notes.
    """
    return dataclasses.replace(
        verdict,
        environment={**verdict.environment, **place.environment},
        notes=tuple(dict.fromkeys([*verdict.notes, *place.notes])),
        isolation=place.isolation,
        reproduce=_reproduced(verdict) if place.isolation == hosting.ISOLATED else verdict.reproduce,
    )


def _reproduced(verdict: Verdict) -> str:
    """The line that gives a verdict again; what ended or held up its process must not do so to the reader's."""
    ends = any(fault.kind in ("crashed", "hung") for fault in verdict.faults)
    line = verdict.reproduce
    return f"{line[:-1]}, isolate=True)" if ends and line.endswith(")") else line


def _placed(candidate: Any, device: str) -> Any:
    """The candidate, handed arrays on a device; one that is named can be made again in another process."""
    from refgrad.candidates import on_device

    if not isinstance(candidate, str):
        return on_device.placed(candidate, device)
    if candidate.partition(":")[0].partition(".")[0] in ("torch", "optax"):  # whose optimizers need no CuPy
        return on_device.function(candidate, device)
    on_device.check(device)
    given = {"target": candidate, "name": device}
    return Recipe(on_device.__name__, "", "function", given, lambda: on_device.function(**given))


def _judging(device: str) -> Device | None:
    """Where judging kernels run."""
    from refgrad.candidates import on_device

    return on_device.judging(device)


def explained(claim: Claim, record: Record, tally: Tally) -> tuple[Departure, ...]:
    """What a candidate that failed is instead; the search is loaded here, since what conforms does without it.

    Args:
        claim: that of the candidate.
        record: what was seen.
        tally: the same, judged.

    Returns:
        Departures, the one that is told first before others.
    """
    from refgrad.oracle.hypotheses.departures import explain

    return explain(claim, record, tally)
