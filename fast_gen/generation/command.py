"""`wavegen sample` from request to files, told to a terminal."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from fast_gen.generation.session import ReadyToSample, SampleRequest, get_ready
from fast_gen.generation.stream import generate
from wavenet_app.audio.files import printable, write_wav
from wavenet_app.audio.pictures import write_spectrogram
from wavenet_app.checkpoints.trained import load_trained
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.files import make_folder

if TYPE_CHECKING:
    pass


def run_sampling(request: SampleRequest, folder: DataFolder, *, console: Console) -> list[Path]:
    """Generates the clips and writes each as <run>-seed<seed>-<number>.wav with a .png of its spectrogram.

    Returns:
        The WAV files, in order.

    Raises:
        UserError: the checkpoint, the prime, a setting or the disk does not allow it.
    """
    if request.keep is not None and not request.rank:
        raise UserError("--keep says how many of the most likely clips to keep, so it needs --rank")
    ready = get_ready(request, folder, console)
    if request.rank and ready.shares is not None and request.speaker is None:
        raise UserError("--rank compares clips of one voice; say whose with --speaker")
    if request.rank and len(ready.primes) > 1:
        raise UserError(f"--rank compares clips that continue one recording, not {len(ready.primes)}")
    make_folder(request.out)
    if request.rank:
        waveforms = _ranked_clips(ready, request, console)
    else:
        waveforms = _clips(ready, request, console, first_row=0, count=ready.clips)
    return _write_clips(waveforms, request, ready, console)


def _clips(
    ready: ReadyToSample, request: SampleRequest, console: Console, *, first_row: int, count: int
) -> NDArray[np.float32]:
    """Generates clips (count, samples) under a bar, and says how fast."""
    sample_rate = ready.config.audio.sample_rate
    num_samples = max(1, round(request.seconds * sample_rate))
    # compiles what is not yet compiled, so that the speed shown is the engine's own
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
    return waveforms


def _ranked_clips(ready: ReadyToSample, request: SampleRequest, console: Console) -> NDArray[np.float32]:
    """Generates clips (kept, samples), the most likely first, those that failed anew; and says what was done."""
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
        f"made anew because of noise or silence: {ranking.redone}; still so after {ROUNDS} tries: {ranking.failed}\n"
        f"bits per sample, the most likely clip first: {listed}"
        + (f"; left out: {len(ranking.clips) - len(kept)}" if len(kept) < len(ranking.clips) else ""),
        highlight=False,
    )
    return np.stack([clip.waveform for clip in kept])


def _write_clips(
    waveforms: NDArray[np.float32], request: SampleRequest, ready: ReadyToSample, console: Console
) -> list[Path]:
    config = ready.config
    written = []
    for number, generated in enumerate(waveforms):
        waveform = np.concatenate([ready.heard_before(number), generated]) if request.keep_prime else generated
        path = request.out / f"{config.name}-seed{request.seed}-{number}.wav"
        write_wav(path, waveform, config.audio.sample_rate)
        write_spectrogram(path.with_suffix(".png"), waveform, config.audio.sample_rate, path.stem)
        continued = (
            f"; continues {printable(ready.primes[number % len(ready.primes)].path.name)}" if ready.primes else ""
        )
        console.print(
            f"{path}  (and its spectrogram, {path.stem}.png{continued})", highlight=False, markup=False, soft_wrap=True
        )
        written.append(path)
    return written


def _speed(samples: int, sample_rate: int, began: float) -> str:
    rate = samples / max(time.monotonic() - began, 1e-9)
    return f"{rate:,.0f} samples/s, {rate / sample_rate:.2f} x real time"
