"""`wavegen sample` with many clips: written as they are made, by several processes, and resumed where it stopped."""
