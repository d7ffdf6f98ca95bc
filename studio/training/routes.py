"""The page's requests for trainings."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from studio.training.process import Trainer, TrainRequest, inspected
from studio.training.runs import Runs
from studio.web.requests import settings_of
from wavenet_app.core.data_folder import DataFolder, data_set_names, folder_names
from wavenet_app.core.errors import UserError
from wavenet_app.core.published import PUBLISHED
from wavenet_app.core.settings import Settings
from wavenet_app.core.text import whole_number


class RunRequest(Settings):
    """The name of a run."""

    name: str


class PathRequest(Settings):
    """A folder or file of recordings, or the name of a data set."""

    path: str


class TrainingRoutes:
    """Requests for trainings.

    Args:
        folder: the data folder.
        scratch: a temporary folder.
    """

    def __init__(self, folder: DataFolder, scratch: Path) -> None:
        self._folder = folder
        self._runs = Runs(folder)
        self.trainer = Trainer(folder, self._runs, scratch)
        self._inspecting = asyncio.Lock()

    def routes(self) -> list[Route]:
        """Returns the routes."""
        return [
            Route("/api/training", self.state),
            Route("/api/training/sets", self.sets),
            Route("/api/training/inspect", self.inspect, methods=["POST"]),
            Route("/api/training/start", self.start, methods=["POST"]),
            Route("/api/training/stop", self.stop, methods=["POST"]),
            Route("/api/training/resume", self.resume, methods=["POST"]),
            Route("/api/training/runs/{name}", self.run),
            Route("/api/training/runs/{name}/previews/{index}", self.preview),
        ]

    async def state(self, _request: Request) -> Response:
        """Lists the runs, and tells how the training goes on."""
        runs = await asyncio.to_thread(self._runs.listed)
        return JSONResponse({"runs": [asdict(run) for run in runs], "training": self.trainer.state})

    async def sets(self, _request: Request) -> Response:
        """Lists the names of audio data sets in the data folder."""
        return JSONResponse({"sets": await asyncio.to_thread(audio_sets, self._folder)})

    async def inspect(self, request: Request) -> Response:
        """Looks at recordings."""
        wanted = await settings_of(request, PathRequest)
        if not wanted.path:
            raise UserError("name a folder of recordings first")
        async with self._inspecting:
            return JSONResponse(await inspected(wanted.path, self._folder))

    async def start(self, request: Request) -> Response:
        """Starts a training."""
        wanted = await settings_of(request, TrainRequest)
        return JSONResponse({"name": await asyncio.to_thread(self.trainer.start, wanted)})

    async def stop(self, _request: Request) -> Response:
        """Stops the training."""
        self.trainer.stop()
        return JSONResponse({})

    async def resume(self, request: Request) -> Response:
        """Resumes a run."""
        wanted = await settings_of(request, RunRequest)
        await asyncio.to_thread(self.trainer.resume, wanted.name)
        return JSONResponse({})

    async def run(self, request: Request) -> Response:
        """Tells all of a run."""
        found: dict[str, Any] = await asyncio.to_thread(self._runs.described, request.path_params["name"])
        return JSONResponse(found)

    async def preview(self, request: Request) -> Response:
        """Returns a sound that a run has logged."""
        index = whole_number(request.path_params["index"], 10**6)
        name = request.path_params["name"]
        content = await asyncio.to_thread(self._runs.preview, name, -1 if index is None else index)
        return Response(content, media_type="audio/wav")


def audio_sets(folder: DataFolder) -> list[str]:
    """Returns names that `wavegen train` takes: the folders of the data folder, and those in its folder speech."""
    images = {one.folder for one in PUBLISHED.values() if one.images}
    speech = folder.root / "speech"
    inside = {f"speech/{name}" for name in folder_names(speech)}
    return sorted((data_set_names(folder.root) | inside) - images)
