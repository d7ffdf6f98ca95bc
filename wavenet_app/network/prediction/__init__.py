"""Linear prediction as an input of the net: the predictor, its compiled twin, and what the net reads of it."""
