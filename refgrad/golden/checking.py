"""Golden files verified by the exact path, linted, and compared with others."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from refgrad.arithmetic import exact
from refgrad.errors import RefgradError, nearest
from refgrad.golden import records
from refgrad.golden.case import MORE_DIGITS, within
from refgrad.golden.flags import FLAGS
from refgrad.golden.making import MANIFEST, built, described
from refgrad.golden.reading import File, read, scalars
from refgrad.golden.rules_of_files import Known, known_rules
from refgrad.kinds.table import kind_of
from refgrad.oracle.sets import record_of
from refgrad.rule import Rule

#: the product of a whole setting, which may be a length, and the numbers of a case's largest array, at most: what a file
#: has computed takes no more memory than that
MOST = 1 << 24
#: names that are listed one after the other
NAMED = 6
#: what a document says besides its cases, and what it is called where it changed
BESIDE_CASES: Mapping[str, str] = {
    "version": "the version of the rule",
    "wrong": "wrong values",
    "not_refused": "what no case refuses",
    "mutants": "the number of faults that were tried",
}


def listed(folder: Path) -> dict[str, Any]:
    """The manifest of a folder.

    Raises:
        GoldenError: there is none.
    """
    return records.parse(records.read_bytes(folder / MANIFEST), "manifest", MANIFEST)


def lint(folder: Path, names: Sequence[str] = ()) -> Iterator[str]:
    """What is wrong with the form of the files: schema, digests, tensors that are missing, flags without a note.

    Args:
        folder: where they are.
        names: rules; all that the manifest lists if there are none.
    """
    try:
        manifest = listed(folder)
    except records.GoldenError as error:
        yield str(error)
        return
    if manifest["notes"] != {n: f._asdict() for n, f in FLAGS.items()}:
        yield f"{MANIFEST}: its notes are not those of this version"
    known = {each["rule"]: each for each in manifest["files"]}
    missing = [n for n in names or known if n in known and not (folder / f"{n}.json").exists()]
    for name in names or known:
        try:
            if name not in known:
                raise records.GoldenError(f"{MANIFEST} has no {name!r}")
            if name in missing:
                continue
            digest = hashlib.sha256(records.read_bytes(folder / f"{name}.json")).hexdigest()
            if digest != known[name]["sha256"]:
                yield f"{name}.json: another digest than the manifest's"
            file = read(folder, name)
            yield from (f"{name}: no note on {w['flag']}" for w in file.document["wrong"] if w["flag"] not in FLAGS)
        except records.GoldenError as error:
            yield str(error)
    if missing:
        which = some_of([f"{name}.json" for name in missing])
        yield f"{folder}: {len(missing)} of the {len(known)} files that {MANIFEST} lists are not there: {which}"


def some_of(names: Sequence[str]) -> str:
    """The first names of many, and how many more there are.

    >>> some_of(["AdamW", "Lion"])
    'AdamW, Lion'
    """
    return f"{', '.join(names[:NAMED])}{f' and {len(names) - NAMED} more' if len(names) > NAMED else ''}"


def verify(
    folder: Path, names: Sequence[str] = (), say: Callable[[str], None] = lambda _: None, own: Known | None = None
) -> Iterator[str]:
    """What is wrong: form first, then every truth computed again, and whether it lies in its set.

    Args:
        folder: where the files are.
        names: rules; all that the manifest lists if there are none, but those of others that are not handed in (`unknown`).
        say: is told of progress.
        own: rules that are not refgrad's, by name.
    """
    wrong = list(lint(folder, names))
    yield from wrong
    if wrong:
        return
    wanted = names or [n for n in _of_folder(folder) if n in known_rules(own)]
    for number, name in enumerate(wanted, 1):
        found = list(problems(read(folder, name), own))
        yield from found
        say(f"{number}/{len(wanted)} {name}: {'right' if not found else f'{len(found)} wrong'}")


def unknown(folder: Path, own: Known | None = None) -> list[str]:
    """The rules of a folder that are neither refgrad's nor handed in, whose truths cannot be computed.

    Args:
        folder: where the files are.
        own: rules that are not refgrad's, by name.

    Raises:
        GoldenError: there is no manifest.
    """
    return [name for name in _of_folder(folder) if name not in known_rules(own)]


def _of_folder(folder: Path) -> list[str]:
    return [each["rule"] for each in listed(folder)["files"]]


def problems(file: File, own: Known | None = None) -> Iterator[str]:
    """What is wrong with a file that was read: its version, and truths that are not those of the exact path.

    Args:
        file: of one rule.
        own: rules that are not refgrad's, by name.
    """
    document = file.document
    known = known_rules(own)
    if document["rule"] not in known:
        yield f"{document['rule']}: there is no such rule; one of your own is named by its file, as in mine.py:{document['rule']}"
        return
    if known[document["rule"]].revision != document["version"]:
        yield f"{document['rule']}: of version {document['version']} of the rule, which is another now"
        return
    for number, case in enumerate(document["cases"]):
        try:
            rule = built(document["rule"], case["hyperparameters"], own)
            yield from (f"{case['id']}: {text}" for text in _case(file, number, case, rule))
        except RefgradError as error:
            yield f"{case['id']}: {error}"
        except (
            ArithmeticError,
            LookupError,
            MemoryError,
            TypeError,
            ValueError,
        ) as error:
            # arrays and settings that are no case of the rule
            yield f"{case['id']}: it cannot be computed: {type(error).__name__}: {str(error)[:200]}"


def _case(file: File, number: int, case: Mapping[str, Any], rule: Rule) -> Iterator[str]:
    """What is wrong with the truths of one case."""
    if described(rule) != case["hyperparameters"]:
        yield "its hyperparameters are not all that the rule has"
    arrays: dict[str, Any] = {n: file.array(number, "in", n) for n in case["inputs"]}
    given = {n: file.array(number, "reference", n) for each in case["outputs"] for n in each["given"]}
    given = {n: a for n, a in given.items() if n not in getattr(rule, "chosen", ())}
    settable = given if kind_of(rule).name in ("optimizer", "estimator") else {}  # codes are not as they are returned
    most = MOST // max([1, *(array.size for array in arrays.values())])
    for name, value in _whole_numbers(case["hyperparameters"]):
        if value > most:
            raise records.GoldenError(f"{name} is {value}; legal beside arrays of this size: up to {most}")
    arrays |= scalars(case)
    truths = kind_of(rule).exactly(rule, record_of(rule, arrays, settable), MORE_DIGITS)
    for each in case["outputs"]:
        sets = file.array(number, "set", each["name"]).astype(np.float64)
        stored = file.arrays.get(f"{number}/truth/{each['name']}", sets[0, 0]).astype(np.float64)
        inside = within(_on(stored, file, number, each), [(low, high) for low, high in sets], "nan" in case["policy"])
        if not inside.all():
            yield f"{each['name']}: {int((~inside).sum())} truths lie in no set"
        if each["truth"] != "exact":
            continue
        if each["name"] not in truths:
            yield f"{each['name']}: there is no exact path"
            continue
        again = exact.to_odd(np.reshape(truths[each["name"]], stored.shape))
        if not np.array_equal(again, stored, equal_nan=True):
            yield f"{each['name']}: {int((again != stored).sum())} truths are not those of the exact path"


def _whole_numbers(settings: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """The settings that are whole numbers, by name, and those of rules within: lengths that arrays are padded to among them."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _whole_numbers(value["hyperparameters"])
        elif isinstance(value, int) and not isinstance(value, bool):
            yield name, value


