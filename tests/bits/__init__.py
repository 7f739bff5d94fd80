"""The exact bits of every rule and every variant, kept as digests, so that a change of the code shows a change of results.

`python -m tests.bits` writes `bits.json`, `python -m tests.bits --check` compares everything with it. Inputs are made from
Philox words by exact arithmetic (`inputs`); what is called of a rule is in one place for each kind (`kinds`).
"""
