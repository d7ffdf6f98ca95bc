"""How long a sound file's own header says that it is, where it says so."""

from __future__ import annotations

import os
from typing import IO

# Above this, a WAV's size is what a writer to a pipe leaves, which does not know the length.
_GREATEST_SIZE = 0x7FFFF000
_PLAIN_TAGS = {1, 3, 6, 7, 0xFFFE}  # PCM, float, A-law, mu-law, and the extensible form of these
_XING_SEARCH_BYTES = 4096


def wav_frames(file: IO[bytes]) -> int | None:
    """Returns the samples of one channel that a WAV's header announces; None where it does not say."""
    file.seek(0)
    if file.read(4) != b"RIFF":  # RF64 and RIFX are rare
        return None
    file.seek(12)
    frame_bytes = 0
    while len(head := file.read(8)) == 8:
        size = int.from_bytes(head[4:], "little")
        if head[:4] == b"data":
            return size // frame_bytes if frame_bytes and size < _GREATEST_SIZE else None
        start = file.tell()
        if head[:4] == b"fmt ":
            settings = file.read(16)
            if int.from_bytes(settings[:2], "little") not in _PLAIN_TAGS:
                return None
            frame_bytes = int.from_bytes(settings[12:14], "little")
        file.seek(start + size + size % 2, os.SEEK_SET)
    return None


def mp3_frames(file: IO[bytes], sample_rate: int) -> int | None:
    """Returns the samples of one channel that an MP3's Xing frame announces; None where it has none.

    Source: the layout of LAME's info tag; a frame holds 1,152 samples from 32 kHz on, else 576.
    """
    file.seek(0)
    head = file.read(10)
    start = 0
    if head.startswith(b"ID3") and len(head) == 10:
        start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
    file.seek(start)
    block = file.read(_XING_SEARCH_BYTES)
    place = next((found for tag in (b"Xing", b"Info") if (found := block.find(tag)) >= 0), -1)
    if place < 0 or len(block) < place + 12 or not block[place + 7] & 1:
        return None
    flags, frames = block[place + 7], int.from_bytes(block[place + 8 : place + 12], "big")
    encoder = place + 8 + 4 * bool(flags & 1) + 4 * bool(flags & 2) + 100 * bool(flags & 4) + 4 * bool(flags & 8)
    padding = block[encoder + 21 : encoder + 24]
    cut = 0
    if len(padding) == 3 and block[encoder : encoder + 4] in (b"LAME", b"Lavc", b"Lavf"):
        both = int.from_bytes(padding, "big")
        cut = (both >> 12) + (both & 0xFFF)
    return max(0, frames * (1152 if sample_rate >= 32_000 else 576) - cut)
