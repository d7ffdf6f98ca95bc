"""The training loop: steps, schedule, averaging, checkpoints, several processes, interrupts."""
