"""How the oracle fares on kernels of formulas: right programs in four languages, and planted faults, beside other gates.

``python -m tests.strength.kernels --log FILE`` runs what the log does not have, ``--page docs/formula-strength.md`` writes the
tables and the picture of a log. The formulas are those of `refgrad.examples.formulas`, and their backwards.
"""
