"""`wavegen sample` from request to files, told to a terminal."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from fast_gen.engines.condition import ChunkCondition, voice
from fast_gen.engines.contract import PRECISIONS, Engine, EngineChoice, start_engine
from fast_gen.engines.cpu.ahead import compiling_ahead
from fast_gen.engines.real_time import engine_in_real_time
from fast_gen.engines.sampling import SamplingSettings, check_head
from fast_gen.engines.weight_cache import WeightCache
from fast_gen.engines.weights import GeneratorWeights
from fast_gen.generation.stream import generate
from wavenet_app.audio.files import printable, write_wav
from wavenet_app.audio.pictures import write_spectrogram
from wavenet_app.checkpoints.trained import find_checkpoint, load_trained
from wavenet_app.config import RunConfig
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.files import make_folder
from wavenet_app.corpus.speakers import speaker_shares

if TYPE_CHECKING:
    from fast_gen.generation.primes import Prime


@dataclass(frozen=True)
class SampleRequest:
    """What a user asked to hear.

    Attributes:
        checkpoint: what `find_checkpoint` takes; None for the newest run.
        seconds: length of each clip.
        out: folder for the files.
        clips: how many, generated as one batch; None for one, or one for each recording to continue up to
            `primes.MOST_BY_DEFAULT`.
        seed: of the random numbers.
        temperature: 0 for the likeliest code every time.
        top_k: 0 for all codes.
        top_p: 1 for all codes.
        primes: recordings to continue, and folders of them; they take turns over the clips.
        prime_seconds: how much of the end of each is taken; None for what the model can see, or the whole of it if it
            is kept.
        keep_prime: whether the recording stands before what is generated.
        engine: name of an engine, or "auto".
        precision: of the weights; None for float32, or for playing the first precision that keeps up.
        threads: of the CPU, for the engine.
        rank: whether clips that ran away are made anew, and the most likely one comes first.
        keep: how many of the ranked clips are kept; None for all.
        speaker: a name, or names with weights; None for all in turn.
    """

    checkpoint: str | None
    seconds: float
    out: Path
    clips: int | None = None
    seed: int = 0
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    primes: tuple[Path, ...] = ()
    prime_seconds: float | None = None
    keep_prime: bool = False
    engine: str = "auto"
    precision: str | None = None
    threads: int = 1
    rank: bool = False
    keep: int | None = None
    speaker: str | None = None


@dataclass(frozen=True)
class ReadyToSample:
    """All that generating needs.

    Attributes:
        engine: what generates.
        checkpoint: what it generates from.
        config: the settings of the model's run.
        settings: temperature, top-k and top-p.
        clips: how many there are to be.
        primes: the recordings that they continue in turn; empty for none.
        shares: of each speaker in the voice of each clip, (clips, speakers), or of one row for all; None for a model
            without speakers.
        condition: what comes of these.
    """

    engine: Engine
    checkpoint: Path
    config: RunConfig
    settings: SamplingSettings
    clips: int
    primes: tuple[Prime, ...]
    shares: NDArray[np.float32] | None = None
    condition: ChunkCondition | None = None

    def prime_codes(self, first_row: int, rows: int) -> NDArray[np.int64] | None:
        """Returns the codes (rows, time) that clips continue, as far as the model can see them; None for none."""
        if not self.primes:
            return None
        from fast_gen.generation.primes import prime_codes

        model = self.config.model
        return prime_codes(
            self.primes,
            first_row=first_row,
            rows=rows,
            samples=model.receptive_field,
            coding=model.coding,
        )

    def heard_before(self, row: int) -> NDArray[np.float32]:
        """Returns the recording (samples,) that a clip continues, as the codes hold it; nothing where there is none."""
        if not self.primes:
            return np.zeros(0, np.float32)
        coding = self.config.model.coding
        return coding.decode(coding.encode(self.primes[row % len(self.primes)].waveform))


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


def get_ready(
    request: SampleRequest, folder: DataFolder, console: Console, *, in_real_time: bool = False
) -> ReadyToSample:
    """Loads the checkpoint, the prime and an engine, and says which.

    Args:
        request: what to generate.
        folder: root of the data.
        console: for what is said.
        in_real_time: whether a precision that was not asked for is the first that keeps up with the sample rate.

    Raises:
        UserError: one of them, or a setting, is not fit.
    """
    settings = SamplingSettings(request.temperature, request.top_k, request.top_p)
    path = find_checkpoint(folder.root, request.checkpoint)
    config, weights = _read(path, WeightCache(folder.cache / "weights"), request, console)
    if config.model.mel is not None:
        raise UserError(
            f"{config.name} turns recordings or mel frames into sound, and has nothing to say by itself; "
            f"take: wavegen vocode {config.name} RECORDING"
        )
    check_head(settings, config.model.head)
    clips, primes = _primes(request, config, console)
    shares = _shares(request, config, clips, console)

    def say(line: str | None) -> None:
        if line is not None:
            console.print(line, highlight=False, soft_wrap=True)

    if in_real_time and request.precision is None:
        sample_rate = config.audio.sample_rate
        choice, engine = engine_in_real_time(request.engine, weights, request.threads, sample_rate, say)
        say(choice.reason)
    else:

        def on_choice(choice: EngineChoice) -> None:
            say(choice.reason)
            say(choice.preparation)

        precision = request.precision or PRECISIONS[0]
        _, engine = start_engine(request.engine, weights, "auto", precision, request.threads, on_choice)
    condition = None if shares is None else voice(weights, shares)
    return ReadyToSample(engine, path, config, settings, clips, primes, shares, condition)


def _primes(request: SampleRequest, config: RunConfig, console: Console) -> tuple[int, tuple[Prime, ...]]:
    """Returns how many clips there are to be, and the recordings that they continue; says what is done to these."""
    if not request.primes:
        if request.keep_prime or request.prime_seconds is not None:
            raise UserError("--keep-prime and --prime-seconds are about a recording to continue; name it with --prime")
        return request.clips or 1, ()
    from fast_gen.generation.primes import MOST_BY_DEFAULT, find_primes, read_primes

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    rate, seen = config.audio.sample_rate, config.model.receptive_field
    wanted = None if request.keep_prime else seen
    if request.prime_seconds is not None:
        wanted = max(1, round(request.prime_seconds * rate))
    files = find_primes(request.primes, say)
    clips = request.clips or min(len(files), MOST_BY_DEFAULT)
    primes = read_primes(files, config, named=request.primes, clips=clips, samples=wanted, say=say)
    for prime in primes:
        if len(prime.waveform) < seen:
            say(
                f"note: of {printable(prime.path.name)} the model hears {len(prime.waveform) / rate:.3f} s and silence "
                f"before; it could look back {seen / rate:.3f} s"
            )
    return clips, primes


def _shares(request: SampleRequest, config: RunConfig, clips: int, console: Console) -> NDArray[np.float32] | None:
    """Returns the share of each speaker in the voices, None without any; says whose turn it is if nobody chose."""
    speakers = config.model.speakers
    if request.speaker is not None:
        return speaker_shares(request.speaker, speakers)[None]
    if not speakers:
        return None
    turns = [number % len(speakers) for number in range(clips)]
    listed = ", ".join(speakers[turn] for turn in turns[: len(speakers)])
    console.print(f"clips are spoken in turn by: {listed} (--speaker chooses)", highlight=False, markup=False)
    return np.eye(len(speakers), dtype=np.float32)[turns]


def _read(
    path: Path, cache: WeightCache, request: SampleRequest, console: Console
) -> tuple[RunConfig, GeneratorWeights]:
    """Returns the settings and the weights of a checkpoint, out of the cache if it has been read before."""
    say = partial(console.print, highlight=False, soft_wrap=True)
    found = cache.find(path)
    first = "" if found else "  (read for the first time, which takes a moment)"
    say(f"{path}{first}")
    if found is None:
        on_cpu = request.engine in ("auto", "cpu") and request.precision in (None, *PRECISIONS)
        with compiling_ahead(request.precision or PRECISIONS[0], request.threads, say) if on_cpu else nullcontext():
            trained = load_trained(path)
        found = trained.config, GeneratorWeights.of(trained.model)
        cache.keep(path, *found)
    return found


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
