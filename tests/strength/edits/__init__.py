"""How many names of faults are true: programs whose source text is edited in one place, judged, and told what they are instead.

``python -m tests.strength.edits`` makes them of texts in NumPy, torch, JAX and C, asks `refgrad.verify`'s search for each, and
finds by runs of its own whether what is told is so. What becomes of each is a line of JSON in a log; a run that was stopped goes
on where it stood.
"""
