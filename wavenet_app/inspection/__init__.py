"""Inspection of audio before training: facts, findings and advice."""
