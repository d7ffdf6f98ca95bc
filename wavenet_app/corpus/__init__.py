"""Folders of audio as a corpus: sources, cache, split, speakers, windows and baselines."""
