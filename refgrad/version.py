"""The version of this package, which surveys and logs write down."""

from __future__ import annotations

VERSION = "0.2.0"
