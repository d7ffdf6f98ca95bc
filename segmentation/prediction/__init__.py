"""`wavegen seg-predict`: label images of any size."""
