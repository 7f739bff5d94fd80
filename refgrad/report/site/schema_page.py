"""The published schema as a page: every document that `--json` prints, field by field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from refgrad.report.site.prose import cell, code, escaped, table

HEAD = """# Every field of the JSON

{description}

The file is what `refgrad schema` prints ([output](/output.md) links to it); the tests hold real verdicts to it. A field that is
not marked as required may be missing.
"""


def page() -> str:
    """The page in Markdown."""
    schema = json.loads(files("refgrad.report").joinpath("schemas/output.json").read_text(encoding="utf-8"))
    parts = [HEAD.format(description=escaped(schema["description"]))]
    for name, part in schema["$defs"].items():
        parts.append(f"\n## {name}\n\n{escaped(part.get('description', ''))}\n\n{_fields(part)}")
    return "".join(parts)


def _fields(part: Mapping[str, Any]) -> str:
    """The fields of an object; of what is none, its type."""
    required = part.get("required", ())
    rows = [
        (code(name), kind(field), "required" if name in required else "", cell(field.get("description", "")))
        for name, field in part.get("properties", {}).items()
    ]
    return table(("field", "type", "", "what it is"), rows) or f"{kind(part)}\n"


def kind(field: Mapping[str, Any]) -> str:
    """What a field may hold, in Markdown; other parts of the schema as links.

    >>> kind({"type": "array", "items": {"$ref": "#/$defs/fault"}})
    'array of [fault](#fault)'
    >>> kind({"enum": [0, 1]})
    '`0`, `1`'
    """
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name})"
    if "const" in field:
        return code(json.dumps(field["const"]))
    if "enum" in field:
        return ", ".join(code(json.dumps(value)) for value in field["enum"])
    for word in ("anyOf", "oneOf"):
        if word in field:
            return " or ".join(map(kind, field[word]))
    told = field.get("type", "anything")
    if told == "array" and "items" in field:
        return f"array of {kind(field['items'])}"
    if told == "object" and isinstance(field.get("additionalProperties"), Mapping):
        return f"object of {kind(field['additionalProperties'])}"
    return told if isinstance(told, str) else " or ".join(told)
