"""Published data sets: what there is, fetching, checking and removing them."""
