"""From a request to a loaded model, an engine and its conditioning, ready to generate."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from fast_gen.engines.choice import EngineChoice
from fast_gen.engines.condition import ChunkCondition, voice
from fast_gen.engines.contract import PRECISIONS, Engine
from fast_gen.engines.cpu.ahead import compiling_ahead
from fast_gen.engines.real_time import engine_in_real_time
from fast_gen.engines.sampling import SamplingSettings, check_head, usual_settings
from fast_gen.engines.start import Job, start_engine
from fast_gen.engines.trial_cache import TrialCache
from fast_gen.engines.weight_cache import WeightCache
from fast_gen.engines.weights import GeneratorWeights
from fast_gen.generation.destination import Destination
from wavenet_app.audio.files import printable
from wavenet_app.checkpoints.trained import load_trained
from wavenet_app.checkpoints.voices import find_to_generate
from wavenet_app.config import RunConfig
from wavenet_app.core.console import print_labelled
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.corpus.speakers import speaker_shares

if TYPE_CHECKING:
    from fast_gen.generation.primes import Prime


@dataclass(frozen=True)
class SampleRequest:
    """The options of `wavegen sample`.

    Attributes:
        checkpoint: what `find_checkpoint` takes; None for the newest run, or the default voice if there is none.
        seconds: length of each clip.
        out: folder for the files, or the file of the only clip.
        clips: how many, generated as one batch; None for one, or one for each recording to continue up to
            `primes.MOST_BY_DEFAULT`.
        seed: of the random numbers.
        temperature: 0 for the most likely code every time; None for the default, see `usual_temperatures`.
        quiet_temperature: the temperature of quiet parts; None for the default.
        top_k: 0 for all codes.
        top_p: 1 for all codes.
        min_p: 0 for all codes.
        primes: recordings to continue, and folders of them; they take turns over the clips.
        prime_seconds: how much of the end of each is continued; None for the receptive field, or all of it with
            `keep_prime`.
        keep_prime: whether each file starts with its recording.
        engine: name of an engine, or "auto".
        precision: of the weights; None for float32, or when playing, the first precision that keeps up.
        threads: of the CPU, for the engine.
        rank: whether failed clips are replaced, and the most likely clip comes first.
        keep: how many of the ranked clips are kept; None for all.
        speaker: a name, or names with weights; None for all in turn.
        format_name: of the files; None for the suffix of `out`, or WAV in a folder.
        overwrite: whether files that exist are replaced.
    """

    checkpoint: str | None
    seconds: float
    out: Path
    clips: int | None = None
    seed: int = 0
    temperature: float | None = None
    quiet_temperature: float | None = None
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    primes: tuple[Path, ...] = ()
    prime_seconds: float | None = None
    keep_prime: bool = False
    engine: str = "auto"
    precision: str | None = None
    threads: int = 1
    rank: bool = False
    keep: int | None = None
    speaker: str | None = None
    format_name: str | None = None
    overwrite: bool = False

    @property
    def destination(self) -> Destination:
        """Where the clips are written; raises UserError where the request contradicts itself."""
        return Destination.of(self.out, self.format_name, overwrite=self.overwrite)


@dataclass(frozen=True)
class ReadyToSample:
    """Everything that generation needs.

    Attributes:
        engine: generates the samples.
        checkpoint: the file of the model.
        config: the settings of the model's run.
        settings: temperatures, top-k, top-p and min-p.
        clips: how many to generate.
        primes: the recordings that the clips continue in turn; empty for none.
        shares: the share of each speaker in each clip, (clips, speakers), or one row for all; None for a model without
            speakers.
        condition: the conditioning made of `shares`.
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
        """Returns the codes (rows, time) that clips continue, at most a receptive field; None for none."""
        if not self.primes:
            return None
        from fast_gen.generation.primes import prime_codes, samples_heard

        model = self.config.model
        return prime_codes(
            self.primes,
            first_row=first_row,
            rows=rows,
            samples=samples_heard(model),
            coding=model.coding,
        )

    def prime_waveform(self, row: int) -> NDArray[np.float32]:
        """Returns the recording (samples,) that a clip continues, quantised as the model reads it; empty for none."""
        if not self.primes:
            return np.zeros(0, np.float32)
        coding = self.config.model.coding
        return coding.decode(coding.encode(self.primes[row % len(self.primes)].waveform))