def _on(values: np.ndarray, file: File, number: int, output: Mapping[str, Any]) -> np.ndarray:
    """Truths on the grid of an output."""
    return values.astype(file.array(number, "set", output["name"]).dtype).astype(np.float64)


def differences(old: Path, new: Path) -> Iterator[str]:
    """What changed between two folders, case by case; a case that changed at one version of its rule is marked.

    All files that a manifest lists are read, also those that have one digest in both: what the manifests say alike, the files
    beside them may not.

    Args:
        old, new: where the files are.

    Raises:
        GoldenError: a file is missing, or is not the one that its manifest and its schema say.
    """
    before, after = (_digests(folder) for folder in (old, new))
    for name in sorted(before.keys() | after.keys()):
        files = [_as_listed(folder, name, of[name]) for folder, of in ((old, before), (new, after)) if name in of]
        if len(files) < 2:
            yield f"{name}: {'gone' if name in before else 'new'}"
        elif before[name] != after[name]:
            yield from _differing(*files)


def _digests(folder: Path) -> dict[str, str]:
    """The digests of the documents that a folder's manifest lists, by rule."""
    try:
        return {each["rule"]: each["sha256"] for each in listed(folder)["files"]}
    except records.GoldenError as error:
        raise records.GoldenError(f"{folder}: {error}") from None


