"""What tests are made of: adversarial inputs for Hypothesis, laws that rules obey, and a pytest plugin."""

from refgrad.testing.check import BrokenLawError, LawReport, check_laws, raise_if_broken
from refgrad.testing.laws import LAWS, Law

__all__ = ["LAWS", "BrokenLawError", "Law", "LawReport", "check_laws", "raise_if_broken"]
