"""Making golden files: cases are chosen until they refuse what they can, and written rule by rule, so that one may go on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from refgrad import hex_floats
from refgrad.arithmetic.dtypes import as_dtype, is_float
from refgrad.golden import records, tensors
from refgrad.golden.case import Case, case_of
from refgrad.golden.flags import FLAGS
from refgrad.golden.inputs import drawn, golden_rule, telling
from refgrad.golden.levels import Level
from refgrad.golden.rules_of_files import Known, known_rules
from refgrad.golden.wrong import Wrong, mutants, others, survivors, told, variants
from refgrad.rule import Rule

MANIFEST = "manifest.json"
#: arrays of a rule or variant that cases are chosen among, for each dtype and seed
TRIED = 10
#: and of situations, for each seed
TOLD = 20
#: letters of what is not refused
TEXT = 240
#: the variant that mostly lies within the sets of the rule itself: no more is looked for to tell them
SCALARS = "scalars=float32"


@dataclass
class Chosen:
    """The cases of a rule with its variants, and what they refuse.

    Attributes:
        cases: each with the variant that it is of.
        wrong: what is refused, with the case that does.
        left: variants and mutants that no case refuses, as texts.
        mutants: how many mutants were tried.
        ids: of the cases.
        bytes: what their arrays take.
    """

    cases: list[tuple[str, Case]] = field(default_factory=list)
    wrong: list[tuple[Wrong, Case]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    mutants: int = 0
    ids: set[str] = field(default_factory=set)
    bytes: int = 0

    def add(self, name: str, case: Case, refused: Sequence[Wrong]) -> None:
        """Add a case.

        Args:
            name: the variant that it is of; "" for the rule itself.
            case: the case.
            refused: what it refuses and none before it does.
        """
        self.cases.append((name, case))
        self.ids.add(case.id)
        self.bytes += sum(array.nbytes for _, array in _arrays(0, case))
        self.wrong += [(w, case) for w in refused if not name]


def choose(cls: type[Rule], level: Level) -> Chosen:
    """The cases of a rule and its variants.

    Args:
        cls: of the rule.
        level: how many there may be.
    """
    found, base = Chosen(), golden_rule(cls)
    every = variants(base)
    for name, rule in every:
        left = others(every, rule)
        for dtype in level.dtypes if not name else level.dtypes[:1]:
            left = _choose(found, name, rule, level, dtype, left)
        if name != SCALARS:
            left = _choose_telling(found, name, rule, level, left)
        faults = [w for w in left if w.mutation is not None]
        found.left += [f"{name or 'the rule'}: {w.name}" for w in left if w.mutation is None]
        found.left += [f"fault: {w.name}" for w in survivors(rule, faults)]
    return found


def _choose(found: Chosen, name: str, rule: Rule, level: Level, dtype: str, left: list[Wrong]) -> list[Wrong]:
    """Add cases of one rule; what is left that none of them refuses."""
    kept, most = 0, level.most if dtype == level.dtypes[0] else level.other
    for number, arrays in enumerate(drawn(rule, level, dtype)):
        if number == TRIED * len(level.seeds) or kept == most or (kept and not left and not level.every):
            break
        if kept and found.bytes > level.bytes:
            break
        case = case_of(rule, arrays, dtype)
        if case is None or case.id in found.ids:
            continue
        if not name and not found.mutants:
            faults = mutants(rule, case)
            left, found.mutants = left + faults, len(faults)
        refused = [w for w in left if w.refused(case)]
        if not kept or refused or level.every:
            kept += 1
            found.add(name, case, refused)
            left = [w for w in left if w not in refused]
    return left


def _choose_telling(found: Chosen, name: str, rule: Rule, level: Level, left: list[Wrong]) -> list[Wrong]:
    """Add cases of situations: of those that are tried the ones that refuse most of what is left; what is left after these.

    Of the rule itself one with NaN or an infinity is added whatever it refuses.
    """
    tried: list[tuple[Case, bool, list[Wrong]]] = []
    hoped = {w for w in left if name or w.name != SCALARS}
    for sample in telling(rule, level, level.dtypes[0]):
        looked = len(tried) >= TOLD * len(level.seeds) or not hoped.difference(*(told for _, _, told in tried))
        undefined = bool(name) or any(not finite for _, finite, _ in tried)
        if looked and undefined:
            break
        if looked and sample.finite:
            continue
        case = case_of(rule, sample, level.dtypes[0])
        if case is not None and case.id not in found.ids | {c.id for c, _, _ in tried}:
            tried.append((case, sample.finite, [w for w in left if w.refused(case)] if hoped else []))
    return _add_best(found, name, level, tried, left)


def _add_best(
    found: Chosen, name: str, level: Level, tried: list[tuple[Case, bool, list[Wrong]]], left: list[Wrong]
) -> list[Wrong]:
    """Add the case that refuses most of what is left, and so on; and the first that is not finite of the rule itself."""
    must = [] if name else [each for each in tried if not each[1]][:1]
    for number in range((level.telling // 2 if name else level.telling) + len(must)):
        own = must if number < len(must) else tried
        best = max(own, key=lambda each: len(set(each[2]).intersection(left)), default=None)
        refused = [] if best is None else [w for w in left if w in best[2]]
        if best is None or found.bytes > level.bytes or not (refused or number < len(must)):
            break
        found.add(name, best[0], refused)
        left = [w for w in left if w not in refused]
        tried = [each for each in tried if each is not best]
    return left


def make(
    folder: Path,
    level: Level,
    names: Sequence[str] = (),
    fresh: bool = False,
    say: Callable[[str], None] = lambda _: None,
    own: Known | None = None,
) -> list[str]:
    """Write the files of a level; those of refgrad's rules that are there, whole, are left as they are.

    Args:
        folder: where.
        level: which.
        names: rules; all of refgrad's if there are none.
        fresh: make what is there too.
        say: is told of progress.
        own: rules that are not refgrad's, by name; they may have changed since their files were made, which are made anew.

    Returns:
        The rules whose files were made.

    Raises:
        GoldenError: there is no rule of a name, or no case can be made of it.
    """
    known = known_rules(own)
    for name in names:
        if name not in known:
            raise records.GoldenError(f"there is no rule {name[:80]!r}")
    wanted = {n: cls for n, cls in known.items() if (n in names if names else n not in (own or {}))}
    made = []
    for number, (name, cls) in enumerate(wanted.items(), 1):
        if not fresh and name not in (own or {}) and _is_whole(folder, name):
            continue
        document, arrays = of_rule(cls, level)
        if not document["cases"]:
            raise records.GoldenError(
                f"{name}: no case can be made of it; refgrad.sets has no sets of finite numbers for it"
            )
        data = tensors.packed(arrays)
        document["tensors"] = {"file": f"{name}.safetensors", "sha256": hashlib.sha256(data).hexdigest()}
        records.write(folder / f"{name}.safetensors", data)
        records.write(folder / f"{name}.json", records.text(document))  # last: what it names is there
        made.append(name)
        cases, left = len(document["cases"]), len(document["not_refused"])
        tried = (
            f"{document['mutants']} faults tried; of these, and of pairs of named behaviours, {left} are not told apart"
        )
        say(f"{number}/{len(wanted)} {name}: {cases} cases, {tried}")
    records.write(folder / MANIFEST, records.text(manifest(folder, level.name)))
    return made


def _is_whole(folder: Path, name: str) -> bool:
    try:
        document = records.parse(records.read_bytes(folder / f"{name}.json"), "case", name)
        data = records.read_bytes(folder / f"{name}.safetensors")
    except records.GoldenError:
        return False
    return bool(hashlib.sha256(data).hexdigest() == document["tensors"]["sha256"])


def manifest(folder: Path, level: str) -> dict[str, Any]:
    """What a folder holds, by the files in it.

    Args:
        folder: where they are.
        level: what the level is called.
    """
    files = []
    for path in sorted(folder.glob("*.json")):
        if path.name != MANIFEST:
            data = records.read_bytes(path)
            document = records.parse(data, "case", path.name)
            digest = hashlib.sha256(data).hexdigest()
            files.append(
                {"rule": document["rule"], "file": path.name, "sha256": digest, "cases": len(document["cases"])}
            )
    notes = {name: flag._asdict() for name, flag in FLAGS.items()}
    return {"schema": "refgrad-golden-manifest-1", "level": level, "files": files, "notes": notes}


def of_rule(cls: type[Rule], level: Level) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The document of a rule without its digest, and its arrays, each of them once.

    Args:
        cls: of the rule.
        level: how many cases there may be.
    """
    chosen = choose(cls, level)
    arrays: dict[str, np.ndarray] = {}
    cases = []
    for number, (name, case) in enumerate(chosen.cases):
        cases.append(_record(name, case))
        arrays |= dict(_arrays(number, case))
    arrays, copies = tensors.without_copies(arrays)
    for name, other in copies.items():
        place, _, own = name.partition("/")
        cases[int(place)].setdefault("shared", {})[own] = other
    source = str(getattr(cls, "citation", "a formula without a citation"))
    document = {
        "schema": records.SCHEMAS[-1],
        "level": level.name,
        "rule": cls.__name__,
        "kind": cls.kind,
        "version": cls.revision,
        "source": source[:2000],
        "cases": cases,
        "wrong": list(_wrong_values(chosen, level.wrong)),
        "not_refused": [text[:TEXT] for text in dict.fromkeys(chosen.left)],
        "mutants": chosen.mutants,
    }
    return document, arrays


