"""WaveNet: the model, its output heads and its conditioning."""
