"""Rules without state: random legal programs and mutants of their graphs, judged by refgrad and by the usual comparisons."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from refgrad.candidates.masks import MaskSeen
from refgrad.candidates.protocol import CandidateFault
from refgrad.oracle import aimed, mask_inputs, quantizer_inputs
from refgrad.oracle.estimated import judge_results
from refgrad.oracle.judge import OUTSIDE, UNDECIDED, Judged
from refgrad.oracle.masked import judge_leaf
from refgrad.oracle.mutants import Mutation
from refgrad.oracle.policy import Policy
from refgrad.oracle.quantized import has_graph, judge_parts
from refgrad.rule import Rule, rules
from tests.oracle import graph_programs
from tests.oracle.strength.judges import JUDGES, rejected_by

Arrays = Mapping[str, np.ndarray]
Figures = dict[str, Any]
Results = dict[str, np.ndarray]
#: families of ordinary numbers; those that hold infinities or NaN, of which rewritten programs make other NaN
ORDINARY, LEFT_OUT = ("ordinary", "normal"), ("NaN and infinities",)
POLICY = Policy()


def measurable() -> dict[str, Rule]:
    """The estimators, masks and quantizers that have a graph, by name."""
    found: dict[str, Rule] = {}
    for name, cls in rules().items():
        if (
            (cls.kind == "estimator" and not cls.chosen)
            or cls.kind == "mask"
            or (cls.kind == "quantizer" and has_graph(cls()))
        ):  # type: ignore[attr-defined]
            found[name] = cls()
    return found


def cases(rule: Any, seed: int) -> Iterator[tuple[str, Arrays]]:
    """Arrays by family, in float32."""
    dtype = np.dtype(np.float32)
    if rule.kind == "mask":
        made = mask_inputs.generate(rule, dtype, seed)
        for name, leaf in zip(made.names, made.leaves, strict=True):
            if name not in LEFT_OUT:
                yield name, rule.prepare(leaf["w"], {n: a for n, a in leaf.items() if n != "w"})
        return
    made = (
        aimed.generate(rule, 3, dtype, seed)
        if rule.kind == "estimator"
        else quantizer_inputs.generate(rule, dtype, seed)
    )  # type: ignore[assignment]
    for name, arrays in zip(made.names, made.arrays, strict=True):  # type: ignore[attr-defined]
        if rule.kind == "estimator" or arrays["x"].size > 1:
            yield (
                name,
                (arrays if rule.kind == "estimator" else rule.given(arrays["x"], rule.layout(arrays["x"].shape))),
            )


def judged(rule: Any, arrays: Arrays, results: Results) -> list[Judged]:
    """What refgrad says of results; a fault counts as a value outside."""
    if rule.kind == "estimator":
        return [status for status, _ in judge_results(rule, arrays, results, POLICY).values()]
    if rule.kind == "mask":
        leaf = judge_leaf(
            rule, {"w": arrays["w"], **arrays}, MaskSeen(_mask(rule, arrays, results), results["scores"]), POLICY
        )
        return list(leaf.tensors.values())
    x = arrays["x"]
    layout = rule.layout(x.shape)
    parts = {n: rule.stored(n, results[n], layout) for n in rule.parts}
    return [
        status
        for status, _ in judge_parts(
            rule, x, {**parts, "y": layout.joined(np.broadcast_to(results["y"], x.shape))}, POLICY
        ).values()
    ]


def _mask(rule: Any, arrays: Arrays, results: Results) -> np.ndarray:
    return rule.spread(rule.select(results["scores"]), arrays["w"].shape)


def random_programs(rule: Any, values: int) -> Figures:
    """Random legal programs until so many values were judged."""
    found: Figures = {"values": 0, "outside": 0, "undecided": 0, "share": {}}
    programs, rejected = _counters()
    random = np.random.Generator(np.random.Philox(0))
    for seed in itertools.count():
        for name, arrays in cases(rule, seed):
            results = graph_programs.legal(rule, arrays, random)
            wrong = rejections(rule, arrays, results)
            statuses = judged(rule, arrays, results)
            found["values"] += sum(s.status.size for s in statuses)
            outside = sum(int((s.status == OUTSIDE).sum()) for s in statuses)
            found["outside"] += outside
            found["undecided"] += sum(int((s.status == UNDECIDED).sum()) for s in statuses)
            _tally(programs, rejected, wrong | ({"refgrad"} if outside else set()), name in ORDINARY)
        if found["values"] >= values:
            return {**found, "programs": programs, "rejected": rejected}
    raise AssertionError


def rejections(rule: Any, arrays: Arrays, results: Results) -> set[str]:
    """The usual comparisons that find results wrong, beside the graph run as it stands."""
    reference = graph_programs.mutated(rule, None, arrays)
    pairs = [(results[n], reference[n]) for n in results if n in reference]
    return set().union(*(rejected_by(np.asarray(a, np.float32), np.asarray(b, np.float32)) for a, b in pairs))


def mutants(rule: Any, found: list[Mutation] | None = None) -> Figures:
    """Every mutant that is another in real arithmetic on some case, by every judge."""
    known = [(name, arrays) for name, arrays in cases(rule, 0)]
    few = [_corner(arrays) for _, arrays in known[:3]]
    if found is None:
        found = graph_programs.mutants(rule, few, 1 << 30)
    rejected = {name: {"ordinary": 0, "all": 0} for name in ("refgrad", *JUDGES)}
    made, impossible, survivors = 0, 0, []
    for mutation in found:
        try:
            ordinary, wrong = _trial(rule, mutation, known)
        except (ArithmeticError, ValueError):
            impossible += 1
            continue
        made += 1
        for name in rejected:
            rejected[name]["ordinary"] += name in ordinary
            rejected[name]["all"] += name in wrong
        if "refgrad" not in wrong:
            survivors.append({"name": mutation.name, "sentence": mutation.sentence, "share": 0.0})
    return {"made": made, "impossible": impossible, "rejected": rejected, "survivors": survivors}


def _trial(rule: Any, mutation: Mutation, known: list[tuple[str, Arrays]]) -> tuple[set[str], set[str]]:
    ordinary: set[str] = set()
    wrong: set[str] = set()
    for name, arrays in known:
        if len(wrong) == 1 + len(JUDGES) and name not in ORDINARY:
            continue
        with np.errstate(all="ignore"):
            results = graph_programs.mutated(rule, mutation, arrays)
            found = rejections(rule, arrays, results)
            try:
                if any((s.status == OUTSIDE).any() for s in judged(rule, arrays, results)):
                    found.add("refgrad")
            except CandidateFault:  # codes that the rule does not know
                found.add("refgrad")
        wrong |= found
        if name in ORDINARY:
            ordinary |= found
    return ordinary, wrong


def _corner(arrays: Arrays) -> Arrays:
    shape = next(iter(arrays.values())).shape
    edge = 4
    return {
        n: a[tuple(slice(0, edge if a.shape[i] == shape[i] else None) for i in range(min(a.ndim, 2)))].copy()
        for n, a in arrays.items()
    }


def _counters() -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    return {"ordinary": 0, "all": 0}, {name: {"ordinary": 0, "all": 0} for name in ("refgrad", *JUDGES)}


def _tally(programs: dict[str, int], rejected: dict[str, dict[str, int]], wrong: set[str], ordinary: bool) -> None:
    for kind in ("ordinary", "all") if ordinary else ("all",):
        programs[kind] += 1
        for judge in wrong:
            rejected[judge][kind] += 1
