"""Small implementations to check: one that is right, and one with a famous mistake."""
