"""What it means to be a kind of rule: one file a kind, and the table of kinds."""
