"""What a request carries: a limited body, a file of a limited size, or checked settings."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.requests import ClientDisconnect, Request

from wavenet_app.audio.files import printable
from wavenet_app.core.errors import UserError
from wavenet_app.core.names import name_problem
from wavenet_app.core.published import in_bytes
from wavenet_app.core.settings import AnySettings, validated
from wavenet_app.core.text import whole_number

JSON_BYTES = 65_536
AUDIO_BYTES = 64 * 2**20
IMAGE_BYTES = 32 * 2**20


class RefusedError(Exception):
    """A request that is answered with another status than a mistake of the user.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


async def body_of(request: Request, most: int) -> bytes:
    """Returns the body.

    Raises:
        RefusedError: it has more than `most` bytes.
    """
    return b"".join([part async for part in _parts(request, most)])


async def body_to_file(request: Request, path: Path, most: int) -> None:
    """Writes the body to a new file, which is removed again if the body is too large or breaks off.

    Raises:
        RefusedError: it has more than `most` bytes.
    """
    try:
        with path.open("xb") as file:
            async for part in _parts(request, most):
                file.write(part)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


async def settings_of(request: Request, schema: type[AnySettings]) -> AnySettings:
    """Returns the settings that a request carries as JSON.

    Raises:
        RefusedError: it is of another kind, or too long.
        UserError: it is no JSON object, or a field or value does not fit.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/json":  # which a form of another site cannot send
        raise RefusedError(415, "send application/json")
    try:
        values = json.loads(await body_of(request, JSON_BYTES))
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise UserError("the request is no JSON object")
    return validated(schema, values)


def plain_model_name(name: str) -> str:
    """Returns the name of a model, which commands take as a path too; a page may not open any file by it.

    Raises:
        UserError: it is a path.
    """
    if name_problem(name):
        raise UserError(f"'{printable(name)}' is no name of a model; choose one of the list")
    return name


async def _parts(request: Request, most: int) -> AsyncIterator[bytes]:
    """Yields the parts of a body; of one that is too large the rest is read and dropped, or it would hide the answer.

    A body of more than twice the limit is not read to its end.
    """
    announced = whole_number(request.headers.get("content-length", "0"), 2 * most)
    too_large = announced is None or announced > most
    size = 0
    if announced is not None:
        try:
            async for part in request.stream():
                size += len(part)
                too_large = too_large or size > most
                if size > 2 * most:
                    break
                if not too_large:
                    yield part
        except ClientDisconnect:
            raise RefusedError(400, "the request broke off") from None
    if too_large:
        raise RefusedError(413, f"that is too large; at most {in_bytes(most)} can be sent")
