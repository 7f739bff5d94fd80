"""What tests are made of: adversarial inputs for Hypothesis, laws that rules obey, and a pytest plugin.

Names are loaded when they are first asked for: every pytest where refgrad is installed loads the plugin, and so this package.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refgrad.kinds.laws.optimizer import LAWS, Law
    from refgrad.testing.check import check_laws, known_laws
    from refgrad.testing.conformance import assert_conforms
    from refgrad.testing.reports import BrokenLawError, LawReport, raise_if_broken
    from refgrad.testing.tasks import verify_kernel, verify_model

__all__ = [
    "LAWS",
    "BrokenLawError",
    "Law",
    "LawReport",
    "assert_conforms",
    "check_laws",
    "known_laws",
    "raise_if_broken",
    "verify_kernel",
    "verify_model",
]

_LATER = {
    "LAWS": "refgrad.kinds.laws.optimizer",
    "Law": "refgrad.kinds.laws.optimizer",
    "assert_conforms": "refgrad.testing.conformance",
    "check_laws": "refgrad.testing.check",
    "known_laws": "refgrad.testing.check",
    "BrokenLawError": "refgrad.testing.reports",
    "LawReport": "refgrad.testing.reports",
    "raise_if_broken": "refgrad.testing.reports",
    "verify_kernel": "refgrad.testing.tasks",
    "verify_model": "refgrad.testing.tasks",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'refgrad.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LATER])
