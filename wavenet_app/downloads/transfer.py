"""Fetches an archive: mirrors in order, resumed where it stopped, compared with its size and checksum."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from wavenet_app.core.errors import UserError
from wavenet_app.core.published import in_bytes
from wavenet_app.core.text import whole_number
from wavenet_app.downloads.checksum import Checksum
from wavenet_app.downloads.data_set import Archive

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_BLOCK = 1 << 16
_WEB_PAGE = re.compile(rb"\s*(<!doctype\s+html|<html|<\?xml[^>]*>\s*<(!doctype\s+)?html)", re.IGNORECASE)
_BUSY = {408, 425, 429, 500, 502, 503, 504}
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

Move = Callable[[int, int], None]
"""Is called with the bytes that are here and all bytes."""


@dataclass(frozen=True)
class Patience:
    """How long a server may take, and how often a mirror is tried.

    Attributes:
        connect: seconds to connect.
        read: seconds without a byte.
        tries: tries of one mirror that bring nothing new.
        pause: seconds before the second try; each pause is twice the one before.
    """

    connect: float = 15.0
    read: float = 60.0
    tries: int = 5
    pause: float = 1.0


class _MirrorError(Exception):
    """A mirror that cannot give the archive, and why."""


class _TryAgainError(Exception):
    """A try that failed, but another may not."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def fetch(archive: Archive, folder: Path, move: Move, patience: Patience | None = None) -> tuple[Path, str]:
    """Downloads an archive, or what is missing of it.

    What has arrived is in NAME.part, beside NAME.part.json with the mirror and its ETag, until it is whole.

    Args:
        archive: what to fetch.
        folder: where to write; it exists.
        move: shows the progress.
        patience: with slow or failing servers.

    Returns:
        The archive's file and its checksum.

    Raises:
        UserError: no mirror has it, it is not what was published, or it cannot be written.
    """
    return _Download(archive, folder, move, patience or Patience()).run()


def refuse_web_page(start: bytes, source: str) -> None:
    """Raises a UserError if a file that should be an archive begins like a web page."""
    if _WEB_PAGE.match(start):
        raise UserError(f"{source} is a web page, not an archive (a login or quota page); download it again")


