"""What the oracle says, for people: one list of sections, shown as plain text or in colour; and rules as formulas."""