def _wrong_values(chosen: Chosen, most: int) -> Iterator[dict[str, Any]]:
    """Named wrong values, of each flag in turn one, until there are enough."""
    by_flag: dict[str, list[tuple[Wrong, Case]]] = {}
    for wrong, case in chosen.wrong:
        by_flag.setdefault(wrong.flag, []).append((wrong, case))
    given = 0
    while given < most and any(by_flag.values()):
        for flag, left in by_flag.items():
            while left and given < most:
                wrong, case = left.pop(0)
                values = told(wrong, case)
                if values is not None:
                    values["value"] = [v.hex() for v in values["value"]]
                    yield {"case": case.id, "flag": flag, "name": wrong.name[:400], **values}
                    given += 1
                    break


def _record(variant: str, case: Case) -> dict[str, Any]:
    outputs = [
        {
            "name": name,
            "given": list(each.given),
            "ways": len(each.admissible),
            "wide": bool(each.given) and each.wide is not None,
            "truth": "exact" if each.exact is not None else "centre",
        }
        for name, each in case.sets.items()
    ]
    return {
        "id": case.id,
        "variant": variant,
        "hyperparameters": described(case.rule),
        "family": case.family,
        "dtype": case.dtype,
        "numbers": {n: float(v).hex() for n, v in case.numbers.items()},
        "inputs": list(case.arrays),
        "outputs": outputs,
        "whole": case.whole,
        "policy": case.policy,
    }


