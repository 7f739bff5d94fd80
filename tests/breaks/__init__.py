"""Faults put into the code one at a time, to see whether the tests notice: `python -m tests.breaks`.

`table.toml` has a record a fault: the line as it is, the line as it would be wrong, and what is wrong then. A test that catches
it is named there as well, as of the last time that somebody looked (``today``).
"""
