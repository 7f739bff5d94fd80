"""One line for a test of any runner: the candidate conforms, or the verdict is the failure."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from refgrad.errors import ArgumentError, nearest

if TYPE_CHECKING:
    from refgrad.oracle.engine.verdict import Verdict

#: what `check_laws` takes of what `refgrad.verify` takes
SHARED = ("dtype", "policy", "options", "time_limit", "isolate")


def check_keywords(given: Iterable[str]) -> None:
    """Refuse a keyword that `assert_conforms` does not take.

    Args:
        given: the names.

    Raises:
        ArgumentError: one is neither ``laws`` nor a keyword of `refgrad.verify`; the text names the nearest.
    """
    import refgrad

    legal = ["laws", *(n for n, p in inspect.signature(refgrad.verify).parameters.items() if p.kind is p.KEYWORD_ONLY)]
    for name in given:
        if name not in legal:
            raise ArgumentError(f"no argument is called {name!r}{nearest(name, legal)}; legal: {', '.join(legal)}")


def assert_conforms(candidate: Any, rule: Any, *, laws: bool = False, **keywords: Any) -> Verdict:
    """Judge a candidate, and fail the test that calls this unless it conforms.

    Args:
        candidate: whatever `refgrad.verify` takes: a function, an optimizer class or instance, a transformation.
        rule: the rule that it says it is, with its hyperparameters.
        laws: whether the rule's laws are checked on it too (needs Hypothesis).
        keywords: what `refgrad.verify` takes besides.

    Returns:
        The verdict.

    Raises:
        WrongImplementationError: it does not conform, or could not be judged; an `AssertionError`, whose text is the report.
        ArgumentError: a keyword is none, or an argument is not legal.
        CandidateError: the candidate cannot be asked; the text says what it may be.
        BrokenLawError: a law does not hold of it; an `AssertionError` too.

    >>> import unittest
    >>> from refgrad.optimizers import SGD
    >>> class TestMine(unittest.TestCase):
    ...     def test_descent(self):
    ...         assert_conforms(lambda p, g, lr: p - p.dtype.type(lr) * g, SGD(lr=0.1))
    >>> TestMine("test_descent").run().wasSuccessful()
    True
    """
    __tracebackhide__ = True
    import refgrad

    check_keywords(keywords)
    verdict = refgrad.verify(candidate, rule, **keywords).raise_if_wrong()
    if laws:
        from refgrad.testing.check import check_laws
        from refgrad.testing.reports import raise_if_broken

        shared = {n: v for n, v in keywords.items() if n in SHARED}
        raise_if_broken(check_laws(candidate, rule, **shared, seed=verdict.seed or 0))
    return verdict
