"""Measures of a model and of sound: bits per sample, distances, runaways."""