def described(rule: Rule) -> dict[str, Any]:
    """A rule's hyperparameters as JSON: numbers as hex floats, choices as they are, a rule within with its name.

    Args:
        rule: the rule.
    """
    return {n: _described(v) for n, v in rule.hyperparameters().items()}


def _described(value: Any) -> Any:
    if isinstance(value, Rule):
        return {"rule": type(value).__name__, "hyperparameters": described(value)}
    return float(value).hex() if isinstance(value, float) else value


def built(name: str, values: Mapping[str, Any], own: Known | None = None) -> Rule:
    """The rule that `described` described.

    Args:
        name: its name.
        values: its hyperparameters, as they stand in a file.
        own: rules that are not refgrad's, by name.

    Raises:
        GoldenError: there is no such rule, or it does not take them.
    """
    known = known_rules(own)
    if name not in known:
        raise records.GoldenError(f"there is no rule {name[:80]!r}")
    legal = known[name].legal()
    found = {}
    try:
        for field_, value in values.items():
            if isinstance(value, dict):
                value = built(str(value.get("rule")), value.get("hyperparameters", {}), own)
            elif isinstance(value, str) and not hasattr(legal.get(field_), "sentences"):
                value = hex_floats.read(value)
            found[field_] = value
        return known[name](**found)
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise records.GoldenError(f"{name}: {str(error)[:200]}") from None


def _arrays(number: int, case: Case) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays of a case, by the names that docs/golden.md gives them."""
    dtype = as_dtype(case.dtype)
    for name, array in case.arrays.items():
        yield f"{number}/in/{name}", array
    given = {n for each in case.sets.values() for n in each.given}
    for name, each in case.sets.items():
        own = np.dtype(np.float64) if case.rule.kind == "scaling" else dtype
        kept = own if _fits(each.admissible, own) else np.dtype(np.float64)
        yield f"{number}/set/{name}", np.asarray(each.admissible).astype(kept)
        if each.given and each.wide is not None:
            yield f"{number}/wide/{name}", np.asarray(each.wide).astype(kept)
        if name in given:
            yield f"{number}/reference/{name}", np.asarray(each.reference, np.float64).astype(kept)
        if not np.array_equal(each.truth, each.low):
            yield f"{number}/truth/{name}", each.truth


def _fits(admissible: Any, dtype: np.dtype) -> bool:
    """True if all ends lie on the grid of a dtype, which has NaN too."""
    with np.errstate(all="ignore"):
        ends = [end for pair in admissible for end in pair]
        return is_float(dtype) and all(
            np.array_equal(e.astype(dtype).astype(np.float64), e, equal_nan=True) for e in ends
        )
