"""Files that visitors send: kept in one temporary folder while their page is open, and nowhere else."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath

from starlette.requests import Request

from studio.web.requests import RefusedError, body_to_file
from wavenet_app.audio.files import printable
from wavenet_app.core.errors import UserError

MOST_OF_ONE = 16
"""Files of one visitor that are kept; the oldest goes when another comes."""

_LONGEST_NAME = 120


@dataclass(frozen=True)
class Upload:
    """A file that was sent.

    Attributes:
        key: that names it in later requests.
        owner: the visitor who sent it.
        name: as the visitor calls it; nothing is opened by it.
        path: where it lies.
    """

    key: str
    owner: str
    name: str
    path: Path

    def checked(self, read: Callable[[Path], None]) -> None:
        """Calls `read` with the path; an error names the file as the visitor does.

        Raises:
            UserError: `read` raised one.
        """
        try:
            read(self.path)
        except UserError as error:
            raise UserError(str(error).replace(str(self.path), self.name)) from None


class Uploads:
    """The files of all visitors.

    Args:
        folder: where they lie; it exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: dict[str, Upload] = {}

    async def receive(self, request: Request, most: int) -> Upload:
        """Keeps the body of a request as a file.

        The query says who sends it (`client`) and what it is called (`name`).

        Raises:
            RefusedError: it is too large.
        """
        owner = request.query_params.get("client", "")
        name = printable(PurePath(request.query_params.get("name", "")).name)[:_LONGEST_NAME] or "recording"
        key = secrets.token_urlsafe(12)
        upload = Upload(key, owner, name, self._folder / key)
        await body_to_file(request, upload.path, most)
        own = [kept for kept in self._kept.values() if kept.owner == owner]
        for oldest in own[: max(0, len(own) + 1 - MOST_OF_ONE)]:
            self.drop(oldest)
        self._kept[key] = upload
        return upload

    def find(self, key: str) -> Upload:
        """Returns a file that was sent.

        Raises:
            RefusedError: there is none of that name, or not any more.
        """
        upload = self._kept.get(key)
        if upload is None:
            raise RefusedError(404, "that recording is not here any more; send it again")
        return upload

    def drop(self, upload: Upload) -> None:
        """Deletes a file."""
        self._kept.pop(upload.key, None)
        upload.path.unlink(missing_ok=True)

    def drop_of(self, owner: str) -> None:
        """Deletes all files of a visitor."""
        for upload in [kept for kept in self._kept.values() if kept.owner == owner]:
            self.drop(upload)
