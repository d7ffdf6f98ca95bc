"""Jobs: clips that are generated for visitors, sent while they are made, steered, and dropped when nobody listens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fast_gen.engines.condition import voice
from fast_gen.engines.sampling import SamplingSettings, check_head, usual_settings
from fast_gen.generation.level import output_level
from fast_gen.generation.stream import Steering, steered
from fast_gen.playing.player import seconds_to_buffer
from studio.playing.engines import EngineKey, EnginePool, Loaded
from studio.playing.fair_queue import FairQueue, Ticket
from studio.playing.request import PlayRequest, Sampling, speaker_text
from studio.web.requests import RefusedError
from wavenet_app.audio.files import pcm16
from wavenet_app.core.cores import usable_cores
from wavenet_app.core.errors import UserError
from wavenet_app.corpus.speakers import speaker_shares

MOST_JOBS = 64
"""Clips of all visitors that are made or wait."""

MOST_OF_A_VISITOR = 8
"""Of them, those of one visitor, so that none keeps the others out."""

AHEAD_SECONDS = 0.25
"""How far sound is made before it is played: what is steered is heard this much later, and the buffer in the page."""

HOLD_SECONDS = 0.15
"""How much the page holds before it plays what comes faster than it is heard."""

FAST = 1.2
"""Speed from which that is enough, since the machine also does other things."""

AGAIN_SECONDS = 1.0
"""How much the page holds after a gap: more would be a longer gap."""

CHUNK_SECONDS = 0.03
_SETTLED_CHUNKS = 4  # before the speed is taken for measured; the first may have to get the engine ready

T = TypeVar("T")


@dataclass(eq=False)
class Job:
    """A clip that is made.

    Attributes:
        key: the page's name for it.
        client: the visitor.
        model: its name.
        ticket: its place in the queue.
        state: "loading", "waiting", "playing" or "done".
        note: what is waited for; empty for nothing.
        sample_rate: in Hz; 0 until the model is read.
        seconds: length of its clip; None for no end.
        made: samples.
        speed: seconds of sound in a second; None until it is measured.
        expected_speed: what the same model was last measured at; None if it was not.
        steering: how the next chunk is picked.
        loaded: its model and engine; None before they are there and after the end.
        stopped: whether the visitor stopped it.
    """

    key: str
    client: str
    model: str
    ticket: Ticket = field(init=False)
    state: str = "loading"
    note: str = ""
    sample_rate: int = 0
    seconds: float | None = None
    made: int = 0
    speed: float | None = None
    expected_speed: float | None = None
    steering: Steering = field(default_factory=lambda: Steering(SamplingSettings()))
    loaded: Loaded | None = None
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.ticket = Ticket(self.client)

    @property
    def buffer_seconds(self) -> float:
        """How much sound the page should hold before it plays, so that there are no gaps; less once it has begun."""
        speed = self.speed or self.expected_speed or 2 * FAST
        if speed > FAST:
            return HOLD_SECONDS
        first = seconds_to_buffer(speed, self.seconds)
        return first if self.made <= first * self.sample_rate else min(first, AGAIN_SECONDS)


class Jobs:
    """All jobs of the studio; its methods are for the event loop.

    Args:
        pool: lends the engines.
        cores: on which engines run.
    """

    def __init__(self, pool: EnginePool, cores: int | None = None) -> None:
        count = cores or usable_cores()
        self.pool, self.queue = pool, FairQueue(count)
        self.changed = asyncio.Event()
        self._threads = ThreadPoolExecutor(count, "engine")
        self._loaders = ThreadPoolExecutor(2, "loader")
        self._jobs: dict[tuple[str, str], Job] = {}
        self._speeds: dict[EngineKey, float] = {}

    async def start(self, request: PlayRequest, steering: Callable[[Loaded], Steering]) -> Job:
        """Loads the model of a request, and returns its job.

        Args:
            request: the clip.
            steering: returns how its first chunk is picked, and refuses what does not fit the model.

        Raises:
            UserError: the model or a setting is invalid.
            RefusedError: there are too many jobs, or the page has one of that name.
        """
        own = sum(1 for client, _ in self._jobs if client == request.client)
        if own >= MOST_OF_A_VISITOR:
            raise RefusedError(429, f"{own} of your clips are made or wait already; stop one")
        if len(self._jobs) >= MOST_JOBS:
            raise RefusedError(503, f"{MOST_JOBS} clips are made or wait already; try again later")
        if (request.client, request.job) in self._jobs:
            raise RefusedError(409, "there is a clip of that name already")
        job = Job(request.job, request.client, request.model, seconds=request.seconds)
        self._jobs[job.client, job.key] = job
        try:
            key = self.pool.key(request.model, request.engine, request.precision)
            future = self._loaders.submit(self.pool.take, key, lambda line: setattr(job, "note", line))
            try:
                job.loaded = await asyncio.wrap_future(future)
            except asyncio.CancelledError:
                future.add_done_callback(lambda done: None if done.cancelled() else self._keep(done.result()))
                raise
            job.note, job.sample_rate = "", job.loaded.config.audio.sample_rate
            job.steering = steering(job.loaded)
            if key in self._speeds:
                job.expected_speed = self._speeds[key]
                self.queue.set_cost(job.ticket, 1 / job.expected_speed)
        except BaseException:
            self.finish(job)
            raise
        return job

    def steer(self, client: str, key: str, sampling: Sampling) -> Job:
        """Changes the settings of a job that runs; the next chunk is made with them.

        Raises:
            UserError: a setting does not fit the model.
            RefusedError: there is no such job.
        """
        job = self.find(client, key)
        if job.loaded is None:
            raise RefusedError(409, "the model is still being loaded")
        job.steering = steering_of(job.loaded, sampling)
        return job

    def find(self, client: str, key: str) -> Job:
        """Returns a job.

        Raises:
            RefusedError: the visitor has none of that name.
        """
        job = self._jobs.get((client, key))
        if job is None:
            raise RefusedError(404, "that clip is not being made any more")
        return job

    def finish(self, job: Job) -> None:
        """Forgets a job, and keeps its engine for another one."""
        self.queue.leave(job.ticket)
        job.state = "done"
        if self._jobs.get((job.client, job.key)) is job:
            del self._jobs[job.client, job.key]
        loaded, job.loaded = job.loaded, None
        if loaded is not None:
            self.pool.give(loaded)

    def stop_of(self, client: str) -> None:
        """Stops all jobs of a visitor."""
        for job in list(self._jobs.values()):
            if job.client == client:
                job.stopped.set()

    def states(self, client: str) -> list[dict[str, Any]]:
        """Returns what a visitor's page shows of each of its jobs."""
        return [
            {
                "job": job.key,
                "state": job.state,
                "place": self.queue.place(job.ticket),
                "note": job.note,
                "made": job.made / job.sample_rate if job.sample_rate else 0,
                "speed": job.speed,
                "buffer": job.buffer_seconds,
            }
            for job in self._jobs.values()
            if job.client == client
        ]

    @property
    def counts(self) -> dict[str, int]:
        """How many jobs run, wait, and exist, those included whose model is being loaded."""
        return {"running": len(self.queue.running), "waiting": len(self.queue.waiting), "clips": len(self._jobs)}

    async def samples(
        self, job: Job, begin: Callable[[], Iterator[NDArray[np.float32]]], *, paced: bool
    ) -> AsyncGenerator[bytes, None]:
        """Yields the 16-bit samples of a job while they are made, at the level of the recordings.

        It lets others run after its turn, and ends after a chunk once the job is stopped.

        Args:
            job: that `start` returned; finished when the iterator ends or is dropped.
            begin: returns the chunks (1, samples) at the level of the training; runs in a thread, as the chunks do.
            paced: whether no more than `AHEAD_SECONDS` are made before they can be heard, so that it can be steered.
        """
        loaded = job.loaded
        assert loaded is not None
        rate, level = job.sample_rate, output_level(loaded.config.audio.gain)
        running: asyncio.Future[Any] | None = None
        try:
            await self._enter(job)
            running = self._submit(begin)
            chunks = await running
            pace = _Pace(AHEAD_SECONDS + job.buffer_seconds - HOLD_SECONDS)
            measured = 0
            while not job.stopped.is_set():
                if self.queue.turn_is_over(job.ticket):
                    self.queue.leave(job.ticket)
                    await self._enter(job)
                    pace = _Pace(pace.ahead)
                running = self._submit(lambda: _timed(chunks))
                chunk, took = await running
                if chunk is None:
                    break
                measured += 1
                job.made += chunk.shape[1]
                if measured > _SETTLED_CHUNKS:
                    self._measure(job, chunk.shape[1] / rate / max(took, 1e-9))
                yield pcm16(level.of(chunk[0])).astype("<i2").tobytes()
                if paced:
                    pace.ahead = AHEAD_SECONDS + job.buffer_seconds - HOLD_SECONDS
                    await pace.wait(chunk.shape[1] / rate)
        finally:
            if running is not None and not running.done():  # its thread is still in the engine
                self.queue.leave(job.ticket)
                running.add_done_callback(lambda _done: self.finish(job))
            else:
                self.finish(job)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Returns what a function returns that runs beside the engines."""
        return await asyncio.wrap_future(self._loaders.submit(work))

    def close(self) -> None:
        """Ends the threads."""
        for job in self._jobs.values():
            job.stopped.set()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._loaders.shutdown(wait=False, cancel_futures=True)

    async def _enter(self, job: Job) -> None:
        job.state = "waiting"
        entering = asyncio.ensure_future(self.queue.enter(job.ticket))
        stopping = asyncio.ensure_future(job.stopped.wait())
        try:
            await asyncio.wait({entering, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            entering.cancel()
            stopping.cancel()
        job.state = "playing"

    def _submit(self, work: Callable[[], Any]) -> asyncio.Future[Any]:
        # shielded: a thread cannot be cancelled, and its engine must not be lent before it has ended
        return asyncio.shield(asyncio.wrap_future(self._threads.submit(work)))

    def _keep(self, loaded: Loaded) -> None:
        self.pool.give(loaded)

    def _measure(self, job: Job, speed: float) -> None:
        assert job.loaded is not None
        job.speed = speed if job.speed is None else 0.9 * job.speed + 0.1 * speed
        self._speeds[job.loaded.key] = job.speed
        self.queue.set_cost(job.ticket, 1 / job.speed)


def steering_of(loaded: Loaded, sampling: Sampling) -> Steering:
    """Returns how a model's chunks are picked.

    Raises:
        UserError: a setting does not fit the model, or it is a vocoder.
    """
    if loaded.config.model.mel is not None:
        raise UserError(f"{loaded.config.name} is a vocoder; give it a recording on the page Continue")
    model = loaded.config.model
    settings = usual_settings(
        model, sampling.temperature, sampling.quiet_temperature, sampling.top_k, sampling.top_p, sampling.min_p
    )
    check_head(settings, model.output_head)
    speaker = speaker_text(sampling.speakers, loaded.config)
    if speaker is None:
        return Steering(settings)
    return Steering(settings, voice(loaded.weights, speaker_shares(speaker, loaded.config.model.speakers)[None]))


def steered_chunks(job: Job, request: PlayRequest, prime: NDArray[np.int64] | None) -> Iterator[NDArray[np.float32]]:
    """Returns the chunks of a clip, each made as the job is steered then.

    Args:
        job: with a loaded model.
        request: the clip.
        prime: codes that it continues; None for none.
    """
    assert job.loaded is not None
    return steered(
        job.loaded.engine,
        num_samples=None if request.seconds is None else max(1, round(request.seconds * job.sample_rate)),
        seed=request.seed,
        steering=lambda: job.steering,
        prime_codes=prime,
        chunk_samples=max(1, round(CHUNK_SECONDS * job.sample_rate)),
    )


class _Pace:
    """Holds back what is made too long before it is played.

    Args:
        ahead: seconds that may be made before they are played.
    """

    def __init__(self, ahead: float) -> None:
        self.ahead = ahead
        self._began: float | None = None
        self._made = 0.0

    async def wait(self, seconds: float) -> None:
        """Waits after a chunk of this length, if there is enough."""
        now = time.monotonic()
        self._began = now if self._began is None else self._began
        self._made += seconds
        early = self._made - (now - self._began) - self.ahead
        if early < -self.ahead:  # the page has run empty and waits: its clock starts again
            self._began, self._made = now, 0.0
        await asyncio.sleep(max(early, 0))


def _timed(chunks: Iterator[NDArray[np.float32]]) -> tuple[NDArray[np.float32] | None, float]:
    """Returns the next chunk, None after the last, and the seconds that it took."""
    began = time.perf_counter()
    return next(chunks, None), time.perf_counter() - began
