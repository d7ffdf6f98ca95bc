"""The page's requests for masks."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from studio.segmenting.label import Labelling, LabelRequest, segmenter_names
from studio.web.requests import IMAGE_BYTES
from studio.web.uploads import Uploads
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.text import whole_number


class SegmentRoutes:
    """Requests for masks; one picture is labelled at a time.

    Args:
        folder: the data folder.
        uploads: keeps a picture while it is labelled.
    """

    def __init__(self, folder: DataFolder, uploads: Uploads) -> None:
        self._folder, self._uploads = folder, uploads
        self._labelling = Labelling(folder)
        self._turn = asyncio.Lock()

    def routes(self) -> list[Route]:
        """Returns the routes."""
        return [Route("/api/segmenters", self.models), Route("/api/segment", self.segment, methods=["POST"])]

    async def models(self, _request: Request) -> Response:
        """Lists the models."""
        return JSONResponse({"models": segmenter_names(self._folder)})

    async def segment(self, request: Request) -> Response:
        """Labels the picture that is the body."""
        query = request.query_params
        stride = whole_number(query.get("stride", ""), 64) if query.get("stride") else None
        wanted = LabelRequest(query.get("model", ""), query.get("scales", "1"), query.get("flip") == "1", stride)
        if not wanted.model:
            raise UserError("choose a model")
        path = self._labelling.find(wanted.model)
        upload = await self._uploads.receive(request, IMAGE_BYTES)
        try:
            async with self._turn:
                return JSONResponse(await asyncio.to_thread(self._labelling.label, upload, wanted, path))
        finally:
            self._uploads.drop(upload)
