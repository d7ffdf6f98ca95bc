"""`wavegen vocode`: mel frames to sound."""
