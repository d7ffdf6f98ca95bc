"""What both siblings stand on: the dilated block, settings, checkpoints, the data folder and the terminal."""
