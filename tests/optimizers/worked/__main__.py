"""`python -m tests.optimizers.worked > docs/worked-examples.md`: the page of worked examples."""

from __future__ import annotations

from tests.optimizers.worked.page import text

if __name__ == "__main__":
    print(text(), end="")
