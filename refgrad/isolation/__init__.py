"""Candidates in a process of their own: whatever they do to it, there is a verdict (docs/isolation.md).

The boundary is the calls of the candidate as its kind resolved it: `messages` says what crosses it and how, `child` makes the
candidate and answers, `host` starts, asks, limits and replaces the process, `hosting` keeps it for the next candidate. Cases,
judging and expected values stay with the host.
"""
