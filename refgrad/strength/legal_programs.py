"""Rules without state: random legal programs and mutants, judged by refgrad and by the usual comparisons."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from refgrad.candidates.protocol import CandidateFault
from refgrad.oracle.acceptance.judge import OUTSIDE, UNDECIDED
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.tally import tightness
from tests.oracle.attack import STYLES
from tests.oracle.strength.judges import JUDGES, rejected_by
from tests.oracle.strength.stateless import Case, Results, Subject
from tests.oracle.strength.tally import Tally

Figures = dict[str, Any]
#: families of ordinary numbers
ORDINARY = ("ordinary", "normal")
#: on whose numbers surviving mutants are tried again
SEEDS = (1, 2, 3)


def random_programs(subject: Subject, values: int) -> Figures:
    """Random legal programs, another for each case and style, until so many values were judged.

    Programs that round to nearest are shown to the usual comparisons as well. How far the sets were used is measured on
    those that take the three roundings which the policy allows.
    """
    found: Figures = {"values": 0, "outside": 0, "undecided": 0, "share": {}}
    tally, runs = Tally(), 0
    random = np.random.Generator(np.random.Philox(0))
    for seed in itertools.count():
        for case in subject.cases(seed):
            runs += len(STYLES)
            reference = subject.mutated(case, None)
            for name, style in STYLES.items():
                results = subject.legal(case, random, style)
                answers = subject.judged(case, results, style.policy, random)
                found["values"] += sum(j.status.size for j, _ in answers)
                outside = sum(int((j.status == OUTSIDE).sum()) for j, _ in answers)
                found["outside"] += outside
                found["undecided"] += sum(int((j.status == UNDECIDED).sum()) for j, _ in answers)
                if name == "thrice":
                    most = max(tightness(j, v) for j, v in answers)
                    found["share"]["results"] = max(found["share"].get("results", 0.0), most)
                if style.rounding == "nearest":
                    wrong = rejections(results, reference) | ({"refgrad"} if outside else set())
                    tally.count(wrong, case.family in ORDINARY)
        if found["values"] >= values or runs >= subject.most_runs:
            return {**found, **tally.figures()}
    raise AssertionError


def rejections(results: Results, reference: Results) -> set[str]:
    """The usual comparisons that find results wrong, beside the rule run as it stands."""
    pairs = [(results[n], reference[n]) for n in results if n in reference]
    return set().union(*(rejected_by(np.asarray(a, np.float32), np.asarray(b, np.float32)) for a, b in pairs))


def mutants(subject: Subject, found: list[Any] | None = None) -> Figures:
    """Every mutant that is another in real arithmetic on some case, by every judge."""
    known = [_known(subject, 0)]
    if found is None:
        found = subject.mutants([case for case, _ in known[0][: subject.few]], 1 << 30)
    tally, impossible, survivors = Tally(), 0, []
    for mutation in found:
        try:
            ordinary, wrong = _trial(subject, mutation, known[0])
            for seed in SEEDS:  # what survives is looked at on others
                if "refgrad" not in wrong:
                    known += [_known(subject, seed)] * (len(known) == seed)
                    wrong |= _trial(subject, mutation, known[seed])[1]
        except (ArithmeticError, ValueError):
            impossible += 1
            continue
        tally.add(ordinary, wrong)
        if "refgrad" not in wrong:
            survivors.append({"name": mutation.name, "sentence": mutation.sentence, "share": 0.0})
    return {
        "made": tally.programs["all"],
        "impossible": impossible,
        "rejected": tally.rejected,
        "survivors": survivors,
    }


Known = list[tuple[Case, Results]]


def _known(subject: Subject, seed: int) -> Known:
    """The cases of a seed, each with what the rule makes of it."""
    return [(case, subject.mutated(case, None)) for case in subject.cases(seed)]


def _trial(subject: Subject, mutation: Any, known: Known) -> tuple[set[str], set[str]]:
    ordinary: set[str] = set()
    wrong: set[str] = set()
    random = np.random.Generator(np.random.Philox(0))
    for case, reference in known:
        if len(wrong) == 1 + len(JUDGES) and case.family not in ORDINARY:
            continue
        with np.errstate(all="ignore"):
            results = subject.mutated(case, mutation)
            found = rejections(results, reference)
            try:
                answers = subject.judged(case, results, Policy(), random)
                if any((j.status == OUTSIDE).any() for j, _ in answers):
                    found.add("refgrad")
            except CandidateFault:  # codes that the rule does not know
                found.add("refgrad")
        wrong |= found
        if case.family in ORDINARY:
            ordinary |= found
    return ordinary, wrong
