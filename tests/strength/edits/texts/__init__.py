"""Programs as texts, written by hand and right: each is edited in one place at a time."""
