"""Rules that were functions alone, judged by conditions: programs that go other ways are right, planted faults are refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.linalg
import scipy.ndimage
import scipy.optimize

import refgrad
from refgrad.errors import ArgumentError
from refgrad.gradients import (
    ActivationPatterns,
    ConjugateDirectionSolution,
    DepthSelection,
    EquilibriumState,
    ErrorBoxes,
    InductiveBiasBits,
    MultiplexedRepeat,
    ScoreDimension,
    SelectiveRepeat,
)
from refgrad.gradients.coding import multiplexed_repeat, selective_repeat
from refgrad.gradients.complexity import inductive_bias_bits
from refgrad.gradients.convex_networks import activation_patterns, most_patterns
from refgrad.gradients.directions import conjugate_directions
from refgrad.gradients.points import error_boxes
from refgrad.gradients.scores import score_dimension
from refgrad.gradients.search import depth_program

Arrays = np.ndarray
Program = Callable[..., Any]


# --- schedules of stragglers


def repeating(last: bool = True, one_more: bool = False, none: bool = False, early: int = 0) -> Program:
    """Selective repeat with one straggler and a burst of one: the last who failed repeat, or what is wrong."""

    def program(times: Arrays, until: Arrays) -> dict[str, Arrays]:
        there = times <= until[:, None]
        repeats, done = np.zeros(there.shape, bool), np.zeros(there.shape, bool)
        decoded = np.full(len(there), -1.0)
        for now in range(len(there)):
            if now and not none:
                failed = np.flatnonzero(~done[now - 1])[:: -1 if last else 1]
                repeats[now, failed[: max(len(failed) - 1 + one_more, 0)]] = True
                done[now - 1] |= repeats[now] & there[now]
            done[now] = there[now] & ~repeats[now]
            for job in (now - 1, now) if now else (now,):
                if decoded[job] < 0 and done[job].sum() >= there.shape[1] - 1 - early:
                    decoded[job] = now
        return {"repeats": repeats.astype(times.dtype), "decoded": decoded.astype(times.dtype)}

    return program


def multiplexed(retried: bool = True, coded: int = 1) -> Program:
    """Multiplexed repeats of windows of two rounds and bursts of one: a plain slot, and a coded one a round later."""

    def program(times: Arrays, until: Arrays) -> dict[str, Arrays]:
        there = times <= until[:, None]
        retries, decoded = np.zeros(there.shape), np.full(len(there), -1.0)
        for job in range(len(there) - 1):
            missing = ~there[job]
            retries[job + 1] = missing
            plain = there[job] | (retried & missing & there[job + 1])
            of_group = there[job + 1] & ~missing
            if plain.all() and of_group.sum() >= there.shape[1] - coded:
                decoded[job] = job + 1
        return {"retries": retries.astype(times.dtype), "decoded": decoded.astype(times.dtype)}

    return program


# --- what to leave out of a model


def selected(later: bool = False, greedy: bool = True, shifted: bool = False) -> Program:
    """The program over the last layers for two left out; of equal metrics the later set, on request."""

    def program(metrics: Arrays) -> dict[str, Arrays]:
        layers = int(np.log2(len(metrics)))
        table: dict[tuple[int, int], tuple[float, int]] = {}
        for n, m in itertools.product(range(1, layers + 1), (1, 2)):
            best, place = table.get((n - 1, m), (np.inf, -1))
            if greedy:
                before = 0 if m == 1 else table.get((n - 1, 1), (np.inf, -1))[1]
                found = [before | 1 << (layers - n)] if before >= 0 else []
            else:  # every set of the last n layers
                found = [sum(1 << i for i in s) for s in itertools.combinations(range(layers - n, layers), m)]
            for each in found:
                cost = metrics[each if not shifted else each // 2]
                if cost < best or (later and cost == best):
                    best, place = cost, each
            table[n, m] = best, place
        rows = np.array([[table[n, m] for m in (1, 2)] for n in range(1, layers + 1)], metrics.dtype)
        return {"left_out": rows[:, :, 1], "best": rows[-1, :, 0]}

    return program


# --- patterns, boxes, rest, systems, bits


def patterns(last: bool = False, strict: bool = False, all_kept: bool = False, opposite: bool = False) -> Program:
    def program(x: Arrays, directions: Arrays) -> dict[str, Arrays]:
        product = np.einsum("nf,fu->nu", x, directions)
        active = product > 0 if strict else product >= 0
        kept, seen = np.ones(directions.shape[1]), set()
        for unit in range(directions.shape[1])[:: -1 if last else 1]:
            column = active[:, unit]
            key = min(tuple(column), tuple(~column)) if opposite else tuple(column)
            kept[unit] = all_kept or key not in seen
            seen.add(key)
        return {"patterns": active.astype(x.dtype), "kept": kept.astype(x.dtype)}

    return program


def boxes(corners: int = 3, share: float = 0.5, loose: int = 0) -> Program:
    """Boxes in the reverse order, by groups of patches that meet at a side or at a corner, or not at a corner."""

    def program(error: Arrays) -> Arrays:
        high, wide = (-(-n // 2) for n in error.shape)
        means = [[np.mean(error[2 * r : 2 * r + 2, 2 * c : 2 * c + 2] > 1) for c in range(wide)] for r in range(high)]
        around = np.ones((3, 3)) if corners == 3 else None
        groups, _ = scipy.ndimage.label(np.array(means).reshape(high, wide) > share, around)
        found = np.full((high * wide, 4), -1.0)
        for i, (r, c) in enumerate(scipy.ndimage.find_objects(groups)[::-1]):
            ends = min(2 * r.stop + loose, error.shape[0]), min(2 * c.stop, error.shape[1])
            found[i] = (2 * r.start, 2 * c.start, *ends)
        return found.astype(error.dtype)

    return program


def at_rest(slope: float = 4.0, steps: int = 3000, transposed: bool = False) -> Program:
    """By small steps, then by SciPy's root of the equation, from ones."""

    def program(weights: Arrays, drive: Arrays) -> Arrays:
        w = weights.astype(float).T if transposed else weights.astype(float)

        def left(u: Arrays) -> Arrays:
            with np.errstate(over="ignore"):
                return np.asarray(1 / (1 + np.exp(2 - slope * (w @ u + drive))) - u)

        u = np.ones(len(drive))
        for _ in range(steps):
            u = u + 0.1 * left(u)
        if steps > 10:
            other = scipy.optimize.root(left, u, tol=1e-12).x
            u = other if np.max(np.abs(left(other))) < np.max(np.abs(left(u))) else u
        return u.astype(drive.dtype)

    return program


