"""Candidates whose modules do something when they are imported."""
