"""Where the streams of a chained Ogg file begin: several recordings, one after the other, in one file."""

from __future__ import annotations

from typing import IO, NamedTuple

_HEADER_BYTES = 27
_CAPTURE = b"OggS"
_BEGINS, _ENDS = 2, 4  # the flags of a stream's first and last page
_SEARCH_BYTES = 2**16


class OggLink(NamedTuple):
    """One link of a chain: bytes start to stop, None being the end of the file.

    Attributes:
        granules: end of the audio in samples, where a single page holds all of it; None where several do.
        is_cut: whether the file ends within the link's last page.
        is_marked: whether a page says that a stream ends, as the last one of a whole link does.
    """

    start: int
    stop: int | None
    granules: int | None
    is_cut: bool = False
    is_marked: bool = True


def ogg_links(file: IO[bytes]) -> list[OggLink]:
    """Returns every link of a chain; one link for a plain file.

    A link begins with the first pages of all its streams, so a first page after any other page begins the next link.
    Source: RFC 3533, section 4. Only page headers are read. After damage, the search goes on at the next page.

    Args:
        file: an Ogg file, at any position.
    """
    size = file.seek(0, 2)
    starts = [0]
    granules: list[list[int]] = [[]]
    marked = [False]
    cut = False
    begun = False
    position = 0
    while 0 <= position < size:
        file.seek(position)
        header = file.read(_HEADER_BYTES)
        if len(header) < _HEADER_BYTES:
            cut = header.startswith(_CAPTURE[: len(header)])
            break
        if not header.startswith(_CAPTURE):
            position = _next_page(file, position + 1)
            continue
        first = bool(header[5] & _BEGINS)
        if first and begun:
            starts.append(position)
            granules.append([])
            marked.append(False)
        begun = not first
        granule = int.from_bytes(header[6:14], "little", signed=True)
        if granule > 0 and len(granules[-1]) < 2:  # pages of headers have 0, pages that end no packet -1
            granules[-1].append(granule)
        marked[-1] = marked[-1] or bool(header[5] & _ENDS)
        segments = file.read(header[26])
        position += _HEADER_BYTES + len(segments) + sum(segments)
        cut = position > size or len(segments) < header[26]
    return [
        OggLink(start, stop, ends[0] if len(ends) == 1 else None, cut and stop == size, is_marked)
        for start, stop, ends, is_marked in zip(starts, [*starts[1:], size], granules, marked, strict=True)
    ]


def _next_page(file: IO[bytes], position: int) -> int:
    """Returns where the next page begins, or -1 where there is none."""
    file.seek(position)
    kept = b""
    while block := file.read(_SEARCH_BYTES):
        found = (kept + block).find(_CAPTURE)
        if found >= 0:
            return position - len(kept) + found
        position += len(block)
        kept = block[-3:]
    return -1
