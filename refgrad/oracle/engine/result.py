"""What every result can do: give itself as JSON, and be shown as text, in a terminal and in a notebook."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from refgrad.arithmetic.dtypes import shortest
from refgrad.layout import Section, render_html, render_sections


class AsJson:
    """What gives itself as plain data, and so as JSON."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        raise NotImplementedError

    def to_json(self, **options: Any) -> str:
        """All of it as strict JSON; see `to_dict`.

        Args:
            options: keyword arguments of `json.dumps`, such as ``indent=2``.

        Returns:
            JSON text without NaN or infinities, which are strings in it.
        """
        return json.dumps(self.to_dict(), allow_nan=False, **options)


class Report:
    """What is shown in sections."""

    def sections(self) -> Sequence[Section]:
        """What is shown, section by section."""
        raise NotImplementedError

    def __str__(self) -> str:
        return render_sections(self.sections())

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return render_html(self.sections())


@dataclass(frozen=True)
class Result(AsJson, Report):
    """The answer to a question about a candidate: a record with an exit code."""

    #: what its document says that it is
    schema: ClassVar[str]

    @property
    def exit_code(self) -> int:
        """What a command ends with."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data; every float also as a hex float."""
        return {"schema": self.schema, "exit_code": self.exit_code, **plain(asdict(self))}


def plain(value: Any, dtype: str | None = None) -> Any:
    """A record's fields as what JSON holds.

    Args:
        value: a mapping, a sequence, or one value.
        dtype: the name of a float dtype, in whose shortest decimals floats are written besides.

    Returns:
        The same in dicts and lists; a float is a dict of its value (a string if it is not finite) and its hex float.
    """
    if isinstance(value, Mapping):
        return {str(k): plain(v, dtype) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v, dtype) for v in value]
    if isinstance(value, float):
        number = {"value": value if math.isfinite(value) else str(value), "hex": value.hex()}
        return number if dtype is None else {**number, "decimal": shortest(value, dtype)}
    return value
