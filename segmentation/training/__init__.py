"""`wavegen seg-train`: train DeepLab."""
