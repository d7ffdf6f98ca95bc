"""The stack of dilated blocks, plain and fast."""