def _as_listed(folder: Path, name: str, digest: str) -> File:
    """The files of a rule, if they are those that the manifest lists."""
    try:
        found = hashlib.sha256(records.read_bytes(folder / f"{name}.json")).hexdigest()
        if found != digest:
            raise records.GoldenError(f"{name}.json: another digest than the manifest's")
        return read(folder, name)
    except records.GoldenError as error:
        place = "" if str(folder) in str(error) else f"{folder}: "
        legal = "" if "; legal: " in str(error) else "; legal: whole files, as `refgrad golden lint` finds them"
        raise records.GoldenError(f"{place}{error}{legal}") from None


def _differing(old: File, new: File) -> Iterator[str]:
    name = old.document["rule"]
    same = old.document["version"] == new.document["version"]
    first, second = ({c["id"]: n for n, c in enumerate(f.document["cases"])} for f in (old, new))
    yield from (f"{id_}: {'gone' if id_ in first else 'new'}" for id_ in sorted(first.keys() ^ second.keys()))
    for id_ in sorted(first.keys() & second.keys()):
        if _said_of(old, first[id_]) != _said_of(new, second[id_]):
            yield f"{id_}: changed{', and the version of the rule is the same' if same else ''}"
    for field, called in BESIDE_CASES.items():
        if old.document.get(field) != new.document.get(field):
            yield f"{name}: {called} changed"


def _said_of(file: File, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """A case of a file, wherever its arrays stand there."""
    record = {n: v for n, v in file.document["cases"][number].items() if n != "shared"}
    return record, {
        key.partition("/")[2]: (str(a.dtype), a.shape, a.tobytes())
        for key, a in file.arrays.items()
        if key.partition("/")[0] == str(number)
    }


def shown(folder: Path, id_: str) -> str:
    """A case as people read it.

    Args:
        folder: where the files are.
        id_: the case.

    Raises:
        GoldenError: there is none.
    """
    name, dash, _ = id_.rpartition("-")
    if not dash:
        raise records.GoldenError(
            f"the case is {id_[:120]!r}; legal: a rule's name and the case's own, such as AdamW-b66d4da5f219"
        )
    rules = _of_folder(folder)
    if name not in rules:
        legal = f"of a rule that {MANIFEST} lists, such as {some_of(rules)}" if rules else f"none, as {MANIFEST} says"
        raise records.GoldenError(f"there is no case {id_[:120]!r}{nearest(name, rules, 0.7)}; legal: a case {legal}")
    file = read(folder, name)
    ids = [case["id"] for case in file.document["cases"]]
    if id_ not in ids:
        like = sorted(ids, key=lambda each: -difflib.SequenceMatcher(None, each, id_).ratio())
        raise records.GoldenError(f"there is no case {id_[:120]!r}; legal: {some_of(like)}")
    number = ids.index(id_)
    case = file.document["cases"][number]
    lines = [f"{id_}: {_called(file.document['rule'], case)}", f"{case['family']}, {case['dtype']}", ""]
    lines += [f"{n} = {v:g}" for n, v in scalars(case).items()]
    for name in case["inputs"]:
        lines.append(f"{name} = {file.array(number, 'in', name).reshape(-1)[:4].tolist()} ...")
    for each in case["outputs"]:
        low, high = file.array(number, "set", each["name"])[0].astype(np.float64).reshape(2, -1)
        given = f", given {', '.join(each['given'])}" if each["given"] else ""
        lines.append(f"{each['name']}[0] in [{float(low[0]).hex()}, {float(high[0]).hex()}]{given}")
    told = [w for w in file.document["wrong"] if w["case"] == id_]
    lines += [f"{w['flag']}: {w['output']}{w['at']} = {', '.join(w['value'])} ({w['name']})" for w in told]
    return "\n".join(lines)


def _called(name: str, case: Mapping[str, Any]) -> str:
    """The rule of a case; of one that is not refgrad's the settings as they stand in the file."""
    if name in known_rules():
        return str(built(name, case["hyperparameters"]))
    return f"{name}({', '.join(f'{n}={v}' for n, v in case['hyperparameters'].items())})"
