"""Queue-based causal generation: one new sample costs O(layers), not O(receptive field)."""
