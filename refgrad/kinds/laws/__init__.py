"""What must hold of every rule of a kind: laws, which know no expected value."""
