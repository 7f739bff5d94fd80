"""What tests are made of: adversarial inputs for Hypothesis, laws that rules obey, and a pytest plugin."""

from refgrad.kinds.laws.optimizer import LAWS, Law
from refgrad.testing.check import check_laws, known_laws
from refgrad.testing.reports import BrokenLawError, LawReport, raise_if_broken

__all__ = ["LAWS", "BrokenLawError", "Law", "LawReport", "check_laws", "known_laws", "raise_if_broken"]
