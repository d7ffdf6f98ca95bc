"""`wavegen bench`: measure and verify every engine."""
