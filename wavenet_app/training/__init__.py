"""Training of WaveNets: the run and its options, the task, the command and its output."""
