"""Play sound while it is generated."""
