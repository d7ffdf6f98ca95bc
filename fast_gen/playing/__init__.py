"""Play audio while it is generated."""