def system(damping: float = 0.1, steps: int = 0) -> Program:
    """By a factorization in place of conjugate directions; or after a few of their steps alone."""

    def program(factors: Arrays, right: Arrays) -> Arrays:
        f = factors.astype(float)
        matrix = f.T @ f + damping * np.eye(len(right))
        if steps:
            return conjugate_directions(matrix, right.astype(float), lambda r: r, most=steps).x.astype(right.dtype)
        q, r = np.linalg.qr(np.concatenate([f, np.sqrt(damping) * np.eye(len(right))]))
        del q
        return np.linalg.solve(r, np.linalg.solve(r.T, right.astype(float))).astype(right.dtype)

    return program


def bits(whole: bool = False, naive: bool = True, one_term: bool = False, nats: bool = False) -> Program:
    """In 40 digits, the degree as the publication's difference of a root and m - 1; at the rule's defaults."""

    def of_task(radius: Any, distance: Any) -> tuple[float, float, float]:
        m, n, error = mpmath.mpf(3), 10, mpmath.mpf("0.1")
        r = mpmath.mpf(float(radius))
        if not (r > 0 and distance > 0):  # of a point there is one function, and no distance to tell
            return (0.0, 0.0, np.nan) if distance > 0 else (np.nan,) * 3
        frequency = 2 * mpmath.pi * r / mpmath.mpf(float(distance))
        degree = (mpmath.sqrt((m - 1) ** 2 + 4 * frequency**2) - (m - 1)) / 2
        degree = mpmath.ceil(degree) if whole else degree
        count = mpmath.binomial(m + degree, m) + (0 if one_term else mpmath.binomial(m + degree - 1, m))
        sphere = mpmath.log(2) + (m + 1) / 2 * mpmath.log(mpmath.pi) - mpmath.loggamma((m + 1) / 2)
        width = mpmath.log(m / 6) / 2 + sphere / m + mpmath.log(r) - mpmath.log(n) / m
        each = -mpmath.log(error) + mpmath.log(degree / r) + width
        return tuple(map(float, (degree, mpmath.log(count), (2 * count - n) * each / (1 if nats else mpmath.log(2)))))

    def program(radius: Arrays, distance: Arrays) -> dict[str, Arrays]:
        with mpmath.workdps(60):
            found = np.array([of_task(*each) for each in zip(radius, distance, strict=True)]).reshape(-1, 3)
        return dict(zip(("degree", "log_harmonics", "bits"), found.T.astype(radius.dtype), strict=True))

    return program


