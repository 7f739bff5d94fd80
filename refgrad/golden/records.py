"""JSON read with suspicion, held against the published schema; and written alike on every machine."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from refgrad import whole_file
from refgrad.errors import RefgradError, with_article

#: the forms of a rule's document that are read, in the order of their age; the last is written. In the first each array stands in
#: the file of tensors as often as there are cases with it, in the second once: `shared` of a case says where
SCHEMAS = ("refgrad-golden-1", "refgrad-golden-2")
#: bytes that a file may have
LARGEST = 64 << 20


class GoldenError(RefgradError):
    """A golden file that is truncated, foreign, corrupted or not what its schema says."""


@functools.cache
def schema(name: str) -> Mapping[str, Any]:
    """A published JSON Schema.

    Args:
        name: "case" or "manifest".
    """
    found: Mapping[str, Any] = json.loads(
        resources.files("refgrad.golden").joinpath("schemas", f"{name}.json").read_text("utf-8")
    )
    return found


def read_bytes(path: Path) -> bytes:
    """The bytes of a regular file that is not too large.

    Raises:
        GoldenError: there is none.
    """
    try:
        if not path.is_file():
            raise GoldenError(f"{path}: there is no such file")
        if path.stat().st_size > LARGEST:
            raise GoldenError(f"{path}: {path.stat().st_size} bytes; legal: up to {LARGEST}")
        return whole_file.read(path, LARGEST)
    except OSError as error:
        raise GoldenError(f"{path}: {error.strerror}") from None


def parse(data: bytes, name: str, where: str) -> dict[str, Any]:
    """A JSON document that its schema allows.

    Args:
        data: the bytes.
        name: of the schema.
        where: what errors call it.

    Raises:
        GoldenError: it is none.
    """
    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refused)
    except RecursionError:
        raise GoldenError(f"{where}: too deeply nested") from None
    except ValueError as error:  # also text that is no UTF-8, and whole numbers of too many digits
        raise GoldenError(f"{where}: no JSON: {str(error)[:200]}") from None
    _check(found, schema(name), where)
    return found  # type: ignore[no-any-return]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice in one object")
    return found


def _refused(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


_TYPES: Mapping[str, Any] = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}


def _check(value: Any, legal: Mapping[str, Any], where: str) -> None:
    """A value against the part of JSON Schema that the schemas here use."""
    if "enum" in legal:
        if value not in legal["enum"]:
            raise GoldenError(f"{where} is {str(value)[:80]!r}; legal: {', '.join(map(str, legal['enum']))}")
        return
    kind = legal["type"]
    if not isinstance(value, _TYPES[kind]) or (kind == "integer" and isinstance(value, bool)):
        raise GoldenError(f"{where} is {with_article(type(value).__name__)}; legal: {kind}")
    if kind == "object":
        _check_object(value, legal, where)
    elif kind == "array":
        if len(value) > legal["maxItems"]:
            raise GoldenError(f"{where} has {len(value)} items; legal: up to {legal['maxItems']}")
        for number, each in enumerate(value):
            _check(each, legal["items"], f"{where}[{number}]")
    elif kind == "string":
        if (
            len(value) > legal.get("maxLength", 200)
            or not re.search(legal.get("pattern", ""), value)
            or value.endswith("\n")
        ):  # before which $ matches too
            raise GoldenError(f"{where} is {value[:80]!r}; legal: {legal.get('pattern', 'a shorter text')}")
    elif kind == "integer" and not legal.get("minimum", 0) <= value <= legal.get("maximum", 1 << 53):
        raise GoldenError(f"{where} is {str(value)[:40]}; legal: from {legal.get('minimum', 0)}")


def _check_object(value: Mapping[str, Any], legal: Mapping[str, Any], where: str) -> None:
    known = legal.get("properties")
    if known is None:
        for name, each in value.items() if "additionalProperties" in legal else ():
            _check(each, legal["additionalProperties"], f"{where}.{name[:40]}")
        return
    for name in legal.get("required", ()):
        if name not in value:
            raise GoldenError(f"{where} has no {name!r}")
    for name, each in value.items():
        if name not in known:
            raise GoldenError(f"{where} has {name[:40]!r}; legal: {', '.join(known)}")
        _check(each, known[name], f"{where}.{name}")


def text(document: Mapping[str, Any]) -> bytes:
    """A document as JSON: sorted, one line an entry of its lists, the same on every machine."""
    lines = []
    for name, value in sorted(document.items()):
        one = functools.partial(json.dumps, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
        body = "[\n" + ",\n".join(map(one, value)) + "\n]" if isinstance(value, list) and value else one(value)
        lines.append(f"{json.dumps(name)}:{body}")
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Args:
        path: where.
        data: its bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file.written(path, 0o644) as file:
        file.write(data)
