"""A worked example of every rule without steps: a few numbers in, and what an equation that is no part of refgrad makes of them.

Each room has its table (`tests/estimators/worked.py`, `tests/sparsity/worked.py`, `tests/quantizers/worked.py`,
`tests/optimizers/worked/transforms.py`), `tests/worked/table.py` puts them together, and ``python -m tests.worked`` prints the
page docs/worked-examples-others.md. Optimizers, whose examples take three steps, stand in `tests/optimizers/worked`.
"""
