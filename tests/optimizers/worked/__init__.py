"""A worked example of every optimizer: three steps on three numbers, by equations that are no part of refgrad.

`examples.EXAMPLES` is the table, `by_hand.follow` computes one in sixty digits from the start, ``python -m
tests.optimizers.worked`` prints the page docs/worked-examples.md.
"""
