"""The pages' requests for sound."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from studio.playing.clips import codes_to_continue, command_name, heard
from studio.playing.jobs import Jobs, steered_chunks, steering_of
from studio.playing.models import ModelList
from studio.playing.request import JobRequest, PlayRequest, SteerRequest, VocodeRequest, command_line, speaker_text
from studio.playing.visitors import Visitors
from studio.playing.vocoding import check_vocoder, vocoded
from studio.web.requests import AUDIO_BYTES, RefusedError, body_of, settings_of
from studio.web.streaming import StreamedAnswer
from studio.web.uploads import Uploads
from wavenet_app.audio.writing import write_audio_blocks
from wavenet_app.core.errors import UserError
from wavenet_app.core.text import whole_number

_RAW = "application/octet-stream"
_GREATEST_RATE = 192_000


class SoundRoutes:
    """Requests for models, clips and recordings.

    Args:
        models: that can be heard.
        jobs: what is made.
        visitors: who is here.
        uploads: recordings that were sent.
        scratch: a temporary folder.
        data_dir: the data folder as commands need it; None for the default one.
    """

    def __init__(
        self,
        models: ModelList,
        jobs: Jobs,
        visitors: Visitors,
        uploads: Uploads,
        scratch: Path,
        data_dir: str | None,
    ) -> None:
        self._models, self._jobs, self._visitors, self._uploads = models, jobs, visitors, uploads
        self._scratch, self._data_dir = scratch, data_dir

    def routes(self) -> list[Route]:
        """Returns the routes."""
        return [
            Route("/api/models", self.models),
            Route("/api/events", self.events),
            Route("/api/play", self.play, methods=["POST"]),
            Route("/api/steer", self.steer, methods=["POST"]),
            Route("/api/stop", self.stop, methods=["POST"]),
            Route("/api/command", self.command, methods=["POST"]),
            Route("/api/flac", self.flac, methods=["POST"]),
            Route("/api/clips", self.receive, methods=["POST"]),
            Route("/api/clips/{key}", self.clip),
            Route("/api/vocode", self.vocode, methods=["POST"]),
        ]

    async def models(self, _request: Request) -> Response:
        """Lists the models."""
        return JSONResponse(await self._jobs.in_thread(self._models.read))

    async def events(self, request: Request) -> Response:
        """Tells a page what happens, until it closes."""
        gone = asyncio.Event()
        client = request.query_params.get("client", "")
        if not client or len(client) > 64:
            raise RefusedError(400, "say who asks")
        return StreamedAnswer(self._visitors.events(client, gone), gone.set, "text/event-stream")

    async def play(self, request: Request) -> Response:
        """Makes a clip, and sends its samples meanwhile: 16 bits, little-endian, mono."""
        wanted = await settings_of(request, PlayRequest)
        upload = None if wanted.clip is None else self._uploads.find(wanted.clip)
        job = await self._jobs.start(wanted, lambda loaded: steering_of(loaded, wanted))

        def begin() -> Iterator[NDArray[np.float32]]:
            assert job.loaded is not None
            return steered_chunks(job, wanted, None if upload is None else codes_to_continue(upload, job.loaded))

        assert job.loaded is not None
        headers = {
            "x-sample-rate": str(job.sample_rate),
            "x-buffer-seconds": f"{job.buffer_seconds:.3f}",
            "x-engine": quote(job.loaded.reason),
        }
        body = self._jobs.samples(job, begin, paced=wanted.paced)
        return StreamedAnswer(body, job.stopped.set, _RAW, headers)

    async def vocode(self, request: Request) -> Response:
        """Makes sound from the mel frames of a recording, and sends it when it is refined."""
        wanted = await settings_of(request, VocodeRequest)
        upload = self._uploads.find(wanted.clip or "")
        job = await self._jobs.start(wanted, lambda loaded: check_vocoder(loaded, wanted))
        headers = {"x-sample-rate": str(job.sample_rate), "x-buffer-seconds": "0"}
        return StreamedAnswer(vocoded(self._jobs, job, wanted, upload), job.stopped.set, _RAW, headers)

    async def steer(self, request: Request) -> Response:
        """Changes the settings of a clip that is made."""
        wanted = await settings_of(request, SteerRequest)
        job = self._jobs.steer(wanted.client, wanted.job, wanted)
        return JSONResponse({"from_sample": job.made})

    async def stop(self, request: Request) -> Response:
        """Stops a clip."""
        wanted = await settings_of(request, JobRequest)
        self._jobs.find(wanted.client, wanted.job).stopped.set()
        return JSONResponse({})

    async def command(self, request: Request) -> Response:
        """Returns the command line that makes a clip."""
        wanted = await settings_of(request, PlayRequest)
        prime = None if wanted.clip is None else command_name(self._uploads.find(wanted.clip))

        def line() -> str:
            key = self._jobs.pool.key(wanted.model, wanted.engine, wanted.precision)
            speaker = speaker_text(wanted.speakers, self._jobs.pool.config(key)) if wanted.speakers else None
            return command_line(wanted, speaker, prime, self._data_dir)

        return JSONResponse({"command": await self._jobs.in_thread(line)})

    async def flac(self, request: Request) -> Response:
        """Returns 16-bit samples as FLAC."""
        rate = _sample_rate(request)
        content = await body_of(request, 2 * AUDIO_BYTES)
        samples = np.frombuffer(content[: len(content) // 2 * 2], "<i2").astype(np.int16)
        if not len(samples):
            raise UserError("there is no sound to save yet")
        return Response(
            await self._jobs.in_thread(lambda: _flac(samples, rate, self._scratch)), media_type="audio/flac"
        )

    async def receive(self, request: Request) -> Response:
        """Keeps a recording, and returns its key and length."""
        upload = await self._uploads.receive(request, AUDIO_BYTES)
        rate = 16_000
        try:
            samples, notes = await self._jobs.in_thread(lambda: heard(upload, rate))
        except UserError:
            self._uploads.drop(upload)
            raise
        found: dict[str, Any] = {"key": upload.key, "name": upload.name, "seconds": len(samples) / rate}
        return JSONResponse({**found, "notes": notes})

    async def clip(self, request: Request) -> Response:
        """Returns the samples of a recording at a sample rate."""
        upload, rate = self._uploads.find(request.path_params["key"]), _sample_rate(request)
        samples, notes = await self._jobs.in_thread(lambda: heard(upload, rate))
        headers = {"x-sample-rate": str(rate), "x-notes": quote(json.dumps(notes))}
        return Response(samples.astype("<i2").tobytes(), media_type=_RAW, headers=headers)


def _sample_rate(request: Request) -> int:
    rate = whole_number(request.query_params.get("rate", ""), _GREATEST_RATE)
    if not rate or rate < 1_000:
        raise UserError(f"the sample rate must be from 1,000 to {_GREATEST_RATE:,} Hz")
    return rate


def _flac(samples: NDArray[np.int16], rate: int, scratch: Path) -> bytes:
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        path = Path(folder) / "clip.flac"
        write_audio_blocks(path, [samples], rate)
        return path.read_bytes()
