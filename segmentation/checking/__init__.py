"""`wavegen seg-check`: check an image data set before training."""
