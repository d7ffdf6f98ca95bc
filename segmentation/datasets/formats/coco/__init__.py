"""COCO: outlines of things, drawn into masks."""
