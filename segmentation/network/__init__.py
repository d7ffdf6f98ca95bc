"""DeepLab and its parts."""
