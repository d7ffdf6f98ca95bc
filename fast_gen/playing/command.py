"""`wavegen sample --play` and `--stdout`: sound that leaves while it is being generated; and `wavegen devices`."""

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

from fast_gen.generation.session import ReadyToSample, SampleRequest, get_ready
from fast_gen.generation.stream import stream
from fast_gen.playing.device import NO_DEVICE, NoSoundError, open_output, output_devices
from fast_gen.playing.player import Player
from fast_gen.playing.view import LiveView
from wavenet_app.audio.files import pcm16
from wavenet_app.audio.mono import read_audio
from wavenet_app.audio.pictures import write_spectrogram
from wavenet_app.audio.wav_stream import SamplePipe, WavFile, wav_header
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError

_WORTH_SAYING_SECONDS = 1.0  # a shorter wait for the first sound needs no words


@dataclass(frozen=True)
class LiveRequest:
    """Where the sound goes while it is made.

    Attributes:
        play: to a sound device, and to a WAV file.
        device: number or part of the name of the device; None for the system's default.
        forever: until it is stopped.
        pipe: to this pipe, and to no file; None for no pipe.
        raw: to the pipe without the header of a WAV.
    """

    play: bool = False
    device: str | None = None
    forever: bool = False
    pipe: BinaryIO | None = None
    raw: bool = False


class Pace:
    """How fast an engine makes sound, not counting its first chunk, which may compile, nor what happens in between.

    Attributes:
        speed: seconds of sound made in a second; None until the second chunk is there.
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
    """Generates one clip and plays it or pipes it meanwhile, in memory that does not grow with its length.

    Ctrl-C ends it cleanly; what was made until then is kept. Only the picture of a clip that has an end is drawn from
    the whole of it.

    Args:
        request: what to generate.
        live: where it goes.
        folder: root of all that is written.
        console: for all that is said; with a pipe it must not be standard output.

    Returns:
        The WAV file, <run>-seed<seed>-0.wav with a picture of its spectrogram or <run>-seed<seed>-forever.wav; None if
        there is none, as with a pipe.

    Raises:
        UserError: the request contradicts itself, or what `run_sampling` raises; or a clip without end cannot be heard.
    """
    _check(request, live)
    ready = get_ready(replace(request, clips=1), folder, console, in_real_time=live.play)
    sample_rate = ready.config.audio.sample_rate
    intro = _intro(request, ready)
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
    if live.pipe is None:
        path = request.out / f"{ready.config.name}-seed{request.seed}-{'forever' if live.forever else 0}.wav"
        with WavFile(path, sample_rate) as file:
            _generate_into(file, player, intro, chunks, sample_rate, console)
        if file.num_samples == 0:
            return None
        console.print(f"{path}  ({file.num_samples / sample_rate:.2f} s)", highlight=False, soft_wrap=True)
        if not live.forever:
            write_spectrogram(path.with_suffix(".png"), read_audio(path, sample_rate), sample_rate, path.stem)
        return path
    header = b"" if live.raw else wav_header(sample_rate, total)
    try:
        _generate_into(SamplePipe(live.pipe, header), None, intro, chunks, sample_rate, console)
        live.pipe.flush()  # what Ctrl-C has left unwritten
    except BrokenPipeError:  # whoever reads has enough
        _drop(live.pipe)
    except UserError:  # what could not be written would not be written at the end either
        _drop(live.pipe)
        raise
    return None


def _drop(pipe: BinaryIO) -> None:
    """Leads a pipe to nowhere, so that Python's own last flush does not complain."""
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


def _check(request: SampleRequest, live: LiveRequest) -> None:
    if live.play and live.pipe is not None:
        raise UserError("--play and --stdout exclude each other; leave one out")
    if live.raw and live.pipe is None:
        raise UserError("--raw leaves out the header of what goes to a pipe; add --stdout")
    if request.rank or request.keep is not None:
        raise UserError("--rank compares whole clips, so they cannot be heard while they are made; leave one out")
    if request.clips not in (None, 1):
        raise UserError(f"--play and --stdout take one clip, not {request.clips}; leave out -n")
    if len(request.primes) > 1:
        raise UserError(f"--play and --stdout take one clip, so one recording to continue, not {len(request.primes)}")
    if not live.play and live.device is not None:
        raise UserError("--device says where to play; add --play")
    if not live.play and live.pipe is None:
        raise UserError("--forever makes no end and so no file that is done; add --play or --stdout")
    if live.pipe is not None and live.pipe.isatty():
        raise UserError("--stdout writes a WAV, which a terminal cannot show; pipe it: wavegen sample --stdout | aplay")


def _intro(request: SampleRequest, ready: ReadyToSample) -> NDArray[np.int16]:
    """Returns what is heard before the first generated sample."""
    return pcm16(ready.heard_before(0)) if request.keep_prime else np.zeros(0, dtype=np.int16)


def _player(live: LiveRequest, sample_rate: int, num_samples: int | None, console: Console) -> Player | None:
    """Returns a player, or None, with a line that says why, if nothing can be heard here."""
    try:
        return Player(partial(open_output, device=live.device), sample_rate, num_samples)
    except NoSoundError as error:
        if live.forever:
            raise
        console.print(f"not played: {error}; the WAV is written all the same", highlight=False, soft_wrap=True)
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
            told = player is None
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
                if not told and pace.speed is not None:
                    _announce(player, pace.speed, console)
                    told = True
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
    """Says how long the first sound will be waited for, if that is long."""
    seconds = player.seconds_until_sound(speed)
    if seconds < _WORTH_SAYING_SECONDS:
        return
    gaps = "" if player.bounded or speed >= 1 else "; as it never ends, there will be gaps all the same"
    console.print(
        f"{speed:.2f} x real time: buffering first, so that it does not run dry; playing begins in about "
        f"{seconds:.0f} s{gaps}",
        highlight=False,
        soft_wrap=True,
    )


def _account(player: Player) -> str:
    """Returns what became of the playing, in a line."""
    if player.lost is not None:
        return f"playing ended early: {player.lost}; the file has all that was made"
    if not player.playing:
        return "nothing was played yet"
    told = []
    if player.gaps:
        told.append(f"the sound ran dry {_times(player.gaps)}, {player.silent_seconds:.2f} s of silence in all")
    if player.late_blocks:
        told.append(f"the machine was too busy to serve the device in time {_times(player.late_blocks)}")
    return "; ".join([*told, "the file has no gaps"]) if told else "played without a gap"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
