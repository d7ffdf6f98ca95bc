"""Trainings that are started, watched, stopped and resumed from the page."""
