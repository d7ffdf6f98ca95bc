"""`wavegen sample --play` and `--stdout`: output while generating; and `wavegen devices`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from fast_gen.generation.destination import Destination, picture_of
from fast_gen.generation.level import OutputLevel, output_level
from fast_gen.generation.session import ReadyToSample, SampleRequest, get_ready
from fast_gen.generation.stream import stream
from fast_gen.playing.device import NO_DEVICE, NoSoundError, open_output, output_devices
from fast_gen.playing.player import Player
from fast_gen.playing.view import LiveView
from wavenet_app.audio.files import pcm16
from wavenet_app.audio.formats import WAV
from wavenet_app.audio.mono import read_audio
from wavenet_app.audio.pictures import write_spectrogram
from wavenet_app.audio.wav_stream import SamplePipe, WavFile, wav_header
from wavenet_app.audio.writing import wav_blocks, write_audio_blocks
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError

_ANNOUNCED_SECONDS = 1.0  # a shorter wait for the first sound is not announced


@dataclass(frozen=True)
class LiveRequest:
    """Where audio goes while it is generated.

    Attributes:
        play: to a sound device and to a file.
        device: number or part of the name of the device; None for the system's default.
        forever: generate until Ctrl-C.
        pipe: to this pipe instead of a file; None for no pipe.
        raw: to the pipe without a WAV header.
    """

    play: bool = False
    device: str | None = None
    forever: bool = False
    pipe: BinaryIO | None = None
    raw: bool = False


class Pace:
    """Measures the speed of an engine without its first chunk, which may compile, and without the time between chunks.

    Attributes:
        speed: seconds of audio per second; None before the second chunk.
    """

    def __init__(self, sample_rate: int) -> None:
        self.speed: float | None = None
        self._sample_rate = sample_rate

    def timed(self, chunks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """Yields the chunks, (clips, samples) each."""
        iterator = iter(chunks)
        samples, seconds = 0, 0.0
        if (first := next(iterator, None)) is None:
            return
        yield first
        while True:
            began = time.monotonic()
            if (chunk := next(iterator, None)) is None:
                return
            samples += chunk.shape[1]
            seconds += time.monotonic() - began
            self.speed = samples / self._sample_rate / max(seconds, 1e-9)
            yield chunk


def run_live(request: SampleRequest, live: LiveRequest, folder: DataFolder, *, console: Console) -> Path | None:
    """Generates one clip and plays or pipes it meanwhile, in memory that does not grow with its length.

    It is at the level of the recordings that the model was trained on, or at that of the training if this is lower,
    because the peak is not known in advance. Ctrl-C ends it cleanly and keeps what was generated. An endless clip
    has no picture, which needs the whole clip.

    Args:
        request: what to generate.
        live: where the audio goes.
        folder: the data folder.
        console: for messages; with a pipe, it must not be standard output.

    Returns:
        The audio file, <run>-seed<seed>-<number> with a picture of its spectrogram, or without one
        <run>-seed<seed>-forever-<number>; None if there is none, as with a pipe.

    Raises:
        UserError: the request contradicts itself, or as in `run_sampling`; or an endless clip cannot be played.
    """
    destination = request.destination
    _check(request, live, destination)
    ready = get_ready(replace(request, clips=1), folder, console, in_real_time=live.play)
    sample_rate = ready.config.audio.sample_rate
    level = output_level(ready.config.audio.gain)
    intro = _intro(request, ready, level)
    num_samples = None if live.forever else max(1, round(request.seconds * sample_rate))
    total = None if num_samples is None else len(intro) + num_samples
    player = _player(live, sample_rate, total, console) if live.play else None
    chunks = stream(
        ready.engine,
        num_samples=num_samples,
        seed=request.seed,
        settings=ready.settings,
        prime_codes=ready.prime_codes(0, 1),
        condition=ready.condition,
    )
    chunks = (level.of(chunk) for chunk in chunks)
    if live.pipe is None:
        path = next(destination.paths(f"{ready.config.name}-seed{request.seed}{'-forever' if live.forever else ''}"))
        with WavFile(_growing(path), sample_rate) as file:
            _generate_into(file, player, intro, chunks, sample_rate, console)
        if file.num_samples == 0:
            return None
        if file.path != path:
            write_audio_blocks(path, wav_blocks(file.path), sample_rate)
            file.path.unlink()
        facts = [f"{file.num_samples / sample_rate:.2f} s"]
        if not live.forever:
            picture = picture_of(path)
            write_spectrogram(picture, read_audio(path, sample_rate), sample_rate, path.stem)
            facts.append(f"its spectrogram is {picture.name}")
        if level.remark:
            facts.append(f"written {level.remark}")
        console.print(f"{path}  ({'; '.join(facts)})", highlight=False, soft_wrap=True)
        return path
    header = b"" if live.raw else wav_header(sample_rate, total)
    try:
        _generate_into(SamplePipe(live.pipe, header), None, intro, chunks, sample_rate, console)
        live.pipe.flush()  # what Ctrl-C left in the buffer
    except BrokenPipeError:  # the reader has closed its end
        _drop(live.pipe)
    except UserError:  # the flush at exit would fail again
        _drop(live.pipe)
        raise
    return None


def _drop(pipe: BinaryIO) -> None:
    """Redirects a pipe to the null device, so that Python's flush at exit does not fail."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), pipe.fileno())


