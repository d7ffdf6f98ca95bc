"""`wavegen eval`: measure a model, and the report page."""
