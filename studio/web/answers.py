"""Answers to what went wrong: one line as JSON, without a traceback."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from studio.web.requests import RefusedError
from wavenet_app.core.errors import UserError
from wavenet_app.core.text import without_control_characters


async def mistake(_request: Request, error: Exception) -> Response:
    """Answers a UserError."""
    return JSONResponse({"error": without_control_characters(str(error))}, 400)


async def refused(_request: Request, error: Exception) -> Response:
    """Answers a RefusedError."""
    assert isinstance(error, RefusedError)
    return JSONResponse({"error": str(error)}, error.status)


async def broken(_request: Request, error: Exception) -> Response:
    """Answers what should not happen; the terminal of the studio shows the rest."""
    return JSONResponse({"error": f"the studio failed ({type(error).__name__}); its terminal says more"}, 500)


HANDLERS: Mapping[Any, Any] = {UserError: mistake, RefusedError: refused, Exception: broken}
"""Kind of an exception -> what answers it."""
