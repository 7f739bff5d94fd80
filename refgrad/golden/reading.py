"""A rule's golden file read: every record and array is there and fits, or there is one clear error."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from refgrad import hex_floats
from refgrad.golden import records, tensors
from refgrad.golden.records import GoldenError

NAME = re.compile(r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$")
#: the last step that a case may be of: all whole numbers up to it are numbers of float64
LAST_STEP = 1 << 53


@dataclass(frozen=True, eq=False)
class File:
    """What a rule's two files hold.

    Attributes:
        document: the JSON document, as its schema says.
        arrays: by the names that docs/golden.md gives them, those that cases share by each of their names.
    """

    document: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]

    def array(self, number: int, part: str, name: str) -> np.ndarray:
        """An array of a case.

        Args:
            number: of the case in the file.
            part: "in", "set", "wide", "reference" or "truth".
            name: of the input or output.

        Raises:
            GoldenError: it is not there.
        """
        key = f"{number}/{part}/{name}"
        if key not in self.arrays:
            raise GoldenError(f"{self.document['rule']}: there is no tensor {key!r}")
        return self.arrays[key]


def scalars(case: Mapping[str, Any]) -> dict[str, float | int]:
    """The scalars that a case hands in: the step ``t`` as a whole number, all others as they are.

    Args:
        case: a record of a document.

    Raises:
        GoldenError: the step is no whole number from 1, or a number is none of float64.
    """
    found: dict[str, float | int] = {}
    for name, text in case["numbers"].items():
        try:
            value = hex_floats.read(text)
        except (ValueError, OverflowError):
            raise GoldenError(f"{case['id']}: {name} is {text}; legal: a number of float64") from None
        if name == "t" and not (1 <= value <= LAST_STEP and value.is_integer()):
            raise GoldenError(f"{case['id']}: t is {text}; legal: a whole number from 1")
        found[name] = int(value) if name == "t" else value
    return found


def read(folder: Path, name: str) -> File:
    """The files of a rule.

    Args:
        folder: where they are.
        name: the rule's name.

    Raises:
        GoldenError: they are missing, or are not what their schema and digests say.
    """
    if not NAME.match(name):
        raise GoldenError(f"{name[:80]!r} is no rule's name")
    document = records.parse(records.read_bytes(folder / f"{name}.json"), "case", f"{name}.json")
    if document["rule"] != name or document["tensors"]["file"] != f"{name}.safetensors":
        raise GoldenError(f"{name}.json is of another rule, or names another file")
    data = records.read_bytes(folder / f"{name}.safetensors")
    if hashlib.sha256(data).hexdigest() != document["tensors"]["sha256"]:
        raise GoldenError(f"{name}.safetensors is not the file that {name}.json is of: another digest")
    return checked(document, tensors.unpacked(data, f"{name}.safetensors"))


def checked(document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> File:
    """A document with its arrays, each of which is there and has a shape that fits.

    Args:
        document: as the schema says.
        arrays: of its safetensors file.

    Raises:
        GoldenError: one is missing, or does not fit.
    """
    file = File(document, {**arrays, **_shared(document, arrays)})
    ids = [case["id"] for case in document["cases"]]
    if len(set(ids)) != len(ids):
        raise GoldenError(f"{document['rule']}: an id twice")
    for number, case in enumerate(document["cases"]):
        scalars(case)
        for name in case["inputs"]:
            file.array(number, "in", name)
        outputs = [each["name"] for each in case["outputs"]]
        for each in case["outputs"]:
            _check_output(file, number, each)
            for name in each["given"]:
                if name not in outputs:
                    raise GoldenError(f"{case['id']}: {each['name']} is given {name[:60]!r}, which there is not")
                file.array(number, "reference", name)
    for wrong in document["wrong"]:
        _check_wrong(file, ids, wrong)
    return file


def _shared(document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of cases that stand in the file by another name."""
    found = {}
    for number, case in enumerate(document["cases"]):
        if "shared" in case and document["schema"] == records.SCHEMAS[0]:
            raise GoldenError(f"{case['id']} has 'shared', which a document of {records.SCHEMAS[0]} has not")
        for own, name in case.get("shared", {}).items():
            key = f"{number}/{own}"
            if key in arrays:
                raise GoldenError(f"{case['id']}: {own[:60]!r} is shared, and a tensor of its own besides")
            if name not in arrays:
                raise GoldenError(f"{case['id']}: {own[:60]!r} is tensor {name!r}, which there is not")
            found[key] = arrays[name]
    return found


def _check_output(file: File, number: int, output: Mapping[str, Any]) -> None:
    found = file.array(number, "set", output["name"])
    if found.ndim < 2 or found.shape[:2] != (output["ways"], 2) or found.dtype.kind not in "fV":
        raise GoldenError(f"{file.document['rule']}: the set of {output['name']} has shape {found.shape}")
    low, high = found[:, 0], found[:, 1]
    if not ((low <= high) | (np.isnan(low) & np.isnan(high))).all():
        raise GoldenError(f"{file.document['rule']}: a low end of {output['name']} is above its high end, or NaN alone")
    if output["wide"] and file.array(number, "wide", output["name"]).shape != found.shape[1:]:
        raise GoldenError(f"{file.document['rule']}: the wide set of {output['name']} has another shape")


def _check_wrong(file: File, ids: list[str], wrong: Mapping[str, Any]) -> None:
    if wrong["case"] not in ids or len(wrong["at"]) != len(wrong["value"]):
        raise GoldenError(f"{file.document['rule']}: a wrong value of no case")
    found = file.array(ids.index(wrong["case"]), "set", wrong["output"])
    size = int(np.prod(found.shape[2:]))
    if any(at >= size for at in wrong["at"]):
        raise GoldenError(f"{wrong['case']}: a wrong value beyond the end of {wrong['output']}")
