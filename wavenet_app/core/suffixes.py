"""The endings of files of images and of recordings, for packages that do not read these themselves."""

from __future__ import annotations

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif"})
"""Images that the half of images reads."""

RECORDING_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".aiff", ".aif", ".wma"})
"""Files that are sound by their name; `audio.decoding` reads more, such as the sound of videos."""
