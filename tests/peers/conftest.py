"""The marks that Keras' own tests have, which are imported here."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest of them."""
    config.addinivalue_line("markers", "requires_trainable_backend: of Keras' own tests")
