"""Laws of masks: how many entries they keep, which, and how these change with the weights and the sparsity."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from refgrad.errors import ArgumentError
from refgrad.kinds.laws.case_law import Arrays, Call, CaseLaw, Claim, first
from refgrad.sparsity.base import Mask, Unstructured
from refgrad.sparsity.n_of_m import Groups

#: sparsities of the law of nested masks
SPARSER = (0.25, 0.5, 0.75)


def _cuts(rule: Any, arrays: Arrays) -> Iterator[Arrays]:
    """The arrays, and parts of them: of one size a count may be right that is rounded otherwise at others."""
    yield arrays
    shape = arrays["w"].shape
    ones = (1,) * (len(shape) - 1)
    for sizes in (tuple(max(1, n - 1) for n in shape), *((*ones, min(shape[-1], n)) for n in (3, 5, 7))):
        cut = tuple(slice(0, n) for n in sizes)
        part = {n: np.ascontiguousarray(a[cut]) if a.shape == shape else a for n, a in arrays.items()}
        try:
            rule.select(rule.score(**part))
        except ArgumentError:  # not every shape is legal
            continue
        yield part


def _count(call: Call, rule: Any, arrays: Arrays) -> Iterator[Claim]:
    for part in _cuts(rule, arrays) if arrays["w"].ndim else [arrays]:
        yield _counted(call, rule, part)


def _counted(call: Call, rule: Any, arrays: Arrays) -> Claim:
    got = call(arrays)
    units = rule.units(got["mask"])
    whole = units.reshape(units.shape[0], -1) if rule.score(**arrays).size != got["mask"].size else units.reshape(-1, 1)
    kept = whole.all(axis=1)
    if rule.granularity == "row" and got["mask"].ndim:
        kept = kept.reshape(units.shape[0], -1)
    counts = np.atleast_1d(kept.sum(axis=-1))
    want = rule.kept(kept.shape[-1])
    message = (
        ""
        if (counts == want).all()
        else f"{int(counts[counts != want][0])} of {kept.shape[-1]} are kept, expected {want}"
    )
    return Claim(arrays, got, message=message)


def _n_of_m(call: Call, rule: Any, arrays: Arrays) -> Iterator[Claim]:
    got = call(arrays)
    lines, _ = rule.lines(got["mask"])
    whole = lines.shape[1] - lines.shape[1] % rule.m
    counts = np.ascontiguousarray(lines[:, :whole]).reshape(-1, rule.m).sum(axis=1)
    wrong = counts != rule.kept()
    message = f"a group of {rule.m} keeps {int(counts[first(wrong)])}, expected {rule.kept()}" if wrong.any() else ""
    yield Claim(arrays, got, message=message)


def _nested(call: Call, rule: Mask, arrays: Arrays) -> Iterator[Claim]:
    """Sparser masks are within denser ones."""
    denser = call(arrays, sparsity=SPARSER[0])["mask"].astype(bool)
    for sparsity in SPARSER[1:]:
        got = call(arrays, sparsity=sparsity)
        mask = got["mask"].astype(bool)
        new = mask & ~denser
        message = (
            f"[{', '.join(map(str, first(new)))}] is kept at sparsity {sparsity} but not at a lower one"
            if new.any()
            else ""
        )
        yield Claim(arrays, {}, message=message)
        denser = mask


def _changed(change: Any) -> Any:
    def case_claims(call: Call, rule: Mask, arrays: Arrays) -> Iterator[Claim]:
        one, other = call(arrays), {**arrays, **change(rule, arrays)}
        yield Claim(other, {"mask": call(other)["mask"]}, {"mask": one["mask"]})

    return case_claims


def _mirrored(rule: Mask, arrays: Arrays) -> dict[str, np.ndarray]:
    signed = [n for n in arrays if n == "w" or rule.inputs.get(n, "signed") == "signed"]
    return {n: -arrays[n] for n in signed}


def _four_fold(rule: Mask, arrays: Arrays) -> dict[str, np.ndarray]:
    return {"w": arrays["w"] * arrays["w"].dtype.type(4)}


def _pruned_once(call: Call, rule: Mask, arrays: Arrays) -> Iterator[Claim]:
    one = call(arrays)
    other = {**arrays, "w": np.where(one["mask"].astype(bool), arrays["w"], arrays["w"].dtype.type(0))}
    yield Claim(other, {"mask": call(other)["mask"]}, {"mask": one["mask"]})


def _best(call: Call, rule: Mask, arrays: Arrays) -> Iterator[Claim]:
    """Nothing that is pruned has a better score than all that is kept of its ranking: one selection cannot be improved."""
    got = call(arrays)
    scores = rule.score(**arrays)
    mask = got["mask"].astype(bool)
    favoured = rule.spread(rule.select(scores, _as_units(rule, mask, scores.shape)), mask.shape)
    yield Claim(arrays, {"mask": mask}, {"mask": favoured})


def _as_units(rule: Mask, mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    units = rule.units(mask)
    axes = tuple(i for i, (whole, one) in enumerate(zip(units.shape, shape, strict=True)) if one == 1 < whole)
    return np.broadcast_to(units.all(axis=axes, keepdims=True), shape)


def _repeatable(call: Call, rule: Mask, arrays: Arrays) -> Iterator[Claim]:
    yield Claim(arrays, {"mask": call(arrays)["mask"]}, {"mask": call(arrays)["mask"]})


def _told_sparsity(rule: Mask) -> bool:
    return isinstance(rule, Unstructured) and "sparsity" in rule.legal()


LAWS: tuple[CaseLaw, ...] = (
    CaseLaw(
        "count",
        "as many are kept as the sparsity says",
        _count,
        lambda rule: isinstance(rule, Unstructured),
        universal=True,
    ),
    CaseLaw("n of m", "every group of m keeps n", _n_of_m, lambda rule: isinstance(rule, Groups), universal=True),
    CaseLaw("nested", "what is kept at a sparsity is kept at every lower one", _nested, _told_sparsity, universal=True),
    CaseLaw(
        "best",
        "nothing that is pruned has a better score than something that is kept in its stead",
        _best,
        universal=True,
    ),
    CaseLaw("repeatable", "the same arrays give the same mask", _repeatable, universal=True),
    CaseLaw(
        "sign",
        "with the signs of all weights and gradients turned, the mask is the same",
        _changed(_mirrored),
        moderate=True,
    ),
    CaseLaw("scale", "weights four times as large have the same mask", _changed(_four_fold), moderate=True),
    CaseLaw("pruned once", "weights that were pruned are pruned alike again", _pruned_once, moderate=True),
)
