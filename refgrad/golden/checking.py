"""Golden files verified by the exact path, linted, and compared with others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from refgrad.arithmetic import exact
from refgrad.errors import RefgradError
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
    for name in names or known:
        try:
            if name not in known:
                raise records.GoldenError(f"{MANIFEST} has no {name!r}")
            digest = hashlib.sha256(records.read_bytes(folder / f"{name}.json")).hexdigest()
            if digest != known[name]["sha256"]:
                yield f"{name}.json: another digest than the manifest's"
            file = read(folder, name)
            yield from (f"{name}: no note on {w['flag']}" for w in file.document["wrong"] if w["flag"] not in FLAGS)
        except records.GoldenError as error:
            yield str(error)


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

    Args:
        old, new: where the files are.
    """
    before, after = ({each["rule"]: each["sha256"] for each in listed(folder)["files"]} for folder in (old, new))
    yield from (f"{name}: {'gone' if name in before else 'new'}" for name in sorted(before.keys() ^ after.keys()))
    for name in sorted(before.keys() & after.keys()):
        if before[name] != after[name]:
            yield from _differing(read(old, name), read(new, name))


def _differing(old: File, new: File) -> Iterator[str]:
    name = old.document["rule"]
    same = old.document["version"] == new.document["version"]
    first, second = ({c["id"]: n for n, c in enumerate(f.document["cases"])} for f in (old, new))
    yield from (f"{id_}: {'gone' if id_ in first else 'new'}" for id_ in sorted(first.keys() ^ second.keys()))
    for id_ in sorted(first.keys() & second.keys()):
        one, other = (
            {k.partition("/")[2]: a.tobytes() for k, a in f.arrays.items() if k.partition("/")[0] == str(n[id_])}
            for f, n in ((old, first), (new, second))
        )
        if one != other:
            yield f"{id_}: changed{', and the version of the rule is the same' if same else ''}"
    if old.document["wrong"] != new.document["wrong"]:
        yield f"{name}: wrong values changed"


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
    file = read(folder, name)
    numbers = [n for n, case in enumerate(file.document["cases"]) if case["id"] == id_]
    if not numbers:
        raise records.GoldenError(f"there is no case {id_[:120]!r}")
    case = file.document["cases"][numbers[0]]
    lines = [f"{id_}: {_called(file.document['rule'], case)}", f"{case['family']}, {case['dtype']}", ""]
    lines += [f"{n} = {v:g}" for n, v in scalars(case).items()]
    for name in case["inputs"]:
        lines.append(f"{name} = {file.array(numbers[0], 'in', name).reshape(-1)[:4].tolist()} ...")
    for each in case["outputs"]:
        low, high = file.array(numbers[0], "set", each["name"])[0].astype(np.float64).reshape(2, -1)
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
