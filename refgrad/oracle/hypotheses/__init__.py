"""What a candidate is instead: hypotheses, how they are scored, and in which order they are tried."""
