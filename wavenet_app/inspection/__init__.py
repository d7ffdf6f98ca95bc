"""Inspect a corpus before training."""
