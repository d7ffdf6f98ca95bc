"""Image data sets: find, read, augment and batch them."""
