"""`python -m tests.worked > docs/worked-examples-others.md`: the page of worked examples of rules without steps."""

from __future__ import annotations

from tests.worked.page import text

if __name__ == "__main__":
    print(text(), end="")
