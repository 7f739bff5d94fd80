"""The documentation site: what Sphinx reads, put together from docs/ and from the rules themselves."""
