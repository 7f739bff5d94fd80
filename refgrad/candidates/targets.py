"""The strings that name candidates: ``package.module:name`` and ``path/to/file.py:name``."""

from __future__ import annotations

from refgrad.errors import NotThereError, shown

LEGAL = "'package.module:name' or 'path/to/file.py:name'"


def target_parts(target: str, argument: str = "candidate") -> tuple[str, str]:
    """The module or file, and the name in it.

    Args:
        target: ``package.module:name`` or ``path/to/file.py:name``.
        argument: what errors call it.

    >>> target_parts("torch.optim:AdamW")
    ('torch.optim', 'AdamW')

    Raises:
        NotThereError: one of them is missing.
    """
    place, colon, attribute = target.rpartition(":")
    if colon and place and attribute:
        return place, attribute
    dotted, _, last = target.rpartition(".")
    hint = f"; did you mean {f'{dotted}:{last}'!r}?" if dotted and not target.endswith(".py") else ""
    raise NotThereError(f"{argument} is {shown(target)}{hint}; legal: {LEGAL}")