def run_devices(console: Console) -> None:
    """Prints the sound devices that `--device` takes.

    Raises:
        NoSoundError: there is none, or PortAudio is not installed.
    """
    devices = output_devices()
    if not devices:
        raise NoSoundError(NO_DEVICE)
    table = Table("--device", "name", "sound system", "channels", "Hz", "")
    for device in devices:
        table.add_row(
            str(device.index),
            device.name,
            device.system,
            str(device.channels),
            f"{device.sample_rate:.0f}",
            "default" if device.default else "",
        )
    console.print(table)


def _growing(path: Path) -> Path:
    """Returns the WAV that grows while a clip is generated: the file itself, or one that becomes it at the end."""
    return path if path.suffix.lower() == WAV.suffix else path.with_name(f"{path.name}{WAV.suffix}")


def _check(request: SampleRequest, live: LiveRequest, destination: Destination) -> None:
    if live.play and live.pipe is not None:
        raise UserError("--play and --stdout exclude each other; use one of them")
    if live.raw and live.pipe is None:
        raise UserError("--raw writes to a pipe without a header; add --stdout")
    if request.rank or request.keep is not None:
        raise UserError("--rank compares whole clips, so it does not work with --play or --stdout; use one of them")
    if request.clips not in (None, 1):
        raise UserError(f"--play and --stdout take one clip, not {request.clips}; remove -n")
    if len(request.primes) > 1:
        raise UserError(f"--play and --stdout take one clip, so one recording to continue, not {len(request.primes)}")
    if not live.play and live.device is not None:
        raise UserError("--device is the device to play on; add --play")
    if not live.play and live.pipe is None:
        raise UserError("--forever never finishes a file; add --play or --stdout")
    if destination.audio_format != WAV and (live.pipe is not None or live.forever):
        option = "--stdout streams" if live.pipe is not None else "--forever has no end and so writes"
        raise UserError(f"{option} {WAV.name}, not {destination.audio_format.name}; use --format {WAV.name}")
    if live.pipe is None and destination.file is not None:
        beside = _growing(destination.file), picture_of(destination.file)
        destination.check_free(*(beside[:1] if live.forever else beside))
    if live.pipe is not None and live.pipe.isatty():
        raise UserError("--stdout writes a WAV, which a terminal cannot show; pipe it: wavegen sample --stdout | aplay")


def _intro(request: SampleRequest, ready: ReadyToSample, level: OutputLevel) -> NDArray[np.int16]:
    """Returns what is played before the first generated sample."""
    return pcm16(level.of(ready.prime_waveform(0))) if request.keep_prime else np.zeros(0, dtype=np.int16)


def _player(live: LiveRequest, sample_rate: int, num_samples: int | None, console: Console) -> Player | None:
    """Returns a player, or prints the reason and returns None where nothing can be played."""
    try:
        return Player(partial(open_output, device=live.device), sample_rate, num_samples)
    except NoSoundError as error:
        if live.forever:
            raise
        console.print(f"not played: {error}; the file is still written", highlight=False, soft_wrap=True)
        return None


def _generate_into(
    target: WavFile | SamplePipe,
    player: Player | None,
    intro: NDArray[np.int16],
    chunks: Iterator[NDArray[np.float32]],
    sample_rate: int,
    console: Console,
) -> None:
    """Writes all chunks, and plays them if there is a player, until they end or Ctrl-C."""
    pace = Pace(sample_rate)
    stopped = False
    try:
        with LiveView(console, player) as view:
            announced = player is None
            if len(intro):
                target.write(intro)
                if player is not None:
                    player.feed(intro, None)
            for chunk in pace.timed(chunks):
                samples = pcm16(chunk[0])
                target.write(samples)
                view.speed = pace.speed
                view.update()
                if player is None:
                    continue
                player.feed(samples, pace.speed, view.update)
                if not announced and pace.speed is not None:
                    _announce(player, pace.speed, console)
                    announced = True
                if player.lost is not None and not player.bounded:
                    break
            if player is not None:
                player.finish(view.update)
    except KeyboardInterrupt:
        stopped = True
    finally:
        if player is not None:
            player.stop()
    if stopped:
        console.print("stopped")
    if pace.speed is not None:
        console.print(f"{pace.speed * sample_rate:,.0f} samples/s, {pace.speed:.2f} x real time", highlight=False)
    if player is not None:
        console.print(_account(player), highlight=False, soft_wrap=True)


def _announce(player: Player, speed: float, console: Console) -> None:
    """Prints the wait for the first sound if it is long."""
    seconds = player.seconds_until_sound(speed)
    if seconds < _ANNOUNCED_SECONDS:
        return
    gaps = "" if player.bounded or speed >= 1 else "; there will still be gaps, as the clip is endless"
    console.print(
        f"{speed:.2f} x real time: buffering first to avoid gaps; playing starts in about {seconds:.0f} s{gaps}",
        highlight=False,
        soft_wrap=True,
    )


def _account(player: Player) -> str:
    """Returns one line about gaps and lost devices."""
    if player.lost is not None:
        return f"playing ended early: {player.lost}; the file is complete"
    if not player.playing:
        return "nothing was played yet"
    problems = []
    if player.gaps:
        problems.append(f"the buffer ran empty {_times(player.gaps)}, {player.silent_seconds:.2f} s of silence in all")
    if player.late_blocks:
        problems.append(f"the machine was too busy to serve the device in time {_times(player.late_blocks)}")
    return "; ".join([*problems, "the file has no gaps"]) if problems else "played without a gap"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
