"""Trained DeepLabs, ours and other projects'."""
