"""`wavegen publish`: a model to share, with its card and audio samples."""
