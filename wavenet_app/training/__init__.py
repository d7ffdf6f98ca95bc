"""Train a WaveNet: a run from its options, the task, the command."""
