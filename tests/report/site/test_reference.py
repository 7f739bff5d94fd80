"""The reference describes what is public."""

from __future__ import annotations

import refgrad
from refgrad.report.site import reference, schema_page


def test_every_public_function_of_the_front_door_is_described_with_its_types() -> None:
    text = reference.pages()["reference/refgrad"]
    public = [
        n
        for n in refgrad.__all__
        if callable(getattr(refgrad, n)) and getattr(refgrad, n).__module__.startswith("refgrad")
    ]
    assert public
    missing = [name for name in public if f"}} {name}(" not in text]
    assert missing == []
    assert "-> " in text.partition("} verify(")[2].partition("\n")[0]


def test_every_field_of_the_schema_is_described() -> None:
    rows = [line for line in schema_page.page().splitlines() if line.startswith("| `")]
    assert rows
    assert [row for row in rows if row.endswith("|  |")] == []
