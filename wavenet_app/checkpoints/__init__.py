"""Trained models: find, load, describe and export them."""