class _Download:
    def __init__(self, archive: Archive, folder: Path, move: Move, patience: Patience) -> None:
        self._archive, self._move, self._patience = archive, move, patience
        self._whole = folder / archive.name
        self._part = folder / f"{archive.name}.part"
        self._state_path = folder / f"{archive.name}.part.json"
        self._total = archive.size if archive.exact else 0
        self._here = 0
        self._checksum = Checksum(archive.checksum)
        self._state: dict[str, Any] = {}

    def run(self) -> tuple[Path, str]:
        try:
            if self._whole.is_file() and self._is_whole():
                return self._whole, self._checksum.text
            self._count_part()
            failures = []
            for url in self._archive.urls:
                try:
                    self._from_mirror(url)
                    self._part.replace(self._whole)
                    self._state_path.unlink(missing_ok=True)
                    return self._whole, self._checksum.text
                except _MirrorError as failure:
                    failures.append(f"{url}: {failure}")
        except OSError as error:
            raise self._cannot_write(error) from None
        kept = f"; {in_bytes(self._here)} are kept, and the same command resumes" if self._here else ""
        raise UserError(f"cannot get {self._archive.name}: {'; '.join(failures)}{kept}")

    def _is_whole(self) -> bool:
        """Returns whether an archive that was kept is the published one; forgets it if not."""
        with self._whole.open("rb") as file:
            size = self._checksum.add_file(file)
        if self._checksum.agrees and (not self._archive.exact or size == self._archive.size):
            return True
        self._whole.unlink()
        self._checksum = Checksum(self._archive.checksum)
        return False

    def _count_part(self) -> None:
        """Counts what an earlier try has left."""
        with suppress(OSError, ValueError):
            state = json.loads(self._state_path.read_bytes())
            self._state = state if isinstance(state, dict) else {}
        if self._part.is_file():
            with self._part.open("rb") as file:
                self._here = self._checksum.add_file(file)

    def _restart(self) -> None:
        self._here, self._checksum = 0, Checksum(self._archive.checksum)
        self._part.unlink(missing_ok=True)

    def _from_mirror(self, url: str) -> None:
        """Fetches the rest from one mirror, in several tries; checks the whole."""
        failed, began_at = 0, self._here
        while True:
            before = self._here
            try:
                if not self._total or self._here < self._total:
                    self._one_try(url)
                if self._checksum.agrees:
                    return
                self._restart()
                if not began_at:
                    raise _MirrorError("the checksum is wrong: another file than was published")
                began_at = 0  # what an earlier try had left may be to blame
            except _TryAgainError as reason:
                failed = 0 if self._here > before else failed + 1
                if failed >= self._patience.tries:
                    raise _MirrorError(str(reason)) from None
                if failed:
                    time.sleep(min(60.0, max(self._patience.pause * 2 ** (failed - 1), reason.wait)))

    def _one_try(self, url: str) -> None:
        from urllib3.exceptions import HTTPError, LocationParseError, MaxRetryError

        try:
            response = self._ask(url)
        except LocationParseError:
            raise _MirrorError("no address") from None
        except MaxRetryError as error:
            if "redirect" in str(error.reason):
                raise _MirrorError("too many redirects") from None
            raise _TryAgainError(_reason(error)) from None
        except HTTPError as error:
            raise _TryAgainError(_reason(error)) from None
        try:
            self._take(url, response)
        except HTTPError as error:
            raise _TryAgainError(_reason(error)) from None
        finally:
            response.close()

    def _ask(self, url: str) -> BaseHTTPResponse:
        """Asks for what is missing, on the condition that it is still the file of which the first bytes are here."""
        from wavenet_app.downloads.connection import open_url

        headers = {"Accept-Encoding": "identity", "User-Agent": "wavegen"}
        validator = self._state.get("validator") if self._state.get("url") == url else None
        if self._here and not validator and not self._archive.checksum:
            self._restart()  # nothing would say whether both halves are of one file
        if self._here:
            headers["Range"] = f"bytes={self._here}-"
            if validator:
                headers["If-Range"] = str(validator)
        return open_url(url, headers, self._patience.connect, self._patience.read)

    def _take(self, url: str, response: BaseHTTPResponse) -> None:
        """Writes what a server sends."""
        status, headers = response.status, response.headers
        if status in _BUSY:
            wait = headers.get("Retry-After", "")
            raise _TryAgainError(f"the server answers {status}", float(whole_number(wait, sys.maxsize) or 0))
        if status == 416:
            if headers.get("Content-Range", "") == f"bytes */{self._here}" and not self._archive.exact:
                self._total = self._here  # a process was killed after the last byte
                return
            self._restart()
            raise _TryAgainError("the server has fewer bytes than are here")
        if status not in (200, 206):
            raise _MirrorError(_STATUS.get(status, f"the server answers {status}"))
        if "html" in headers.get("Content-Type", "").lower():
            raise _MirrorError("a web page, not an archive (a login or quota page)")
        total = self._announced(status, headers)
        if self._archive.exact and total and total != self._archive.size:
            raise _MirrorError(f"the length is {total:,} bytes, but {self._archive.size:,} were published")
        if status == 200:
            self._restart()
        self._total = total or self._total
        self._remember(url, headers)
        self._write(response)

    def _announced(self, status: int, headers: Any) -> int:
        """Returns the length of the whole archive that a server announces, 0 if it says nothing."""
        if status == 200:
            return whole_number(headers.get("Content-Length", ""), sys.maxsize) or 0
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
        if span is None or int(span[1]) != self._here:
            self._restart()
            raise _TryAgainError("the server sent another part than was wanted")
        return int(span[2]) if span[2] != "*" else 0

    def _remember(self, url: str, headers: Any) -> None:
        etag = headers.get("ETag", "")
        validator = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
        self._state = {"url": url, "validator": validator}
        self._state_path.write_text(json.dumps(self._state), encoding="utf-8")

    def _write(self, response: BaseHTTPResponse) -> None:
        with self._part.open("ab") as file:
            while block := response.read1(_BLOCK, decode_content=False):
                if not self._here and _WEB_PAGE.match(block):
                    raise _MirrorError("a web page, not an archive (a login or quota page)")
                if self._total and self._here + len(block) > self._total:
                    self._restart()
                    raise _MirrorError(f"the server sends more than the {self._total:,} bytes that it announced")
                self._append(file, block)
            os.fsync(file.fileno())
        if self._total and self._here < self._total:
            raise _TryAgainError(f"the connection ends after {self._here:,} of {self._total:,} bytes")

    def _append(self, file: BinaryIO, block: bytes) -> None:
        file.write(block)
        file.flush()  # before it counts, so that a full disk is seen here
        self._checksum.add(block)
        self._here += len(block)
        self._move(self._here, self._total or self._archive.size)

    def _cannot_write(self, error: OSError) -> UserError:
        folder = self._part.parent
        if error.errno in _NO_SPACE:
            return UserError(
                f"the disk of {folder} is full at {in_bytes(self._here)} of {self._archive.name}; free some space, and "
                "the same command resumes"
            )
        return UserError(f"cannot write in {folder}: {error.strerror or error}; choose another folder with --data-dir")


_STATUS = {
    401: "the server wants a login (401)",
    403: "the server refuses it (403)",
    404: "it is not there (404)",
    410: "it is not there any more (410)",
}


def _reason(error: Exception) -> str:
    """Returns why a connection failed, in few words."""
    from urllib3 import exceptions

    cause = getattr(error, "reason", None) or error
    if isinstance(cause, exceptions.NameResolutionError):
        return "the name of the server is not known; is this machine connected?"
    if isinstance(cause, exceptions.NewConnectionError):
        return "the server cannot be reached"
    if isinstance(cause, exceptions.ConnectTimeoutError):  # which the one above is, too
        return "the server does not answer"
    if isinstance(cause, (exceptions.ReadTimeoutError, TimeoutError)):
        return "the server sends nothing for too long"
    if isinstance(cause, exceptions.SSLError):
        return "the certificate of the server cannot be checked"
    return "the connection was cut"
