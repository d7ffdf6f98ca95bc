"""The application: all routes behind the guard, and what ends with it."""

from __future__ import annotations

import gzip
import secrets
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from studio.playing.engines import EnginePool
from studio.playing.jobs import Jobs
from studio.playing.models import ModelList
from studio.playing.routes import SoundRoutes
from studio.playing.visitors import Visitors
from studio.segmenting.routes import SegmentRoutes
from studio.training.routes import TrainingRoutes
from studio.web.access import Access
from studio.web.answers import HANDLERS
from studio.web.guard import Guard
from studio.web.requests import RefusedError
from studio.web.uploads import Uploads
from wavenet_app.checkpoints.voices import default_voice
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError

PAGE = Path(__file__).resolve().parents[1] / "page"
"""The files of the page."""

_KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@dataclass(frozen=True, eq=False)
class Studio:
    """A studio that is ready to be served.

    Attributes:
        app: answers the requests.
        visitors: the open pages; they are notified when the studio closes.
    """

    app: ASGIApp
    visitors: Visitors


def create_studio(access: Access, folder: DataFolder, scratch: Path, data_dir: str | None = None) -> Studio:
    """Returns the studio of a data folder.

    Args:
        access: who may ask.
        folder: the data folder.
        scratch: a temporary folder, which the caller removes.
        data_dir: the data folder as commands need it; None for the default one.
    """
    uploads = Uploads(scratch)
    pool = EnginePool(folder)
    jobs = Jobs(pool)
    visitors = Visitors(jobs, secrets.token_urlsafe(6), uploads.drop_of)
    training = TrainingRoutes(folder, scratch)
    sound = SoundRoutes(ModelList(folder), jobs, visitors, uploads, scratch, data_dir)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        threading.Thread(target=_warm_up, args=(pool,), name="warm-up", daemon=True).start()
        yield
        visitors.closing.set()
        training.trainer.close()
        jobs.close()

    others = (*SegmentRoutes(folder, uploads).routes(), *training.routes())
    routes = [Route("/", _file), Route("/page/{name}", _file), *sound.routes(), *others]
    app = Starlette(routes=routes, exception_handlers=HANDLERS, lifespan=lifespan)
    return Studio(Guard(app, access), visitors)


async def _file(request: Request) -> Response:
    """Returns a file of the page."""
    name = request.path_params.get("name", "index.html")
    path = PAGE / name
    if path.suffix not in _KINDS or path.parent != PAGE or not path.is_file():
        raise RefusedError(404, "there is no such page")
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return FileResponse(path, media_type=_KINDS[path.suffix])
    headers = {"content-encoding": "gzip", "vary": "accept-encoding"}
    return Response(gzip.compress(path.read_bytes(), mtime=0), headers=headers, media_type=_KINDS[path.suffix])


def _warm_up(pool: EnginePool) -> None:
    """Loads the voice that a visitor will most likely hear first, so that its first sound comes at once."""
    with suppress(UserError, OSError):
        voice = default_voice()
        if voice is not None:
            pool.give(pool.take(pool.key(voice.name, "auto", "float32"), lambda _line: None))
