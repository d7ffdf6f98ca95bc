"""`wavegen vocode` from request to files."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from fast_gen.engines.choice import EngineChoice
from fast_gen.engines.contract import PRECISIONS, Engine
from fast_gen.engines.sampling import VOCODING_TEMPERATURE, SamplingSettings, check_head
from fast_gen.engines.start import Job, start_engine
from fast_gen.engines.trial_cache import TrialCache
from fast_gen.engines.weights import GeneratorWeights
from fast_gen.generation.destination import Destination
from fast_gen.generation.level import OutputLevel, output_level
from fast_gen.vocoding.filtered import FilteredFile, filtered
from fast_gen.vocoding.refine import USUAL_TURNS, refined_blocks
from fast_gen.vocoding.saved import MEL_SUFFIXES
from fast_gen.vocoding.sources import Source, open_source
from fast_gen.vocoding.vocode import BLOCK_FRAMES, sampled
from wavenet_app.audio.files import from_pcm16, pcm16, printable
from wavenet_app.audio.mel import MelFrames
from wavenet_app.audio.wav_stream import PartialWav
from wavenet_app.checkpoints.trained import Trained, find_checkpoint, load_trained
from wavenet_app.config import ModelConfig
from wavenet_app.core.console import print_labelled
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.corpus.speakers import listed_speakers, speaker_shares

CONVERSION = (
    "the mel frames of another speaker keep their pitch, pace and much of their timbre, so --speaker changes a voice "
    "only in part"
)


@dataclass(frozen=True)
class VocodeRequest:
    """The options of `wavegen vocode`.

    Attributes:
        checkpoint: what `find_checkpoint` takes.
        source: a recording, a folder of them, or saved mel frames.
        out: folder for the files, or the file that a single source becomes.
        speaker: a name, or names with weights; required with speakers, else None.
        seed: of the random numbers.
        temperature: 0 for the most likely code every time.
        top_k: 0 for all codes.
        top_p: 1 for all codes.
        min_p: 0 for all codes.
        turns: iterations of `refine.refined`.
        engine: name of an engine, or "auto".
        precision: of the weights.
        threads: of the CPU, for the engine.
        format_name: of the files; None for the suffix of `out`, or WAV in a folder.
        overwrite: whether a file that `out` names is replaced, and in a folder, files that exist are made again.
    """

    checkpoint: str
    source: Path
    out: Path
    speaker: str | None = None
    seed: int = 0
    temperature: float = VOCODING_TEMPERATURE
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    turns: int = USUAL_TURNS
    engine: str = "auto"
    precision: str = PRECISIONS[0]
    threads: int = 1
    format_name: str | None = None
    overwrite: bool = False

    @property
    def destination(self) -> Destination:
        """Where the results are written; raises UserError where the request contradicts itself."""
        return Destination.of(self.out, self.format_name, overwrite=self.overwrite)


@dataclass(frozen=True)
class Vocoder:
    """Everything that vocoding needs.

    Attributes:
        name: of the model, as the user gave it.
        trained: the model.
        engine: generates the samples.
        mel: computes its frames.
        shares: (speakers,), the share of each speaker in the voice, or None.
        settings: temperature, top-k and top-p.
        seed: of the random numbers.
        key: changes with the model and all options that change the samples.
        turns: iterations of the refinement.
    """

    name: str
    trained: Trained
    engine: Engine
    mel: MelFrames
    shares: NDArray[np.float32] | None
    settings: SamplingSettings
    seed: int
    key: str
    turns: int


@dataclass(frozen=True)
class VocodedFile:
    """A file that is complete.

    Attributes:
        num_samples: its length.
        sample_rate: in Hz.
        speed: seconds of audio made in a second.
        level: what to say of the level at which it was written; None for nothing.
    """

    num_samples: int
    sample_rate: int
    speed: float
    level: str | None


def run_vocoding(request: VocodeRequest, folder: DataFolder, *, console: Console) -> Path:
    """Makes an audio file of a recording or saved mel, at the level of the recordings, and prints where.

    The next run of the same command resumes a file that was stopped, with the same result; only some of 1,024 codes
    share a 16-bit sample, so there the rest is another draw.

    Returns:
        The file.

    Raises:
        UserError: the checkpoint, the source, a setting or the destination is invalid.
    """
    if not request.source.exists():
        raise UserError(f"there is no file or folder {printable(str(request.source))}")
    request.destination.check_free()
    target = target_of(request, Path(request.source.name), whole_name=False)
    vocoder = get_vocoder(request, folder, console)
    say_how_frames_are_read([request.source], vocoder, console)
    vocode_file(request.source, target, vocoder, console)
    return target


def say_how_frames_are_read(sources: Iterable[Path], vocoder: Vocoder, console: Console) -> None:
    """Prints what saved frames have to be, if there are some among the sources."""
    if any(source.suffix.lower() in MEL_SUFFIXES for source in sources):
        console.print(f"saved frames are read as {vocoder.mel.described}", highlight=False, soft_wrap=True)


def get_vocoder(request: VocodeRequest, folder: DataFolder, console: Console) -> Vocoder:
    """Loads the checkpoint and an engine, and prints which.

    Raises:
        UserError: one of them, the speaker or a setting is invalid.
    """
    settings = SamplingSettings(request.temperature, request.top_k, request.top_p, request.min_p)
    path = find_checkpoint(folder.root, request.checkpoint)
    trained = load_trained(path)
    model = trained.config.model
    if model.mel is None:
        raise UserError(f"{trained.config.name} is not a vocoder; train one with --condition mel")
    check_head(settings, model.output_head)
    shares = _shares(request.speaker, model)
    weights = GeneratorWeights.of(trained.model)

    def say(line: str | None) -> None:
        if line is not None:
            console.print(line, highlight=False, soft_wrap=True)

    def on_choice(choice: EngineChoice) -> None:
        say(choice.reason)
        say(choice.preparation)

    say(str(path))
    job = Job(trials=TrialCache(folder.cache / "trials"))
    _, engine = start_engine(request.engine, weights, "auto", request.precision, request.threads, on_choice, job)
    of_request = [None if shares is None else shares.tolist(), request.seed, asdict(settings), request.precision]
    key = hashlib.blake2b(path.read_bytes() + json.dumps(of_request).encode(), digest_size=8).hexdigest()
    mel = MelFrames(model.mel, trained.config.audio.sample_rate)
    if shares is not None:
        print_labelled(console, "note", CONVERSION)
    return Vocoder(request.checkpoint, trained, engine, mel, shares, settings, request.seed, key, request.turns)


def _shares(speaker: str | None, model: ModelConfig) -> NDArray[np.float32] | None:
    if speaker is not None:
        return speaker_shares(speaker, model.speakers)
    if model.speakers:
        raise UserError(f"choose a voice with --speaker; there are: {listed_speakers(model.speakers)}")
    return None


def target_of(request: VocodeRequest, name: Path, *, whole_name: bool) -> Path:
    """Returns the audio file that a source becomes; it has the whole name if another source has the same stem."""
    destination = request.destination
    suffix = destination.audio_format.suffix
    in_folder = request.out / (name.with_name(f"{name.name}{suffix}") if whole_name else name.with_suffix(suffix))
    target = destination.file or in_folder
    source = request.source / name if request.source.is_dir() else request.source
    if target.exists() and target.samefile(source):
        raise UserError(f"the result would replace {source}; choose another --out")
    return target


def vocode_file(
    path: Path,
    target: Path,
    vocoder: Vocoder,
    console: Console,
    is_stopped: Callable[[], bool] = lambda: False,
) -> VocodedFile:
    """Makes one audio file; resumes where an earlier run was stopped.

    Args:
        path: a recording or saved frames.
        target: the audio file.
        vocoder: makes it.
        console: to print to.
        is_stopped: asked between blocks; after True the file is left for the next run, as after Ctrl-C.

    Raises:
        UserError: the source cannot be used, or the file cannot be written.
    """
    with console.status("measuring its level"):
        source = open_source(path, vocoder.mel, vocoder.trained.config, vocoder.name)
    for remark in source.remarks:
        print_labelled(console, "note", f"{printable(path.name)} {remark}")
    config = vocoder.trained.config
    rate, hop = config.audio.sample_rate, vocoder.mel.hop
    level = output_level(config.audio.gain)
    status = path.stat()
    of_file = f"{path.absolute()} {status.st_size} {status.st_mtime_ns}".encode("utf-8", "surrogateescape")
    key = f"{vocoder.key}{hashlib.blake2b(of_file, digest_size=8).hexdigest()}"
    with PartialWav(target, rate, key, hop) as file, _bar(console) as progress:
        done = file.num_samples
        if done:
            console.print(f"resuming at {done / rate:.1f} s, where an earlier run was stopped", highlight=False)
        task = progress.add_task(printable(path.name), total=source.expected_samples, completed=done, factor="")
        known = file.last(-(-config.model.context // hop) * hop)
        blocks = sampled(
            vocoder.engine,
            vocoder.trained.model,
            vocoder.mel.conditioning(source.frames()),
            shares=vocoder.shares,
            seed=vocoder.seed,
            settings=vocoder.settings,
            done_frames=done // hop,
            last_codes=config.model.coding.encode(from_pcm16(known)),
        )
        began = time.monotonic()
        try:
            for block in blocks:
                # the last frame extends beyond the end of a recording
                wanted = math.inf if source.num_samples is None else source.num_samples - file.num_samples
                file.write(pcm16(block[: int(min(wanted, len(block)))]))
                speed = (file.num_samples - done) / rate / max(time.monotonic() - began, 1e-9)
                progress.update(task, completed=file.num_samples, factor=f"{speed:.2f} x real time")
                if is_stopped():
                    raise KeyboardInterrupt
            progress.update(task, completed=0, factor="refining" if vocoder.turns else "writing")
            waveforms = _refined(file, source, vocoder) if vocoder.turns else _as_sampled(file, source, vocoder)
            file.finish_as(_written(waveforms, level, lambda samples: progress.update(task, advance=samples)))
        except KeyboardInterrupt:
            progress.stop()
            console.print(f"stopped at {file.num_samples / rate:.1f} s; run the same command to resume")
            raise SystemExit(130) from None
    speed = (file.num_samples - done) / rate / max(time.monotonic() - began, 1e-9)
    made = VocodedFile(file.num_samples, rate, speed, level.remark)
    say_made(target, made, console)
    return made


def say_made(target: Path, made: VocodedFile, console: Console) -> None:
    """Prints where a file is and how long it took."""
    console.print(
        f"{printable(str(target))}  ({made.num_samples / made.sample_rate:.2f} s, {made.speed:.2f} x real time"
        f"{f'; written {made.level}' if made.level else ''})",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _refined(file: PartialWav, source: Source, vocoder: Vocoder) -> Iterator[NDArray[np.float32]]:
    """Yields the waveform of a file in blocks (samples,), refined towards the frames that it was made from."""

    def read(first: int, last: int) -> NDArray[np.float32]:
        return from_pcm16(file.between(first, last))

    if vocoder.mel.filter is not None:
        read = FilteredFile(_as_sampled(file, source, vocoder)).between
    return refined_blocks(read, source.frames(), vocoder.mel, vocoder.turns)


def _as_sampled(file: PartialWav, source: Source, vocoder: Vocoder) -> Iterator[NDArray[np.float32]]:
    """Yields the waveform of a file in blocks (samples,); the file holds what the filter of the frames takes."""
    if vocoder.mel.filter is None:
        return map(from_pcm16, file.blocks())
    coding, length = vocoder.trained.config.model.coding, BLOCK_FRAMES * vocoder.mel.hop
    # the file rounds to 16 bits, which leads back to the same codes
    blocks = (
        coding.decode(coding.encode(from_pcm16(file.between(first, first + length))))
        for first in range(0, file.num_samples, length)
    )
    return filtered(blocks, source.frames(), vocoder.mel.filter, vocoder.mel.mel)


def _written(
    waveforms: Iterable[NDArray[np.float32]], level: OutputLevel, on_samples: Callable[[int], None]
) -> Iterator[NDArray[np.int16]]:
    """Yields blocks (samples,) at the level of the training as 16-bit samples at the level of the file."""
    for waveform in waveforms:
        yield pcm16(level.of(waveform))
        on_samples(len(waveform))


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[factor]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
