"""`wavegen seg-eval`: score a model on a data set."""
