"""The oracle: it drives a candidate, encloses what is acceptable, and gives a verdict."""
