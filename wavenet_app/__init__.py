"""WaveNet on folders of audio: the dilated block, the corpus, the model and its training."""
