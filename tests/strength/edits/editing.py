"""Edits of a text: each place at which a pattern of a kind matches is one.

An edit knows nothing of the rule, and nothing of names: whether what is told
of the edited program is true is found by running it (`tests.strength.edits.judging`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.strength.edits.kinds import KINDS
from tests.strength.edits.text import Text

#: lines that say what a program takes and keeps, in which nothing is edited
DECLARED = re.compile(r"def |class |void |dict\(|State|beta1, beta2|import |optax|lambda|tree|state\[")


@dataclass(frozen=True)
class Edit:
    """A text with one place edited."""

    text: Text
    kind: str
    old: str
    new: str
    source: str

    @property
    def id(self) -> str:
        """What tells it from all others, whatever their order."""
        return hashlib.sha256(f"{self.text.name}\0{self.source}".encode()).hexdigest()[:12]


def edits(text: Text) -> Iterator[Edit]:
    """Every edit of a text that makes another text, once."""
    seen = {text.source}
    for kind in KINDS:
        if text.language not in kind.languages:
            continue
        for match in re.finditer(kind.pattern, text.source, re.MULTILINE):
            if not kind.new.startswith(r"\1    ") and DECLARED.search(_line(text.source, match.start())):
                continue
            new = f"({int(match[0]) - 1})" if "{}" in kind.new else match.expand(kind.new)
            source = text.source[: match.start()] + new + text.source[match.end() :]
            if source not in seen:
                seen.add(source)
                yield Edit(text, kind.name, match[0].strip(), new.strip(), source)


def _line(source: str, place: int) -> str:
    """The line in which a place is."""
    return source[source.rfind("\n", 0, place) + 1 : (source + "\n").index("\n", place)]
