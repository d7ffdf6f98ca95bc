"""Sound: the models, the queue before them, and samples that are sent while they are made."""