def rank_of_scores(centred: bool = True, less: int = 0, share: float = 0.0) -> Program:
    """By eigenvalues of the products of scores in place of singular values; on request the rank above a share."""

    def program(scores: Arrays) -> dict[str, Arrays]:
        used = scores.astype(float) - (scores.astype(float).mean(axis=0) if centred else 0.0)
        size = np.abs(used).max(initial=0.0) or 1.0
        q, r = np.linalg.qr(used / size)
        del q
        values = size * np.sqrt(np.maximum(scipy.linalg.eigvalsh(r @ r.T)[::-1], 0.0))
        tail = np.linalg.svd(r, compute_uv=False) * size  # what squares lose is below a root of a rounding
        values = np.where(values > 1e-5 * values.max(initial=0.0), values, tail)
        drops = values[:-1] - values[1:]
        found = len(drops) - np.flatnonzero(drops == drops.max())[-1] - less  # the last of equal ones
        if share:
            found = len(values) - (values > share * values[0]).sum()
        return {"dimension": np.asarray(found, scores.dtype), "values": values.astype(scores.dtype)}

    return program


RIGHT: Mapping[str, tuple[Any, Program]] = {
    "eigenvalues of scores": (ScoreDimension(), rank_of_scores()),
    "the last who failed repeat": (SelectiveRepeat(), repeating()),
    "the first who failed repeat": (SelectiveRepeat(), repeating(last=False)),
    "slots one by one": (MultiplexedRepeat(), multiplexed()),
    "the first of equal metrics": (DepthSelection(), selected()),
    "the last of equal metrics": (DepthSelection(), selected(later=True)),
    "the first unit of a pattern": (ActivationPatterns(), patterns()),
    "the last unit of a pattern": (ActivationPatterns(), patterns(last=True)),
    "boxes from the last": (ErrorBoxes(), boxes()),
    "rest by small steps": (EquilibriumState(), at_rest()),
    "a factored system": (ConjugateDirectionSolution(), system()),
    "bits in sixty digits": (InductiveBiasBits(), bits()),
}
WRONG: Mapping[str, tuple[Any, Program]] = {
    "the mean of scores stays": (ScoreDimension(), rank_of_scores(centred=False)),
    "a dimension that is one off": (ScoreDimension(), rank_of_scores(less=1)),
    "the rank of scores": (ScoreDimension(), rank_of_scores(share=0.2)),
    "the first drop is passed over": (ScoreDimension(), ScoreDimension(skipped=1)),
    "one answer more is waited for": (SelectiveRepeat(), repeating(early=-1)),
    "one repeats more than must": (SelectiveRepeat(), repeating(one_more=True)),
    "nobody repeats": (SelectiveRepeat(), repeating(none=True)),
    "an answer fewer is enough": (SelectiveRepeat(), repeating(early=1)),
    "a burst of two": (SelectiveRepeat(), SelectiveRepeat(bursts=2)),
    "plain parts are not done again": (MultiplexedRepeat(), multiplexed(retried=False)),
    "all coded parts are needed": (MultiplexedRepeat(), multiplexed(coded=0)),
    "a window of three": (MultiplexedRepeat(), MultiplexedRepeat(window=3)),
    "all sets are looked through": (DepthSelection(), selected(greedy=False)),
    "layers are off by one": (DepthSelection(), selected(shifted=True)),
    "every unit is kept": (ActivationPatterns(), patterns(all_kept=True)),
    "opposite patterns are one": (ActivationPatterns(), patterns(opposite=True)),
    "units at zero are not active": (ActivationPatterns(), patterns(strict=True)),
    "patches that meet at a corner are apart": (ErrorBoxes(), boxes(corners=1)),
    "another share": (ErrorBoxes(), boxes(share=0.75)),
    "boxes are a row too long": (ErrorBoxes(), boxes(loose=1)),
    "another slope": (EquilibriumState(), at_rest(slope=3.9)),
    "three steps": (EquilibriumState(), at_rest(steps=3)),
    "weights the other way round": (EquilibriumState(), at_rest(transposed=True)),
    "no damping to speak of": (ConjugateDirectionSolution(), system(damping=0.09)),
    "two steps": (ConjugateDirectionSolution(), system(steps=2)),
    "a whole degree": (InductiveBiasBits(), bits(whole=True)),
    "one binomial": (InductiveBiasBits(), bits(one_term=True)),
    "nats": (InductiveBiasBits(), bits(nats=True)),
}


@pytest.mark.sample(quick=4)
@pytest.mark.parametrize("name", RIGHT)
def test_another_way_there_is_accepted(name: str) -> None:
    rule, program = RIGHT[name]
    verdict = refgrad.verify(program, rule, explain=False)
    assert verdict.conforms, str(verdict)
    assert verdict.total.undecided <= 0.03 * verdict.total.inside, str(verdict)


