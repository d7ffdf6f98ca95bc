"""`wavegen studio`: a local page to play, continue, compare, train, segment and look into networks."""
