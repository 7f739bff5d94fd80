"""One line for a test of any runner: the candidate conforms, or the verdict is the failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refgrad.oracle.engine.verdict import Verdict

#: what `check_laws` takes of what `refgrad.verify` takes
SHARED = ("dtype", "policy", "options", "time_limit", "isolate")


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

    verdict = refgrad.verify(candidate, rule, **keywords).raise_if_wrong()
    if laws:
        from refgrad.testing.check import check_laws
        from refgrad.testing.reports import raise_if_broken

        shared = {n: v for n, v in keywords.items() if n in SHARED}
        raise_if_broken(check_laws(candidate, rule, **shared, seed=verdict.seed or 0))
    return verdict
