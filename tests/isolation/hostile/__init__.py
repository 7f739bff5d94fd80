"""Candidates that are right, and do something besides: at their second step, unless their name says otherwise.

`tests.isolation.hostile.every` has the target of each by its name; those that go wrong when they are imported are modules of
`tests.isolation.importing`.
"""
