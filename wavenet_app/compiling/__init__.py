"""Compiled code and its caches on disk."""