@pytest.mark.sample(quick=6)
@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_refused_by_a_named_condition(name: str) -> None:
    rule, program = WRONG[name]
    verdict = refgrad.verify(program, rule, explain=False, shrink=False)
    assert verdict.outcome == "does not conform", str(verdict)
    assert any("legal: at most" in note for note in verdict.notes), verdict.notes


# --- the rules are the functions


def test_schedules_are_those_of_the_functions() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        times, until = random.random((7, 4)), random.random(7)
        late = times > until[:, None]
        for bursts, window, most in itertools.product((1, 2), (2, 3), (0, 1, 2)):
            own = SelectiveRepeat(bursts=bursts, stragglers=most)(times, until)["decoded"]
            assert own.tolist() == [-1 if r is None else r for r in selective_repeat(late, bursts, most)]
            own = MultiplexedRepeat(bursts=bursts, window=window, stragglers=most)(times, until)["decoded"]
            assert own.tolist() == [-1 if r is None else r for r in multiplexed_repeat(late, bursts, window, most)]


def test_what_the_model_of_stragglers_allows_is_decoded_in_time() -> None:
    """Bursts of one in windows of two rounds, two of four workers at most: by the delay that the publication promises."""
    for bits_ in itertools.product([False, True], repeat=12):
        late = np.vstack([np.array(bits_).reshape(3, 4), np.zeros((1, 4), bool)])
        if any(p.any(axis=0).sum() > 2 or p.all(axis=0).any() for p in (late[r : r + 2] for r in range(2))):
            continue
        times, until = np.where(late, 2.0, 0.0), np.ones(4)
        assert (SelectiveRepeat()(times, until)["decoded"] <= np.arange(4) + 1).all()
        assert (MultiplexedRepeat(stragglers=2)(times, until)["decoded"][:3] == np.arange(3) + 1).all()
    with pytest.raises(ArgumentError, match="from 1"):
        MultiplexedRepeat(bursts=0, window=1)
    with pytest.raises(ArgumentError, match="more workers"):
        SelectiveRepeat(stragglers=3)(np.zeros((2, 3)), np.zeros(2))


@pytest.mark.parametrize("removed", [1, 2, 4])
def test_depth_selection_is_the_depth_program(removed: int) -> None:
    metrics = np.random.default_rng(removed).standard_normal(16)
    metrics[[3, 5]] = np.nan
    program = depth_program(lambda out: float(metrics[sum(1 << i for i in out)]), 4, removed)
    found = DepthSelection(removed=removed)(metrics)
    np.testing.assert_array_equal(found["best"], program.metrics[-1, 1:])
    for place, strategy in zip(found["left_out"][-1], program.strategies[1:], strict=True):
        assert place == (sum(1 << i for i in strategy) if strategy else -1)
    with pytest.raises(ArgumentError, match="removed=3"):
        DepthSelection(removed=3)(np.zeros(4))


def test_kept_units_are_the_activation_patterns() -> None:
    random = np.random.default_rng(1)
    x, directions = random.standard_normal((8, 2)), random.standard_normal((2, 4000))
    found = ActivationPatterns()(x, directions)
    columns = found["patterns"][:, found["kept"] == 1]
    assert columns.shape[1] == most_patterns(8, 2)
    np.testing.assert_array_equal(np.unique(columns, axis=1), activation_patterns(x, directions))


def test_boxes_are_those_of_the_function() -> None:
    mask = (np.random.default_rng(2).random((33, 21)) < 0.7).astype(float)
    own = ErrorBoxes(patch=3, share=0.7, bound=0.5)(mask)
    boxes_ = error_boxes(mask.astype(int), patch=3, share=0.7)
    np.testing.assert_array_equal(own[: len(boxes_)], boxes_)
    assert (own[len(boxes_) :] == -1).all()


def test_bits_are_those_of_the_function() -> None:
    rule = InductiveBiasBits(examples=1280901, dimension=48, outputs=999, product=1000)
    found = rule(np.array([943.5923]), np.array([65.0]))
    assert found["degree"][0] == pytest.approx(70.69043273560, rel=1e-12)
    own = inductive_bias_bits(examples=1280901, dimension=48, radius=943.5923, distance=65, outputs=999, product=1000)
    assert found["bits"][0] == pytest.approx(own, rel=1e-11)
    assert f"{found['bits'][0]:.6e}" == "3.583253e+41"


@pytest.mark.parametrize("flat", [1, 2, 3])
def test_score_dimensions_are_those_of_the_function(flat: int) -> None:
    scores = np.random.default_rng(flat).standard_normal((20, 5)) * np.where(np.arange(5) < flat, 1e-3, 1.0)
    found, values = score_dimension(scores)
    own = ScoreDimension()(scores)
    assert own["dimension"] == found == flat
    np.testing.assert_array_equal(own["values"], values)
