"""What can be checked: each adapter turns one kind of thing into a candidate that the oracle can drive."""