def get_ready(
    request: SampleRequest, folder: DataFolder, console: Console, *, in_real_time: bool = False
) -> ReadyToSample:
    """Loads the checkpoint, the primes and an engine, and prints which.

    Args:
        request: what to generate.
        folder: the data folder.
        console: for notes to the user.
        in_real_time: whether the default precision is the first that keeps up with the sample rate.

    Raises:
        UserError: one of them, or a setting, is invalid.
    """
    path, stand_in = find_to_generate(folder.root, request.checkpoint)
    if stand_in is not None:
        print_labelled(console, "note", stand_in)
    config, weights = _read(path, WeightCache(folder.cache / "weights"), request, console)
    if config.model.mel is not None:
        raise UserError(
            f"{config.name} is a vocoder, which turns recordings or mel frames into audio; "
            f"run: wavegen vocode {config.name} RECORDING"
        )
    settings = usual_settings(
        config.model, request.temperature, request.quiet_temperature, request.top_k, request.top_p, request.min_p
    )
    check_head(settings, config.model.output_head)
    clips, primes = _primes(request, config, console)
    shares = _shares(request, config, clips, console)

    def say(line: str | None) -> None:
        if line is not None:
            console.print(line, highlight=False, soft_wrap=True)

    trials = TrialCache(folder.cache / "trials")
    if in_real_time and request.precision is None:
        sample_rate = config.audio.sample_rate
        job = Job(clips, trials=trials)
        choice, engine = engine_in_real_time(request.engine, weights, request.threads, sample_rate, say, job)
        say(choice.reason)
    else:

        def on_choice(choice: EngineChoice) -> None:
            say(choice.reason)
            say(choice.preparation)

        precision = request.precision or PRECISIONS[0]
        samples = None if in_real_time else round(request.seconds * config.audio.sample_rate)
        job = Job(clips, samples, trials)
        _, engine = start_engine(request.engine, weights, "auto", precision, request.threads, on_choice, job)
    condition = None if shares is None else voice(weights, shares)
    return ReadyToSample(engine, path, config, settings, clips, primes, shares, condition)


def _primes(request: SampleRequest, config: RunConfig, console: Console) -> tuple[int, tuple[Prime, ...]]:
    """Returns the number of clips and the recordings that they continue; prints how these are changed."""
    if not request.primes:
        if request.keep_prime or request.prime_seconds is not None:
            raise UserError("--keep-prime and --prime-seconds need a recording to continue; add --prime")
        return request.clips or 1, ()
    from fast_gen.generation.primes import MOST_BY_DEFAULT, find_primes, read_primes, samples_heard

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    rate, seen = config.audio.sample_rate, config.model.context
    wanted = None if request.keep_prime else samples_heard(config.model)
    if request.prime_seconds is not None:
        wanted = max(1, round(request.prime_seconds * rate))
    files = find_primes(request.primes, say)
    clips = request.clips or min(len(files), MOST_BY_DEFAULT)
    primes = read_primes(files, config, named=request.primes, clips=clips, samples=wanted, say=say)
    for prime in primes:
        if len(prime.waveform) < seen:
            say(
                f"note: {printable(prime.path.name)} fills {len(prime.waveform) / rate:.3f} s of the receptive field "
                f"of {seen / rate:.3f} s; the rest is silence"
            )
    return clips, primes


def _shares(request: SampleRequest, config: RunConfig, clips: int, console: Console) -> NDArray[np.float32] | None:
    """Returns the share of each speaker in the voices, None for no speakers; prints the turns without --speaker."""
    speakers = config.model.speakers
    if request.speaker is not None:
        return speaker_shares(request.speaker, speakers)[None]
    if not speakers:
        return None
    turns = [number % len(speakers) for number in range(clips)]
    listed = ", ".join(speakers[turn] for turn in turns[: len(speakers)])
    console.print(f"speakers in turn: {listed} (choose with --speaker)", highlight=False, markup=False)
    return np.eye(len(speakers), dtype=np.float32)[turns]


def _read(
    path: Path, cache: WeightCache, request: SampleRequest, console: Console
) -> tuple[RunConfig, GeneratorWeights]:
    """Returns the settings and the weights of a checkpoint, from the cache if it has been read before."""
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
