"""Acceptance sets: what is inside, outside or undecided, given what was observed before."""
