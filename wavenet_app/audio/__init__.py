"""Sound files, mel frames, pitch, and pictures of sound."""
