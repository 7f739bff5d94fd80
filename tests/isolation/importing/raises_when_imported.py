"""Cannot be imported."""

raise SystemExit(0)
