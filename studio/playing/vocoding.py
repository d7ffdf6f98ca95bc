"""A recording through a vocoder: the same samples as `wavegen vocode` writes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from fast_gen.engines.sampling import SamplingSettings, check_head, usual_settings
from fast_gen.generation.level import output_level
from fast_gen.generation.stream import Steering
from studio.playing.engines import Loaded
from studio.playing.jobs import Job, Jobs
from studio.playing.request import PlayRequest, speaker_text
from studio.web.uploads import Upload
from wavenet_app.audio.decoding import UnreadableAudioError
from wavenet_app.audio.files import from_pcm16, pcm16
from wavenet_app.core.errors import UserError
from wavenet_app.corpus.speakers import speaker_shares

LONGEST_SECONDS = 60.0
"""How much of a recording is vocoded."""


def check_vocoder(loaded: Loaded, request: PlayRequest) -> Steering:
    """Returns the settings of a vocoder; its condition comes with the frames.

    Raises:
        UserError: the model is no vocoder, or a setting does not fit it.
    """
    if loaded.config.model.mel is None:
        raise UserError(f"{loaded.config.name} is not a vocoder; train one with --condition mel")
    model = loaded.config.model
    settings = usual_settings(
        model, request.temperature, request.quiet_temperature, request.top_k, request.top_p, request.min_p
    )
    check_head(settings, model.output_head)
    speaker_text(request.speakers, loaded.config)
    return Steering(settings)


async def vocoded(jobs: Jobs, job: Job, request: PlayRequest, upload: Upload) -> AsyncGenerator[bytes, None]:
    """Yields the 16-bit samples of a vocoded recording at once, when it is refined.

    Args:
        jobs: that run the job.
        job: that they have started.
        request: the settings.
        upload: the recording.
    """
    assert job.loaded is not None
    loaded, rate = job.loaded, job.sample_rate
    gain = loaded.config.audio.gain
    source = _Source(loaded, request, upload)
    made: list[NDArray[np.float32]] = []

    def begin() -> Iterator[NDArray[np.float32]]:
        for block in source.blocks(job.steering.settings):
            made.append(block)
            yield block[None]

    async for _ in jobs.samples(job, begin, paced=False):
        pass
    if not job.stopped.is_set():
        waveform = await jobs.in_thread(lambda: source.refined(made))
        yield pcm16(output_level(gain).of(waveform[: round(LONGEST_SECONDS * rate)])).astype("<i2").tobytes()


class _Source:
    """A recording as frames for a vocoder; its methods run in threads.

    Args:
        loaded: the vocoder.
        request: the settings.
        upload: the recording.
    """

    def __init__(self, loaded: Loaded, request: PlayRequest, upload: Upload) -> None:
        self._loaded, self._request, self._upload = loaded, request, upload
        self._frames: NDArray[np.float32] | None = None
        self._samples = 0

    def blocks(self, settings: SamplingSettings) -> Iterator[NDArray[np.float32]]:
        """Yields the waveform as sampled, at the level of the training."""
        from fast_gen.vocoding.sources import Recording
        from fast_gen.vocoding.vocode import vocode
        from wavenet_app.audio.mel import MelFrames
        from wavenet_app.checkpoints.trained import load_trained

        config = self._loaded.config
        assert config.model.mel is not None
        self._mel = MelFrames(config.model.mel, config.audio.sample_rate)
        try:
            recording = Recording.at(self._upload.path, self._mel, config)
        except UnreadableAudioError as error:
            raise UserError(f"{self._upload.name}: {error.reason}") from None
        most = round(LONGEST_SECONDS * config.audio.sample_rate)
        self._samples = min(recording.expected_samples, most)
        pieces = islice(recording.frames(), 1 + most // (64 * self._mel.hop))
        self._frames = np.concatenate(list(pieces))[: -(-self._samples // self._mel.hop)]
        speaker = speaker_text(self._request.speakers, config)
        yield from vocode(
            self._loaded.engine,
            load_trained(self._loaded.key.path).model,
            self._mel.conditioning([self._frames]),
            frame_filter=self._mel.filter,
            shares=None if speaker is None else speaker_shares(speaker, config.model.speakers),
            seed=self._request.seed,
            settings=settings,
        )

    def refined(self, made: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Returns the refined waveform, of the recording's length, at the level of the training."""
        from fast_gen.vocoding.refine import USUAL_TURNS, refined_blocks

        assert self._frames is not None
        whole = np.concatenate(made)[: self._samples]
        if self._mel.filter is None:
            whole = from_pcm16(pcm16(whole))  # the command keeps a waveform in a file; of an excitation it keeps codes
        blocks = refined_blocks(lambda first, last: whole[first:last], iter([self._frames]), self._mel, USUAL_TURNS)
        return np.concatenate(list(blocks))[: self._samples]
