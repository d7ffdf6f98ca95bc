"""Checksums of archives, counted while they arrive."""

from __future__ import annotations

import hashlib
from typing import BinaryIO

_BLOCK = 1 << 20


class Checksum:
    """Counts the checksum of an archive and compares it with the published one.

    Args:
        expected: "sha256:..." or "md5:..."; empty if none is published, then SHA-256 is counted for the record.
    """

    def __init__(self, expected: str) -> None:
        self.kind, _, self.expected = (expected or "sha256:").partition(":")
        self._hash = hashlib.new(self.kind, usedforsecurity=False)

    def add(self, block: bytes) -> None:
        """Counts one more block."""
        self._hash.update(block)

    def add_file(self, file: BinaryIO) -> int:
        """Counts all that is left of a file; returns its bytes."""
        total = 0
        while block := file.read(_BLOCK):
            self.add(block)
            total += len(block)
        return total

    @property
    def text(self) -> str:
        """The checksum as it is written down."""
        return f"{self.kind}:{self._hash.hexdigest()}"

    @property
    def agrees(self) -> bool:
        """Whether it is the published one, or none is published."""
        return not self.expected or self._hash.hexdigest() == self.expected
