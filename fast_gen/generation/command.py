"""`wavegen sample` from request to files."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from fast_gen.generation.destination import Destination, picture_of
from fast_gen.generation.level import output_level
from fast_gen.generation.session import ReadyToSample, SampleRequest, get_ready
from fast_gen.generation.stream import generate
from wavenet_app.audio.files import printable
from wavenet_app.audio.pictures import write_spectrogram
from wavenet_app.audio.writing import write_audio
from wavenet_app.checkpoints.trained import load_trained
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.files import make_folder
from wavenet_app.core.options import NOTHING_WRITTEN, stopped_in_words


def run_sampling(request: SampleRequest, folder: DataFolder, *, console: Console) -> list[Path]:
    """Generates the clips and writes each as <run>-seed<seed>-<number>, with a .png of its spectrogram.

    They are at the level of the recordings that the model was trained on, as far as nothing clips.

    Returns:
        The audio files, in order.

    Raises:
        UserError: the checkpoint, the prime, a setting or the folder is invalid.
    """
    if request.keep is not None and not request.rank:
        raise UserError("--keep keeps the most likely clips; add --rank")
    destination = request.destination
    if destination.file is not None:
        destination.check_free(picture_of(destination.file))
    destination.check_count(_kept(request, request.clips or 1))
    with stopped_in_words(NOTHING_WRITTEN):
        ready = get_ready(request, folder, console)
    destination.check_count(_kept(request, ready.clips))
    if request.rank and ready.shares is not None and request.speaker is None:
        raise UserError("--rank compares clips of one speaker; choose one with --speaker")
    if request.rank and len(ready.primes) > 1:
        raise UserError(f"--rank compares clips that continue one recording, not {len(ready.primes)}; pass one --prime")
    make_folder(destination.folder)
    with stopped_in_words(NOTHING_WRITTEN):
        if request.rank:
            waveforms = _ranked_clips(ready, request, console)
        else:
            waveforms = _clips(ready, request, console, first_row=0, count=ready.clips)
    return _write_clips(waveforms, request, ready, destination, console)


def _clips(
    ready: ReadyToSample, request: SampleRequest, console: Console, *, first_row: int, count: int
) -> NDArray[np.float32]:
    """Generates clips (count, samples) under a progress bar, and prints the speed."""
    sample_rate = ready.config.audio.sample_rate
    num_samples = max(1, round(request.seconds * sample_rate))
    # compiles the engine if needed, so that the speed shown does not include it
    generate(
        ready.engine,
        num_samples=1,
        batch_size=count,
        seed=request.seed,
        settings=ready.settings,
        condition=ready.condition,
    )
    began = time.monotonic()
    with Progress(
        TextColumn("generating"),
        BarColumn(),
        TextColumn("{task.fields[factor]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("generating", total=num_samples, factor="")
        done = 0

        def on_chunk(samples: int) -> None:
            nonlocal done
            done += samples
            progress.update(task, advance=samples, factor=_speed(done * count, sample_rate, began))

        waveforms = generate(
            ready.engine,
            num_samples=num_samples,
            batch_size=count,
            seed=request.seed,
            settings=ready.settings,
            first_row=first_row,
            prime_codes=ready.prime_codes(first_row, count),
            condition=ready.condition,
            progress=on_chunk,
        )
    console.print(_speed(num_samples * count, sample_rate, began), highlight=False)
    if ready.engine.remark:
        console.print(f"note: {ready.engine.remark}", highlight=False)
    return waveforms


def _ranked_clips(ready: ReadyToSample, request: SampleRequest, console: Console) -> NDArray[np.float32]:
    """Generates clips (kept, samples), the most likely first, replaces failed ones, and prints their likelihoods."""
    from fast_gen.generation.ranking import ROUNDS, ranked, scored  # needs torch, which plain sampling does not

    model = load_trained(ready.checkpoint).model
    shares = None if ready.shares is None else ready.shares[0]
    sample_rate = ready.config.audio.sample_rate
    prime = ready.prime_codes(0, 1)
    ranking = ranked(
        lambda first_row, count: _clips(ready, request, console, first_row=first_row, count=count),
        lambda waveform, row: scored(model, waveform, row, sample_rate, None if prime is None else prime[0], shares),
        ready.clips,
    )
    kept = ranking.clips[: request.keep]
    listed = ", ".join(f"{clip.bits:.3f}" + (f" ({clip.failure})" if clip.failure else "") for clip in kept)
    console.print(
        f"generated again because of noise, hum or silence: {ranking.redone}; "
        f"still so after {ROUNDS} tries: {ranking.failed}\n"
        f"bits per sample, the most likely clip first: {listed}"
        + (f"; skipped: {len(ranking.clips) - len(kept)}" if len(kept) < len(ranking.clips) else ""),
        highlight=False,
    )
    return np.stack([clip.waveform for clip in kept])


def _write_clips(
    waveforms: NDArray[np.float32],
    request: SampleRequest,
    ready: ReadyToSample,
    destination: Destination,
    console: Console,
) -> list[Path]:
    """Writes clips at the training level (clips, samples) at the level of the recordings, and prints their names."""
    audio = ready.config.audio
    written = []
    free = destination.paths(f"{ready.config.name}-seed{request.seed}")
    for number, (generated, path) in enumerate(zip(waveforms, free, strict=False)):
        waveform = np.concatenate([ready.prime_waveform(number), generated]) if request.keep_prime else generated
        level = output_level(audio.gain, float(np.abs(waveform).max()))
        written_waveform = level.of(waveform)
        write_audio(path, written_waveform, audio.sample_rate)
        picture = picture_of(path)
        write_spectrogram(picture, written_waveform, audio.sample_rate, path.stem)
        facts = [f"and its spectrogram, {picture.name}"]
        if level.remark is not None:
            facts.append(f"written {level.remark}")
        if ready.primes:
            facts.append(f"continues {printable(ready.primes[number % len(ready.primes)].path.name)}")
        console.print(f"{path}  ({'; '.join(facts)})", highlight=False, markup=False, soft_wrap=True)
        written.append(path)
    return written


def _kept(request: SampleRequest, clips: int) -> int:
    """Returns how many of the clips are written."""
    return min(clips, request.keep or clips)


def _speed(samples: int, sample_rate: int, began: float) -> str:
    rate = samples / max(time.monotonic() - began, 1e-9)
    return f"{rate:,.0f} samples/s, {rate / sample_rate:.2f} x real time"
